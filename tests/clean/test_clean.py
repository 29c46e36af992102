"""Whole maps cleaned: against scipy and scikit-image on the whole array, in strips of any height, with probabilities."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from skimage.morphology import remove_small_objects

from terraseg.clean.clean import Beside, Settled, clean_map, cleaned_classes
from terraseg.clean.options import CleanOptions, by_id
from terraseg.core.classes import LandClass, Legend
from terraseg.core.classreader import ByteArray, ClassArray
from terraseg.core.grid import Grid
from terraseg.core.options import read_options
from terraseg.core.window import Window
from terraseg.errors import BadOption, GridMismatch, UnknownName
from terraseg.pixels.regions import Wanted, find_regions
from terraseg.store.classmap import open_confidence, read_class_map

BUILDINGS = Legend((LandClass(0, "background", "#000000"), LandClass(1, "building", "#D55E00")))
LAND = Legend((LandClass(0, "grass", "#009E73"), LandClass(3, "building", "#D55E00"), LandClass(7, "tree", "#0072B2")))
FLAT = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
Ids = NDArray[np.uint8]


class Probabilities:
    """Probabilities of all classes in memory."""

    def __init__(self, grid: Grid, values: NDArray[np.float32]) -> None:
        self.grid, self.values = grid, values

    def read(self, window: Window) -> NDArray[np.float32]:
        return self.values[:, *window.slices]


def raster_of(ids: Ids, legend: Legend = BUILDINGS, *, crs: str | None = None) -> ClassArray:
    transform = FLAT if crs is None else (0.5, 0, 500_000, 0, -0.5, 4e6)
    return ClassArray(Grid(crs, transform, *ids.shape), legend, ids)


def cleaned(
    raster: ClassArray, folder: Path, beside: Beside | None = None, rows: int | None = None, **table: object
) -> Ids:
    options = read_options(CleanOptions, table, "[clean]")
    clean_map(raster, folder / "clean.tif", options=options, beside=beside, strip_rows=rows)
    with read_class_map(folder / "clean.tif") as found:
        return found.read(found.grid.window)


blobs = hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=12), elements=st.sampled_from([0, 1]))


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(blobs, st.integers(0, 9), st.integers(0, 9), st.integers(1, 5))
def test_holes_and_objects_are_scikit_images(tmp_path: Path, ids: Ids, hole: int, area: int, rows: int) -> None:
    """With two classes and no nodata, filling and handing over are the two well-known operations one after the other."""
    found = cleaned(raster_of(ids), tmp_path, rows=rows, min_hole_m2=float(hole), min_area_m2={"building": area})
    framed = np.pad(ids == 0, 1, constant_values=True)
    inner = remove_small_objects(framed, max_size=hole - 1, connectivity=1) if hole > 1 else framed
    expected = (
        remove_small_objects(~inner[1:-1, 1:-1], max_size=area - 1, connectivity=1) if area > 1 else ~inner[1:-1, 1:-1]
    )
    if not expected.any() and area > 1 and (ids == 1).all():
        expected = np.zeros_like(expected)
        assert (found == 255).all()  # an island in nodata has no neighbour to go to
        return
    assert np.array_equal(found == 1, expected)


maps = hnp.arrays(
    np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=12), elements=st.sampled_from([0, 3, 7, 255])
)


@settings(deadline=None, max_examples=60)
@given(maps, st.integers(1, 6), st.sampled_from([0.0, 0.5, 1.1]), st.integers(0, 3), st.booleans())
def test_the_height_of_the_strips_leaves_no_trace(ids: Ids, rows: int, radius: float, area: int, sure: bool) -> None:
    raster = raster_of(ids, LAND, crs="EPSG:32645")
    confidence = ByteArray(raster.grid, np.random.default_rng(7).integers(0, 256, ids.shape).astype(np.uint8))
    options = CleanOptions(0.4 if sure else 0.0, "void", {"tree": radius, "grass": radius / 2}, 0.75, float(area))
    settled = Settled(raster, options, Beside(confidence))
    limits = by_id(LAND, options.min_hole_m2), by_id(LAND, options.min_area_m2)
    small = np.maximum(*limits)
    whole = settled.read(raster.grid.window)
    for row in range(0, len(ids), rows):
        window = Window(row, 0, min(rows, len(ids) - row), ids.shape[1])
        assert np.array_equal(settled.read(window), whole[window.slices])
    one, other = (find_regions(settled, Wanted(small=small, strip_rows=r)) for r in (rows, len(ids)))
    assert np.array_equal(cleaned_classes(one, *limits), cleaned_classes(other, *limits))


def test_areas_are_metres_on_the_ground(tmp_path: Path) -> None:
    ids = np.zeros((20, 20), dtype=np.uint8)
    ids[2:6, 2:6] = ids[10:14, 10:15] = 1  # 4 and 5 square metres at half a metre a pixel
    found = cleaned(raster_of(ids, crs="EPSG:32645"), tmp_path, min_area_m2=4.5)
    assert found[3, 3] == 0
    assert found[11, 11] == 1


def test_an_object_cut_by_a_strip_is_one_object(tmp_path: Path) -> None:
    ids = np.zeros((12, 6), dtype=np.uint8)
    ids[1:11, 2] = 1
    assert (cleaned(raster_of(ids), tmp_path, rows=1, min_area_m2=10.0) == ids).all()
    assert (cleaned(raster_of(ids), tmp_path, rows=1, min_area_m2=11.0) == 0).all()


def test_the_background_has_no_smallest_area_but_its_holes_are_filled(tmp_path: Path) -> None:
    ids = np.ones((9, 9), dtype=np.uint8)
    ids[4, 4] = 0
    assert (cleaned(raster_of(ids), tmp_path, min_area_m2=5.0) == ids).all()
    assert (cleaned(raster_of(ids), tmp_path, min_hole_m2=2.0) == 1).all()


def test_what_is_below_the_threshold_becomes_background(tmp_path: Path) -> None:
    """The rule of the building pipeline: building where its probability is at least 0.7."""
    ids = np.array([[0, 1, 1, 1, 255]], dtype=np.uint8)
    raster = raster_of(ids)
    values = np.array([[140, 177, 178, 254, 255]], dtype=np.uint8)
    beside = Beside(ByteArray(raster.grid, values))
    assert cleaned(raster, tmp_path, beside, threshold=0.7).tolist() == [[0, 0, 1, 1, 255]]
    with open_confidence(tmp_path / "clean_confidence.tif") as confidence:
        assert confidence.read(confidence.grid.window).tolist() == [[140, 77, 178, 254, 255]]


def test_without_a_background_the_next_best_class_is_taken_or_nothing(tmp_path: Path) -> None:
    ids = np.array([[3, 3, 7]], dtype=np.uint8)
    raster = raster_of(ids, LAND)
    values = np.array([[[0.3, 0.1, 0.2]], [[0.4, 0.8, 0.3]], [[0.3, 0.1, 0.5]]], dtype=np.float32)
    beside = Beside(ByteArray(raster.grid, np.array([[102, 203, 127]], np.uint8)), Probabilities(raster.grid, values))
    assert cleaned(raster, tmp_path, beside, threshold={"building": 0.5}).tolist() == [[0, 3, 7]]
    with open_confidence(tmp_path / "clean_confidence.tif") as confidence:
        assert confidence.read(confidence.grid.window).tolist() == [[76, 203, 127]]
    assert cleaned(raster, tmp_path, beside, threshold=0.45, below="void").tolist() == [[255, 3, 7]]
    assert cleaned(raster, tmp_path, beside, threshold=0.45).tolist() == [[255, 3, 7]]
    alone = Beside(beside.confidence)
    assert cleaned(raster, tmp_path, alone, threshold=0.45).tolist() == [[255, 3, 7]]


def test_each_class_is_smoothed_by_its_own_radius(tmp_path: Path) -> None:
    ids = np.zeros((9, 18), dtype=np.uint8)
    ids[4, 4], ids[4, 13] = 3, 7
    found = cleaned(raster_of(ids, LAND), tmp_path, smooth_m={"tree": 1.0})
    assert (found[4, 4], found[4, 13]) == (3, 0)


def test_options_that_change_nothing_are_off() -> None:
    assert CleanOptions().is_off
    assert CleanOptions(threshold={"tree": 0}).is_off
    assert not CleanOptions(min_hole_m2={"tree": 1}).is_off


def test_what_cannot_be_done_is_refused(tmp_path: Path) -> None:
    raster = raster_of(np.zeros((3, 4), np.uint8), LAND)
    wrong = Beside(ByteArray(Grid(None, FLAT, 2, 4), np.zeros((2, 4), np.uint8)))
    with pytest.raises(BadOption, match="predict with --confidence"):
        cleaned(raster, tmp_path, threshold=0.5)
    with pytest.raises(BadOption, match="none of the classes grass, building, tree is one"):
        cleaned(raster, tmp_path, Beside(wrong.confidence), threshold=0.5, below="background")
    with pytest.raises(BadOption, match="needs the probabilities of all classes"):
        cleaned(raster, tmp_path, Beside(wrong.confidence), threshold=0.5, below="next")
    with pytest.raises(GridMismatch, match="2 x 4 px and the map 3 x 4"):
        cleaned(raster, tmp_path, wrong, threshold=0.5)
    with pytest.raises(UnknownName, match="did you mean 'tree'"):
        cleaned(raster, tmp_path, min_area_m2={"trees": 1.0})
    with pytest.raises(BadOption, match="from 0 to 1"):
        CleanOptions(threshold=1.5)
