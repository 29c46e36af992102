"""Progress by steps and by time."""

from dataclasses import replace

import pytest

from terraseg.core.plan import Plan
from terraseg.train.clock import Clock


def test_progress_by_steps_knows_no_time(plan: Plan) -> None:
    assert Clock().fraction(replace(plan, steps=40), 10) == 0.25


def test_progress_by_time_runs_from_the_first_step_to_the_closing(plan: Plan) -> None:
    now = [100.0]
    timed = replace(plan, steps=None, time_budget_s=60.0)
    clock = Clock(now=lambda: now[0])
    now[0] = 110.0
    clock.setup = clock.elapsed()
    clock.closing = 10.0
    assert clock.fraction(timed, 5) == 0.0
    now[0] = 130.0
    assert clock.fraction(timed, 5) == pytest.approx(0.5)
    assert clock.fraction(timed, 5, ahead=4.0) == pytest.approx(0.6)
    assert clock.seconds_left(timed, 5) == 30.0
    now[0] = 151.0
    assert clock.fraction(timed, 5) == 1.0


def test_a_later_sitting_counts_the_seconds_of_the_earlier(plan: Plan) -> None:
    now = [0.0]
    clock = Clock(now=lambda: now[0])
    clock.resume(before=25.0, setup=5.0, closing=5.0)
    now[0] = 5.0
    assert clock.fraction(replace(plan, steps=None, time_budget_s=60.0), 9) == pytest.approx(0.5)


def test_seconds_left_by_steps_follow_the_pace(plan: Plan) -> None:
    now = [0.0]
    clock = Clock(now=lambda: now[0])
    clock.setup = 0.0
    assert clock.seconds_left(plan, 0) == float("inf")
    now[0] = 6.0
    assert clock.seconds_left(replace(plan, steps=40), 10) == pytest.approx(18.0)
