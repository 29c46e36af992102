"""Scoring class maps against the labels of their scenes, block by block over whole scenes."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from terraseg.core.classes import Legend
from terraseg.core.coding import Coding
from terraseg.core.dataset import Dataset, Scene
from terraseg.core.window import Window
from terraseg.errors import EmptyDataset
from terraseg.evaluate.cells import Cells, WorstTile, block_side, coarser, count_cells, side_within, worst_tiles
from terraseg.evaluate.ground import class_table, open_ground
from terraseg.evaluate.intervals import Intervals, intervals_of
from terraseg.evaluate.objects import ClassShapes
from terraseg.evaluate.options import EvaluateOptions, Part
from terraseg.evaluate.parted import Splitting
from terraseg.evaluate.reliability import Reliability, scene_reliability
from terraseg.evaluate.scores import Scores, score
from terraseg.evaluate.shapes import class_shapes
from terraseg.pixels.confusion import confusions, count_unpredicted

__all__ = ["Block", "Evaluation", "SceneScores", "class_table", "evaluate_scenes", "fitting_part", "score_blocks"]


@dataclass(frozen=True)
class Block:
    """Truth and prediction of one window as label bytes (height, width), 255 for none: what every measure is made of."""

    window: Window
    truth: NDArray[np.uint8]
    prediction: NDArray[np.uint8]


@dataclass(frozen=True)
class SceneScores:
    """The scores of one scene and the class map that they are about.

    `shapes` are those of outlines and objects by class, `reliability` that of the map's confidence, where they were asked for
    and there is what they need.
    """

    name: str
    map_path: str
    scores: Scores
    shapes: tuple[ClassShapes, ...] = ()
    reliability: Reliability | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON: the scene's name and map beside its scores."""
        further = _further_json(self.shapes, self.reliability)
        return {"name": self.name, "map": self.map_path, **self.scores.to_json(), **further}

    @staticmethod
    def from_json(value: dict[str, Any]) -> "SceneScores":
        """The inverse of `to_json`."""
        shapes = tuple(ClassShapes.from_json(each) for each in value.get("shapes", ()))
        found = value.get("reliability")
        certain = None if found is None else Reliability.from_json(found)
        return SceneScores(value["name"], value["map"], Scores.from_json(value), shapes, certain)


