"""What happens between two steps of a training: rates, validations, checkpoints, and the end."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from terraseg.core.plan import Plan
from terraseg.errors import TrainingFailed
from terraseg.store.cache import TrainingScene
from terraseg.store.rundir import RunFolder, write_csv
from terraseg.train.checkpoints import TrainingState, saving, write_best, write_last
from terraseg.train.module import SegmentationModule, set_rates
from terraseg.train.schedule import Clock, OneCycle
from terraseg.train.validation import TIME_SHARE, VALIDATIONS, Score, TileBatch, batch_limit, validate
from terraseg.train.watch import Board, Progress, TrainEvent

CHECKPOINT_SECONDS = 60.0
LOOK_EVERY_ON_GPU = 16
"""Steps between two looks at the loss on a GPU: each look waits for the device."""
BOARD_EVERY = 10
SMOOTHING = 0.9
EARLIEST_STOP = 0.65
"""Progress before which training is never stopped early: the warm-up and half of the descent after it."""
SLACK = 1.2
"""Validations may take this much more of a time budget than `TIME_SHARE` before some are left out."""


@dataclass(frozen=True, eq=False)
class Stage:
    """What a training runs on: its plan and folder, the open scenes, the validation tiles, and who watches."""

    plan: Plan
    run: RunFolder
    classes: int
    scenes: Sequence[TrainingScene]
    tiles: Sequence[TileBatch]
    autocast: Callable[[], Any]
    board: Board | None = None
    progress: Progress | None = None


class Conductor(Callback):
    """Leads Lightning's trainer through a run, from the state in which an earlier sitting left it."""

    def __init__(self, stage: Stage, state: TrainingState, clock: Clock, optimizer: dict[str, Any] | None) -> None:
        self.stage, self.state, self.clock = stage, state, clock
        self.cycle = OneCycle(stage.plan.learning_rate)
        self.interrupted = False
        self._optimizer = optimizer
        self._pending: list[Tensor] = []
        self._mark = self._saved_at = time.monotonic()
        self._step_s = self._validation_s = self._validating_s = 0.0
        self._loss: float | None = None
        last = next((row for row in reversed(state.rows) if row["mean_iou"] is not None), None)
        self._score = None if last is None else (float(last["accuracy"]), float(last["mean_iou"]))
        self._lr = self.cycle.learning_rate(state.fraction)
        self._saved_step = state.step

    def interrupt(self) -> None:
        """Asks for a checkpoint and the end after the step that is being taken."""
        self.interrupted = True

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Takes up the optimizer where it was, and starts the schedule's clock."""
        if self._optimizer is not None:
            trainer.optimizers[0].load_state_dict(self._optimizer)
            self._optimizer = None
        if self.clock.setup is None:
            self.clock.setup = self.clock.elapsed()
        budget = self.stage.plan.time_budget_s
        if budget is not None and not self.clock.closing and self.stage.tiles:
            self.clock.closing = TIME_SHARE * budget / VALIDATIONS
        if budget is not None and self.state.step == 0 and self.clock.fraction(self.stage.plan, 0) >= 1:
            raise TrainingFailed(
                f"the time budget of {budget:g} s is too small: {self.clock.elapsed():.1f} s were gone when everything was "
                "ready for the first step. Pass a longer --time-budget"
            )
        self._mark = self._saved_at = time.monotonic()

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Sets learning rate and momentum for the step."""
        state, fraction = self.state, self._fraction()
        state.fraction = fraction
        _segmentation(pl_module).step = state.step
        self._lr = self.cycle.learning_rate(fraction)
        set_rates(trainer.optimizers[0], learning_rate=self._lr, momentum=self.cycle.momentum(fraction))

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
        self._pending.append(outputs["loss"].detach())
        self.state.step += 1
        if module.device.type == "cpu" or len(self._pending) >= LOOK_EVERY_ON_GPU:
            self._look()
        self._time_step()
        before, self.state.fraction = self.state.fraction, self._fraction()
        done = self._fraction(ahead=self._step_s / 2) >= 1
        if done or self._validation_due(before):
            self._validate(module, done=done)
            done = done or self.state.stopped_early
            self.state.finished = done
            self._save(trainer, module)
        elif time.monotonic() - self._saved_at >= CHECKPOINT_SECONDS:
            self._save(trainer, module)
        self._tell()
        # Read once: a Ctrl-C that comes after this line ends the next step.
        interrupted = self.interrupted
        if interrupted and self._saved_step != self.state.step:
            self._save(trainer, module)
        trainer.should_stop = done or interrupted
        self._mark = time.monotonic()

    def _fraction(self, ahead: float = 0.0) -> float:
        return max(self.state.fraction, self.clock.fraction(self.stage.plan, self.state.step, ahead=ahead))

    def _time_step(self) -> None:
        seconds = time.monotonic() - self._mark
        self._step_s = seconds if not self._step_s else SMOOTHING * self._step_s + (1 - SMOOTHING) * seconds

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
        score = self._swept(module) if stage.tiles else None
        if score is not None and not score.pixels:
            score = None
        if score is not None:
            self._judge(score, module)
        state.stopped_early = 0 < stage.plan.patience <= state.stale and state.fraction >= EARLIEST_STOP and not done
        state.rows.append(self._row(score))
        state.loss_sum, state.loss_count = 0.0, 0
        with saving(stage.run.progress):
            write_csv(stage.run.progress, state.rows)
        self._validation_s = time.monotonic() - started
        self._validating_s += self._validation_s

    def _swept(self, module: SegmentationModule) -> Score:
        """The scores on the part of the validation windows that is swept every time; the first time settles it."""
        stage, state, budget = self.stage, self.state, self.stage.plan.time_budget_s
        most = math.inf
        if not state.swept and budget is None:
            state.swept = batch_limit(stage.tiles, stage.plan)
        elif not state.swept:
            state.swept, most = len(stage.tiles), TIME_SHARE * float(budget or 0) / VALIDATIONS
        tiles = stage.tiles[: state.swept]
        score = validate(module, stage.scenes, tiles, classes=stage.classes, autocast=stage.autocast, most_s=most)
        state.swept = score.batches
        return score

    def _judge(self, score: Score, module: SegmentationModule) -> None:
        stage, state = self.stage, self.state
        self._score = (score.accuracy, score.mean_iou)
        best = state.best_score
        if not best or (score.mean_iou, -score.loss) > (best["mean_iou"], -best["loss"]):
            state.best_step, state.best_score, state.stale = state.step, score.summary(), 0
            stage.run.checkpoints.mkdir(parents=True, exist_ok=True)
            write_best(stage.run.checkpoints, state.step, state.key, dict(module.network.state_dict()))
        else:
            state.stale += 1
        if stage.board is not None:
            stage.board.scores(state.step, score)
            stage.board.pictures(state.step, module, stage.scenes, stage.tiles[0], stage.autocast)

    def _row(self, score: Score | None) -> dict[str, Any]:
        state = self.state
        return {
            "step": state.step,
            "seconds": round(self.clock.elapsed(), 3),
            "lr": self._lr,
            "train_loss": state.loss_sum / max(1, state.loss_count),
            "val_loss": None if score is None else score.loss,
            "accuracy": None if score is None else score.accuracy,
            "mean_iou": None if score is None else score.mean_iou,
        }

    def _save(self, trainer: Trainer, module: SegmentationModule) -> None:
        self._look()
        started, state = time.monotonic(), self.state
        state.elapsed, state.setup, state.closing = self.clock.elapsed(), self.clock.setup, self.clock.closing
        folder = self.stage.run.checkpoints
        write_last(folder, state, dict(module.network.state_dict()), trainer.optimizers[0].state_dict())
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
            momentum = self.cycle.momentum(state.fraction)
            stage.board.rates(
                state.step, {"loss": loss, "lr": self._lr, "momentum": momentum, "samples per second": rate}
            )
        if stage.progress is None:
            return
        accuracy, mean_iou = self._score or (None, None)
        left = self.clock.seconds_left(stage.plan, state.step)
        try:
            stage.progress(TrainEvent(state.step, state.fraction, loss, accuracy, mean_iou, self._lr, rate, left))
        except KeyboardInterrupt:
            self.interrupt()


def _segmentation(module: LightningModule) -> SegmentationModule:
    assert isinstance(module, SegmentationModule)
    return module
