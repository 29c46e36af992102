"""How far a model's confidence can be believed on ground that it has not seen, without and with a temperature.

    python benchmarks/calibration.py --model runs/a/model --config terraseg.toml [--blocks 200] [--side 256]

Two kinds of such ground: the validation windows of the scenes that were trained on, and scenes that played no part, each cut
into blocks. Temperatures are set by validation blocks alone, as training does it (`cautious_temperature`) and by what fits all
their pixels best: by all of them for unseen scenes, by every other one for the rest of them. For `dubai`, write the project
file by `terraseg check`; the windows are those in the `dataset.json` beside the bundle's folder.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from terraseg.core.classes import VOID
from terraseg.core.dataset import Dataset, Scene
from terraseg.core.modelspec import ModelSpec
from terraseg.core.scorer import Scorer
from terraseg.core.window import Window, cut
from terraseg.engines.choose import open_scorer
from terraseg.pipeline.project import read_project
from terraseg.pixels.calibration import calibration_error, cautious_temperature, certainties, fit_temperature
from terraseg.prepare.dataset import read_dataset
from terraseg.store.labels import open_labels
from terraseg.store.raster import open_raster
from terraseg.store.rundir import RunFolder, read_json

PIXELS = 4096
"""Pixels that are drawn from each block."""
AROUND = 128
"""Pixels around a block that the network sees besides, as it does when it maps: without them it is less sure."""
TINY = 1e-30
SEEN = "validation blocks of the training scenes"

Place = tuple[Scene, Window]
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
    kinds = {
        SEEN: validation_places(dataset, options.model.parent, options.side),
        "unseen scenes": unseen_places(dataset, scorer.spec, options.side),
    }
    drawn = {
        name: list(blocks_of(places, dataset, scorer, most=options.blocks)) for name, places in kinds.items() if places
    }
    drawn = {name: blocks for name, blocks in drawn.items() if len(blocks) > 1}
    if not drawn:
        parser.error(f"{options.config} names no labelled ground that the model has not seen")
    seen = drawn.get(SEEN, [])
    for name, blocks in drawn.items():
        judging, fitting = (blocks[1::2], seen[::2]) if name == SEEN else (blocks, seen)
        temperatures = {"none": 1.0, "the bundle's": scorer.spec.temperature}
        if fitting:
            temperatures["by the validation blocks"] = cautious_temperature(fitting)
            temperatures["by all their pixels"] = fit_temperature(*joined(fitting))
        report(f"{name}: {len(judging)} blocks judge", joined(judging), temperatures)


def report(title: str, judged: Drawn, temperatures: dict[str, float]) -> None:
    """Prints the errors at several temperatures, the first of which is 1."""
    print(f"{title}, {len(judged[1]):,} pixels")
    before = calibration_error(*certainties(*judged, 1.0))
    for said, temperature in temperatures.items():
        error = calibration_error(*certainties(*judged, temperature))
        print(
            f"  temperature {said}: {temperature:.3f}, error {error:.4f} ({error / max(before, TINY):.2f} of without)"
        )


def unseen_places(dataset: Dataset, spec: ModelSpec, side: int) -> list[Place]:
    """Blocks of the labelled scenes that the bundle was not trained on."""
    seen = set(spec.provenance.get("scenes", ()))
    scenes = [scene for scene in dataset.scenes if scene.labels is not None and scene.name not in seen]
    return [(scene, block) for scene in scenes for block in cut(scene.grid.window, side, side) if is_whole(block, side)]


def validation_places(dataset: Dataset, run: Path, side: int) -> list[Place]:
    """Blocks of the windows that judged a run's training."""
    file = RunFolder(run).dataset
    if not file.exists():
        return []
    split = {scene.name: scene.validation for scene in Dataset.from_json(read_json(file)).scenes}
    return [
        (scene, block)
        for scene in dataset.scenes
        for window in split.get(scene.name, ())
        for block in cut(window, side, side)
        if is_whole(block, side)
    ]


def is_whole(block: Window, side: int) -> bool:
    """Whether a block was not cut off."""
    return min(block.height, block.width) == side


def blocks_of(places: list[Place], dataset: Dataset, scorer: Scorer, *, most: int) -> Iterator[Drawn]:
    """Logits at temperature 1 and labels of pixels drawn from blocks that are spread over the places."""
    random = np.random.default_rng(0)
    order = random.permutation(len(places))[:most]
    for scene, block in (places[n] for n in sorted(order.tolist())):
        seen = surroundings(scene, block)
        with open_raster(scene.imagery) as raster, open_labels(scene, dataset) as labels:
            patch, truth = raster.read(seen), np.full((seen.height, seen.width), VOID, dtype=np.uint8)
            truth[block.shifted(-seen.row, -seen.col).slices] = labels.read(block)
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


def surroundings(scene: Scene, block: Window) -> Window:
    """A block with what lies around it, moved inwards at the scene's edge."""
    grid = scene.grid
    height, width = (min(whole, block.height + 2 * AROUND) for whole in (grid.height, grid.width))
    row = min(max(0, block.row - AROUND), grid.height - height)
    col = min(max(0, block.col - AROUND), grid.width - width)
    return Window(row, col, height, width)


def joined(parts: list[Drawn]) -> Drawn:
    """The pixels of all parts."""
    logits, labels = zip(*parts, strict=True)
    return np.concatenate(logits), np.concatenate(labels)


if __name__ == "__main__":
    main()