@dataclass(frozen=True)
class Evaluation:
    """Scores by scene; `part` names the pixels that counted ("all", a role in training, or "windows").

    `baseline` holds the scores of a simpler model on the same pixels, where there are any to compare with. `intervals` are
    None where there is too little ground to tell. `size_unit` is that of the objects' sizes, "m2" or "px".
    """

    part: str
    scenes: tuple[SceneScores, ...]
    baseline: "Evaluation | None" = None
    intervals: Intervals | None = None
    worst: tuple[WorstTile, ...] = ()
    size_unit: str = "px"

    @property
    def total(self) -> Scores:
        """The scores over the pixels of all scenes together: one confusion matrix, not a mean over scenes."""
        return reduce(add, (scene.scores for scene in self.scenes))

    @property
    def shapes(self) -> tuple[ClassShapes, ...]:
        """The scores of outlines and objects over all scenes, by class; none where they were not asked for."""
        every = [scene.shapes for scene in self.scenes if scene.shapes]
        return tuple(reduce(add, each) for each in zip(*every, strict=True))

    @property
    def reliability(self) -> Reliability | None:
        """That of the confidence over all scenes that have one; None without any."""
        found = [scene.reliability for scene in self.scenes if scene.reliability is not None]
        return reduce(add, found) if found else None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, the content of `scores.json`."""
        value: dict[str, Any] = {
            "part": self.part,
            "total": {**self.total.to_json(), **_further_json(self.shapes, self.reliability)},
            "intervals": None if self.intervals is None else self.intervals.to_json(),
            "size_unit": self.size_unit,
            "worst": [tile.to_json() for tile in self.worst],
            "scenes": [scene.to_json() for scene in self.scenes],
        }
        return value if self.baseline is None else {**value, "baseline": self.baseline.to_json()}

    @staticmethod
    def from_json(value: dict[str, Any]) -> "Evaluation":
        """The inverse of `to_json`; scores written before there were intervals and objects have none."""
        beside, sure = value.get("baseline"), value.get("intervals")
        return Evaluation(
            value["part"],
            tuple(SceneScores.from_json(scene) for scene in value["scenes"]),
            None if beside is None else Evaluation.from_json(beside),
            None if sure is None else Intervals.from_json(sure),
            tuple(WorstTile.from_json(tile) for tile in value.get("worst", ())),
            value.get("size_unit", "px"),
        )


def _further_json(shapes: tuple[ClassShapes, ...], reliability: Reliability | None) -> dict[str, Any]:
    further: dict[str, Any] = {"shapes": [each.to_json() for each in shapes]} if shapes else {}
    return further if reliability is None else {**further, "reliability": reliability.to_json()}


def evaluate_scenes(
    pairs: Iterable[tuple[Scene, str | Path]],
    dataset: Dataset,
    *,
    windows: Mapping[str, Sequence[Window]] | None = None,
    options: EvaluateOptions | None = None,
    correlation_px: float = 0.0,
    split: Splitting | None = None,
) -> Evaluation:
    """The scores of class maps against the labels of their scenes, void and nodata left out.

    `windows` gives the disjoint windows to score by scene name; without it `options.part` decides. `correlation_px` is the
    range over which labels are alike, 0 where it is unknown: blocks for intervals go by it. Classes of a `split` get object
    scores with it besides those without. Memory depends on `options.block`,
    not on the scenes. Raises `GridMismatch` for a map that does not lie on its scene's grid, `UnknownClass` for a map with a
    class that the data set lacks, `EmptyDataset` when no labelled pixel is left.
    """
    chosen, pairs = options or EvaluateOptions(), list(pairs)
    part = fitting_part([scene for scene, _ in pairs]) if chosen.part == "auto" else chosen.part
    on_ground = all(scene.grid.crs is not None for scene, _ in pairs)
    side = block_side(chosen.interval_side, correlation_px)
    scenes, cells = [], []
    for scene, path in pairs:
        where = scored_windows(scene, part) if windows is None else windows.get(scene.name, ())
        if where:
            how = _How(chosen, side, on_ground, split)
            found, counted = _score_scene((scene, path), dataset, where, how)
            scenes.append(found)
            cells.append((scene.name, counted))
    overlapping = dataset.coding.overlapping
    result = Evaluation(part if windows is None else "windows", tuple(scenes), size_unit="m2" if on_ground else "px")
    if not scenes or not (result.total.pixels or result.total.unpredicted):
        raise EmptyDataset(
            f"no labelled pixel to score ({len(scenes)} scenes, part {part!r}): give labelled scenes, or score another "
            "part (all, train, validation, test)"
        )
    counts = np.concatenate([counted.counts for _, counted in cells])
    sure = intervals_of(counts, side=side, resamples=chosen.resamples, overlapping=overlapping)
    tiles = [(name, *coarser(counted, side=side)) for name, counted in cells]
    worst = worst_tiles(
        [(name, tile) for name, tile, _ in tiles],
        chosen.worst,
        side=max(each for _, _, each in tiles),
        overlapping=overlapping,
    )
    return replace(result, intervals=sure, worst=worst)


def fitting_part(scenes: Sequence[Scene]) -> Part:
    """The part of the scenes that says most about unseen ground: test, else validation, else all of them."""
    if any(scene.is_test for scene in scenes):
        return "test"
    return "validation" if any(scene.validation for scene in scenes) else "all"


def scored_windows(scene: Scene, part: Part) -> tuple[Window, ...]:
    """The windows of a scene that belong to a part; "auto" is all of it."""
    if part == "all" or part == "auto":
        return (scene.grid.window,)
    return scene.windows(part)


@dataclass(frozen=True)
class _How:
    """What is scored of every scene: the options, the side of the blocks, whether sizes are on the ground, the split."""

    options: EvaluateOptions
    side: int
    on_ground: bool
    split: Splitting | None


def _score_scene(
    pair: tuple[Scene, str | Path], dataset: Dataset, windows: Sequence[Window], how: _How
) -> tuple[SceneScores, Cells]:
    """A scene's scores and its confusions block by block."""
    (scene, path), options = pair, how.options
    coding, legend = dataset.coding, dataset.legend
    overlapping = coding.overlapping
    with open_ground(scene, path, dataset, windows) as ground:
        side = side_within(scene.grid, how.side, coding)
        cells, missing = count_cells(ground, coding, side=side, block=options.block)
        scores = score(cells.counts.sum(axis=0), legend, missing, overlapping=overlapping)
        shapes: tuple[ClassShapes, ...] = ()
        if options.shapes:
            shapes = class_shapes(
                ground, legend, options, overlapping=overlapping, on_ground=how.on_ground, split=how.split
            )
        # Where classes overlap, a confidence is that of the least certain of several decisions.
        certain = None if overlapping else scene_reliability(ground, options.block)
    return SceneScores(scene.name, str(path), scores, shapes, certain), cells


def score_blocks(blocks: Iterable[Block], legend: Legend, *, overlapping: bool = False) -> Scores:
    """The scores over all blocks together."""
    coding, missing = Coding(len(legend), overlapping), 0
    matrix = np.zeros((coding.classes, 4 if coding.overlapping else coding.classes), dtype=np.int64)
    for block in blocks:
        matrix += confusions(block.truth, block.prediction, coding)
        missing += count_unpredicted(block.truth, block.prediction)
    return score(matrix, legend, missing, overlapping=overlapping)
