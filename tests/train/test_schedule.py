"""Learning rate and momentum over the progress of training."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from terraseg.errors import UnknownName
from terraseg.train.schedule import SCHEDULES, Held, OneCycle, build_schedule


def test_the_rate_rises_to_its_peak_and_falls_to_almost_nothing() -> None:
    cycle = OneCycle(0.01)
    rates = np.array([cycle.learning_rate(f) for f in np.linspace(0, 1, 1001)])
    assert rates[0] == pytest.approx(0.01 / 25)
    assert rates[-1] == pytest.approx(0.01 / 1e5)
    assert rates.argmax() == 300
    assert (np.diff(rates[:301]) > 0).all()
    assert (np.diff(rates[300:]) < 0).all()


def test_momentum_mirrors_the_rate() -> None:
    cycle = OneCycle(0.01)
    assert [cycle.momentum(f) for f in (0.0, 0.3, 1.0)] == pytest.approx([0.95, 0.85, 0.95])
    assert cycle.momentum(-1) == cycle.momentum(0)
    assert cycle.learning_rate(2) == cycle.learning_rate(1)


@pytest.mark.parametrize("name", list(SCHEDULES))
@given(fraction=st.floats(0, 1), warm_up=st.floats(0, 0.9))
def test_every_rate_lies_between_nothing_and_the_peak_and_is_at_the_peak_after_the_warm_up(
    name: str, fraction: float, warm_up: float
) -> None:
    schedule = build_schedule(name, 0.01, warm_up)
    assert 0 <= schedule.learning_rate(fraction) <= 0.01 * (1 + 1e-12)
    assert schedule.learning_rate(warm_up) == pytest.approx(0.01)
    assert schedule.learning_rate(1.0) <= 0.01 / 1e4
    assert 0.8 <= schedule.momentum(fraction) < 1


@pytest.mark.parametrize("name", list(SCHEDULES))
def test_the_rate_rises_through_the_warm_up_and_falls_after(name: str) -> None:
    schedule = build_schedule(name, 1.0, 0.2)
    rates = np.array([schedule.learning_rate(f) for f in np.linspace(0, 1, 501)])
    assert rates.argmax() == 100
    assert (np.diff(rates[:101]) > 0).all()
    assert (np.diff(rates[100:]) < 0).all()


def test_poly_and_cosine_are_what_their_papers_say() -> None:
    poly, cosine = build_schedule("poly", 2.0, 0.0), build_schedule("cosine", 2.0, 0.0)
    places = np.linspace(0, 1, 11)
    np.testing.assert_allclose([poly.learning_rate(f) for f in places], 2 * (1 - places) ** 0.9, atol=1e-12)
    np.testing.assert_allclose([cosine.learning_rate(f) for f in places], 1 + np.cos(np.pi * places), atol=1e-12)
    assert {poly.momentum(f) for f in places} == {cosine.momentum(f) for f in places} == {0.9}


def test_a_held_schedule_stands_still_from_its_start() -> None:
    held = Held(OneCycle(1.0), 0.75)
    assert held.learning_rate(0.5) == OneCycle(1.0).learning_rate(0.5)
    assert {held.learning_rate(f) for f in (0.75, 0.9, 1.0)} == {OneCycle(1.0).learning_rate(0.75)}
    assert held.momentum(1.0) == OneCycle(1.0).momentum(0.75)


def test_an_unknown_schedule_is_refused_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match="did you mean 'cosine'"):
        build_schedule("cosin", 1.0, 0.1)
