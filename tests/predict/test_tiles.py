"""Tiles as the model gets them: filled, mirrored, in its dtype."""

from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from terraseg.pixels.tiling import square_lattice
from terraseg.predict.tiles import fill, mirror, read_tile

NAN = float("nan")


def test_invalid_pixels_become_the_bands_mean(make_source: Any, make_spec: Any) -> None:
    source = make_source(40, 40)
    source.valid[:10, :10] = False
    tile = read_tile(source, square_lattice(40, 40, tile=32, overlap=8), make_spec(), (0, 0))
    assert tile.pixels is not None
    assert (tile.pixels[:, :10, :10] == np.array([80, 20])[:, None, None]).all()
    assert np.array_equal(tile.pixels[:, 10:], source.pixels[:, 10:32, :32])
    assert np.array_equal(tile.valid, source.valid[:32, :32])


def test_the_rasters_own_pixels_are_not_changed(make_source: Any, make_spec: Any) -> None:
    source = make_source(40, 40)
    source.valid[0, 0] = False
    before = source.pixels.copy()
    read_tile(source, square_lattice(40, 40, tile=32, overlap=8), make_spec(), (0, 0))
    assert np.array_equal(source.pixels, before)


def test_a_tile_without_a_valid_pixel_has_no_pixels(make_source: Any, make_spec: Any) -> None:
    source = make_source(40, 40)
    source.valid[:] = False
    assert read_tile(source, square_lattice(40, 40, tile=32, overlap=8), make_spec(), (1, 1)).pixels is None


def test_a_raster_smaller_than_the_tile_is_mirrored_and_never_filled_with_zeros(
    make_source: Any, make_spec: Any
) -> None:
    source = make_source(5, 40)
    source.pixels[:] = np.maximum(source.pixels, 1)
    tile = read_tile(source, square_lattice(5, 40, tile=32, overlap=8), make_spec(), (0, 0))
    assert tile.pixels is not None
    assert tile.pixels.shape == (2, 32, 32)
    assert np.array_equal(tile.pixels[:, :9], source.pixels[:, [0, 1, 2, 3, 4, 4, 3, 2, 1], :32])
    assert tile.pixels.min() > 0
    assert tile.valid.shape == (5, 32)


def test_values_that_are_not_finite_never_reach_the_model(make_source: Any, make_spec: Any) -> None:
    source = make_source(32, 32)
    source = replace(source, pixels=source.pixels.astype(np.float64))
    source.pixels[0, 3, 3], source.pixels[1, 4, 4] = NAN, np.inf
    tile = read_tile(source, square_lattice(32, 32, tile=32, overlap=8), make_spec(dtype="float32"), (0, 0))
    assert tile.pixels is not None
    assert tile.pixels.dtype == np.float32
    assert tile.pixels[0, 3, 3] == np.float32(80.4)
    assert tile.pixels[1, 4, 4] == np.float32(20.0)
    assert tile.pixels[0, 4, 4] == source.pixels[0, 4, 4], "the other band's value is kept"


def test_fill_rounds_and_clips_to_the_dtype() -> None:
    pixels = np.zeros((3, 1, 1), dtype=np.uint8)
    assert fill(pixels, np.array([[False]]), (80.6, -4.0, 300.0)).ravel().tolist() == [81, 0, 255]


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 40), st.integers(1, 40))
def test_mirroring_repeats_the_last_pixel_and_goes_back(height: int, width: int, down: int, across: int) -> None:
    pixels = np.arange(height * width).reshape(1, height, width)
    mirrored = mirror(pixels, (down, across))
    assert mirrored.shape == (1, max(down, height), max(across, width))

    def bounce(n: int, length: int) -> int:
        return min(n % (2 * length), 2 * length - 1 - n % (2 * length))

    for row in range(mirrored.shape[1]):
        for col in range(mirrored.shape[2]):
            assert mirrored[0, row, col] == pixels[0, bounce(row, height), bounce(col, width)]
