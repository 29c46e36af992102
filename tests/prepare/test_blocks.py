import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from terraseg.core.window import Window
from terraseg.prepare.blocks import STRIPS, area_of, pixels_in, scattered_blocks, training_windows, without

boxes = st.builds(Window, st.integers(-5, 20), st.integers(-5, 20), st.integers(0, 15), st.integers(0, 15))


@given(st.lists(boxes, max_size=5))
def test_what_is_left_without_holes_is_every_other_pixel_once(holes: list[Window]) -> None:
    whole = Window(0, 0, 18, 22)
    left = without((whole,), holes)
    seen = np.zeros((18, 22), int)
    for window in left:
        seen[window.slices] += 1
    gone = np.zeros((18, 22), bool)
    for hole in holes:
        gone[hole.intersection(whole).slices] = True
    assert (seen == ~gone).all()
    assert area_of(left) == (~gone).sum()


def test_slivers_are_left_out_where_more_remains() -> None:
    whole = Window(0, 0, 100, 200)
    assert training_windows(whole, [Window(0, 10, 100, 20)]) == (Window(0, 30, 100, 170),)
    assert training_windows(whole, [Window(0, 10, 100, 190)]) == (Window(0, 0, 100, 10),)


@given(boxes, st.integers(1, 30), st.integers(1, 30))
def test_pixels_of_a_window_are_counted_by_area(window: Window, height: int, width: int) -> None:
    whole = Window(0, 0, height, width)
    rows, cols = (np.linspace(0, n, 11).astype(int) for n in (height, width))
    counts = (np.diff(rows)[:, None] * np.diff(cols)[None, :])[:, :, None]
    inside = window.intersection(whole)
    assert pixels_in(counts, whole, window)[0] == pytest.approx(inside.height * inside.width)


def test_scattered_blocks_take_each_row_and_column_once() -> None:
    for windows in scattered_blocks(Window(0, 0, 103, 57)):
        assert len({w.row for w in windows}) == len({w.col for w in windows}) == STRIPS
