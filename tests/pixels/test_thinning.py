"""Skeletons: thin, in the middle, and hanging together as the mask does."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from scipy import ndimage

from terraseg.pixels.thinning import branches, neighbour_codes, thinned

ANY = np.ones((3, 3))


def pieces(mask: NDArray[np.bool_]) -> int:
    return int(ndimage.label(mask, ANY)[1])


def holes(mask: NDArray[np.bool_]) -> int:
    return int(ndimage.label(~np.pad(mask, 1))[1]) - 1


@settings(deadline=None, max_examples=200)
@given(hnp.arrays(np.bool_, st.tuples(st.integers(1, 14), st.integers(1, 14))))
def test_pieces_and_holes_stay_and_nothing_is_added(mask: NDArray[np.bool_]) -> None:
    found = thinned(mask)
    assert not (found & ~mask).any()
    assert (pieces(found), holes(found)) == (pieces(mask), holes(mask))
    assert (thinned(found) == found).all()


def test_a_bar_becomes_its_middle_line() -> None:
    bar = np.zeros((21, 60), np.bool_)
    bar[6:15, 5:55] = True
    row, col = np.nonzero(thinned(bar))
    inner = (col > 12) & (col < 47)
    assert (row[inner] == 10).all()
    assert np.unique(col[inner], return_counts=True)[1].max() == 1


def test_branches_are_counted_around_a_pixel() -> None:
    cross = np.zeros((7, 7), np.bool_)
    cross[3, 1:6] = cross[1:6, 3] = True
    count = branches()[neighbour_codes(cross)]
    assert (count[3, 3], count[3, 1], count[3, 2]) == (4, 1, 2)
