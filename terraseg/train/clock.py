"""How far training is: by steps, or by the time it may take."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from terraseg.core.plan import Plan


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
