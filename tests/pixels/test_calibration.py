"""Temperatures against models whose true one is known."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import optimize, special

from terraseg.pixels.calibration import (
    COLDEST,
    HOTTEST,
    calibration_error,
    cautious_temperature,
    certainties,
    fit_temperature,
)

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


def test_ground_that_is_all_of_a_kind_gets_the_temperature_that_fits_it() -> None:
    blocks = [overconfident(seed, 3.0, 4000) for seed in range(8)]
    assert cautious_temperature(blocks) == pytest.approx(3.0, rel=0.05)
    assert cautious_temperature(blocks[:2]) == pytest.approx(3.0, rel=0.05)


def test_the_error_on_new_ground_is_halved_where_ground_differs() -> None:
    """Blocks need temperatures around 1.3 in the mean, the new ones half as much again: as validation windows and other sites."""
    random = np.random.default_rng(0)
    known, new = (
        [
            overconfident(seed, times, 3000)
            for seed, times in enumerate(middle * np.exp(random.normal(0, 0.3, 24)), start)
        ]
        for middle, start in ((1.3, 0), (1.9, 100))
    )
    unseen = np.concatenate([b[0] for b in new]), np.concatenate([b[1] for b in new])
    every = fit_temperature(np.concatenate([b[0] for b in known]), np.concatenate([b[1] for b in known]))
    before, plain, cautious = (
        calibration_error(*certainties(*unseen, t)) for t in (1.0, every, cautious_temperature(known))
    )
    assert cautious < before / 2 < plain


def test_blocks_with_few_pixels_or_too_modest_ones_do_not_raise_the_temperature() -> None:
    blocks = [overconfident(seed, 1.0, 4000) for seed in range(8)]
    slips = [(logits[:5], labels[:5] * 0) for logits, labels in (overconfident(99, 5.0, 10),) * 3]
    modest = [overconfident(seed, 0.3, 4000) for seed in range(20, 28)]
    assert cautious_temperature([*blocks, *slips]) == cautious_temperature(blocks) < 1.05
    assert cautious_temperature([*blocks, *modest]) < 1.05
    assert cautious_temperature(modest) == 1.0


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
