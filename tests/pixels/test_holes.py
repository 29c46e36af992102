"""Holes filled on the graph of regions against scikit-image on the whole array."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from scipy import ndimage

from terraseg.core.classes import LandClass, Legend
from terraseg.core.classreader import ClassArray
from terraseg.core.grid import Grid
from terraseg.pixels.holes import Filled, fill_holes
from terraseg.pixels.pieces import strip_pieces
from terraseg.pixels.regions import Wanted, find_regions

LEGEND = Legend(tuple(LandClass(i, f"c{i}", "#112233") for i in range(4)))
Ids = NDArray[np.uint8]


def filled(ids: Ids, class_id: int, below: float, *, rows: int) -> Ids:
    """The class ids after filling, and the regions they make."""
    raster = ClassArray(Grid(None, (1, 0, 0, 0, 1, 0), *ids.shape), LEGEND, ids)
    regions = find_regions(raster, Wanted(strip_rows=rows, small=np.full(256, below)))
    start = Filled(np.arange(len(regions)), regions.class_id, regions.area, regions.exposed, regions.borders)
    done = fill_holes(start, class_id=class_id, below=below)
    lookup = np.concatenate([[255], done.class_id[done.name[regions.piece_region]]]).astype(np.uint8)
    out, before = np.empty_like(ids), 0
    for strip in strip_pieces(raster, rows):
        out[strip.window.slices] = lookup[np.where(strip.pieces > 0, strip.pieces + before, 0)]
        before += strip.pieces.max(initial=0)
    assert done.area.sum() == (ids != 255).sum()
    assert len(done.area) == sum(ndimage.label(out == value)[1] for value in range(4))
    return out


maps = hnp.arrays(
    np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=10), elements=st.sampled_from([0, 1, 1, 1, 2, 255])
)


def by_whole_array(ids: Ids, class_id: int, below: float) -> Ids:
    """Pieces of everything else that touch neither nodata nor the edge."""
    holes, count = ndimage.label((ids != class_id) & (ids != 255))
    border = np.pad(np.zeros_like(ids), 1, constant_values=255)
    border[1:-1, 1:-1] = ids
    out = ids.copy()
    for number in range(1, count + 1):
        hole = np.pad(holes == number, 1)
        if hole.sum() < below and not (border[ndimage.binary_dilation(hole)] == 255).any():
            out[holes == number] = class_id
    return out


@settings(deadline=None, max_examples=200)
@given(maps, st.integers(1, 12), st.integers(1, 4))
def test_holes_are_those_of_the_whole_array_however_it_is_cut(ids: Ids, below: int, rows: int) -> None:
    assert np.array_equal(filled(ids, 1, below, rows=rows), by_whole_array(ids, 1, below))


def test_a_courtyard_with_a_tree_is_one_hole() -> None:
    ids = np.ones((7, 7), dtype=np.uint8)
    ids[2:5, 2:5], ids[3, 3] = 0, 2
    assert (filled(ids, 1, 10, rows=2) == 1).all()
    assert np.array_equal(filled(ids, 1, 9, rows=2), ids)
