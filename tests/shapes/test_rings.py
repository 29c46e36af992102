"""Polygons of corners against the pixels they came from."""

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from rasterio.features import rasterize
from scipy import ndimage

from terraseg.shapes.rings import OUTSIDE, Corners, find_corners, polygons_of_corners

Labels = NDArray[np.int32]


def regions_of(classes: NDArray[np.int64]) -> Labels:
    """Region numbers of a small class array by brute force; class 0 is outside."""
    regions = np.full(classes.shape, OUTSIDE, dtype=np.int32)
    count = 0
    for value in np.unique(classes[classes > 0]):
        found, number = ndimage.label(classes == value)
        regions[found > 0] = found[found > 0] - 1 + count
        count += number
    return regions


def traced(regions: Labels, *, rows: int = 1000) -> NDArray[np.object_]:
    edge = np.full((1, regions.shape[1]), OUTSIDE, dtype=np.int32)
    framed = np.concatenate([edge, regions, edge])
    tops = range(0, len(framed) - 1, rows)
    parts = [find_corners(framed[top : top + rows + 1], top=top) for top in tops]
    return polygons_of_corners(Corners.joined(parts), count=int(regions.max(initial=-1)) + 1)


arrays = hnp.arrays(np.int64, hnp.array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.integers(0, 3))


@settings(deadline=None, max_examples=300)
@given(arrays)
def test_polygons_are_valid_and_burn_back_to_their_pixels(classes: NDArray[np.int64]) -> None:
    regions = regions_of(classes)
    polygons = traced(regions)
    assert shapely.is_valid(polygons).all()
    assert shapely.coverage_is_valid(polygons)
    for number, polygon in enumerate(polygons):
        mask = regions == number
        assert polygon.area == mask.sum()
        assert np.array_equal(rasterize([polygon], regions.shape), mask)


@settings(deadline=None, max_examples=200)
@given(arrays, st.integers(1, 5))
def test_the_cut_into_blocks_leaves_no_trace(classes: NDArray[np.int64], rows: int) -> None:
    regions = regions_of(classes)
    assert shapely.to_wkb(traced(regions)).tolist() == shapely.to_wkb(traced(regions, rows=rows)).tolist()


def test_straight_borders_have_no_vertices_between_but_where_three_regions_meet() -> None:
    regions = np.array([[0, 0, 0, 0], [1, 1, 2, 2]], dtype=np.int32)
    above = traced(regions)[0]
    assert above.exterior.coords[:] == [(0, 0), (4, 0), (4, 1), (2, 1), (0, 1), (0, 0)]


def test_a_hole_that_touches_the_outside_over_a_corner_is_a_hole() -> None:
    regions = np.array([[0, 0, -1], [0, -1, 0], [0, 0, 0]], dtype=np.int32)
    polygon = traced(regions)[0]
    assert len(polygon.interiors) == 1
    assert polygon.is_valid


def test_a_hole_inside_a_hole_belongs_to_its_own_region() -> None:
    regions = np.zeros((7, 7), dtype=np.int32)
    regions[1:6, 1:6], regions[2:5, 2:5], regions[3, 3] = 1, 2, -1
    polygons = traced(regions)
    assert [len(p.interiors) for p in polygons] == [1, 1, 1]
    assert [p.area for p in polygons] == [24, 16, 8]


def test_nothing_gives_nothing() -> None:
    assert len(traced(np.full((3, 4), OUTSIDE, dtype=np.int32))) == 0
    assert len(polygons_of_corners(Corners.joined([]), count=0)) == 0


def test_a_region_in_two_places_is_refused() -> None:
    with pytest.raises(AssertionError, match="not connected"):
        traced(np.array([[0, -1, 0]], dtype=np.int32))
