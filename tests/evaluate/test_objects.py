"""Object scores and boundary IoU of maps on disk: against shapely, and whatever the blocks."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from terraseg.core.classes import LandClass, Legend
from terraseg.core.dataset import Dataset, Imagery, LabelRule, Scene
from terraseg.core.window import Window
from terraseg.errors import BadOption
from terraseg.evaluate.evaluate import Evaluation, evaluate_scenes
from terraseg.evaluate.objects import SPACENET, THRESHOLDS, ClassShapes, ObjectScores, SizeClass
from terraseg.evaluate.options import EvaluateOptions
from terraseg.evaluate.parted import Splitting
from terraseg.pixels.split import Neck
from terraseg.store.classmap import write_class_map
from terraseg.store.imagery import write_raster
from terraseg.store.maplayers import MapLayers
from terraseg.store.mapwriter import map_writer
from tests.makers import make_grid

GRID = make_grid(90, 120)
LEGEND = Legend((LandClass(0, "background", "#AA8844"), LandClass(1, "roof", "#FF0000")))
RULE = LabelRule("ids", (("0",), ("1",)), ("9",))
Pixels = NDArray[np.uint8]


def roofs(seed: int = 0) -> tuple[Pixels, Pixels]:
    """Roofs on a lattice, and a map in which each is moved, some are missing, and some are new."""
    random = np.random.default_rng(seed)
    truth, mapped = np.zeros((2, GRID.height, GRID.width), dtype=np.uint8)
    for row in range(2, 80, 15):
        for col in range(2, 105, 15):
            height, width = random.integers(3, 9, 2)
            shift = random.integers(0, 4, 2)
            if random.random() < 0.85:
                truth[row : row + height, col : col + width] = 1
            if random.random() < 0.85:
                mapped[row + shift[0] : row + shift[0] + height, col + shift[1] : col + shift[1] + width] = 1
    return truth, mapped


def scene_of(folder: Path, truth: Pixels, name: str = "a") -> Scene:
    path = folder / f"{name}_labels.tif"
    write_raster(path, truth[None], GRID, ["label"])
    half = (Window(0, 0, 90, 60),), (Window(0, 60, 90, 60),)
    return Scene(name, Imagery(("unused.tif",), ("red",)), str(path), name, GRID, *half)


def scored(
    folder: Path, truth: Pixels, mapped: Pixels, split: Splitting | None = None, **options: object
) -> Evaluation:
    scene, path = scene_of(folder, truth), folder / "map.tif"
    write_class_map(path, mapped, GRID, LEGEND)
    chosen = EvaluateOptions(**({"part": "all"} | options))  # type: ignore[arg-type]
    dataset = Dataset((scene,), LEGEND, RULE, ("red",), "uint8")
    return evaluate_scenes([(scene, path)], dataset, options=chosen, split=split)


def boxes(labels: Pixels) -> list[shapely.Geometry]:
    found, _ = ndimage.label(labels == 1)
    return [shapely.box(c.start, r.start, c.stop, r.stop) for r, c in ndimage.find_objects(found)]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_measure_is_spacenets(tmp_path: Path, seed: int) -> None:
    """Proposals one after the other, each against the best true footprint that is left, as SpaceNet's program does."""
    truth, mapped = roofs(seed)
    shape = scored(tmp_path, truth, mapped).shapes[1]
    assert shape.objects is not None
    for place, threshold in enumerate(THRESHOLDS):
        if threshold < 0.5:
            continue
        left, hits = boxes(truth), 0
        for proposal in boxes(mapped):
            ious = [proposal.intersection(t).area / proposal.union(t).area for t in left]
            if ious and max(ious) >= threshold:
                left.pop(int(np.argmax(ious)))
                hits += 1
        assert shape.objects.found[place] == hits
    true, guess, hits = len(boxes(truth)), len(boxes(mapped)), shape.objects.found[SPACENET]
    assert 0 < hits < true
    assert (shape.objects.recall, shape.objects.precision) == (hits / true, hits / guess)
    assert shape.objects.f1 == pytest.approx(2 * hits / (true + guess))


@pytest.mark.parametrize("block", [17, 64])
def test_blocks_make_no_difference(tmp_path: Path, block: int) -> None:
    truth, mapped = roofs(3)
    truth[:, 50:53], mapped[70:, :10] = 9, 255
    assert scored(tmp_path, truth, mapped, block=block) == scored(tmp_path, truth, mapped)


