import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from terraseg.core.coding import Coding
from terraseg.pixels.variogram import class_planes, correlation_range, correlogram


def test_the_correlogram_is_that_of_a_direct_sum() -> None:
    generator = np.random.default_rng(0)
    planes = generator.normal(size=(2, 17, 23)).astype(np.float32)
    known = generator.random((17, 23)) < 0.8
    found = correlogram(planes, known)
    off = [np.where(known, p - p[known].mean(), 0) for p in planes]
    variance = sum((p**2).sum() for p in off) / known.sum()
    for lag in range(len(found)):
        pairs, total = 0.0, 0.0
        for axis in (0, 1):
            if lag >= known.shape[axis]:
                continue
            here = [slice(None)] * 2
            there = [slice(None)] * 2
            here[axis], there[axis] = slice(lag, None), slice(0, known.shape[axis] - lag)
            pairs += (known[tuple(here)] & known[tuple(there)]).sum()
            total += sum((p[tuple(here)] * p[tuple(there)]).sum() for p in off)
        assert found[lag] == pytest.approx(total / pairs / variance, abs=1e-4)
    assert found[0] == pytest.approx(1)


@pytest.mark.parametrize("spread", [2.0, 5.0, 10.0])
def test_the_range_of_smoothed_noise_is_that_of_its_kernel(spread: float) -> None:
    """Noise under a Gaussian of width s has the correlation exp(-(d / 2s)^2), which is 1/e at 2s."""
    noise = ndimage.gaussian_filter(np.random.default_rng(1).normal(size=(512, 512)), spread, mode="wrap")
    found = correlation_range(correlogram(noise.astype(np.float32)[None], np.ones((512, 512), bool)))
    assert found == pytest.approx(2 * spread, rel=0.12)


def test_the_range_of_labels_grows_with_their_patches() -> None:
    generator = np.random.default_rng(2)
    known = np.ones((240, 240), bool)
    ranges = []
    for side in (4, 12, 24):
        blocks = generator.integers(0, 3, (240 // side, 240 // side)).astype(np.uint8)
        indices = blocks.repeat(side, 0).repeat(side, 1)
        ranges.append(correlation_range(correlogram(class_planes(indices, Coding(3)), known)))
    # Correlation within squares falls in a line: 1/e is reached at (1 - 1/e) of their side.
    assert ranges == pytest.approx([0.632 * side for side in (4, 12, 24)], rel=0.12)


def test_nothing_is_known_of_flat_or_missing_ground() -> None:
    flat = np.ones((1, 40, 40), dtype=np.float32)
    assert np.isnan(correlation_range(correlogram(flat, np.ones((40, 40), bool))))
    assert np.isnan(correlation_range(correlogram(flat, np.zeros((40, 40), bool))))
    assert correlation_range([1.0, 0.9, 0.8]) == 2.0


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 9))
def test_any_shape_gives_a_finite_range_or_none(height: int, width: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    plane = generator.normal(size=(1, height, width)).astype(np.float32)
    found = correlation_range(correlogram(plane, generator.random((height, width)) < 0.9))
    assert np.isnan(found) or 0 <= found <= max(height, width)
