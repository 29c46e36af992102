import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from terraseg.pixels.objects import LEAST_PIXELS, object_sizes


def test_boxes_have_their_area_and_width() -> None:
    indices = np.zeros((100, 120), dtype=np.uint8)
    indices[10:30, 10:60] = 1  # 20 wide, 50 long
    indices[50:56, 20:100] = 1  # 6 wide, 80 long
    indices[70:90, 0:15] = 1  # touches the border
    _, boxes = object_sizes(indices, 2)
    assert sorted(boxes.area.tolist()) == [300, 480, 1000]
    by_area = dict(zip(boxes.area.tolist(), boxes.width.tolist(), strict=True))
    assert by_area[1000] == pytest.approx(20, abs=1)
    assert by_area[480] == pytest.approx(6, abs=1)
    assert dict(zip(boxes.area.tolist(), boxes.cut.tolist(), strict=True)) == {300: True, 480: False, 1000: False}


@pytest.mark.parametrize("radius", [5, 12, 25])
def test_a_disc_is_as_wide_as_its_diameter(radius: int) -> None:
    row, col = np.mgrid[:80, :80] - 40
    indices = ((row**2 + col**2) <= radius**2).astype(np.uint8)
    _, disc = object_sizes(indices, 2)
    assert disc.width[0] == pytest.approx(2 * radius, abs=2)


def test_a_slanting_road_keeps_its_width() -> None:
    row, col = np.mgrid[:200, :200]
    across = (row - col) / np.sqrt(2)
    indices = (np.abs(across) < 5).astype(np.uint8)
    _, road = object_sizes(indices, 2)
    assert road.width[0] == pytest.approx(10, abs=1.5)


def test_a_window_of_one_class_is_one_cut_object_as_wide_as_the_window() -> None:
    (whole,) = object_sizes(np.zeros((30, 50), dtype=np.uint8), 1)
    assert whole.area.tolist() == [1500]
    assert whole.cut.tolist() == [True]
    assert whole.width[0] == pytest.approx(50, abs=2)


def test_void_is_no_object_and_specks_are_left_out() -> None:
    indices = np.full((20, 20), 255, dtype=np.uint8)
    indices[5, 5:8] = 0
    indices[10:12, 10:12] = 0
    (found,) = object_sizes(indices, 1)
    assert found.area.tolist() == [4]


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 99))
def test_objects_are_the_connected_pieces(height: int, width: int, seed: int) -> None:
    indices = (np.random.default_rng(seed).random((height, width)) < 0.6).astype(np.uint8)
    for k, found in enumerate(object_sizes(indices, 2)):
        labels, count = ndimage.label(indices == k)
        areas = [int((labels == n).sum()) for n in range(1, count + 1)]
        assert found.area.astype(int).tolist() == [area for area in areas if area >= LEAST_PIXELS]
        assert (found.width >= 1).all()