def test_recall_by_size_is_on_the_ground(tmp_path: Path) -> None:
    truth = np.zeros((GRID.height, GRID.width), dtype=np.uint8)
    truth[2:6, 2:6] = 1  # 4 m2
    truth[20:28, 20:28] = 1  # 16 m2
    truth[50:66, 50:66] = 1  # 64 m2
    mapped = truth.copy()
    mapped[:10] = 0
    evaluation = scored(tmp_path, truth, mapped)
    objects = evaluation.shapes[1].objects
    assert objects is not None
    # UTM's scale makes ground metres a little longer here than the map's.
    assert evaluation.size_unit == "m2"
    assert objects.sizes == (SizeClass(4.0, 1, 0), SizeClass(16.0, 1, 1), SizeClass(64.0, 1, 1))
    least = scored(tmp_path, truth, mapped, least_object=10.0).shapes[1].objects
    assert least is not None
    assert (least.truth, least.mapped, least.f1) == (2, 2, 1.0)


def test_the_background_has_an_outline_and_no_objects(tmp_path: Path) -> None:
    truth, _ = roofs()
    background, roof = scored(tmp_path, truth, truth).shapes
    assert background.objects is None
    assert background.boundary_iou == roof.boundary_iou == 1.0
    assert roof.objects is not None
    assert roof.objects.curve == (1.0,) * len(THRESHOLDS)


def test_a_shift_costs_boundary_iou_more_than_iou(tmp_path: Path) -> None:
    truth = np.zeros((GRID.height, GRID.width), dtype=np.uint8)
    truth[20:70, 20:90] = 1
    evaluation = scored(tmp_path, truth, np.roll(truth, 3, axis=1), boundary_px=3)
    iou, boundary = evaluation.total.classes[1].iou, evaluation.shapes[1].boundary_iou
    seam = [
        each & ~ndimage.binary_erosion(each, np.ones((3, 3)), iterations=3)
        for each in (truth == 1, np.roll(truth, 3, 1) == 1)
    ]
    assert boundary == pytest.approx((seam[0] & seam[1]).sum() / (seam[0] | seam[1]).sum())
    assert iou is not None
    assert boundary is not None
    assert boundary < iou


def test_only_the_windows_count(tmp_path: Path) -> None:
    truth, mapped = roofs(5)
    part = scored(tmp_path, truth, mapped, part="validation").shapes[1].objects
    assert part is not None
    assert part.truth == len(boxes(truth[:, 60:]))
    assert part.mapped == len(boxes(mapped[:, 60:]))


def test_overlapping_classes_have_objects_each(tmp_path: Path) -> None:
    one, two = roofs(6)
    rule = LabelRule("ids", (("1", "3"), ("2", "3")), ("9",), overlapping=True)
    legend = Legend((LandClass(0, "roof", "#FF0000"), LandClass(1, "shade", "#0000FF")))
    scene, path = scene_of(tmp_path, one + 2 * two), tmp_path / "layers.tif"
    with map_writer(path, GRID, legend, MapLayers(overlapping=True, threads=1)) as writer:
        writer.write(GRID.window, {"classes": np.stack([two, two])})
        writer.finish()
    dataset = Dataset((scene,), legend, rule, ("red",), "uint8")
    options = EvaluateOptions(part="all", block=31)
    split = Splitting((Neck(0, 0.6),))
    roof, shade = evaluate_scenes([(scene, path)], dataset, options=options, split=split).shapes
    plain = scored(tmp_path, one, two, SPLIT).shapes[1]
    assert (roof.objects, roof.boundary, roof.split) == (plain.objects, plain.boundary, plain.split)
    assert shade.split is None
    assert shade.objects is not None
    assert (shade.objects.f1, shade.boundary_iou) == (1.0, 1.0)


def test_scores_survive_json_and_add_up_over_scenes(tmp_path: Path) -> None:
    truth, mapped = roofs(7)
    path = tmp_path / "map.tif"
    write_class_map(path, mapped, GRID, LEGEND)
    scenes = scene_of(tmp_path, truth, "a"), scene_of(tmp_path, mapped, "b")
    dataset = Dataset(scenes, LEGEND, RULE, ("red",), "uint8")
    options = EvaluateOptions(part="all", interval_side=30)
    evaluation = evaluate_scenes([(scene, path) for scene in scenes], dataset, options=options)
    again = Evaluation.from_json(json.loads(json.dumps(evaluation.to_json(), allow_nan=False)))
    assert again == evaluation
    assert evaluation.intervals is not None
    assert evaluation.worst
    total = evaluation.shapes[1].objects
    assert total is not None
    assert total.truth == len(boxes(truth)) + len(boxes(mapped))
    with pytest.raises(ValueError, match="do not add up"):
        evaluation.shapes[0] + evaluation.shapes[1]


SPLIT = Splitting((Neck(1, 0.6),))


