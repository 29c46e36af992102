"""Shares of pixels against the intersections that shapely works out one by one."""

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from terraseg.core.window import Window
from terraseg.pixels.coverage import coverage, edges_of

WINDOW = Window(-2, 1, 13, 11)


def by_shapely(shape: shapely.Geometry, window: Window) -> NDArray[np.float64]:
    rows, cols = np.mgrid[window.row : window.row_stop, window.col : window.col_stop]
    return np.asarray(shapely.area(shapely.intersection(shapely.box(cols, rows, cols + 1, rows + 1), shape)))


# Whole and half coordinates put vertices and edges on the sides of pixels. Finer than a millionth of a pixel shapely's own
# overlay goes wrong, so there is nothing to compare with.
ANY = st.floats(-6, 18).map(lambda number: round(number, 6))
NUMBERS = st.one_of(st.integers(-6, 18).map(float), st.integers(-12, 36).map(lambda n: n / 2), ANY)


@settings(deadline=None, max_examples=150)
@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=3, max_size=8), st.tuples(NUMBERS, NUMBERS), st.floats(0.1, 4))
def test_shares_are_exact_for_polygons_with_holes_and_parts(
    points: list[tuple[float, float]], hole: tuple[float, float], radius: float
) -> None:
    hull = shapely.convex_hull(shapely.multipoints(points))
    shape = hull.difference(shapely.Point(*hole).buffer(radius, quad_segs=3)).union(shapely.box(6, 2, 8.25, 2.5))
    assert np.allclose(coverage(edges_of(shape), WINDOW), by_shapely(shape, WINDOW), atol=1e-9)


def test_polygons_that_part_a_window_have_shares_that_add_up_to_one() -> None:
    points = np.random.default_rng(0).uniform(-3, 15, (40, 2))
    cells = shapely.get_parts(
        shapely.voronoi_polygons(shapely.multipoints(points), extend_to=shapely.box(-50, -50, 50, 50))
    )
    total = sum(coverage(edges_of(cell), WINDOW) for cell in cells)
    assert np.allclose(total, 1, atol=1e-12)


@pytest.mark.parametrize(
    ("shape", "share"),
    [(shapely.box(-99, -99, 99, 99), 1.0), (shapely.box(30, 30, 40, 40), 0.0), (shapely.box(-40, -9, -30, 99), 0.0)],
)
def test_around_and_beside_the_window(shape: shapely.Geometry, share: float) -> None:
    assert np.allclose(coverage(edges_of(shape), WINDOW), share, atol=1e-12)
