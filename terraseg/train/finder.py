"""The learning-rate range test: how the loss answers to a rising learning rate, and which rate to train with."""

import math
import time
from collections.abc import Sequence
from contextlib import ExitStack

import numpy as np

from terraseg.core.dataset import Dataset
from terraseg.core.fingerprint import Fingerprint
from terraseg.core.lrcurve import LrCurve
from terraseg.core.plan import Plan
from terraseg.errors import BadOption, TrainingFailed
from terraseg.store.cache import training_scenes
from terraseg.store.rundir import RunFolder
from terraseg.train.batches import Batches
from terraseg.train.loop import make_batches
from terraseg.train.module import SegmentationModule, build_module, means
from terraseg.train.optimizer import build_optimizer, set_rates
from terraseg.train.quiet import kept_generators, quiet_lightning, threads
from terraseg.train.schedule import OneCycle
from terraseg.train.watch import Progress, TrainEvent

__all__ = ["LrCurve", "find_learning_rate"]

LOWEST, HIGHEST = 1e-7, 10.0
FEWEST_STEPS = 10
MEMORY_DECADES = 0.8
"""Width of the exponential average of the losses, in powers of ten of the rate: enough to even out batches."""
CACHE_GB = 4.0
LEVEL_SHARE = 0.05
"""Share of a fall's depth that counts as its level start."""
DIVERGED = 4.0
"""The test ends when the smoothed loss exceeds its lowest value so far this many times."""


def find_learning_rate(
    dataset: Dataset,
    fingerprint: Fingerprint,
    plan: Plan,
    run: RunFolder,
    *,
    steps: int = 100,
    progress: Progress | None = None,
) -> LrCurve:
    """The loss of the plan's network over `steps` steps whose learning rate rises from 1e-7 to 10, and rates to train with.

    The weights are fresh, by the plan's seed, and thrown away; samples, augmentation, optimizer and precision are those
    of training. The same call gives the same curve on the same machine. The test ends early once the loss diverges. The
    run folder gains only its cache of scenes, which training uses too.

    Raises `BadOption` for fewer than 10 steps, `EmptyDataset` when there is nothing to train on, `TrainingFailed` when the
    first loss is not finite or the loss falls at no rate.

    Method: Smith, "Cyclical learning rates for training neural networks", WACV 2017, with exponential steps, smoothing
    with bias correction, and the end at divergence after Gugger, "How do you find a good learning rate", 2018.
    """
    if steps < FEWEST_STEPS:
        raise BadOption(f"a range test of {steps} steps: pass at least {FEWEST_STEPS}, or leave the default of 100")
    with ExitStack() as stack:
        for calm in (quiet_lightning(), threads(plan.threads), kept_generators()):
            stack.enter_context(calm)
        module = build_module(dataset, fingerprint, plan).to(plan.device)
        scenes = stack.enter_context(
            training_scenes(dataset, run.cache, cache_gb=CACHE_GB, fill=means(fingerprint), working=plan.working)
        )
        batches = make_batches(scenes, dataset, module)
        rates = [float(rate) for rate in np.geomspace(LOWEST, HIGHEST, steps)]
        losses = swept_losses(module, batches, rates, progress=progress)
    return curve_of(rates[: len(losses)], losses)


def swept_losses(
    module: SegmentationModule, batches: Batches, rates: Sequence[float], *, progress: Progress | None = None
) -> list[float]:
    """The smoothed loss at each rate, one optimizer step a rate; fewer than the rates when it diverges.

    The last value may be the one that diverged; one that is not finite is left out.
    """
    plan = module.recipe.plan
    optimizer = build_optimizer(module.network, plan)
    momentum = OneCycle(plan.learning_rate).low
    average = Smoothed(smoothing_of(rates))
    losses: list[float] = []
    began = time.monotonic()
    module.network.train()
    for step, rate in enumerate(rates):
        raw, labels = batches.batch(step)
        module.step = step
        set_rates(optimizer, learning_rate=rate, momentum=momentum)
        value = float(module.put_gradients((raw.to(plan.device), labels.to(plan.device))))
        if not math.isfinite(value):
            break
        module.step_with(optimizer)
        losses.append(average.add(value))
        if progress is not None:
            progress(_event(len(losses), len(rates), losses[-1], rate, (time.monotonic() - began, plan.batch)))
        if losses[-1] > DIVERGED * min(losses):
            break
    return losses


