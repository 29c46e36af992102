"""How far a model's confidence can be believed on ground that it has not seen, without and with a temperature.

    python benchmarks/calibration.py --model runs/a/model --config terraseg.toml [--blocks 200] [--side 256]

Scenes of the project that the bundle was trained on are left out. The rest is cut into blocks, of which every other one fits a
temperature and the others judge it, as they judge the bundle's own. For `dubai`, write the project file by `terraseg check`.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from terraseg.core.classes import VOID
from terraseg.core.dataset import Dataset, Scene
from terraseg.core.scorer import Scorer
from terraseg.core.window import cut
from terraseg.engines.choose import open_scorer
from terraseg.pipeline.project import read_project
from terraseg.pixels.calibration import calibration_error, certainties, fit_temperature
from terraseg.prepare.dataset import read_dataset
from terraseg.store.labels import open_labels
from terraseg.store.raster import open_raster

PIXELS = 4096
"""Pixels that are drawn from each block."""
TINY = 1e-30

Drawn = tuple[NDArray[np.float64], NDArray[np.int64]]


def main() -> None:
    """Prints the calibration errors of one bundle."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--blocks", type=int, default=200)
    parser.add_argument("--side", type=int, default=256)
    options = parser.parse_args()
    project = read_project(options.config)
    dataset = read_dataset(project.data, project.root)
    scorer = open_scorer(options.model)
    seen = set(scorer.spec.provenance.get("scenes", ()))
    scenes = [scene for scene in dataset.scenes if scene.labels is not None and scene.name not in seen]
    drawn = list(blocks_of(scenes, dataset, scorer, side=options.side, most=options.blocks))
    if len(drawn) < 2:
        parser.error(f"{len(scenes)} unseen labelled scenes hold {len(drawn)} blocks: name others in {options.config}")
    fitted = fit_temperature(*joined(drawn[::2]))
    judged = joined(drawn[1::2])
    print(f"{len(scenes)} unseen scenes, {len(drawn)} blocks; judged on {len(judged[1]):,} pixels of every other block")
    before = calibration_error(*certainties(*judged, 1.0))
    rows = (("none", 1.0), ("the bundle's", scorer.spec.temperature), ("fitted to the other blocks", fitted))
    for name, temperature in rows:
        error = calibration_error(*certainties(*judged, temperature))
        print(f"temperature {name}: {temperature:.3f}, error {error:.4f} ({error / max(before, TINY):.2f} of without)")


def blocks_of(scenes: list[Scene], dataset: Dataset, scorer: Scorer, *, side: int, most: int) -> Iterator[Drawn]:
    """Logits at temperature 1 and labels of pixels drawn from blocks that are spread over the scenes."""
    random = np.random.default_rng(0)
    places = [(scene, block) for scene in scenes for block in cut(scene.grid.window, side, side)]
    places = [(scene, block) for scene, block in places if min(block.height, block.width) == side]
    order = random.permutation(len(places))[:most]
    for scene, block in (places[n] for n in sorted(order.tolist())):
        with open_raster(scene.imagery) as raster, open_labels(scene, dataset) as labels:
            patch, truth = raster.read(block), np.array(labels.read(block))
        truth[~patch.valid] = VOID
        known = np.flatnonzero(truth != VOID)
        if not len(known):
            continue
        pixels = random.choice(known, min(PIXELS, len(known)), replace=False)
        shares = np.asarray(scorer.score(patch.pixels[None].astype(scorer.spec.dtype)))[0]
        values = shares.reshape(len(shares), -1)[:, pixels].T.astype(np.float64)
        codes = truth.ravel()[pixels].astype(np.int64)
        if scorer.spec.overlapping:
            logits = np.log(np.maximum(values, TINY)) - np.log(np.maximum(1 - values, TINY))
            yield scorer.spec.temperature * logits, (codes[:, None] >> np.arange(values.shape[1])) & 1
        else:
            # The logarithm of a softmax is its logits, but for a constant that no softmax sees.
            yield scorer.spec.temperature * np.log(np.maximum(values, TINY)), codes


def joined(parts: list[Drawn]) -> Drawn:
    """The pixels of all parts."""
    logits, labels = zip(*parts, strict=True)
    return np.concatenate(logits), np.concatenate(labels)


if __name__ == "__main__":
    main()
