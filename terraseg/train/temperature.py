"""The temperature of a trained network: fitted on the validation windows, so that its probabilities mean what they say."""

from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from terraseg.core.classes import VOID
from terraseg.core.dataset import Dataset
from terraseg.core.fingerprint import Fingerprint
from terraseg.core.plan import Plan
from terraseg.core.window import Window, cut
from terraseg.nets.scoring import Scoring
from terraseg.pixels.calibration import calibration_error, cautious_temperature, certainties, fit_temperature
from terraseg.store.cache import TrainingScene, training_scenes
from terraseg.store.rundir import RunFolder
from terraseg.train.module import means
from terraseg.train.quiet import kept_generators
from terraseg.train.trained import TrainedModel
from terraseg.train.validation import Tile, arrange, read_tiles

TILES = 16
"""Tiles of the validation windows that are looked at: one number needs no more."""
BLOCK = 128
"""Side in pixels, or about so, of the blocks of a tile that get temperatures of their own."""
PIXELS = 1 << 18
"""Pixels that are fitted to, spread evenly over the tiles."""

Drawn = tuple[NDArray[np.float32], NDArray[np.int64]]
"""Logits (n, classes) and labels as `fit_temperature` takes them."""


def with_temperature(
    trained: TrainedModel,
    dataset: Dataset,
    fingerprint: Fingerprint,
    plan: Plan,
    run: RunFolder,
    *,
    cache_gb: float = 4.0,
) -> TrainedModel:
    """The model with the temperature of its validation windows in its description; as it is where there are none.

    It is that of `cautious_temperature`, which is higher than what fits best on all validation pixels and never below 1: the
    windows often lie in the scenes that were trained on, and a network is less right on ground elsewhere. The provenance says
    under "calibration" what it brought: the expected calibration error without and with a temperature from one half of the
    blocks, measured on the other half; and the temperature that `fitted` best.
    """
    if len(dataset.legend) < 2 and not trained.spec.overlapping:
        return trained
    arguments: dict[str, Any] = {"cache_gb": cache_gb, "fill": means(fingerprint), "working": plan.working}
    with kept_generators(), training_scenes(dataset, run.cache, **arguments) as scenes:
        drawn = list(_drawn(trained, scenes, plan))
    if not drawn:
        return trained
    temperature = cautious_temperature(drawn)
    report = {
        "temperature": temperature,
        "fitted": fit_temperature(*_joined(drawn)),
        "blocks": len(drawn),
        "pixels": sum(len(labels) for _, labels in drawn),
        **_held_out(drawn),
    }
    spec = replace(trained.spec, temperature=temperature, provenance=trained.spec.provenance | {"calibration": report})
    return TrainedModel(trained.network, spec)


def _drawn(trained: TrainedModel, scenes: Sequence[TrainingScene], plan: Plan) -> Iterator[Drawn]:
    """Logits and labels of pixels drawn from each block of the tiles; the network itself is left as it is."""
    tiles: list[Tile] = [tile for batch in arrange(scenes, plan) for tile in batch][:TILES]
    device = torch.device(plan.device)
    spec = replace(trained.spec, reduction=1)
    scoring = Scoring(deepcopy(trained.network), spec).eval().to(device)
    each = -(-PIXELS // max(1, len(tiles)))
    for number, tile in enumerate(tiles):
        raw, truth = read_tiles(scenes, (tile,))
        labels = truth[0].numpy()
        with torch.inference_mode():
            logits = scoring.logits(raw.to(device))[0].cpu().numpy()
        random = np.random.default_rng([plan.seed, number])
        cells = _blocks(labels.shape)
        for cell in cells:
            known = np.flatnonzero(labels[cell.slices] != VOID)
            chosen = np.sort(random.choice(known, min(-(-each // len(cells)), len(known)), replace=False))
            if len(chosen):
                codes, values = labels[cell.slices].ravel()[chosen], logits[:, *cell.slices].reshape(len(logits), -1)
                yield values[:, chosen].T, _targets(codes, spec.overlapping, len(logits))


def _blocks(shape: tuple[int, ...]) -> list[Window]:
    """A tile of (height, width) cut into blocks of about `BLOCK` pixels a side."""
    height, width = (-(-side // max(1, round(side / BLOCK))) for side in shape)
    return list(cut(Window(0, 0, *shape), height, width))


def _targets(labels: NDArray[np.uint8], overlapping: bool, classes: int) -> NDArray[np.int64]:
    if not overlapping:
        return labels.astype(np.int64)
    return (labels[:, None].astype(np.int64) >> np.arange(classes)) & 1


def _joined(parts: Sequence[Drawn]) -> Drawn:
    logits, labels = zip(*parts, strict=True)
    return np.concatenate(logits), np.concatenate(labels)


def _held_out(drawn: Sequence[Drawn]) -> dict[str, float]:
    """The calibration error on every other block, before and after a temperature from the rest; nothing of one block."""
    if len(drawn) < 2:
        return {}
    temperature, judged = cautious_temperature(drawn[::2]), _joined(drawn[1::2])
    errors = [round(calibration_error(*certainties(*judged, t)), 4) for t in (1.0, temperature)]
    return {"held_out_error_before": errors[0], "held_out_error_after": errors[1]}
