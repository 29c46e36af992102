"""How far training is, and the learning rate and momentum that belong there."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from terraseg.core.plan import Plan


@dataclass(frozen=True)
class OneCycle:
    """The one-cycle policy over the progress of training from 0 to 1.

    The learning rate rises from `peak / division` to `peak` over the share `warm_up` and falls to
    `peak / final_division`, both along half a cosine; momentum mirrors it between `high` and `low`.
    Method: Smith and Topin, "Super-convergence", 2018, in the two-phase form of fastai.
    """

    peak: float
    warm_up: float = 0.3
    division: float = 25.0
    final_division: float = 1e5
    high: float = 0.95
    low: float = 0.85

    def learning_rate(self, fraction: float) -> float:
        """The learning rate at a progress from 0 to 1.

        >>> OneCycle(1.0).learning_rate(0.3)
        1.0
        """
        place, rising = self._phase(fraction)
        if rising:
            return _cosine(self.peak / self.division, self.peak, place)
        return _cosine(self.peak, self.peak / self.final_division, place)

    def momentum(self, fraction: float) -> float:
        """The momentum (Adam's first beta) at a progress from 0 to 1."""
        place, rising = self._phase(fraction)
        return _cosine(self.high, self.low, place) if rising else _cosine(self.low, self.high, place)

    def _phase(self, fraction: float) -> tuple[float, bool]:
        at = min(max(fraction, 0.0), 1.0)
        if at < self.warm_up:
            return at / self.warm_up, True
        return (at - self.warm_up) / (1 - self.warm_up), False


def _cosine(start: float, stop: float, place: float) -> float:
    return start + (stop - start) * (1 - math.cos(math.pi * place)) / 2


@dataclass
class Clock:
    """The seconds a run has taken, over all its sittings, and how they become progress.

    `before` are the seconds of earlier sittings, `setup` those that had gone when the first step began: the schedule
    runs from there. `closing` is kept back for the last validation and checkpoint.
    """

    before: float = 0.0
    setup: float | None = None
    closing: float = 0.0
    now: Callable[[], float] = time.monotonic
    started: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        self.started = self.now()

    def elapsed(self) -> float:
        """Seconds since training first began, waiting between sittings left out."""
        return self.before + self.now() - self.started

    def resume(self, before: float, setup: float | None, closing: float) -> None:
        """Goes on from where an earlier sitting stopped."""
        self.before, self.setup, self.closing = before, setup, closing

    def fraction(self, plan: Plan, step: int, *, ahead: float = 0.0) -> float:
        """Progress from 0 to 1 after so many steps: by them, or by time where the plan has a budget, `ahead` seconds on."""
        if plan.steps is not None:
            return min(1.0, step / plan.steps)
        budget = plan.time_budget_s or 0.0
        setup = self.setup or 0.0
        usable = budget - self.closing - setup
        return 1.0 if usable <= 0 else min(1.0, max(0.0, (self.elapsed() + ahead - setup) / usable))

    def seconds_left(self, plan: Plan, step: int) -> float:
        """An estimate of the seconds until the end."""
        if plan.time_budget_s is not None:
            return max(0.0, plan.time_budget_s - self.elapsed())
        done, setup = self.fraction(plan, step), self.setup or 0.0
        return (self.elapsed() - setup) * (1 - done) / done if done > 0 else math.inf
