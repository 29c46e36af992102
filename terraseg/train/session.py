"""One sitting of a training: what happens around each step that Lightning takes."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from terraseg.core.classes import Legend
from terraseg.core.plan import Plan
from terraseg.errors import TrainingFailed
from terraseg.store.cache import TrainingScene
from terraseg.store.rundir import RunFolder, write_csv
from terraseg.train.checkpoints import Tensors, TrainingState, write_best, write_last
from terraseg.train.module import SegmentationModule, set_rates
from terraseg.train.pictures import add_pictures
from terraseg.train.schedule import Clock, OneCycle
from terraseg.train.validation import TIME_SHARE, VALIDATIONS, Score, TileBatch, batch_limit, validate

FLUSH_S = 0.25
"""Losses are fetched from the device this often: a fetch waits for the device."""
EARLIEST_STOP = 0.65
"""Training never stops early before this progress: until then the one-cycle rate is too high to judge by."""
FIRST_CLOSING = 0.02
"""Share of a time budget kept for its end before the first validation tells how long one takes."""


@dataclass(frozen=True)
class TrainingEvent:
    """How training stands after a step. Scores are of the last validation, None before it; `seconds_left` may be infinite."""

    step: int
    fraction: float
    loss: float
    accuracy: float | None
    mean_iou: float | None
    learning_rate: float
    samples_per_s: float
    seconds_left: float

    @property
    def text(self) -> str:
        """The numbers in a line."""
        scores = "" if self.mean_iou is None else f" accuracy {self.accuracy or 0:.1%} mean IoU {self.mean_iou:.1%}"
        return f"step {self.step} loss {self.loss:.3f}{scores} {self.samples_per_s:.1f} samples/s"


@dataclass(frozen=True, eq=False)
class Setting:
    """What a sitting works on, fixed from its first step to its last."""

    plan: Plan
    run: RunFolder
    legend: Legend
    scenes: Sequence[TrainingScene]
    tiles: Sequence[TileBatch]
    checkpoint_s: float
    progress: Callable[[TrainingEvent], None] | None = None


@dataclass
class Recent:
    """Numbers for the screen: the smoothed loss, and the pace since the sitting began."""

    loss: float = math.nan
    steps: int = 0
    began: float = field(default_factory=time.monotonic)
    waiting: list[Tensor] = field(default_factory=list)
    flushed: float = 0.0


class Session(Callback):
    """Sets the rates before each step; after it counts, checks, validates, saves and reports."""

    def __init__(self, setting: Setting, state: TrainingState, clock: Clock, optimizer: dict[str, Any] | None) -> None:
        self.setting, self.state, self.clock = setting, state, clock
        self.cycle = OneCycle(setting.plan.learning_rate)
        self.interrupted = False
        self._optimizer = optimizer
        self._recent = Recent()
        self._saved = time.monotonic()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Takes up the optimizer of an earlier sitting and starts the clock of the schedule."""
        if self._optimizer is not None:
            trainer.optimizers[0].load_state_dict(self._optimizer)
            self._optimizer = None
        if self.state.step == 0:
            self.clock.setup = self.clock.elapsed()
            self.clock.closing = FIRST_CLOSING * (self.setting.plan.time_budget_s or 0.0)
        pl_module.train()
        self._recent = Recent()

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """The learning rate and momentum of this step."""
        state = self.state
        state.fraction = self.clock.fraction(self.setting.plan, state.step)
        set_rates(
            trainer.optimizers[0],
            learning_rate=self.cycle.learning_rate(state.fraction),
            momentum=self.cycle.momentum(state.fraction),
        )

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Counts the step; validates, saves and stops when it is time to."""
        assert isinstance(pl_module, SegmentationModule)
        plan, state = self.setting.plan, self.state
        state.step += 1
        pl_module.step = state.step
        self._recent.steps += 1
        self._recent.waiting.append(outputs["loss"].detach())
        fraction = self.clock.fraction(plan, state.step)
        due, over = self._is_due(fraction), fraction >= 1.0
        if due or over or time.monotonic() - self._recent.flushed > FLUSH_S:
            self._flush()
        if due or over:
            self._judge(trainer, pl_module)
        stop = over or self._has_stalled()
        if stop:
            state.finished, state.stopped_early = True, not over
        if stop or self.interrupted or time.monotonic() - self._saved >= self.setting.checkpoint_s:
            self._save(trainer, pl_module)
        trainer.should_stop = stop or self.interrupted
        self._report(fraction)

    def _is_due(self, fraction: float) -> bool:
        plan, state = self.setting.plan, self.state
        if plan.steps is not None:
            every = plan.validate_every or max(1, math.ceil(plan.steps / VALIDATIONS))
            return state.step % every == 0
        if plan.validate_every:
            return state.step % plan.validate_every == 0
        return fraction >= (len(state.rows) + 1) / VALIDATIONS

    def _flush(self) -> None:
        """Fetches the losses that wait on the device; `TrainingFailed` when one is no number."""
        recent, state = self._recent, self.state
        losses = torch.stack(recent.waiting).float().cpu().tolist() if recent.waiting else []
        recent.waiting.clear()
        recent.flushed = time.monotonic()
        for number, loss in enumerate(losses):
            if not math.isfinite(loss):
                step = state.step - len(losses) + number + 1
                raise TrainingFailed(
                    f"the loss of step {step} is {loss}: training has diverged; lower learning_rate under [train] (it is "
                    f"{self.setting.plan.learning_rate:g}), or look for extreme pixel values with `terraseg check`"
                )
            state.loss_sum += loss
            state.loss_count += 1
            recent.loss = loss if math.isnan(recent.loss) else 0.95 * recent.loss + 0.05 * loss

    def _judge(self, trainer: Trainer, module: SegmentationModule) -> None:
        """A row of `progress.csv`, with the scores of a validation where there is something to validate on."""
        state, setting = self.state, self.setting
        if state.rows and state.rows[-1]["step"] == state.step:
            return
        score = self._validate(module) if setting.tiles else None
        if score is not None:
            self._keep_best(module, score)
            add_pictures(trainer.loggers, module, setting, state.step)
        row = {
            "step": state.step,
            "seconds": round(self.clock.elapsed(), 2),
            "lr": self.cycle.learning_rate(state.fraction),
            "train_loss": state.loss_sum / state.loss_count if state.loss_count else None,
            "val_loss": None if score is None else _number(score.loss),
            "accuracy": None if score is None else _number(score.accuracy),
            "mean_iou": None if score is None else _number(score.mean_iou),
        }
        state.loss_sum, state.loss_count = 0.0, 0
        state.rows.append(row)
        write_csv(setting.run.progress, state.rows)
        for logger in trainer.loggers:
            logger.log_metrics({k: v for k, v in row.items() if v is not None and k != "step"}, step=state.step)

    def _validate(self, module: SegmentationModule) -> Score:
        plan, state, setting = self.setting.plan, self.state, self.setting
        most_s = math.inf
        if plan.steps is not None:
            state.swept = batch_limit(setting.tiles, plan)
        elif not state.swept:
            most_s = TIME_SHARE * (plan.time_budget_s or 0.0) / VALIDATIONS
        began = time.monotonic()
        score = validate(
            module,
            setting.scenes,
            setting.tiles[: state.swept or None],
            classes=len(setting.legend),
            autocast=lambda: autocast(plan),
            most_s=most_s,
        )
        state.swept = score.batches
        # The end takes one more validation and the writing of two checkpoints.
        self.clock.closing = 1.2 * (time.monotonic() - began) + 0.5
        return score

    def _keep_best(self, module: SegmentationModule, score: Score) -> None:
        state = self.state
        value = _number(score.mean_iou)
        best = state.best_score.get("mean_iou")
        if value is None or (best is not None and value <= best):
            state.stale += 1
            return
        state.best_step, state.stale = state.step, 0
        state.best_score = {"mean_iou": value, "accuracy": _number(score.accuracy), "loss": _number(score.loss)}
        state.best_score["iou"] = [_number(v) for v in score.iou]
        write_best(self.setting.run.checkpoints, state.step, state.key, weights_of(module))

    def _has_stalled(self) -> bool:
        patience = self.setting.plan.patience
        return 0 < patience <= self.state.stale and self.state.fraction >= EARLIEST_STOP

    def _save(self, trainer: Trainer, module: SegmentationModule) -> None:
        self._flush()
        state, clock = self.state, self.clock
        state.elapsed, state.setup, state.closing = clock.elapsed(), clock.setup or 0.0, clock.closing
        write_last(self.setting.run.checkpoints, state, weights_of(module), trainer.optimizers[0].state_dict())
        self._saved = time.monotonic()

    def _report(self, fraction: float) -> None:
        if self.setting.progress is None:
            return
        plan, state, recent = self.setting.plan, self.state, self._recent
        pace = recent.steps * plan.batch / max(1e-9, time.monotonic() - recent.began)
        last = state.rows[-1] if state.rows else {}
        rate = self.cycle.learning_rate(state.fraction)
        left = self.clock.seconds_left(plan, state.step)
        event = TrainingEvent(
            state.step, fraction, recent.loss, last.get("accuracy"), last.get("mean_iou"), rate, pace, left
        )
        self.setting.progress(event)


def weights_of(module: SegmentationModule) -> Tensors:
    """The network's weights and statistics, copied to the host."""
    return {name: tensor.detach().cpu().clone() for name, tensor in module.network.state_dict().items()}


def autocast(plan: Plan) -> Any:
    """The arithmetic of the plan's precision, for a forward pass outside Lightning's step."""
    return torch.autocast(plan.device.split(":")[0], dtype=torch.bfloat16, enabled=plan.precision == "bf16")


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
