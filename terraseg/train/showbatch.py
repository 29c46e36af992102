"""The first training batches as the network gets them, beside their masks: a look before hours are spent."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from terraseg.core.classes import Legend
from terraseg.store.rundir import replacing
from terraseg.train.pictures import GREY, INK, MARGIN, PAPER, Picture, lettering, striped, visible
from terraseg.train.preview import augmented_batch
from terraseg.train.trained import Task

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw

PAIRS = 3
"""Patches with their masks side by side in a row."""
LARGEST = 256
SMALLEST = 128
SWATCH = 14


def write_picture(picture: Picture, out: Path) -> Path:
    """Writes a picture (height, width, 3), uint8, as PNG; gives `out`."""
    from PIL import Image

    with replacing(out) as temporary:
        Image.fromarray(picture).save(temporary, "PNG")
    return out


def batch_picture(task: Task, *, rows: int = 4) -> Picture:
    """A picture of `PAIRS` patches a row, from the first steps, each beside its mask, with the legend below.

    The patches are those of training, augmented and scaled back to the imagery's values; void is grey with stripes. The
    run folder gains its cache of scenes. Raises `EmptyDataset` when there is nothing to train on.
    """
    from PIL import Image, ImageDraw

    count = rows * PAIRS
    patches = list(_patches(task, count))
    side = min(LARGEST, max(SMALLEST, task.plan.crop))
    width = PAIRS * (2 * side + 2 + MARGIN) + MARGIN
    lines = list(_legend_lines(task.dataset.legend, width))
    foot = 2 * MARGIN + len(lines) * (SWATCH + MARGIN)
    picture = Image.new("RGB", (width, rows * (side + MARGIN) + MARGIN + foot), PAPER)
    for number, (patch, mask) in enumerate(patches):
        x = MARGIN + number % PAIRS * (2 * side + 2 + MARGIN)
        y = MARGIN + number // PAIRS * (side + MARGIN)
        seen = visible(patch, task.fingerprint)
        for offset, part, how in ((0, seen, Image.Resampling.BICUBIC), (side + 2, mask, Image.Resampling.NEAREST)):
            picture.paste(Image.fromarray(part).resize((side, side), how), (x + offset, y))
    _draw_legend(ImageDraw.Draw(picture), lines, picture.height - foot + MARGIN)
    return np.asarray(picture)


def _patches(task: Task, count: int) -> Iterator[tuple[NDArray[np.float32], Picture]]:
    """Patches (bands, crop, crop) in the imagery's values and their masks (crop, crop, 3), as many as asked for."""
    for step in range(-(-count // task.plan.batch)):
        images, labels = augmented_batch(task, step=step)
        for image, truth in list(zip(images, labels, strict=True))[: count - step * task.plan.batch]:
            yield image, striped(truth, task.dataset.legend, overlapping=task.dataset.coding.overlapping)


Entry = tuple[int, str, tuple[int, int, int]]
"""Where an entry of the legend begins, what it says, and its colour."""


def _legend_lines(legend: Legend, width: int) -> Iterator[list[Entry]]:
    """The legend's entries, broken into lines that fit."""
    font, x = lettering(), MARGIN
    line: list[Entry] = []
    for name, color in [*((c.name, c.rgb) for c in legend.classes), ("void", GREY)]:
        needed = SWATCH + 2 * MARGIN + round(font.getlength(name))
        if line and x + needed > width:
            yield line
            line, x = [], MARGIN
        line.append((x, name, color))
        x += needed + MARGIN
    yield line


def _draw_legend(draw: "ImageDraw", lines: list[list[Entry]], y: int) -> None:
    for line in lines:
        for x, name, color in line:
            draw.rectangle((x, y, x + SWATCH, y + SWATCH), color, INK)
            draw.text((x + SWATCH + MARGIN, y + SWATCH / 2), name, INK, lettering(), anchor="lm")
        y += SWATCH + MARGIN
