"""Arcs traced strip by strip and the polygons made of them, against the pixels they came from."""

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from rasterio.features import rasterize
from scipy import ndimage

from terraseg.shapes.arcs import OUTSIDE, Arcs, OpenArcs, trace_strip
from terraseg.shapes.assemble import node_numbers, outlines_of, polygons_of

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


def arcs_of(regions: Labels, *, rows: int = 1000) -> Arcs:
    open_arcs, found = OpenArcs.start(regions.shape[1]), []
    edge = np.full((1, regions.shape[1]), OUTSIDE, dtype=np.int32)
    for strip in [*(regions[top : top + rows] for top in range(0, len(regions), rows)), edge]:
        whole, open_arcs, _ = trace_strip(open_arcs, strip)
        found.append(whole)
    assert len(open_arcs.arcs) == 0
    arcs = Arcs.joined(found)
    return arcs.rows(arcs.order())


def traced(regions: Labels, *, rows: int = 1000) -> NDArray[np.object_]:
    arcs = arcs_of(regions, rows=rows)
    return polygons_of(outlines_of(arcs, node_numbers(arcs)), np.arange(int(regions.max(initial=-1)) + 1))


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
def test_the_cut_into_strips_leaves_no_trace(classes: NDArray[np.int64], rows: int) -> None:
    regions = regions_of(classes)
    one, other = arcs_of(regions), arcs_of(regions, rows=rows)
    for name in ("x", "y", "offsets", "right", "left", "is_ring"):
        assert np.array_equal(getattr(one, name), getattr(other, name)), name
    ends = ~one.is_ring
    assert np.array_equal(one.leaves[ends], other.leaves[ends])
    assert np.array_equal(one.arrives[ends], other.arrives[ends])


@settings(deadline=None, max_examples=100)
@given(arrays)
def test_every_border_belongs_to_one_arc_with_its_two_regions_beside_it(classes: NDArray[np.int64]) -> None:
    regions = regions_of(classes)
    arcs = arcs_of(regions, rows=2)
    padded = np.pad(regions, 1, constant_values=OUTSIDE)
    sides = (padded[1:] != padded[:-1]).sum() + (padded[:, 1:] != padded[:, :-1]).sum()
    length = 0
    for k in range(len(arcs)):
        x, y = (v[arcs.offsets[k] : arcs.offsets[k + 1]].tolist() for v in (arcs.x, arcs.y))
        if arcs.is_ring[k]:
            x, y = [*x, x[0]], [*y, y[0]]
        for x0, y0, x1, y1 in zip(x, y, x[1:], y[1:], strict=False):
            length += abs(x1 - x0) + abs(y1 - y0)
            # One step into the segment, half a pixel to its right and to its left.
            dx, dy = np.sign(x1 - x0), np.sign(y1 - y0)
            row, col = y0 + dy / 2 + 1, x0 + dx / 2 + 1
            assert padded[int(row + dx / 2), int(col - dy / 2)] == arcs.right[k]
            assert padded[int(row - dx / 2), int(col + dy / 2)] == arcs.left[k]
    assert length == sides
    assert (arcs.right > arcs.left).all()


def test_straight_borders_have_no_vertices_between_but_where_three_regions_meet() -> None:
    regions = np.array([[0, 0, 0, 0], [1, 1, 2, 2]], dtype=np.int32)
    above = traced(regions)[0]
    assert set(above.exterior.coords[:]) == {(0, 0), (4, 0), (4, 1), (2, 1), (0, 1)}


def test_a_hole_that_touches_the_outside_over_a_corner_is_a_hole() -> None:
    polygon = traced(np.array([[0, 0, -1], [0, -1, 0], [0, 0, 0]], dtype=np.int32))[0]
    assert len(polygon.interiors) == 1
    assert polygon.is_valid


def test_a_hole_inside_a_hole_belongs_to_its_own_region() -> None:
    regions = np.zeros((7, 7), dtype=np.int32)
    regions[1:6, 1:6], regions[2:5, 2:5], regions[3, 3] = 1, 2, -1
    polygons = traced(regions, rows=2)
    assert [len(p.interiors) for p in polygons] == [1, 1, 1]
    assert [p.area for p in polygons] == [24, 16, 8]


def test_nothing_gives_nothing() -> None:
    assert len(traced(np.full((3, 4), OUTSIDE, dtype=np.int32))) == 0


def test_a_region_in_two_places_is_refused() -> None:
    with pytest.raises(AssertionError, match="not connected"):
        traced(np.array([[0, -1, 0]], dtype=np.int32))


def test_some_regions_are_built_as_all_are() -> None:
    regions = regions_of(np.random.default_rng(5).integers(0, 4, (20, 20)))
    arcs = arcs_of(regions)
    outlines = outlines_of(arcs, node_numbers(arcs))
    every = polygons_of(outlines, np.arange(int(regions.max()) + 1))
    some = np.arange(3, int(regions.max()) + 1, 4)
    assert shapely.to_wkb(polygons_of(outlines, some)).tolist() == shapely.to_wkb(every[some]).tolist()
    assert len(polygons_of(outlines, np.zeros(0, np.int64))) == 0
