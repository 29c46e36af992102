"""Objects parted at their necks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from terraseg.pixels.necks import split_at_necks

ROWS, COLS = np.ogrid[:60, :120]


def disc(row: float, col: float, radius: float) -> NDArray[np.bool_]:
    return np.asarray(np.hypot(ROWS - row, COLS - col) <= radius)


@pytest.mark.parametrize(("apart", "count"), [(26, 2), (30, 2), (34, 2), (44, 2), (8, 1)])
def test_two_crowns_are_two_unless_they_are_nearly_one(apart: int, count: int) -> None:
    crowns = disc(30, 40, 20) | disc(30, 40 + apart, 20)
    assert split_at_necks(crowns, neck=0.95).max() == count


def test_a_house_with_a_wing_is_one_and_two_houses_with_a_shed_between_are_not() -> None:
    house = np.zeros((60, 120), dtype=np.bool_)
    house[10:30, 10:60] = house[10:50, 40:60] = True
    assert split_at_necks(house, neck=0.6).max() == 1
    house[:] = False
    house[10:40, 10:40] = house[10:40, 60:90] = house[22:28, 40:60] = True
    assert split_at_necks(house, neck=0.6).max() == 2
    assert split_at_necks(house, neck=0.1).max() == 1


def test_the_height_may_be_a_probability() -> None:
    mask = disc(30, 40, 20) | disc(30, 50, 20)
    sure = np.maximum(
        np.exp(-(np.hypot(ROWS - 30, COLS - 38) ** 2) / 60), np.exp(-(np.hypot(ROWS - 30, COLS - 56) ** 2) / 60)
    )
    assert split_at_necks(mask, neck=0.8).max() == 1
    assert split_at_necks(mask, neck=0.8, height=sure).max() == 2


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.3, 0.6, 0.95, 1.0]))
def test_parts_fill_the_mask_and_hang_together(seed: int, neck: float) -> None:
    rng = np.random.default_rng(seed)
    mask = np.asarray(ndimage.gaussian_filter(rng.standard_normal((30, 40)), 2) > 0)
    parts = split_at_necks(mask, neck=neck)
    assert ((parts > 0) == mask).all()
    for number in range(1, parts.max() + 1):
        assert ndimage.label(parts == number)[1] == 1
    assert parts.max() >= ndimage.label(mask)[1]


def test_nothing_and_everything() -> None:
    assert split_at_necks(np.zeros((4, 5), np.bool_), neck=0.5).max() == 0
    assert (split_at_necks(np.ones((4, 5), np.bool_), neck=0.5) == 1).all()
