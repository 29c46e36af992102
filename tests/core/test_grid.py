import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from terraseg.core.grid import Grid
from terraseg.core.window import Window, cut
from tests.makers import make_grid

ROTATED = Grid("EPSG:32637", (0.4, 0.3, 500_000.0, 0.3, -0.4, 4_000_000.0), 50, 80)
numbers = st.floats(-1e4, 1e4)


@given(row=numbers, col=numbers)
def test_pixel_to_map_and_back_is_the_same_place(row: float, col: float) -> None:
    for grid in (make_grid(), ROTATED):
        back = grid.to_pixel(*grid.to_map(row, col))
        assert np.allclose(back, (row, col), atol=1e-5)


@given(row=st.integers(-50, 50), col=st.integers(-50, 50))
def test_a_crop_keeps_pixels_in_place(row: int, col: int) -> None:
    part = ROTATED.crop(Window(row, col, 10, 12))
    assert np.allclose(part.to_map(0, 0), ROTATED.to_map(row, col))
    assert np.allclose(part.to_map(3.5, 4.5), ROTATED.to_map(row + 3.5, col + 4.5))


def test_json_gives_the_same_grid_back() -> None:
    for grid in (make_grid(), make_grid(crs=None), ROTATED):
        assert Grid.from_json(json.loads(json.dumps(grid.to_json()))) == grid


def test_web_mercator_metres_are_not_ground_metres() -> None:
    kathmandu = Grid("EPSG:3857", (0.0746455, 0.0, 9_520_461.0, 0.0, -0.0746455, 3_201_259.0), 2048, 2048)
    assert kathmandu.gsd_m is not None
    assert kathmandu.gsd_m / 0.0746455 == pytest.approx(0.885, abs=0.002)


def test_a_grid_in_degrees_has_its_sample_distance_in_metres() -> None:
    grid = Grid("EPSG:4326", (1e-5, 0.0, 10.0, 0.0, -1e-5, 60.0), 10, 10)
    height, width = grid.pixel_size_m or (0.0, 0.0)
    assert height == pytest.approx(1.114, abs=0.01)
    assert width == pytest.approx(height / 2, rel=0.01)


def test_without_a_crs_there_is_no_ground_distance() -> None:
    assert make_grid(crs=None).gsd_m is None


def test_spelling_of_the_crs_does_not_matter() -> None:
    from pyproj import CRS

    grid = make_grid()
    assert grid.same_place(Grid(CRS.from_epsg(32637).to_wkt(), grid.transform, grid.height, grid.width))
    assert not grid.same_place(Grid("EPSG:32636", grid.transform, grid.height, grid.width))


@pytest.mark.parametrize("transform", [(0.0, 0.0, 0.0, 0.0, -1.0, 0.0), (1.0, 2.0, 0.0, 1.0, 2.0, 0.0)])
def test_a_transform_without_an_inverse_is_refused(transform: tuple[float, float, float, float, float, float]) -> None:
    with pytest.raises(ValueError, match="no inverse"):
        Grid(None, transform, 10, 10)


@given(
    height=st.integers(1, 70), width=st.integers(1, 70), block=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    row=st.integers(-9, 9), col=st.integers(-9, 9),
)  # fmt: skip
def test_cut_covers_every_pixel_once(height: int, width: int, block: tuple[int, int], row: int, col: int) -> None:
    whole = Window(row, col, height, width)
    seen = np.zeros((height, width), int)
    for part in cut(whole, *block):
        seen[part.shifted(-row, -col).slices] += 1
        assert part.height <= block[0]
        assert part.width <= block[1]
    assert (seen == 1).all()


@given(st.lists(st.integers(-20, 20), min_size=4, max_size=4), st.lists(st.integers(0, 30), min_size=4, max_size=4))
def test_intersection_is_symmetric_and_inside_both(corners: list[int], sizes: list[int]) -> None:
    one = Window(corners[0], corners[1], sizes[0], sizes[1])
    other = Window(corners[2], corners[3], sizes[2], sizes[3])
    both = one.intersection(other)
    assert both == other.intersection(one)
    assert both.is_empty or (one.contains(both) and other.contains(both))
