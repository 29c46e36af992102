"""Scores of overlapping classes: each class by itself, from maps and labels on disk."""

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from terraseg.core.classes import LandClass, Legend
from terraseg.core.dataset import Dataset, Imagery, LabelRule, Scene
from terraseg.errors import UnknownClass, UnreadableFile
from terraseg.evaluate.evaluate import Evaluation, evaluate_scenes
from terraseg.evaluate.options import EvaluateOptions
from terraseg.evaluate.scores import Scores, score
from terraseg.store.classmap import write_class_map
from terraseg.store.imagery import write_raster
from terraseg.store.maplayers import MapLayers
from terraseg.store.mapwriter import map_writer
from tests.makers import make_grid

GRID = make_grid(50, 70)
LEGEND = Legend((LandClass(2, "road", "#FF0000"), LandClass(5, "tree", "#00FF00")))
RULE = LabelRule("ids", (("1", "3"), ("2", "3")), ("9",), overlapping=True)
ALL = EvaluateOptions(part="all", block=16)


def write_map(path: Path, labels: NDArray[np.uint8], legend: Legend) -> Path:
    bands = np.where(labels == 255, 255, np.stack([labels >> k & 1 for k in range(len(legend))])).astype(np.uint8)
    with map_writer(path, GRID, legend, MapLayers(overlapping=True, threads=1)) as writer:
        writer.write(GRID.window, {"classes": bands})
        writer.finish()
    return path


def noise(seed: int, values: list[int]) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).choice(values, (GRID.height, GRID.width)).astype(np.uint8)


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    write_raster(tmp_path / "l.tif", noise(1, [0, 1, 2, 3, 9])[None], GRID, ["label"])
    return Scene("a", Imagery(("unused.tif",), ("red",)), str(tmp_path / "l.tif"), "a", GRID)


def dataset_of(scene: Scene, rule: LabelRule = RULE) -> Dataset:
    return Dataset((scene,), LEGEND, rule, ("red",), "uint8")


@pytest.mark.parametrize("turned", [False, True])
def test_each_class_is_counted_by_itself_whatever_the_order_of_the_map(
    scene: Scene, tmp_path: Path, turned: bool
) -> None:
    truth, mapped = noise(1, [0, 1, 2, 3, 9]), noise(2, [0, 1, 2, 3, 255])
    written = np.where(mapped == 255, 255, (mapped & 1) << 1 | mapped >> 1).astype(np.uint8) if turned else mapped
    legend = Legend(LEGEND.classes[::-1]) if turned else LEGEND
    path = write_map(tmp_path / "map.tif", written, legend)
    found = evaluate_scenes([(scene, path)], dataset_of(scene), options=ALL).total
    known = (truth != 9) & (mapped != 255)
    for index, scores in enumerate(found.classes):
        true, guess = (labels[known] >> index & 1 == 1 for labels in (truth, mapped))
        assert scores.iou == pytest.approx((true & guess).sum() / (true | guess).sum())
        assert (scores.support, scores.predicted) == (true.sum(), guess.sum())
    right = [(truth[known] >> k & 1) == (mapped[known] >> k & 1) for k in range(2)]
    assert found.accuracy == pytest.approx(np.mean(right))
    assert found.kappa is None
    assert found.pixels == known.sum()
    assert found.unpredicted == ((truth != 9) & (mapped == 255)).sum()


def test_scores_survive_json_and_add_up(scene: Scene, tmp_path: Path) -> None:
    path = write_map(tmp_path / "map.tif", noise(2, [0, 1, 2, 3]), LEGEND)
    evaluation = evaluate_scenes([(scene, path)], dataset_of(scene), options=ALL)
    assert Evaluation.from_json(json.loads(json.dumps(evaluation.to_json()))) == evaluation
    total = evaluation.total
    double = total + total
    assert double.mean_iou == total.mean_iou
    assert double.pixels == 2 * total.pixels
    with pytest.raises(ValueError, match="do not add up"):
        score(np.zeros((2, 4), np.int64), LEGEND, overlapping=True) + score(np.zeros((2, 2), np.int64), LEGEND)


def test_scores_of_nothing_are_undefined() -> None:
    empty = score(np.zeros((2, 4), np.int64), LEGEND, overlapping=True)
    assert (empty.accuracy, empty.mean_iou, empty.pixels) == (None, None, 0)
    with pytest.raises(ValueError, match="2 rows of 4 are needed"):
        Scores(LEGEND, ((1, 2), (3, 4)), overlapping=True)


def test_maps_of_the_other_kind_are_refused(scene: Scene, tmp_path: Path) -> None:
    (ids,) = write_class_map(tmp_path / "ids.tif", np.full((50, 70), 2), GRID, LEGEND)
    with pytest.raises(UnreadableFile, match="no map of overlapping classes"):
        evaluate_scenes([(scene, ids)], dataset_of(scene), options=ALL)
    layers = write_map(tmp_path / "layers.tif", noise(2, [0, 1, 2, 3]), LEGEND)
    exclusive = LabelRule("ids", (("1",), ("2",)), ("0", "3", "9"))
    with pytest.raises(UnreadableFile, match="maps overlapping classes"):
        evaluate_scenes([(scene, layers)], dataset_of(scene, exclusive), options=ALL)


def test_a_class_that_the_labels_lack_is_named(scene: Scene, tmp_path: Path) -> None:
    legend = Legend((*LEGEND.classes, LandClass(7, "roof", "#0000FF")))
    path = write_map(tmp_path / "map.tif", noise(2, [0, 1, 2, 3]), legend)
    with pytest.raises(UnknownClass, match="the class 'roof', which the labels lack"):
        evaluate_scenes([(scene, path)], dataset_of(scene), options=ALL)
