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
from terraseg.nets.scoring import Scoring
from terraseg.pixels.calibration import calibration_error, certainties, fit_temperature
from terraseg.store.cache import TrainingScene, training_scenes
from terraseg.store.rundir import RunFolder
from terraseg.train.module import means
from terraseg.train.quiet import kept_generators
from terraseg.train.trained import TrainedModel
from terraseg.train.validation import Tile, arrange, read_tiles

TILES = 16
"""Tiles of the validation windows that are looked at: one number needs no more."""
PIXELS = 1 << 18
"""Pixels that are fitted to, spread evenly over the tiles."""
LEAST = 1.0

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

    It is never below 1, whatever fits best: validation windows often lie in the scenes that were trained on, and a network is
    less right on ground elsewhere, so that making it surer of itself would harm there. The provenance says under "calibration"
    what it brought: the expected calibration error without and with a temperature from one half of the tiles, measured on the
    other half; and the temperature that `fitted` best.
    """
    if len(dataset.legend) < 2 and not trained.spec.overlapping:
        return trained
    arguments: dict[str, Any] = {"cache_gb": cache_gb, "fill": means(fingerprint), "working": plan.working}
    with kept_generators(), training_scenes(dataset, run.cache, **arguments) as scenes:
        drawn = list(_drawn(trained, scenes, plan))
    if not drawn:
        return trained
    fitted = fit_temperature(*_joined(drawn))
    temperature = max(LEAST, fitted)
    report = {
        "temperature": temperature,
        "fitted": fitted,
        "pixels": sum(len(labels) for _, labels in drawn),
        **_held_out(drawn),
    }
    spec = replace(trained.spec, temperature=temperature, provenance=trained.spec.provenance | {"calibration": report})
    return TrainedModel(trained.network, spec)


def _drawn(trained: TrainedModel, scenes: Sequence[TrainingScene], plan: Plan) -> Iterator[Drawn]:
    """Logits and labels of pixels drawn from each tile; the network itself is left as it is."""
    tiles: list[Tile] = [tile for batch in arrange(scenes, plan) for tile in batch][:TILES]
    device = torch.device(plan.device)
    spec = replace(trained.spec, reduction=1)
    scoring = Scoring(deepcopy(trained.network), spec).eval().to(device)
    each = -(-PIXELS // max(1, len(tiles)))
    for number, tile in enumerate(tiles):
        raw, truth = read_tiles(scenes, (tile,))
        labels = truth[0].numpy().ravel()
        known = np.flatnonzero(labels != VOID)
        random = np.random.default_rng([plan.seed, number])
        chosen = np.sort(random.choice(known, min(each, len(known)), replace=False))
        with torch.inference_mode():
            logits = scoring.logits(raw.to(device))[0].flatten(1).T[torch.from_numpy(chosen).to(device)]
        if len(chosen):
            yield logits.cpu().numpy(), _targets(labels[chosen], spec.overlapping, logits.shape[1])


def _targets(labels: NDArray[np.uint8], overlapping: bool, classes: int) -> NDArray[np.int64]:
    if not overlapping:
        return labels.astype(np.int64)
    return (labels[:, None].astype(np.int64) >> np.arange(classes)) & 1


def _joined(parts: Sequence[Drawn]) -> Drawn:
    logits, labels = zip(*parts, strict=True)
    return np.concatenate(logits), np.concatenate(labels)


def _held_out(drawn: Sequence[Drawn]) -> dict[str, float]:
    """The calibration error on every other tile, before and after a temperature fitted to the rest; nothing of one tile."""
    if len(drawn) < 2:
        return {}
    temperature, judged = max(LEAST, fit_temperature(*_joined(drawn[::2]))), _joined(drawn[1::2])
    errors = [round(calibration_error(*certainties(*judged, t)), 4) for t in (1.0, temperature)]
    return {"held_out_error_before": errors[0], "held_out_error_after": errors[1]}
