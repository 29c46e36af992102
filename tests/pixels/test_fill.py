"""Borders of one value are told from dark ground, and nodata from values that the ground has."""

import numpy as np
import pytest
from numpy.typing import NDArray

from terraseg.pixels.fill import edge_fill, is_imagery


def ground(seed: int = 0, low: int = 1, high: int = 200) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(low, high, (3, 200, 240)).astype(np.uint8)


ALL = np.ones((200, 240), np.bool_)


def test_a_black_border_is_found_whole() -> None:
    pixels = ground()
    pixels[:, :, :30] = 0
    pixels[:, 180:, :] = 0
    border = edge_fill(pixels, ALL, 0)
    expected = np.zeros_like(ALL)
    expected[:, :30] = expected[180:] = True
    assert (border == expected).all()


def test_a_slanted_border_is_found_but_for_its_tips() -> None:
    pixels = ground()
    rows, cols = np.mgrid[0:200, 0:240]
    slanted = cols + rows / 2 < 60
    pixels[:, slanted] = 0
    border = edge_fill(pixels, ALL, 0)
    assert not border[~slanted].any()
    assert border.sum() > 0.9 * slanted.sum()


@pytest.mark.parametrize("where", ["inside", "thin", "one band", "speckled", "masked"])
def test_what_is_no_border(where: str) -> None:
    pixels, valid = ground(low=0), ALL.copy()
    if where == "inside":
        pixels[:, 50:150, 50:150] = 0
    elif where == "thin":
        pixels[:, :5] = 0
    elif where == "one band":
        pixels[0, :, :60] = 0
    elif where == "speckled":
        pixels[:, :, :60] *= np.random.default_rng(1).integers(0, 2, (200, 60)).astype(np.uint8)
    else:
        pixels[:, :, :60], valid[:, :60] = 0, False
    assert not edge_fill(pixels, valid, 0).any()


def test_ground_known_to_be_empty_continues_the_edge() -> None:
    pixels, valid = ground(), ALL.copy()
    valid[:, :40] = False
    pixels[:, :, 40:80] = 0
    assert edge_fill(pixels, valid, 0)[:, 40:80].all()


def test_a_value_of_the_ground_is_no_nodata() -> None:
    assert is_imagery(ground(), 90)
    assert is_imagery(np.random.default_rng(0).normal(0.3, 0.1, (2, 300, 300)).astype(np.float32), 0.3)


@pytest.mark.parametrize("nodata", [0.0, 255.0, -9999.0, 90.0])
def test_a_value_that_stands_out_is_nodata(nodata: float) -> None:
    """At either end, far away, or in the middle but so often that no sensor would have seen it."""
    pixels = ground().astype(np.int16)
    pixels[:, :60] = int(nodata)
    assert not is_imagery(pixels, nodata)


def test_a_value_that_one_band_lacks_is_no_imagery() -> None:
    pixels = ground()
    pixels[1] = np.minimum(pixels[1], 60)
    assert not is_imagery(pixels, 90)
