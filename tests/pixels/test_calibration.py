"""Temperatures against models whose true one is known."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import optimize, special

from terraseg.pixels.calibration import COLDEST, HOTTEST, calibration_error, certainties, fit_temperature

Sample = tuple[NDArray[np.float64], NDArray[np.int64]]
Maker = Callable[[int, float], Sample]


def overconfident(seed: int, times: float, count: int = 20_000, classes: int = 4) -> Sample:
    """Labels drawn by honest logits, and those logits made louder."""
    random = np.random.default_rng(seed)
    honest = random.normal(0, 1.5, (count, classes))
    labels = (special.softmax(honest, axis=1).cumsum(axis=1) > random.random((count, 1))).argmax(axis=1)
    return times * honest, labels.astype(np.int64)


def layered(seed: int, times: float) -> Sample:
    random = np.random.default_rng(seed)
    honest = random.normal(0, 1.5, (20_000, 3))
    return times * honest, (random.random(honest.shape) < special.expit(honest)).astype(np.int64)


@pytest.mark.parametrize("make", [overconfident, layered])
@pytest.mark.parametrize("times", [0.6, 1.0, 3.0])
def test_the_temperature_that_made_a_model_loud_is_found(make: Maker, times: float) -> None:
    assert fit_temperature(*make(0, times)) == pytest.approx(times, rel=0.04)


@pytest.mark.parametrize("make", [overconfident, layered])
def test_the_error_is_at_least_halved_on_pixels_that_were_not_fitted(make: Maker) -> None:
    temperature = fit_temperature(*make(1, 4.0))
    unseen = make(2, 4.0)
    before, after = (calibration_error(*certainties(*unseen, t)) for t in (1.0, temperature))
    assert before > 0.1
    assert after < before / 10


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 999), st.floats(0.4, 5))
def test_no_other_temperature_is_likelier(seed: int, times: float) -> None:
    logits, labels = overconfident(seed, times, 500)

    def loss(temperature: float) -> float:
        return float(-special.log_softmax(logits / temperature, axis=1)[np.arange(500), labels].mean())

    best = optimize.minimize_scalar(loss, bounds=(COLDEST, HOTTEST), method="bounded").fun
    assert loss(fit_temperature(logits, labels)) <= best + 1e-6


def test_the_class_stays_whatever_the_temperature() -> None:
    logits, labels = overconfident(5, 2.0, 1000)
    right = [certainties(logits, labels, t)[1] for t in (0.3, 1.0, 7.0)]
    np.testing.assert_array_equal(right[0], right[1])
    np.testing.assert_array_equal(right[0], right[2])


def test_labels_that_are_always_or_never_met_end_at_the_bounds() -> None:
    logits = np.array([[2.0, 0.0], [0.0, 2.0]])
    assert fit_temperature(logits, np.array([0, 1])) == COLDEST
    assert fit_temperature(logits, np.array([1, 0])) == HOTTEST
    assert fit_temperature(np.zeros((0, 2)), np.zeros(0, dtype=np.int64)) == 1.0


def test_the_error_is_the_mean_gap_over_steps_of_confidence() -> None:
    random = np.random.default_rng(0)
    confidence = random.random(2000)
    right = random.random(2000) < confidence**2
    want = 0.0
    for step in range(15):
        chosen = (confidence >= step / 15) & (confidence < (step + 1) / 15)
        want += chosen.mean() * abs(confidence[chosen].mean() - right[chosen].mean())
    assert calibration_error(confidence, right) == pytest.approx(want)
