"""Scoring real map files against real label files."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from terraseg.core.classes import LandClass, Legend
from terraseg.core.dataset import Dataset, Imagery, LabelRule, Scene
from terraseg.core.grid import Grid
from terraseg.core.window import Window
from terraseg.errors import EmptyDataset, GridMismatch, UnknownClass
from terraseg.evaluate.evaluate import Block, Evaluation, evaluate_scenes, fitting_part, score_blocks
from terraseg.evaluate.options import EvaluateOptions
from terraseg.store.classmap import write_class_map
from terraseg.store.imagery import write_raster

GRID = Grid("EPSG:32637", (0.5, 0.0, 500_000.0, 0.0, -0.5, 4_000_000.0), 50, 70)
# Ids with a gap, so that an id taken for an index would show.
LEGEND = Legend((LandClass(2, "land", "#AA8844"), LandClass(5, "water", "#0000FF"), LandClass(9, "roof", "#FF0000")))
RULE = LabelRule("ids", (("2",), ("5",), ("9",)), ("0",))
IDS = np.array(LEGEND.ids, dtype=np.uint8)


def pixels(seed: int, grid: Grid = GRID) -> NDArray[np.uint8]:
    return IDS[np.random.default_rng(seed).integers(0, 3, (grid.height, grid.width))]


def make_scene(folder: Path, name: str, truth: NDArray[np.uint8]) -> Scene:
    path = folder / f"{name}_labels.tif"
    write_raster(path, truth[None], GRID, ["label"])
    windows = (Window(0, 0, 50, 40),), (Window(0, 40, 50, 30),)
    return Scene(name, Imagery(("unused.tif",), ("red",)), str(path), name, GRID, *windows)


def make_dataset(*scenes: Scene) -> Dataset:
    return Dataset(scenes, LEGEND, RULE, ("red",), "uint8")


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Scene, Path, NDArray[np.uint8], NDArray[np.uint8]]:
    truth, mapped = pixels(1), pixels(2)
    truth[:5], mapped[:, :3] = 0, 255
    path = tmp_path / "map.tif"
    write_class_map(path, mapped, GRID, LEGEND)
    return make_scene(tmp_path, "a", truth), path, truth, mapped


def expected(truth: NDArray[np.uint8], mapped: NDArray[np.uint8]) -> list[list[int]]:
    return [[int(((truth == t) & (mapped == p)).sum()) for p in LEGEND.ids] for t in LEGEND.ids]


Pair = tuple[Scene, Path, NDArray[np.uint8], NDArray[np.uint8]]


@pytest.mark.parametrize("block", [7, 64, 1024])
def test_whole_scenes_are_counted_once_whatever_the_block(pair: Pair, block: int) -> None:
    scene, path, truth, mapped = pair
    result = evaluate_scenes([(scene, path)], make_dataset(scene), options=EvaluateOptions(part="all", block=block))
    assert [list(row) for row in result.total.confusion] == expected(truth, mapped)
    assert result.total.unpredicted == int(((truth != 0) & (mapped == 255)).sum())


def test_only_the_windows_asked_for_count(pair: Pair) -> None:
    scene, path, truth, mapped = pair
    by_part = evaluate_scenes([(scene, path)], make_dataset(scene), options=EvaluateOptions(part="validation"))
    given = evaluate_scenes([(scene, path)], make_dataset(scene), windows={"a": scene.validation})
    want = expected(truth[:, 40:], mapped[:, 40:])
    assert [list(row) for row in by_part.total.confusion] == want
    assert given.total == by_part.total
    assert (by_part.part, given.part) == ("validation", "windows")


def test_the_total_is_one_matrix_over_all_scenes(pair: Pair, tmp_path: Path) -> None:
    scene, path, _, mapped = pair
    perfect = make_scene(tmp_path, "b", mapped)
    rule = replace(RULE, ignore=("0", "255"))
    dataset = replace(make_dataset(scene, perfect), rule=rule)
    result = evaluate_scenes([(scene, path), (perfect, path)], dataset)
    assert [s.name for s in result.scenes] == ["a", "b"]
    assert result.scenes[1].scores.mean_iou == 1.0
    assert result.total == result.scenes[0].scores + result.scenes[1].scores
    assert Evaluation.from_json(json.loads(json.dumps(result.to_json(), allow_nan=False))) == result
    beside = replace(result, baseline=result)
    assert Evaluation.from_json(json.loads(json.dumps(beside.to_json(), allow_nan=False))) == beside
    assert "baseline" not in result.to_json()


def test_a_map_with_its_classes_in_another_order_is_matched_by_name(pair: Pair, tmp_path: Path) -> None:
    scene, path, _, mapped = pair
    other = tmp_path / "other.tif"
    legend = Legend(
        (LandClass(1, "roof", "#FF0000"), LandClass(4, "land", "#AA8844"), LandClass(0, "water", "#0000FF"))
    )
    table = np.full(256, 255, dtype=np.uint8)
    table[[9, 2, 5]] = 1, 4, 0
    write_class_map(other, table[mapped], GRID, legend)
    dataset = make_dataset(scene)
    assert evaluate_scenes([(scene, other)], dataset).total == evaluate_scenes([(scene, path)], dataset).total


def test_a_map_with_a_foreign_class_is_refused_by_name(pair: Pair, tmp_path: Path) -> None:
    other = tmp_path / "other.tif"
    write_class_map(other, pixels(0), GRID, Legend((*LEGEND.classes[:2], LandClass(9, "roofs", "#FF0000"))))
    with pytest.raises(UnknownClass, match=r"'roofs'.*did you mean 'roof'"):
        evaluate_scenes([(pair[0], other)], make_dataset(pair[0]))


@pytest.mark.parametrize(
    "grid",
    [Grid(GRID.crs, GRID.transform, 50, 69), Grid(GRID.crs, (0.5, 0.0, 500_001.0, 0.0, -0.5, 4_000_000.0), 50, 70)],
)
def test_a_map_on_another_grid_is_refused(pair: Pair, tmp_path: Path, grid: Grid) -> None:
    other = tmp_path / "other.tif"
    write_class_map(other, pixels(0, grid), grid, LEGEND)
    with pytest.raises(GridMismatch, match="does not lie on the grid of scene a"):
        evaluate_scenes([(pair[0], other)], make_dataset(pair[0]))


def test_nothing_to_score_is_an_error(pair: Pair, tmp_path: Path) -> None:
    void = make_scene(tmp_path, "void", np.zeros_like(pair[2]))
    dataset = make_dataset(pair[0], void)
    for pairs, options in (
        ([], EvaluateOptions()),
        ([(void, pair[1])], EvaluateOptions()),
        ([pair[:2]], EvaluateOptions(part="test")),
    ):
        with pytest.raises(EmptyDataset, match="no labelled pixel"):
            evaluate_scenes(pairs, dataset, options=options)


def test_scores_of_blocks_are_those_of_all_their_pixels() -> None:
    truth = np.arange(200, dtype=np.uint8).reshape(10, 20) % 3
    prediction = np.roll(truth, 1, axis=0)
    windows = [Window(0, 0, 10, 8), Window(0, 8, 10, 12)]
    blocks = [Block(w, truth[w.slices], prediction[w.slices]) for w in windows]
    found, whole = score_blocks(blocks, LEGEND), score_blocks([Block(Window(0, 0, 10, 20), truth, prediction)], LEGEND)
    assert found == whole
    assert found.accuracy == np.mean(truth == prediction)


def test_what_was_not_trained_on_is_scored_by_itself(pair: Pair) -> None:
    scene = pair[0]
    plain = replace(scene, train=(), validation=())
    assert fitting_part([scene]) == "validation"
    assert fitting_part([plain]) == "all"
    assert fitting_part([scene, replace(plain, is_test=True)]) == "test"
