"""Shards, panels and what is left: every pixel once, whatever the cut."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from terraseg.core.window import Window
from terraseg.errors import BadOption
from terraseg.predict.work import Shard, panels, remaining, shares

SHAPES = st.lists(st.tuples(st.integers(1, 90), st.integers(1, 90)), min_size=1, max_size=6)


@settings(deadline=None)
@given(SHAPES, st.integers(1, 9), st.integers(1, 20))
def test_the_shards_of_a_job_do_every_pixel_once(shapes: list[tuple[int, int]], count: int, block: int) -> None:
    seen = [np.zeros(shape, dtype=int) for shape in shapes]
    for number in range(1, count + 1):
        for raster, window in zip(seen, shares(shapes, Shard(number, count), block), strict=True):
            if window is not None:
                assert window.row % block == 0
                assert window.col % block == 0
                raster[window.slices] += 1
    assert all((raster == 1).all() for raster in seen)


@settings(deadline=None)
@given(SHAPES, st.integers(1, 9))
def test_shards_are_as_even_as_strips_allow(shapes: list[tuple[int, int]], count: int) -> None:
    sizes = []
    for number in range(1, count + 1):
        windows = shares(shapes, Shard(number, count), 8)
        sizes.append(sum(w.height * w.width for w in windows if w is not None))
    largest = max(8 * min(shape) for shape in shapes)
    assert max(sizes) - sum(sizes) / count <= largest


@settings(deadline=None)
@given(st.integers(0, 5), st.integers(0, 5), st.integers(1, 90), st.integers(1, 90), st.integers(1, 5))
def test_panels_part_a_window(row: int, col: int, height: int, width: int, columns: int) -> None:
    share = Window(row * 8, col * 8, height, width)
    parts = panels(share, columns, 8)
    assert [p.col for p in parts] == [share.col, *(p.col_stop for p in parts[:-1])]
    assert parts[-1].col_stop == share.col_stop
    for part in parts:
        assert (part.row, part.height) == (share.row, share.height)
        assert 0 < part.width <= columns * 8
        assert part.col % 8 == 0


@settings(deadline=None)
@given(st.integers(1, 60), st.integers(1, 60), st.integers(0, 100), st.integers(1, 3))
def test_what_is_left_holds_every_block_that_is_not_done(height: int, width: int, finished: int, at_once: int) -> None:
    """Blocks are done row by row from the left, a few rows at a time where tiles are larger than blocks."""
    shape = (-(-height // 8), -(-width // 8))
    order = [
        (row, col)
        for first in range(0, shape[0], at_once)
        for col in range(shape[1])
        for row in range(first, min(first + at_once, shape[0]))
    ]
    done = np.zeros(shape, dtype=np.bool_)
    for place in order[:finished]:
        done[place] = True
    left = np.zeros((height, width), dtype=int)
    for window in remaining(Window(0, 0, height, width), done, 8):
        assert window.row % 8 == window.col % 8 == 0
        left[window.slices] += 1
    blocks = np.kron(~done, np.ones((8, 8), dtype=int))[:height, :width]
    assert np.array_equal(left, blocks), "all that is left, and nothing twice"


def test_nothing_is_left_of_what_is_done() -> None:
    assert remaining(Window(0, 0, 20, 20), np.ones((3, 3), dtype=np.bool_), 8) == ()


@pytest.mark.parametrize("text", ["0/3", "4/3", "2", "a/b", "1/0", "-1/3"])
def test_a_shard_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(BadOption, match="shard"):
        Shard.parse(text)
