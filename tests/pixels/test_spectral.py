"""Indices of pixels: against plain formulas, at zero, in parts, and as reflectance."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from terraseg.core.sensors import SENSORS
from terraseg.core.spectral import INDICES, SpectralIndices
from terraseg.pixels.spectral import with_indices

BANDS = ("red", "nir")


def index(expression: str, *values: float, dtype: str = "float64") -> float:
    pixels = np.array(values, dtype=dtype).reshape(2, 1, 1)
    return float(with_indices(pixels, BANDS, SpectralIndices((("x", expression),), dtype))[2, 0, 0])


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
def test_ndvi_is_the_formula_in_any_pixel_type(dtype: str) -> None:
    """Bytes do not wrap around: 200 + 100 is 300."""
    assert index(INDICES["ndvi"], 100, 200, dtype=dtype) == np.float32(100) / np.float32(300)
    assert index(INDICES["ndvi"], 200, 100, dtype=dtype) == -(np.float32(100) / np.float32(300))


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("nir ** 2 - red ** 3 + nir ** 1", 8.0),
        ("(nir + 2 * red) ** 0.5", 4.0),
        ("sqrt(nir + 1) + -red + +1", 0.0),
        ("min(nir, red, 1) + max(nir, red) + abs(red - nir)", 13.0),
        ("red + 0 * nir + 5 / 2", 6.5),
    ],
)
def test_expressions_mean_what_they_say(expression: str, value: float) -> None:
    assert index(expression, 4, 8) == value


@pytest.mark.parametrize(
    "expression", ["nir / red", "0 / red", "sqrt(nir - 1)", INDICES["ndvi"], "nir ** 4 * 1e29 * 1e29"]
)
def test_what_is_no_finite_number_is_zero(expression: str) -> None:
    assert index(expression, 0, 0) == 0
    assert np.isfinite(index(expression, float("nan"), 1e20))


@given(st.integers(0, 2**32), st.sampled_from(sorted(INDICES)))
def test_a_window_gives_the_bytes_that_the_whole_gives(seed: int, name: str) -> None:
    rng = np.random.default_rng(seed)
    bands = ("red", "green", "nir", "rededge", "swir16", "swir22")
    pixels = rng.integers(0, 3000, (6, 37, 41)).astype(np.uint16)
    indices = SpectralIndices(((name, INDICES[name]), ("root", "sqrt(red) / (1 + nir ** 3)")), "uint16", 1e-4, -0.1)
    whole = with_indices(pixels, bands, indices)
    row, col = (int(v) for v in rng.integers(0, 30, 2))
    part = with_indices(np.ascontiguousarray(pixels[:, row : row + 5, col : col + 3]), bands, indices)
    assert part.tobytes() == np.ascontiguousarray(whole[:, row : row + 5, col : col + 3]).tobytes()
    assert (whole[:6] == pixels).all()


def test_with_a_scale_names_stand_for_reflectance_never_below_zero() -> None:
    scale, offset = SENSORS["sentinel-2"].scaling("uint16")
    indices = SpectralIndices((("ndvi", INDICES["ndvi"]),), "uint16", scale, offset)
    pixels = np.array([[[1500, 900]], [[4000, 1500]]], dtype=np.uint16)
    found = with_indices(pixels, BANDS, indices)
    assert found[2, 0, 0] == pytest.approx((0.3 - 0.05) / (0.3 + 0.05), rel=1e-5)
    assert found[2, 0, 1] == 1.0
    assert found[:2].tolist() == pixels.tolist()