def neighbours(passage: int) -> tuple[Pixels, Pixels]:
    """Twelve roofs two and two, three pixels apart; the map shows a passage so many pixels wide between them."""
    truth = np.zeros((GRID.height, GRID.width), dtype=np.uint8)
    for row in range(4, 80, 24):
        for col in range(4, 100, 40):
            truth[row : row + 16, col : col + 16] = truth[row : row + 16, col + 19 : col + 35] = 1
    mapped = truth.copy()
    for row in range(4, 80, 24):
        for col in range(4, 100, 40):
            mapped[row + 5 : row + 5 + passage, col + 16 : col + 19] = 1
    return truth, mapped


def test_splitting_raises_f1_where_the_map_joins_what_is_apart(tmp_path: Path) -> None:
    truth, mapped = neighbours(passage=5)
    roof = scored(tmp_path, truth, mapped, SPLIT).shapes[1]
    assert roof.objects is not None
    assert roof.split is not None
    # A roof is 256 of the 527 pixels of its pair in the map: too few for an IoU of one half.
    assert (roof.objects.truth, roof.objects.mapped, roof.objects.f1) == (24, 12, 0.0)
    assert (roof.split.truth, roof.split.mapped, roof.split.f1) == (24, 24, 1.0)


def test_splitting_changes_nothing_where_nothing_touches(tmp_path: Path) -> None:
    truth, mapped = neighbours(passage=0)
    roof = scored(tmp_path, truth, mapped, SPLIT).shapes[1]
    assert roof.objects is not None
    assert roof.split == roof.objects


def test_splitting_costs_where_the_truth_is_one(tmp_path: Path) -> None:
    _, joined = neighbours(passage=5)
    roof = scored(tmp_path, joined, joined, SPLIT).shapes[1]
    assert roof.objects is not None
    assert roof.split is not None
    assert roof.objects.f1 == 1.0
    # Half of the true object and of the passage is just enough for one of the two.
    assert (roof.split.mapped, roof.split.found[SPACENET]) == (24, 12)
    assert roof.split.precision == 0.5


@pytest.mark.parametrize("block", [17, 64])
def test_blocks_and_windows_make_no_difference_to_a_split(tmp_path: Path, block: int) -> None:
    truth, mapped = neighbours(passage=5)
    truth[:, 50:53], mapped[70:, :10] = 9, 255
    whole = scored(tmp_path, truth, mapped, SPLIT)
    assert scored(tmp_path, truth, mapped, SPLIT, block=block) == whole
    again = Evaluation.from_json(json.loads(json.dumps(whole.to_json(), allow_nan=False)))
    assert again.shapes == whole.shapes


def test_a_map_without_confidence_is_not_split_by_it(tmp_path: Path) -> None:
    with pytest.raises(BadOption, match="confidence = true"):
        scored(tmp_path, *neighbours(5), replace(SPLIT, by_probability=True))


def test_a_confidence_parts_roofs_wall_to_wall(tmp_path: Path) -> None:
    truth, sure = np.zeros((2, GRID.height, GRID.width), dtype=np.uint8)
    truth[20:50, 20:50] = truth[20:50, 51:81] = 1
    mapped, sure = truth.copy(), sure + 240
    mapped[20:50, 50], sure[:, 49:52] = 1, 130
    scene, path = scene_of(tmp_path, truth), tmp_path / "map.tif"
    write_class_map(path, mapped, GRID, LEGEND, confidence=sure)
    dataset = Dataset((scene,), LEGEND, RULE, ("red",), "uint8")
    found = [
        evaluate_scenes([(scene, path)], dataset, options=EvaluateOptions(part="all"), split=split).shapes[1].split
        for split in (SPLIT, replace(SPLIT, by_probability=True))
    ]
    assert [split.f1 for split in found if split is not None] == [0.0, 1.0]


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=4))
def test_sizes_add_up_in_any_order(cases: list[tuple[int, int]]) -> None:
    none = (0,) * len(THRESHOLDS)
    parts = [ObjectScores(n, 0, none, (SizeClass(4.0**power, n, 0),)) for power, n in cases]
    forth, back = parts[0], parts[-1]
    for part in parts[1:]:
        forth += part
    for part in parts[-2::-1]:
        back += part
    assert forth == back


def test_scores_of_before_there_were_objects_are_read(tmp_path: Path) -> None:
    value = scored(tmp_path, *roofs()).to_json()
    for name in ("intervals", "worst", "size_unit"):
        del value[name]
    for each in (value["total"], *value["scenes"]):
        del each["shapes"]
    old = Evaluation.from_json(value)
    assert (old.shapes, old.intervals, old.worst) == ((), None, ())
    assert ClassShapes(LEGEND.classes[1], (0, 0, 0)).boundary_iou is None
