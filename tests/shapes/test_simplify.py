"""Simplified arcs: a valid coverage, fewer vertices, in place, and the same however the map is cut."""

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from rasterio.features import rasterize

from terraseg.core.classes import LandClass, Legend
from terraseg.core.classreader import ClassArray
from terraseg.core.grid import Grid
from terraseg.vectorize.trace import trace_map

LEGEND = Legend(tuple(LandClass(i, f"c{i}", "#112233") for i in range(4)))
Ids = NDArray[np.uint8]


def simple(ids: Ids, tolerance: float, *, rows: int | None = None) -> NDArray[np.object_]:
    raster = ClassArray(Grid(None, (1, 0, 0, 0, 1, 0), *ids.shape), LEGEND, ids)
    return trace_map(raster, tolerance=tolerance, strip_rows=rows)[0]


maps = hnp.arrays(
    np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=14), elements=st.sampled_from([0, 1, 2, 255])
)
tolerances = st.sampled_from([0.5, 1.0, 1.5, 3.0, 10.0])


@settings(deadline=None, max_examples=300)
@given(maps, tolerances, st.integers(1, 6))
def test_a_simplified_coverage_is_valid_and_keeps_every_polygon_however_it_is_cut(
    ids: Ids, tolerance: float, rows: int
) -> None:
    polygons = simple(ids, tolerance, rows=rows)
    assert shapely.is_valid(polygons).all()
    assert shapely.coverage_is_valid(polygons)
    assert (shapely.area(polygons) > 0).all()
    assert shapely.to_wkb(polygons).tolist() == shapely.to_wkb(simple(ids, tolerance, rows=len(ids))).tolist()


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), tolerances)
def test_smooth_borders_stay_a_coverage_and_keep_their_areas(seed: int, tolerance: float) -> None:
    traced, polygons = (simple(smooth_map(seed), t) for t in (0, tolerance))
    assert shapely.coverage_is_valid(polygons)
    assert shapely.area(polygons).sum() == pytest.approx(1600, rel=0.02 + tolerance**2 / 400)
    # On maps where hardly a border is longer than the tolerance, keeping each region's area takes more vertices.
    assert vertices(polygons) <= 3 * vertices(shapely.coverage_simplify(traced, tolerance)) + 12


@pytest.mark.parametrize("tolerance", [1.0, 1.5, 3.0])
def test_smooth_borders_lose_about_as_many_vertices_as_in_geos(tolerance: float) -> None:
    ours = geos = 0
    for seed in range(30):
        ids = smooth_map(seed)
        ours += vertices(simple(ids, tolerance))
        geos += vertices(shapely.coverage_simplify(simple(ids, 0), tolerance))
    assert ours <= 1.15 * geos


def smooth_map(seed: int) -> Ids:
    """Up to four classes with wavy borders, 40 x 40."""
    rows, cols = np.mgrid[:40, :40]
    rng = np.random.default_rng(seed)
    wave = sum(rng.normal() * np.sin(rng.uniform(0, 0.4, 2) @ [rows.ravel(), cols.ravel()] + i) for i in range(4))
    return np.asarray(np.digitize(wave, [-0.8, 0.0, 0.8]).reshape(40, 40), dtype=np.uint8)


def vertices(polygons: NDArray[np.object_]) -> int:
    return int(shapely.get_num_coordinates(polygons).sum())


@pytest.mark.parametrize("angle", [15, 30, 45])
def test_the_stairs_of_a_turned_rectangle_go_and_its_place_stays(angle: float) -> None:
    truth = shapely.affinity.rotate(shapely.box(20, 20, 80, 50), angle)
    ids = rasterize([truth], (100, 100)).astype(np.uint8)
    polygons, traced = simple(ids, 1.5), simple(ids, 0)
    assert shapely.get_num_coordinates(polygons).sum() < 0.7 * shapely.get_num_coordinates(traced).sum()
    building = polygons[1]
    assert building.intersection(truth).area / building.union(truth).area > 0.96


@pytest.mark.parametrize("radius", [6, 10, 20])
def test_what_is_round_neither_grows_nor_shrinks(radius: int) -> None:
    rows, cols = np.mgrid[:60, :60]
    middles = np.random.default_rng(0).uniform(29, 31, (30, 2))
    discs = [(np.hypot(rows - row, cols - col) < radius).astype(np.uint8) for row, col in middles]
    found = sum(simple(ids, 1)[1].area for ids in discs)
    assert found == pytest.approx(sum(int(ids.sum()) for ids in discs), rel=0.01)


def test_crowns_over_many_borders_neither_grow_nor_shrink() -> None:
    """Their outlines are short arcs from border to border, of each of which a bit might stay with the crown."""
    rows, cols = np.mgrid[:400, :400]
    ids = (rows // 9 % 2).astype(np.uint8)
    middles = np.stack(np.meshgrid(np.arange(12, 390, 16), np.arange(12, 390, 16)), axis=-1).reshape(-1, 2)
    rng = np.random.default_rng(0)
    for (row, col), radius in zip(
        middles + rng.uniform(-1, 1, middles.shape), rng.uniform(4, 7, len(middles)), strict=True
    ):
        ids[np.hypot(rows - row, cols - col) < radius] = 2
    raster = ClassArray(Grid(None, (1, 0, 0, 0, 1, 0), *ids.shape), LEGEND, ids)
    polygons, classes = trace_map(raster, tolerance=1)
    assert shapely.area(polygons[classes == 2]).sum() == pytest.approx((ids == 2).sum(), rel=5e-3)


def test_neighbours_keep_one_border() -> None:
    rows, cols = np.mgrid[:40, :40]
    one, two = simple((cols * 2 > rows + 15).astype(np.uint8), 2)
    assert one.area + two.area == pytest.approx(1600)
    assert one.intersection(two).length > 20


def test_a_border_stays_clear_of_what_stands_in_its_bend() -> None:
    """A long flat bend would be cut off by its tolerance, were there not a pixel of another class in it."""
    ids = np.zeros((8, 30), dtype=np.uint8)
    ids[4:], ids[3, :14] = 1, 1
    assert len(shapely.get_coordinates(simple(ids, 8)[0])) < len(shapely.get_coordinates(simple(ids, 0)[0]))
    ids[2, 15] = 2
    polygons = simple(ids, 8)
    assert shapely.coverage_is_valid(polygons)
    assert len(polygons) == 3


def test_two_regions_that_share_both_ends_of_their_borders_keep_apart() -> None:
    ids = np.zeros((9, 9), dtype=np.uint8)
    ids[:, 5:] = 1
    ids[4, 4] = ids[3, 4] = ids[5, 4] = 2
    polygons = simple(ids, 10)
    assert (shapely.area(polygons) > 0).all()
    assert shapely.coverage_is_valid(polygons)


def test_no_tolerance_changes_nothing() -> None:
    ids = np.eye(5, dtype=np.uint8)
    assert sorted(shapely.area(simple(ids, 0)).tolist()) == [1, 1, 1, 1, 1, 10, 10]
    assert len(simple(np.full((3, 3), 255, np.uint8), 1)) == 0
