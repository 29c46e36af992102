"""Arrays at another size: means over area, straight lines between centres, whatever library holds them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from terraseg.pixels.resample import filled_near, resampled, taps


@given(st.integers(1, 40), st.integers(1, 40))
def test_weights_add_up_to_one_and_stay_inside(old: int, new: int) -> None:
    way = taps(old, new)
    assert np.allclose(way.weights.sum(axis=0), 1)
    assert way.places.min() >= 0
    assert way.places.max() < old
    assert way.weights.min() >= 0


@given(st.integers(1, 30), st.integers(1, 30))
def test_a_constant_stays_and_a_ramp_keeps_its_order(old: int, new: int) -> None:
    ramp = np.arange(old, dtype=np.float32)[None, None, :, None]
    out = resampled(ramp, new, 1)[0, 0, :, 0]
    assert (np.diff(out) >= 0).all()
    assert np.allclose(resampled(np.full((1, 2, old, 3), 7, dtype=np.uint8), new, 5), 7)


@given(st.integers(1, 12), st.integers(1, 12), st.integers(1, 4))
def test_shrinking_by_a_whole_number_is_the_mean_of_blocks(height: int, width: int, factor: int) -> None:
    rng = np.random.default_rng(height * 100 + width * 10 + factor)
    array = rng.integers(0, 256, (2, 3, height * factor, width * factor), dtype=np.uint8)
    blocks = array.reshape(2, 3, height, factor, width, factor).astype(np.float64).mean(axis=(3, 5))
    assert np.allclose(resampled(array, height, width), blocks, atol=1e-3)


@given(st.integers(2, 40), st.data())
def test_shrinking_is_the_mean_over_the_ground_of_each_pixel(old: int, data: st.DataObject) -> None:
    """Against the integral of the step function."""
    new = data.draw(st.integers(1, old - 1))
    values = np.random.default_rng(old * 50 + new).random(old)
    integral = np.concatenate([[0.0], np.cumsum(values)])
    edges = np.interp(np.arange(new + 1) * old / new, np.arange(old + 1), integral)
    expected = np.diff(edges) * new / old
    found = resampled(values.astype(np.float32)[None, None, None], 1, new)[0, 0, 0]
    assert np.allclose(found, expected, atol=1e-5)


def test_growing_meets_the_line_between_centres() -> None:
    array = np.array([[0.0, 10.0]], dtype=np.float32)[None, None]
    assert np.allclose(resampled(array, 1, 4)[0, 0, 0], [0, 2.5, 7.5, 10])


def test_probabilities_still_add_up_to_one() -> None:
    scores = np.random.default_rng(1).dirichlet(np.ones(5), size=(2, 17, 13)).astype(np.float32).transpose(0, 3, 1, 2)
    for size in ((40, 31), (5, 6)):
        assert np.allclose(resampled(scores, *size).sum(axis=1), 1, atol=1e-5)


def test_a_tensor_gives_the_same_as_an_array() -> None:
    torch = pytest.importorskip("torch")
    array = np.random.default_rng(2).random((2, 3, 20, 30), dtype=np.float32)
    for size in ((9, 44), (20, 30), (33, 7)):
        assert np.allclose(resampled(torch.from_numpy(array), *size).numpy(), resampled(array, *size), atol=1e-6)


def test_what_goes_in_is_not_changed() -> None:
    array = np.random.default_rng(3).random((1, 1, 8, 8), dtype=np.float32)
    before = array.copy()
    resampled(array, 8, 4)
    resampled(array, 16, 8)
    assert np.array_equal(array, before)


@given(st.integers(1, 3), st.integers(0, 50), st.sampled_from(["uint8", "float32"]))
def test_gaps_are_filled_with_the_mean_of_the_valid_pixels_around(reach: int, seed: int, dtype: str) -> None:
    """Against each pixel's square by itself; over more than one strip."""
    random = np.random.default_rng(seed)
    pixels, valid = random.integers(1, 250, (2, 141, 9)).astype(dtype), random.random((141, 9)) < 0.4
    found = filled_near(pixels, valid, reach)
    for row, col in random.integers(0, (141, 9), (30, 2)):
        place = np.s_[max(0, row - reach) : row + reach + 1, max(0, col - reach) : col + reach + 1]
        known = valid[place]
        wanted = pixels[:, row, col].astype(np.float64)
        if not valid[row, col] and known.any():
            wanted = pixels[:, *place][:, known].astype(np.float64).mean(axis=1)
        assert np.allclose(found[:, row, col], wanted, atol=0.5 if dtype == "uint8" else 1e-4)