def _event(done: int, steps: int, loss: float, rate: float, pace: tuple[float, int]) -> TrainEvent:
    seconds, batch = pace
    per_step = seconds / done
    left = (steps - done) * per_step
    return TrainEvent(done, done / steps, loss, None, None, rate, batch / max(per_step, 1e-9), left)


def smoothing_of(rates: Sequence[float]) -> float:
    """The share that the average keeps at each step, so that it reaches back `MEMORY_DECADES`, however fine the test."""
    decades = math.log10(rates[-1] / rates[0]) / (len(rates) - 1)
    return math.exp(-decades / MEMORY_DECADES)


class Smoothed:
    """An exponential average without the pull of its start (Kingma and Ba, "Adam", 2015, section 3).

    >>> average = Smoothed(0.9)
    >>> [round(average.add(value), 3) for value in (2.0, 2.0, 2.0)]
    [2.0, 2.0, 2.0]
    """

    def __init__(self, keep: float) -> None:
        self.keep, self._sum, self._weight = keep, 0.0, 0.0

    def add(self, value: float) -> float:
        """The average with one value more."""
        self._sum = self.keep * self._sum + (1 - self.keep) * value
        self._weight = self.keep * self._weight + (1 - self.keep)
        return self._sum / self._weight


def curve_of(rates: Sequence[float], losses: Sequence[float]) -> LrCurve:
    """A curve with its suggestions; `TrainingFailed` when the loss falls nowhere."""
    if not losses:
        raise TrainingFailed(
            "the loss of the first step is not finite: look for extreme pixel values with `terraseg check`, "
            'or set precision = "fp32" under [train]'
        )
    lowest = int(np.argmin(losses))
    if lowest == 0:
        raise TrainingFailed(
            f"the loss falls at no learning rate from {rates[0]:g} to {rates[-1]:g} (it starts at {losses[0]:.3g}): "
            "look whether the labels fit the imagery with `terraseg check`, or raise the batch under [train]"
        )
    return LrCurve(tuple(rates), tuple(losses), rates[steepest(rates, losses)], rates[valley(losses)])


def steepest(rates: Sequence[float], losses: Sequence[float]) -> int:
    """Where the loss falls fastest over the logarithm of the rate, up to its lowest value.

    >>> steepest([1e-3, 1e-2, 1e-1, 1.0], [1.0, 0.9, 0.2, 3.0])
    1
    """
    lowest = int(np.argmin(losses))
    slopes = np.diff(np.asarray(losses, dtype=np.float64)) / np.diff(np.log(rates))
    # A loss is taken before its own step: what the step at one rate did shows in the next loss.
    return int(np.argmin(slopes[: max(1, lowest)]))


def valley(losses: Sequence[float]) -> int:
    """The middle of the longest fall: of the longest strictly falling subsequence, its level start left out.

    The fall counts from where `LEVEL_SHARE` of its depth is lost: at the lowest rates the loss hardly moves, and noise
    may let it fall for long. Of several equally long falls the first to be complete counts. Method: fastai's "valley",
    2021, which keeps the level start.

    >>> valley([5.0, 6.0, 4.0, 3.0, 3.5, 2.0, 9.0])
    3
    """
    fall = longest_fall(losses)
    top, bottom = losses[fall[0]], losses[fall[-1]]
    level = top - LEVEL_SHARE * (top - bottom)
    start = next((place for place in fall if losses[place] < level), fall[0])
    return (start + fall[-1]) // 2


def longest_fall(losses: Sequence[float]) -> list[int]:
    """The places of the longest strictly falling subsequence, by dynamic programming over its last places.

    >>> longest_fall([5.0, 6.0, 4.0, 3.0, 3.5, 2.0, 9.0])
    [0, 2, 3, 5]
    """
    lengths, previous = [1] * len(losses), [-1] * len(losses)
    for here in range(len(losses)):
        for before in range(here):
            if losses[here] < losses[before] and lengths[here] <= lengths[before]:
                lengths[here], previous[here] = lengths[before] + 1, before
    places = [int(np.argmax(lengths))]
    while previous[places[-1]] >= 0:
        places.append(previous[places[-1]])
    return places[::-1]
