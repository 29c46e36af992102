"""Overviews: their sizes, which blocks make which, and what four pixels become."""

from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from terraseg.core.classes import VOID
from terraseg.core.window import Window
from terraseg.pixels.pyramid import Pyramid, halved_ids, halved_values

SIZES = st.integers(1, 300)
EVEN = st.tuples(st.integers(1, 4), st.integers(1, 4)).map(lambda s: (2 * s[0], 2 * s[1]))


@settings(deadline=None)
@given(SIZES, SIZES)
def test_levels_halve_until_one_block_holds_all(height: int, width: int) -> None:
    pyramid = Pyramid(height, width, 16)
    assert pyramid.sizes[0] == (height, width)
    for (h, w), (smaller_h, smaller_w) in zip(pyramid.sizes, pyramid.sizes[1:], strict=False):
        assert max(h, w) > 16
        assert (smaller_h, smaller_w) == (-(-h // 2), -(-w // 2))
    assert pyramid.count(len(pyramid.sizes) - 1) == 1


@settings(deadline=None)
@given(SIZES, SIZES)
def test_every_block_but_the_last_has_one_parent_that_knows_it(height: int, width: int) -> None:
    pyramid = Pyramid(height, width, 16)
    for level in range(1, len(pyramid.sizes)):
        children = [c for index in range(pyramid.count(level)) for c in pyramid.children(level, index).values()]
        assert sorted(children) == list(range(pyramid.count(level - 1)))
        for child in children:
            assert child in pyramid.children(level, pyramid.parent(level - 1, child)).values()


@settings(deadline=None)
@given(SIZES, SIZES, st.data())
def test_the_blocks_that_meet_a_window_are_those_that_share_pixels(
    height: int, width: int, data: st.DataObject
) -> None:
    pyramid = Pyramid(height, width, 16)
    row, col = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    window = Window(row, col, data.draw(st.integers(0, height - row)), data.draw(st.integers(0, width - col)))
    expected = [i for i in range(pyramid.count(0)) if not pyramid.window(i).intersection(window).is_empty]
    assert list(pyramid.meeting(window)) == expected


@settings(deadline=None)
@given(EVEN.flatmap(lambda shape: arrays(np.uint8, shape, elements=st.sampled_from([1, 2, 7, VOID]))))
def test_four_ids_become_the_commonest_that_is_known(ids: NDArray[np.uint8]) -> None:
    halved = halved_ids(ids)
    for row in range(halved.shape[0]):
        for col in range(halved.shape[1]):
            four = [int(v) for v in ids[2 * row : 2 * row + 2, 2 * col : 2 * col + 2].ravel() if v != VOID]
            commonest = Counter(four).most_common(1)[0][0] if four else VOID
            assert halved[row, col] == commonest


@settings(deadline=None)
@given(EVEN.flatmap(lambda shape: arrays(np.uint8, shape)))
def test_four_bytes_become_their_mean_without_nodata(values: NDArray[np.uint8]) -> None:
    halved = halved_values(values)
    for row in range(halved.shape[0]):
        for col in range(halved.shape[1]):
            four = [int(v) for v in values[2 * row : 2 * row + 2, 2 * col : 2 * col + 2].ravel() if v != VOID]
            assert halved[row, col] == (int(sum(four) / len(four) + 0.5) if four else VOID)


def test_four_halves_become_their_mean_without_nan() -> None:
    values = np.array([[0.25, np.nan, np.nan, np.nan], [0.75, 0.5, np.nan, np.nan]], dtype=np.float16)
    halved = halved_values(values)
    assert halved.dtype == np.float16
    assert halved[0, 0] == 0.5
    assert np.isnan(halved[0, 1])
