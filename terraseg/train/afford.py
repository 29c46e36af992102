"""Whether a time budget holds a training at all, found by trying."""

import math
import time

from terraseg.errors import TrainingFailed
from terraseg.train.clock import Clock
from terraseg.train.module import SegmentationModule
from terraseg.train.processes import decided
from terraseg.train.stage import Stage
from terraseg.train.validation import STEP_COST, TIME_SHARE, VALIDATIONS, validate

ROOM = 1.1
"""A budget that is proposed leaves this much more than what was measured."""


def affordable(stage: Stage, module: SegmentationModule, clock: Clock) -> float:
    """The seconds to keep back for the end of a run with a time budget.

    Raises `TrainingFailed`, with the smallest budget that would do, where it does not hold one step and one validation.
    """
    budget = stage.plan.time_budget_s or 0.0
    for attempt in range(2):
        trial = _trial_seconds(stage, module)
        step = trial * STEP_COST * _step_pixels(stage)
        closing = max(TIME_SHARE * budget / VALIDATIONS, trial) if stage.tiles else 0.0
        gone = clock.elapsed()
        needed = gone + step + trial
        too_small, needed, closing = decided(stage.world, [needed >= budget, needed, closing])
        if not too_small:
            return closing
        # The first pass through a network is slow: only the second counts against a budget.
        if attempt:
            break
    raise TrainingFailed(
        f"the time budget of {budget:g} s is too small: after {gone:.1f} s everything is ready, and one step with one "
        f"validation takes {step + trial:.1f} s more. Pass --time-budget {math.ceil(ROOM * needed)}s or longer"
    )


def _step_pixels(stage: Stage) -> float:
    """Pixels of a training step for each pixel of the first batch of validation tiles."""
    if not stage.tiles:
        return 0.0
    tiles = sum(tile.window.height * tile.window.width for tile in stage.tiles[0])
    return stage.plan.batch * stage.plan.crop**2 / tiles


def _trial_seconds(stage: Stage, module: SegmentationModule) -> float:
    """The seconds that one batch of validation tiles takes this process; 0 without tiles."""
    if not stage.tiles:
        return 0.0
    started = time.monotonic()
    validate(module, stage.scenes, stage.tiles[: stage.world.size])
    return time.monotonic() - started
