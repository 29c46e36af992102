"""Objects parted all over a map, whatever cells and strips it is worked in."""

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from rasterio.features import rasterize

from terraseg.core.classes import LandClass, Legend
from terraseg.core.classreader import ClassArray
from terraseg.core.grid import Grid
from terraseg.errors import BadOption
from terraseg.pixels.necks import split_at_necks
from terraseg.pixels.split import Neck, split_parts
from terraseg.vectorize.options import VectorizeOptions
from terraseg.vectorize.polygons import polygons_of

LEGEND = Legend((LandClass(0, "grass", "#009E73"), LandClass(1, "tree", "#0072B2"), LandClass(2, "house", "#AA0000")))


def map_of(ids: NDArray[np.uint8]) -> ClassArray:
    return ClassArray(Grid(None, (1, 0, 0, 0, 1, 0), *ids.shape), LEGEND, ids)


def crowns(seed: int, count: int = 30, size: int = 120) -> NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    rows, cols = np.ogrid[:size, :size]
    ids = np.zeros((size, size), dtype=np.uint8)
    for row, col, radius in zip(*rng.uniform(0, size, (2, count)), rng.uniform(3, 9, count), strict=True):
        ids[np.hypot(rows - row, cols - col) < radius] = 1
    return ids


def pairs(numbers: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Which neighbouring pixels, side by side and one above the other, have the same number."""
    return np.concatenate([(numbers[:, 1:] == numbers[:, :-1]).ravel(), (numbers[1:] == numbers[:-1]).ravel()])


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 1000), st.sampled_from([64, 90, 121]))
def test_cells_that_hold_every_clump_give_what_the_whole_gives(seed: int, cell: int) -> None:
    """Clumps larger than a cell are seen in part, so only maps without any are compared."""
    ids = crowns(seed, count=16)
    whole = split_at_necks(ids == 1, neck=0.95)
    parts = split_parts(map_of(ids), [Neck(1, 0.95)], np.zeros(ids.shape, np.int32), cell=cell)
    assert np.array_equal(pairs(parts.read(map_of(ids).grid.window)), pairs(whole))


def test_a_wood_larger_than_a_cell_has_no_borders_along_the_cells() -> None:
    ids = np.ones((100, 100), dtype=np.uint8)
    parts = split_parts(map_of(ids), [Neck(1, 0.6)], np.zeros(ids.shape, np.int32), cell=16)
    assert len(np.unique(parts.read(map_of(ids).grid.window))) == 1


def test_crowns_become_polygons_of_their_own_and_the_map_stays_a_coverage() -> None:
    ids = crowns(3)
    plain, split = (
        polygons_of(map_of(ids), options=VectorizeOptions(min_area_m2=9, split=names)) for names in ((), ("tree",))
    )
    trees = [table.rows(table.class_id == 1) for table in (plain, split)]
    assert len(trees[1]) > len(trees[0])
    assert shapely.coverage_is_valid(split.geometry)
    assert shapely.area(trees[1].geometry).sum() == pytest.approx(shapely.area(trees[0].geometry).sum(), rel=0.03)


@pytest.mark.parametrize("rows", [1, 7, 50])
def test_strips_leave_no_trace_in_split_polygons(rows: int) -> None:
    ids = crowns(5)
    options = VectorizeOptions(min_area_m2=6, split=("tree",))
    whole, cut = (polygons_of(map_of(ids), options=options, strip_rows=r) for r in (len(ids), rows))
    assert shapely.to_wkb(whole.geometry).tolist() == shapely.to_wkb(cut.geometry).tolist()


def row_of_houses(dip: float) -> tuple[NDArray[np.uint8], ClassArray]:
    """Four houses wall to wall, which the mask shows as one, and a confidence that is lower by `dip` along their walls."""
    ids = np.zeros((60, 140), dtype=np.uint8)
    ids[15:45, 10:130] = 2
    sure = np.full(ids.shape, 0.95)
    for wall in (40, 70, 100):
        sure[:, wall - 1 : wall + 1] -= dip
    return ids, ClassArray(map_of(ids).grid, LEGEND, (254 * sure).astype(np.uint8))


@pytest.mark.parametrize(("dip", "count"), [(0.0, 1), (0.05, 1), (0.4, 4)])
def test_houses_wall_to_wall_part_where_the_probability_dips(dip: float, count: int) -> None:
    ids, confidence = row_of_houses(dip)
    options = VectorizeOptions(split=("house",), split_by="probability", classes=("house",))
    found = polygons_of(map_of(ids), confidence=confidence, options=options)
    assert len(found) == count
    assert shapely.coverage_is_valid(found.geometry)
    assert np.allclose(found.area, 3600 / count, rtol=0.05)
    by_distance = polygons_of(map_of(ids), confidence=confidence, options=VectorizeOptions(split=("house",)))
    assert (by_distance.class_id == 2).sum() == 1


def test_an_unknown_probability_is_no_dip() -> None:
    ids, confidence = row_of_houses(0.4)
    unknown = ClassArray(confidence.grid, LEGEND, np.full(ids.shape, 255, dtype=np.uint8))
    options = VectorizeOptions(split=("house",), split_by="probability", classes=("house",))
    assert len(polygons_of(map_of(ids), confidence=unknown, options=options)) == 1


def test_a_split_by_probability_without_one_is_refused() -> None:
    ids, _ = row_of_houses(0.4)
    with pytest.raises(BadOption, match="--confidence"):
        polygons_of(map_of(ids), options=VectorizeOptions(split=("house",), split_by="probability"))


@pytest.mark.parametrize("angle", [0, 20, 45, 75])
def test_houses_that_touch_at_a_corner_or_by_a_passage_are_two(angle: float) -> None:
    corner = shapely.union(shapely.box(-30, -25, 0, 0), shapely.box(-2, -2, 28, 32))
    passage = shapely.union_all([shapely.box(-38, -15, -5, 15), shapely.box(5, -14, 40, 14), shapely.box(-6, -4, 6, 4)])
    for houses in (corner, passage):
        turned = shapely.affinity.rotate(houses, angle, origin="centroid")
        placed = shapely.affinity.translate(turned, 60 - turned.centroid.x, 60 - turned.centroid.y)
        ids = rasterize([(placed, 2)], (120, 120)).astype(np.uint8)
        found = polygons_of(map_of(ids), options=VectorizeOptions(split=("house",), classes=("house",)))
        assert len(found) == 2
