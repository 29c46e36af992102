"""What the world sees of a training: events for a live bar, rows for `progress.csv`, scalars and pictures for TensorBoard."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from lightning.pytorch.loggers import TensorBoardLogger

from terraseg.core.classes import Legend
from terraseg.core.fingerprint import Fingerprint
from terraseg.nets.scoring import mapped_labels
from terraseg.store.cache import TrainingScene
from terraseg.train.module import SegmentationModule
from terraseg.train.pictures import confusion_picture, picture_grid
from terraseg.train.validation import Score, TileBatch, read_tiles

PICTURES = 4
PICTURE_SIDE = 256


@dataclass(frozen=True)
class TrainEvent:
    """Training at one moment, for a bar or a line of text.

    `fraction` goes from 0 to 1. `loss` is the smoothed training loss; `accuracy` and `mean_iou` are those of the last
    validation, None before the first. `seconds_left` is infinite until there is something to judge it by. `note` is a
    sentence on what happened at this step, mostly none.
    """

    step: int
    fraction: float
    loss: float
    accuracy: float | None
    mean_iou: float | None
    lr: float
    samples_per_s: float
    seconds_left: float
    note: str = ""

    @property
    def text(self) -> str:
        """The event in a line, for a terminal.

        >>> TrainEvent(40, 0.5, 0.25, 0.9, 0.5, 1e-3, 12.34, 75.0).text
        'step 40 · loss 0.250 · accuracy 90.0 % · mean IoU 50.0 % · lr 1.0e-03 · 12.3 samples/s'
        """
        parts = [f"step {self.step}", f"loss {self.loss:.3f}"]
        if self.accuracy is not None and self.mean_iou is not None:
            parts += [f"accuracy {100 * self.accuracy:.1f} %", f"mean IoU {100 * self.mean_iou:.1f} %"]
        parts += [f"lr {self.lr:.1e}", f"{self.samples_per_s:.1f} samples/s", *([self.note] if self.note else [])]
        return " · ".join(parts)


Progress = Callable[[TrainEvent], None]


class Board:
    """TensorBoard's view of a run, through Lightning's logger; it goes on where an earlier sitting stopped."""

    def __init__(self, logger: TensorBoardLogger, legend: Legend, fingerprint: Fingerprint) -> None:
        self.logger, self.legend, self.fingerprint = logger, legend, fingerprint

    def rates(self, step: int, values: dict[str, float]) -> None:
        """Scalars of a training step."""
        for name, value in values.items():
            self.logger.experiment.add_scalar(f"train/{name}", value, step)

    def scores(self, step: int, score: Score) -> None:
        """Scalars of a validation, with the IoU of each class, and a confusion matrix as a picture where there is one."""
        board = self.logger.experiment
        for name, value in (("loss", score.loss), ("accuracy", score.accuracy), ("mean_iou", score.mean_iou)):
            board.add_scalar(f"validation/{name}", value, step)
        for name, value in zip(self.legend.names, score.iou, strict=True):
            if not np.isnan(value):
                board.add_scalar(f"iou/{name}", value, step)
        if not score.overlapping:
            picture = confusion_picture(score.matrix, self.legend.names)
            board.add_image("validation/confusion", picture, step, dataformats="HWC")

    def pictures(
        self,
        step: int,
        module: SegmentationModule,
        scenes: Sequence[TrainingScene],
        batch: TileBatch,
    ) -> None:
        """One picture: rows of scene, truth and prediction for the first tiles of a batch."""
        raw, labels = read_tiles(scenes, batch[:PICTURES])
        raw, labels = raw[..., :PICTURE_SIDE, :PICTURE_SIDE], labels[..., :PICTURE_SIDE, :PICTURE_SIDE]
        module.network.eval()
        with torch.inference_mode(), module.autocast():
            logits = module.network(module.normalised(raw.to(module.device)))
            mapped = mapped_labels(logits, overlapping=module.recipe.coding.overlapping)
        module.learning(frozen=module.frozen)
        predicted = mapped.cpu().numpy()
        grid = picture_grid(raw.numpy(), labels.numpy(), predicted, self.legend, self.fingerprint)
        self.logger.experiment.add_image("validation/scene, truth, prediction", grid, step, dataformats="HWC")

    def flush(self) -> None:
        """Everything so far on disk."""
        self.logger.experiment.flush()
