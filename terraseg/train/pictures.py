"""Pictures of validation tiles for TensorBoard: image, truth and prediction side by side."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from lightning.pytorch.loggers import Logger, TensorBoardLogger
from numpy.typing import NDArray

from terraseg.core.classes import VOID, Legend
from terraseg.nets.scoring import as_classes
from terraseg.train.module import SegmentationModule
from terraseg.train.validation import read_tiles

if TYPE_CHECKING:
    from terraseg.train.session import Setting

SHOWN = 4
SIDE = 256


def add_pictures(loggers: Sequence[Logger], module: SegmentationModule, setting: "Setting", step: int) -> None:
    """Adds up to `SHOWN` tiles of the first validation batch, cut to `SIDE` pixels, to each TensorBoard log."""
    boards = [logger for logger in loggers if isinstance(logger, TensorBoardLogger)]
    if not boards:
        return
    raw, labels = read_tiles(setting.scenes, setting.tiles[0][:SHOWN])
    raw, labels = raw[..., :SIDE, :SIDE], labels[..., :SIDE, :SIDE]
    module.network.eval()
    with torch.inference_mode():
        logits = as_classes(module.network(module.normalised(raw.to(module.device)))).float()
    module.network.train()
    mapped = logits.argmax(dim=1).to(torch.uint8).cpu().numpy()
    images = module.normalised(raw).cpu().numpy()
    lines = [
        np.concatenate([shown(i), colored(t, setting.legend), colored(m, setting.legend)], axis=1)
        for i, t, m in zip(images, labels.numpy(), mapped, strict=True)
    ]
    for board in boards:
        board.experiment.add_image("image, truth, prediction", np.concatenate(lines), step, dataformats="HWC")


def shown(image: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The first three bands of a normalised image (bands, height, width) as (height, width, 3) bytes, two deviations wide."""
    rgb = image[:3] if len(image) >= 3 else np.repeat(image[:1], 3, axis=0)
    return np.moveaxis(np.clip((rgb + 2) * 64, 0, 255).astype(np.uint8), 0, -1)


def colored(indices: NDArray[np.uint8], legend: Legend) -> NDArray[np.uint8]:
    """Class indices (height, width) in the legend's colours, (height, width, 3); void is black."""
    table = np.zeros((VOID + 1, 3), dtype=np.uint8)
    table[: len(legend)] = [c.rgb for c in legend.classes]
    return table[indices]
