"""Simplified coverages: valid, smaller, in place."""

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
from terraseg.shapes.simplify import simplify_coverage
from terraseg.vectorize.trace import trace_map

LEGEND = Legend(tuple(LandClass(i, f"c{i}", "#112233") for i in range(4)))


def traced(ids: NDArray[np.uint8]) -> NDArray[np.object_]:
    return trace_map(ClassArray(Grid(None, (1, 0, 0, 0, 1, 0), *ids.shape), LEGEND, ids))[0]


@settings(deadline=None, max_examples=150)
@given(
    hnp.arrays(
        np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=14), elements=st.sampled_from([0, 1, 2, 255])
    ),
    st.sampled_from([0.5, 1.0, 1.5, 3.0, 10.0]),
)
def test_a_simplified_coverage_is_valid_and_keeps_every_polygon(ids: NDArray[np.uint8], tolerance: float) -> None:
    simple = simplify_coverage(traced(ids), tolerance=tolerance)
    assert shapely.is_valid(simple).all()
    assert shapely.coverage_is_valid(simple)
    assert (shapely.area(simple) > 0).all()


@pytest.mark.parametrize("angle", [15, 30, 45])
def test_the_stairs_of_a_turned_rectangle_go_and_its_place_stays(angle: float) -> None:
    truth = shapely.affinity.rotate(shapely.box(20, 20, 80, 50), angle)
    polygons = traced(rasterize([truth], (100, 100)).astype(np.uint8))
    simple = simplify_coverage(polygons, tolerance=1.5)
    assert shapely.get_num_coordinates(simple).sum() < 0.7 * shapely.get_num_coordinates(polygons).sum()
    building = simple[1]
    assert building.intersection(truth).area / building.union(truth).area > 0.96


def test_neighbours_keep_one_border() -> None:
    rows, cols = np.mgrid[:40, :40]
    polygons = traced((cols * 2 > rows + 15).astype(np.uint8))
    one, two = simplify_coverage(polygons, tolerance=2)
    assert one.area + two.area == pytest.approx(1600)
    assert one.intersection(two).length > 20


def test_no_tolerance_changes_nothing() -> None:
    polygons = traced(np.eye(5, dtype=np.uint8))
    assert simplify_coverage(polygons, tolerance=0) is polygons
    assert len(simplify_coverage(np.zeros(0, dtype=object), tolerance=1)) == 0
