"""The feature graph against numpy and scipy."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from terraseg.core.classes import LandClass, Legend
from terraseg.core.modelspec import ModelSpec
from terraseg.forest.features import RATIO_FLOOR, REACH, SCALES, SPLINE, band_pairs, feature_count
from terraseg.forest.train import feature_runner

LEGEND = Legend((LandClass(0, "land", "#AA8844"), LandClass(1, "water", "#0000FF")))


def make_spec(bands: int = 3, dtype: str = "uint8") -> ModelSpec:
    mean, std = tuple(100.0 + 5 * b for b in range(bands)), tuple(50.0 + b for b in range(bands))
    return ModelSpec("forest", LEGEND, tuple(f"b{n}" for n in range(bands)), dtype, mean, std, 0.5, 256, 64, 1)


def make_pixels(height: int, width: int, bands: int = 3, *, seed: int = 0) -> NDArray[Any]:
    """Soft blobs with noise, as uint8."""
    random = np.random.default_rng(seed)
    blobs = ndimage.gaussian_filter(random.normal(size=(bands, height, width)), (0, 4, 4)) * 400
    return np.asarray(np.clip(120 + blobs + random.normal(0, 8, blobs.shape), 0, 255), dtype="uint8")


def along(maps: NDArray[Any], taps: NDArray[Any], apart: int, axis: int) -> NDArray[Any]:
    wide = np.zeros((len(taps) - 1) * apart + 1)
    wide[::apart] = taps
    return np.asarray(ndimage.correlate1d(maps, wide, axis=axis, mode="nearest"))


def smooth(maps: NDArray[Any], apart: int) -> NDArray[Any]:
    return along(along(maps, SPLINE, apart, 1), SPLINE, apart, 2)


def oracle(pixels: NDArray[Any], spec: ModelSpec) -> NDArray[Any]:
    """The features in float64, from their description, with numpy's own eigenvalues."""
    mean, std = (np.reshape(v, (-1, 1, 1)) for v in (spec.mean, spec.std))
    means = (pixels.astype(np.float64) - mean) / std
    squares = means**2
    found = [means]
    for level in range(SCALES):
        apart = 2**level
        means, squares = smooth(means, apart), smooth(squares, apart)
        gray = means.mean(axis=0, keepdims=True)
        slope = np.array([-0.5, 0, 0.5])
        down, right = along(gray, slope, apart, 1), along(gray, slope, apart, 2)
        a, b, c = (smooth(p, apart)[0] for p in (down * down, right * right, down * right))
        tensor = np.stack([np.stack([a, c], -1), np.stack([c, b], -1)], -2)
        spreads = np.sqrt(np.maximum(np.linalg.eigvalsh(tensor), 0))
        found += [means, np.sqrt(np.maximum(squares - means**2, 0)), np.sqrt(down**2 + right**2)]
        found += [spreads[None, ..., 1], spreads[None, ..., 0]]
        if level in (0, 2):
            raw = means * std + mean
            floor = RATIO_FLOOR * np.mean(spec.std)
            found += [((raw[i] - raw[j]) / (abs(raw[i]) + abs(raw[j]) + floor))[None] for i, j in band_pairs(len(raw))]
    return np.concatenate(found)


@pytest.mark.parametrize(("bands", "height", "width"), [(3, 70, 90), (1, 40, 33), (2, 9, 50), (8, 24, 24), (3, 1, 1)])
def test_features_are_what_numpy_and_scipy_make_of_their_description(bands: int, height: int, width: int) -> None:
    spec, pixels = make_spec(bands), make_pixels(height, width, bands)
    found, expected = feature_runner(spec)(pixels), oracle(pixels, spec)
    assert found.shape == expected.shape == (feature_count(bands), height, width)
    # Roots of near-zero differences are where 32 bits show.
    np.testing.assert_allclose(found, expected, atol=5e-3)
    assert np.abs(found - expected).mean() < 1e-3


def test_a_tile_sees_what_the_whole_image_sees_but_for_its_margin() -> None:
    side = 2 * REACH + 30
    pixels, spec = make_pixels(side + 17, side + 40), make_spec()
    run = feature_runner(spec)
    whole, tile = run(pixels), run(np.ascontiguousarray(pixels[:, 17:, 23 : 23 + side]))
    inner = slice(REACH, side - REACH)
    np.testing.assert_allclose(tile[:, inner, inner], whole[:, 17:, 23 : 23 + side][:, inner, inner], atol=2e-3)


def test_nothing_beyond_the_reach_has_a_say() -> None:
    pixels, spec = make_pixels(9, 2 * REACH + 9), make_spec()
    run = feature_runner(spec)
    before = run(pixels)
    pixels[:, :, 0] = 255 - pixels[:, :, 0]
    changed = np.abs(run(pixels) - before).max(axis=(0, 1)) > 1e-6
    assert changed[0]
    assert not changed[REACH + 1 :].any()


def test_values_that_are_not_finite_count_as_the_mean() -> None:
    spec = make_spec(dtype="float32")
    pixels = make_pixels(40, 40).astype("float32")
    filled = pixels.copy()
    for band, value in enumerate((np.nan, np.inf, -np.inf)):
        pixels[band, 5:8, 6:9] = value
        filled[band, 5:8, 6:9] = spec.mean[band]
    run = feature_runner(spec)
    found = run(pixels)
    assert np.isfinite(found).all()
    np.testing.assert_array_equal(found, run(filled))


def test_turned_images_have_turned_features() -> None:
    """No direction is told from another: slopes and spreads are the same after a quarter turn."""
    spec, pixels = make_spec(), make_pixels(60, 60)
    run = feature_runner(spec)
    turned = run(np.ascontiguousarray(np.rot90(pixels, axes=(1, 2))))
    np.testing.assert_allclose(turned, np.rot90(run(pixels), axes=(1, 2)), atol=5e-3)
