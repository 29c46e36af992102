"""What the world sees of a training: events for a live bar, rows for `progress.csv`, scalars and pictures for TensorBoard."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from lightning.pytorch.loggers import TensorBoardLogger
from numpy.typing import NDArray

from terraseg.core.classes import VOID, Legend
from terraseg.core.fingerprint import Fingerprint
from terraseg.nets.scoring import as_classes
from terraseg.store.cache import TrainingScene
from terraseg.train.module import SegmentationModule
from terraseg.train.validation import Score, TileBatch, read_tiles

PICTURES = 4
PICTURE_SIDE = 256
GREY = (128, 128, 128)


@dataclass(frozen=True)
class TrainEvent:
    """Training at one moment, for a bar or a line of text.

    `fraction` goes from 0 to 1. `loss` is the smoothed training loss; `accuracy` and `mean_iou` are those of the last
    validation, None before the first. `seconds_left` is infinite until there is something to judge it by.
    """

    step: int
    fraction: float
    loss: float
    accuracy: float | None
    mean_iou: float | None
    lr: float
    samples_per_s: float
    seconds_left: float

    @property
    def text(self) -> str:
        """The event in a line, for a terminal.

        >>> TrainEvent(40, 0.5, 0.25, 0.9, 0.5, 1e-3, 12.34, 75.0).text
        'step 40 · loss 0.250 · accuracy 90.0 % · mean IoU 50.0 % · lr 1.0e-03 · 12.3 samples/s'
        """
        parts = [f"step {self.step}", f"loss {self.loss:.3f}"]
        if self.accuracy is not None and self.mean_iou is not None:
            parts += [f"accuracy {100 * self.accuracy:.1f} %", f"mean IoU {100 * self.mean_iou:.1f} %"]
        return " · ".join([*parts, f"lr {self.lr:.1e}", f"{self.samples_per_s:.1f} samples/s"])


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
        """Scalars of a validation, with the IoU of each class."""
        board = self.logger.experiment
        for name, value in (("loss", score.loss), ("accuracy", score.accuracy), ("mean_iou", score.mean_iou)):
            board.add_scalar(f"validation/{name}", value, step)
        for name, value in zip(self.legend.names, score.iou, strict=True):
            if not np.isnan(value):
                board.add_scalar(f"iou/{name}", value, step)

    def pictures(
        self,
        step: int,
        module: SegmentationModule,
        scenes: Sequence[TrainingScene],
        batch: TileBatch,
        autocast: Callable[[], Any],
    ) -> None:
        """One picture: rows of scene, truth and prediction for the first tiles of a batch."""
        raw, labels = read_tiles(scenes, batch[:PICTURES])
        raw, labels = raw[..., :PICTURE_SIDE, :PICTURE_SIDE], labels[..., :PICTURE_SIDE, :PICTURE_SIDE]
        module.network.eval()
        with torch.inference_mode(), autocast():
            mapped = as_classes(module.network(module.normalised(raw.to(module.device)))).argmax(dim=1)
        module.network.train()
        predicted = mapped.to(torch.uint8).cpu().numpy()
        grid = picture_grid(raw.numpy(), labels.numpy(), predicted, self.legend, self.fingerprint)
        self.logger.experiment.add_image("validation/scene, truth, prediction", grid, step, dataformats="HWC")

    def flush(self) -> None:
        """Everything so far on disk."""
        self.logger.experiment.flush()


def picture_grid(
    raw: NDArray[Any],
    labels: NDArray[np.uint8],
    predicted: NDArray[np.uint8],
    legend: Legend,
    fingerprint: Fingerprint,
) -> NDArray[np.uint8]:
    """Rows of scene, truth and prediction side by side, (n * height, 3 * width, 3) of uint8; void is grey."""
    table = np.full((256, 3), GREY, dtype=np.uint8)
    for index, land in enumerate(legend.classes):
        table[index] = land.rgb
    table[VOID] = GREY
    rows = [
        np.concatenate([_visible(sample, fingerprint), table[truth], table[guess]], axis=1)
        for sample, truth, guess in zip(raw, labels, predicted, strict=True)
    ]
    return np.concatenate(rows, axis=0)


def _visible(sample: NDArray[Any], fingerprint: Fingerprint) -> NDArray[np.uint8]:
    """Pixels (bands, h, w) as (h, w, 3) of uint8: red, green and blue, or the first bands, between their percentiles."""
    names = [band.name for band in fingerprint.bands]
    chosen = [names.index(n) for n in ("red", "green", "blue") if n in names]
    if len(chosen) < 3:
        chosen = [0, min(1, len(names) - 1), min(2, len(names) - 1)] if len(names) > 2 else [0, 0, 0]
    low = np.array([fingerprint.bands[k].p01 for k in chosen])[:, None, None]
    high = np.array([fingerprint.bands[k].p99 for k in chosen])[:, None, None]
    shares = (sample[chosen].astype(np.float64) - low) / np.maximum(high - low, 1e-9)
    return np.asarray(np.moveaxis(np.nan_to_num(shares).clip(0, 1) * 255, 0, -1), dtype=np.uint8)
