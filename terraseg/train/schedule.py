"""The learning rate and momentum that belong to each moment of a training, as functions of its progress from 0 to 1."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from terraseg.errors import UnknownName, nearest


class Schedule(Protocol):
    """Learning rate and momentum (Adam's first beta) over the progress of training from 0 to 1; outside as at the ends."""

    def learning_rate(self, fraction: float) -> float:
        """The learning rate at a progress."""
        ...

    def momentum(self, fraction: float) -> float:
        """The momentum at a progress."""
        ...


@dataclass(frozen=True)
class OneCycle:
    """The one-cycle policy.

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
        place, rising = _phase(fraction, self.warm_up)
        if rising:
            return _cosine(self.peak / self.division, self.peak, place)
        return _cosine(self.peak, self.peak / self.final_division, place)

    def momentum(self, fraction: float) -> float:
        """The momentum at a progress from 0 to 1."""
        place, rising = _phase(fraction, self.warm_up)
        return _cosine(self.high, self.low, place) if rising else _cosine(self.low, self.high, place)


@dataclass(frozen=True)
class Cosine:
    """A straight rise to `peak` over the share `warm_up`, then half a cosine to zero, at constant momentum.

    Method: Loshchilov and Hutter, "SGDR", ICLR 2017, without restarts.
    """

    peak: float
    warm_up: float = 0.05
    beta: float = 0.9

    def learning_rate(self, fraction: float) -> float:
        """The learning rate at a progress from 0 to 1.

        >>> round(Cosine(1.0, warm_up=0.2).learning_rate(0.6), 6)
        0.5
        """
        place, rising = _phase(fraction, self.warm_up)
        return self.peak * place if rising else _cosine(self.peak, 0.0, place)

    def momentum(self, fraction: float) -> float:  # noqa: ARG002  # the same at every progress
        """The momentum, which is constant."""
        return self.beta


@dataclass(frozen=True)
class Poly:
    """A straight rise to `peak` over the share `warm_up`, then (1 - progress) ** `power`, at constant momentum.

    Method: Chen et al., "DeepLab", TPAMI 2018.
    """

    peak: float
    warm_up: float = 0.05
    power: float = 0.9
    beta: float = 0.9

    def learning_rate(self, fraction: float) -> float:
        """The learning rate at a progress from 0 to 1.

        >>> Poly(1.0, warm_up=0.0, power=1.0).learning_rate(0.25)
        0.75
        """
        place, rising = _phase(fraction, self.warm_up)
        return self.peak * place if rising else float(self.peak * (1 - place) ** self.power)

    def momentum(self, fraction: float) -> float:  # noqa: ARG002  # the same at every progress
        """The momentum, which is constant."""
        return self.beta


@dataclass(frozen=True)
class Held:
    """Another schedule that stands still from the progress `start` on."""

    schedule: Schedule
    start: float

    def learning_rate(self, fraction: float) -> float:
        """The learning rate of the other schedule, at `start` at the latest.

        >>> Held(Poly(1.0, warm_up=0.0, power=1.0), 0.75).learning_rate(0.9)
        0.25
        """
        return self.schedule.learning_rate(min(fraction, self.start))

    def momentum(self, fraction: float) -> float:
        """The momentum of the other schedule, at `start` at the latest."""
        return self.schedule.momentum(min(fraction, self.start))


SCHEDULES: dict[str, Callable[[float, float], Schedule]] = {"one-cycle": OneCycle, "cosine": Cosine, "poly": Poly}
"""What `plan.schedule` may name; each is built from the peak rate and the share of warm-up."""


def build_schedule(name: str, peak: float, warm_up: float) -> Schedule:
    """The schedule of that name; `UnknownName` lists the known ones."""
    if name not in SCHEDULES:
        raise UnknownName(f"there is no schedule {name!r}: {nearest(name, SCHEDULES)}")
    return SCHEDULES[name](peak, warm_up)


def _phase(fraction: float, warm_up: float) -> tuple[float, bool]:
    """How far, from 0 to 1, progress is within the rise (true) or the fall (false)."""
    at = min(max(fraction, 0.0), 1.0)
    if at < warm_up:
        return at / warm_up, True
    return (at - warm_up) / (1 - warm_up), False


def _cosine(start: float, stop: float, place: float) -> float:
    return start + (stop - start) * (1 - math.cos(math.pi * place)) / 2
