"""Scoring class maps against the labels of their scenes, block by block over whole scenes."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from terraseg.core.classes import VOID, Legend
from terraseg.core.dataset import Dataset, Scene
from terraseg.core.window import Window, cut
from terraseg.errors import EmptyDataset, GridMismatch, UnknownClass, nearest
from terraseg.evaluate.options import EvaluateOptions, Part
from terraseg.evaluate.scores import Scores, score
from terraseg.pixels.confusion import confusion, count_unpredicted
from terraseg.pixels.relabel import indices_from_ids
from terraseg.store.classmap import read_class_map
from terraseg.store.labels import open_labels

ReadIndices = Callable[[Window], NDArray[np.uint8]]
"""Class indices (height, width) of a window, 255 where there is none."""


@dataclass(frozen=True)
class Block:
    """Truth and prediction of one window as class indices (height, width), 255 for none: what every measure is made of."""

    window: Window
    truth: NDArray[np.uint8]
    prediction: NDArray[np.uint8]


@dataclass(frozen=True)
class SceneScores:
    """The scores of one scene and the class map that they are about."""

    name: str
    map_path: str
    scores: Scores

    def to_json(self) -> dict[str, Any]:
        """Plain JSON: the scene's name and map beside its scores."""
        return {"name": self.name, "map": self.map_path, **self.scores.to_json()}

    @staticmethod
    def from_json(value: dict[str, Any]) -> "SceneScores":
        """The inverse of `to_json`."""
        return SceneScores(value["name"], value["map"], Scores.from_json(value))


@dataclass(frozen=True)
class Evaluation:
    """Scores by scene; `part` names the pixels that counted ("all", a role in training, or "windows").

    `baseline` holds the scores of a simpler model on the same pixels, where there are any to compare with.
    """

    part: str
    scenes: tuple[SceneScores, ...]
    baseline: "Evaluation | None" = None

    @property
    def total(self) -> Scores:
        """The scores over the pixels of all scenes together: one confusion matrix, not a mean over scenes."""
        return reduce(add, (scene.scores for scene in self.scenes))

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, the content of `scores.json`."""
        value = {"part": self.part, "total": self.total.to_json(), "scenes": [s.to_json() for s in self.scenes]}
        return value if self.baseline is None else {**value, "baseline": self.baseline.to_json()}

    @staticmethod
    def from_json(value: dict[str, Any]) -> "Evaluation":
        """The inverse of `to_json`."""
        beside = value.get("baseline")
        baseline = None if beside is None else Evaluation.from_json(beside)
        return Evaluation(value["part"], tuple(SceneScores.from_json(s) for s in value["scenes"]), baseline)


def evaluate_scenes(
    pairs: Iterable[tuple[Scene, str | Path]],
    dataset: Dataset,
    *,
    windows: Mapping[str, Sequence[Window]] | None = None,
    options: EvaluateOptions | None = None,
) -> Evaluation:
    """The scores of class maps against the labels of their scenes, void and nodata left out.

    `windows` gives the disjoint windows to score by scene name; without it `options.part` decides. Memory depends on
    `options.block`, not on the scenes. Raises `GridMismatch` for a map that does not lie on its scene's grid,
    `UnknownClass` for a map with a class that the data set lacks, `EmptyDataset` when no labelled pixel is left.
    """
    chosen, pairs = options or EvaluateOptions(), list(pairs)
    part = fitting_part([scene for scene, _ in pairs]) if chosen.part == "auto" else chosen.part
    scenes = []
    for scene, path in pairs:
        where = _windows(scene, part) if windows is None else windows.get(scene.name, ())
        if where:
            scenes.append(SceneScores(scene.name, str(path), _score_scene(scene, path, dataset, where, chosen.block)))
    result = Evaluation(part if windows is None else "windows", tuple(scenes))
    if not scenes or not (result.total.pixels or result.total.unpredicted):
        raise EmptyDataset(
            f"no labelled pixel to score ({len(scenes)} scenes, part {part!r}): give labelled scenes, or score another "
            "part (all, train, validation, test)"
        )
    return result


def fitting_part(scenes: Sequence[Scene]) -> Part:
    """The part of the scenes that says most about unseen ground: test, else validation, else all of them."""
    if any(scene.is_test for scene in scenes):
        return "test"
    return "validation" if any(scene.validation for scene in scenes) else "all"


def _windows(scene: Scene, part: Part) -> tuple[Window, ...]:
    if part == "all" or part == "auto":
        return (scene.grid.window,)
    return scene.windows(part)


def _score_scene(scene: Scene, path: str | Path, dataset: Dataset, windows: Sequence[Window], side: int) -> Scores:
    with read_class_map(path) as class_map, open_labels(scene, dataset) as labels:
        if not class_map.grid.same_place(scene.grid):
            raise GridMismatch(
                f"the map {path} ({class_map.grid.height} x {class_map.grid.width} px) does not lie on the grid of scene "
                f"{scene.name} ({scene.grid.height} x {scene.grid.width} px): predict the scene itself, without "
                "resampling or cropping"
            )
        table = class_table(class_map.legend, dataset.legend, path)

        def predicted(window: Window) -> NDArray[np.uint8]:
            return table[indices_from_ids(class_map.read(window), class_map.legend)]

        return score_blocks(read_blocks(labels.read, predicted, windows, side=side), dataset.legend)


def class_table(source: Legend, target: Legend, path: str | Path) -> NDArray[np.uint8]:
    """A lookup (256,) from the class indices of a map's legend to those of the labels, matched by name.

    `UnknownClass` names a class of the map that the labels do not have.
    """
    table = np.full(256, VOID, dtype=np.uint8)
    for index, name in enumerate(source.names):
        if name not in target.names:
            raise UnknownClass(
                f"the map {path} has the class {name!r}, which the labels lack: {nearest(name, target.names)}. Score it "
                "against labels of the same classes"
            )
        table[index] = target.index_of(name)
    return table


def read_blocks(
    truth: ReadIndices, prediction: ReadIndices, windows: Iterable[Window], *, side: int
) -> Iterator[Block]:
    """The windows in blocks of at most `side` x `side` pixels, each with its truth and its prediction."""
    for window in windows:
        for block in cut(window, side, side):
            yield Block(block, truth(block), prediction(block))


def score_blocks(blocks: Iterable[Block], legend: Legend) -> Scores:
    """The scores over all blocks together."""
    matrix, missing = np.zeros((len(legend), len(legend)), dtype=np.int64), 0
    for block in blocks:
        matrix += confusion(block.truth, block.prediction, len(legend))
        missing += count_unpredicted(block.truth, block.prediction)
    return score(matrix, legend, missing)
