"""What happens between two steps of a training: rates, validations, checkpoints, and the end."""

import math
import time
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from terraseg.errors import TrainingFailed
from terraseg.store.rundir import write_csv
from terraseg.train.afford import affordable
from terraseg.train.average import SWA_START, Average, start_average
from terraseg.train.checkpoints import Checkpoint, TrainingState, saving, write_last
from terraseg.train.clock import Clock
from terraseg.train.judge import SETTLED, Verdict, judge
from terraseg.train.module import SegmentationModule
from terraseg.train.optimizer import set_rates
from terraseg.train.processes import decided
from terraseg.train.schedule import Held, Schedule, build_schedule
from terraseg.train.stage import Stage
from terraseg.train.validation import TIME_SHARE, VALIDATIONS
from terraseg.train.watch import TrainEvent

CHECKPOINT_SECONDS = 60.0
LOOK_EVERY_ON_GPU = 16
"""Steps between two looks at the loss on a GPU: each look waits for the device."""
BOARD_EVERY = 10
SMOOTHING = 0.9
SLACK = 1.2
"""Validations may take this much more of a time budget than `TIME_SHARE` before some are left out."""


class Conductor(Callback):
    """Leads Lightning's trainer through a run, from the checkpoint in which an earlier sitting left it.

    Of several processes the leading one decides whatever depends on the clock, writes and speaks; the others are told.
    """

    def __init__(self, stage: Stage, state: TrainingState, clock: Clock, earlier: Checkpoint | None) -> None:
        self.stage, self.state, self.clock = stage, state, clock
        self.schedule = schedule_of(stage)
        self.interrupted = False
        self._earlier = earlier
        self._average: Average | None = None
        self._pending: list[Tensor] = []
        self._mark = self._saved_at = time.monotonic()
        self._step_s = self._validation_s = self._validating_s = 0.0
        self._loss: float | None = None
        last = next((row for row in reversed(state.rows) if row["mean_iou"] is not None), None)
        self._score = None if last is None else (float(last["accuracy"]), float(last["mean_iou"]))
        self._lr = self.schedule.learning_rate(state.fraction)
        self._saved_step = state.step
        self._note = ""

    def interrupt(self) -> None:
        """Asks for a checkpoint and the end after the step that is being taken."""
        self.interrupted = True

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Takes up optimizer and average where they were, and starts the schedule's clock."""
        module, state, plan = _segmentation(pl_module), self.state, self.stage.plan
        self._average = start_average(plan.average, module.network)
        if self._earlier is not None:
            trainer.optimizers[0].load_state_dict(self._earlier.optimizer)
            if self._average is not None and self._earlier.average is not None:
                self._average.resume(self._earlier.average)
            self._earlier = None
        if plan.time_budget_s is not None and state.step == 0 and self.clock.setup is None:
            self.clock.closing = affordable(self.stage, module, self.clock)
        if self.clock.setup is None:
            self.clock.setup = self.clock.elapsed()
        self._mark = self._saved_at = time.monotonic()

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Sets learning rate, momentum and what stands still for the step."""
        module, state = _segmentation(pl_module), self.state
        (state.fraction,) = self._decided(self._fraction())
        module.step = state.step
        module.learning(frozen=state.fraction < self.stage.plan.freeze or self.stage.plan.encoder_rate == 0)
        self._lr = self.schedule.learning_rate(state.fraction)
        set_rates(trainer.optimizers[0], learning_rate=self._lr, momentum=self.schedule.momentum(state.fraction))

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Counts the step; then whatever is due."""
        module = _segmentation(pl_module)
        self._pending.append(outputs["loss"])
        self.state.step += 1
        if module.device.type == "cpu" or len(self._pending) >= LOOK_EVERY_ON_GPU:
            self._look()
        self._time_step()
        self._note_parts(module)
        before = self.state.fraction
        self.state.fraction, last = self._decided(self._fraction(), self._fraction(ahead=self._step_s / 2) >= 1)
        (due,) = self._decided(self._validation_due(before))
        if self._average is not None and self._average.due(before, self.state.fraction):
            self._average.add(module.network, self.state.fraction)
        done = bool(last)
        if done or due:
            self._validate(module, done=done)
            done = done or self.state.stopped_early
            self.state.finished = done
            self._save(trainer, module)
        elif time.monotonic() - self._saved_at >= CHECKPOINT_SECONDS:
            self._save(trainer, module)
        self._tell()
        # Read once: a Ctrl-C that comes after this line ends the next step.
        interrupted = self.interrupted = bool(decided(self.stage.world, [self.interrupted])[0])
        if interrupted and self._saved_step != self.state.step:
            self._save(trainer, module)
        trainer.should_stop = done or interrupted
        self._mark = time.monotonic()

    def _fraction(self, ahead: float = 0.0) -> float:
        return max(self.state.fraction, self.clock.fraction(self.stage.plan, self.state.step, ahead=ahead))

    def _decided(self, *numbers: float) -> list[float]:
        """What depends on the clock, as the leading process sees it; by steps every process comes to the same."""
        return list(numbers) if self.stage.plan.time_budget_s is None else decided(self.stage.world, numbers)

    def _time_step(self) -> None:
        seconds = time.monotonic() - self._mark
        self._step_s = seconds if not self._step_s else SMOOTHING * self._step_s + (1 - SMOOTHING) * seconds

    def _note_parts(self, module: SegmentationModule) -> None:
        if module.accumulate > max(self.state.accumulate, self.stage.plan.accumulate):
            self.state.accumulate = module.accumulate
            self._note = f"out of memory: a batch is computed in {module.accumulate} parts from now on"

    def _look(self) -> None:
        """Takes the losses of the last steps from the device; raises `TrainingFailed` at one that is not finite."""
        if not self._pending:
            return
        first = self.state.step - len(self._pending) + 1
        for step, loss in enumerate(torch.stack(self._pending).tolist(), start=first):
            if not math.isfinite(loss):
                raise TrainingFailed(
                    f"the loss is {loss} at step {step}: the steps have become too large. Set a smaller learning_rate, "
                    'precision = "fp32" or another seed under [train]; the checkpoint from before is kept'
                )
            self.state.loss_sum += loss
            self.state.loss_count += 1
            self._loss = loss if self._loss is None else SMOOTHING * self._loss + (1 - SMOOTHING) * loss
        self._pending.clear()

    def _validation_due(self, before: float) -> bool:
        """True when the last step led over one of the marks of the plan, and the clock has room for a validation."""
        plan, state = self.stage.plan, self.state
        if plan.validate_every:
            due = state.step % plan.validate_every == 0
        else:
            due = math.floor(state.fraction * VALIDATIONS) > math.floor(before * VALIDATIONS)
        if plan.time_budget_s is None or not due:
            return due
        return self._validating_s + 2 * self._validation_s <= SLACK * TIME_SHARE * plan.time_budget_s

    def _validate(self, module: SegmentationModule, *, done: bool) -> None:
        """A row of `progress.csv`, with scores where there are validation windows, and the best weights if they are."""
        self._look()
        stage, state = self.stage, self.state
        started = time.monotonic()
        verdict = judge(stage, state, module, self._average)
        if verdict.last is not None:
            self._score = (verdict.last.accuracy, verdict.last.mean_iou)
            if stage.board is not None:
                stage.board.scores(state.step, verdict.last)
                stage.board.pictures(state.step, module, stage.scenes, stage.tiles[0])
        state.stopped_early = 0 < stage.plan.patience <= state.stale and state.fraction >= _earliest(stage) and not done
        state.rows.append(self._row(verdict))
        state.loss_sum, state.loss_count = 0.0, 0
        if stage.world.leads:
            with saving(stage.run.progress):
                write_csv(stage.run.progress, state.rows)
        self._validation_s = time.monotonic() - started
        self._validating_s += self._validation_s

    def _row(self, verdict: Verdict) -> dict[str, Any]:
        state, score = self.state, verdict.last
        row = {
            "step": state.step,
            "seconds": round(self.clock.elapsed(), 3),
            "lr": self._lr,
            "train_loss": state.loss_sum / max(1, state.loss_count),
            "val_loss": None if score is None else score.loss,
            "accuracy": None if score is None else score.accuracy,
            "mean_iou": None if score is None else score.mean_iou,
        }
        if self.stage.plan.average != "none":
            row["average_mean_iou"] = None if verdict.average is None else verdict.average.mean_iou
        return row

    def _save(self, trainer: Trainer, module: SegmentationModule) -> None:
        self._look()
        started, state = time.monotonic(), self.state
        state.elapsed, state.setup, state.closing = self.clock.elapsed(), self.clock.setup, self.clock.closing
        if self.stage.world.leads:
            network, optimizer = dict(module.network.state_dict()), trainer.optimizers[0].state_dict()
            write_last(self.stage.run.checkpoints, Checkpoint(state, network, optimizer, self._average))
        self._saved_at, self._saved_step = time.monotonic(), state.step
        if self._validation_s or not self.stage.tiles:
            # The end validates, writes the checkpoint and reads the best weights, a third of it, back.
            self.clock.closing = self._validation_s + 1.3 * (self._saved_at - started)

    def _tell(self) -> None:
        """The event for whoever watches; Ctrl-C in there ends the run as it would anywhere else."""
        stage, state = self.stage, self.state
        rate = stage.plan.batch / self._step_s if self._step_s else 0.0
        loss = self._loss if self._loss is not None else math.nan
        if stage.board is not None and state.step % BOARD_EVERY == 0:
            momentum = self.schedule.momentum(state.fraction)
            stage.board.rates(
                state.step, {"loss": loss, "lr": self._lr, "momentum": momentum, "samples per second": rate}
            )
        if stage.progress is None:
            return
        accuracy, mean_iou = self._score or (None, None)
        left = self.clock.seconds_left(stage.plan, state.step)
        event = TrainEvent(state.step, state.fraction, loss, accuracy, mean_iou, self._lr, rate, left, self._note)
        self._note = ""
        try:
            stage.progress(event)
        except KeyboardInterrupt:
            self.interrupt()


def schedule_of(stage: Stage) -> Schedule:
    """The plan's schedule; for a plain average of the weights it stands still while they are collected.

    A rate that goes on falling would leave nothing to average: the weights would hardly differ.
    """
    plan = stage.plan
    schedule = build_schedule(plan.schedule, plan.learning_rate, plan.warm_up)
    return Held(schedule, SWA_START) if plan.average == "swa" else schedule


def _earliest(stage: Stage) -> float:
    """Progress before which training is not stopped early; never, where the last part of it is to be averaged."""
    return math.inf if stage.plan.average == "swa" else SETTLED


def _segmentation(module: LightningModule) -> SegmentationModule:
    assert isinstance(module, SegmentationModule)
    return module
