import numpy as np
import pytest

from terraseg.town.texture import blurred, smooth_noise


@pytest.mark.parametrize("scale", [1.0, 4.0, 17.5])
def test_noise_has_mean_0_and_deviation_1(scale: float) -> None:
    field = smooth_noise(np.random.default_rng(3), (700, 900), scale)
    assert field.shape == (700, 900)
    assert field.dtype == np.float32
    assert abs(field.mean()) < 0.1
    assert field.std() == pytest.approx(1, abs=0.1)


def test_neighbours_are_alike_within_the_scale_and_strangers_beyond() -> None:
    field = smooth_noise(np.random.default_rng(3), (600, 600), 12.0)
    assert np.corrcoef(field[:, :-2].ravel(), field[:, 2:].ravel())[0, 1] > 0.95
    assert abs(np.corrcoef(field[:, :-60].ravel(), field[:, 60:].ravel())[0, 1]) < 0.1


def test_a_scene_smaller_than_one_bump_is_nearly_even() -> None:
    field = smooth_noise(np.random.default_rng(0), (8, 8), 5000.0)
    assert np.ptp(field) < 0.05


def test_blurring_keeps_the_sum_and_spreads_a_point() -> None:
    point = np.zeros((21, 21), dtype=np.float32)
    point[10, 10] = 1
    spread = blurred(point, 1.2)
    assert spread.sum() == pytest.approx(1, rel=1e-5)
    rows = np.arange(21) - 10
    assert np.sqrt((spread.sum(axis=1) * rows**2).sum()) == pytest.approx(1.2, rel=0.05)
    np.testing.assert_array_equal(blurred(point, 0.0), point)
