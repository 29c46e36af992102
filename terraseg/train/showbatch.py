"""The first training batches as the network gets them, beside their masks: a look before hours are spent."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from terraseg.core.classes import Legend
from terraseg.core.dataset import Dataset
from terraseg.core.fingerprint import Fingerprint
from terraseg.core.plan import Plan
from terraseg.store.rundir import RunFolder, replacing
from terraseg.train.pictures import GREY, INK, MARGIN, PAPER, Picture, lettering, striped, visible
from terraseg.train.preview import augmented_batch

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw

PAIRS = 3
"""Patches with their masks side by side in a row."""
LARGEST = 256
SMALLEST = 128
SWATCH = 14


def show_batch(
    dataset: Dataset, fingerprint: Fingerprint, plan: Plan, run: RunFolder, out: Path, *, rows: int = 4
) -> Path:
    """Writes `batch_picture` as PNG; gives `out`."""
    from PIL import Image

    picture = Image.fromarray(batch_picture(dataset, fingerprint, plan, run, rows=rows))
    with replacing(out) as temporary:
        picture.save(temporary, "PNG")
    return out


def batch_picture(dataset: Dataset, fingerprint: Fingerprint, plan: Plan, run: RunFolder, *, rows: int = 4) -> Picture:
    """A picture of `PAIRS` patches a row, from the first steps, each beside its mask, with the legend below.

    The patches are those of training, augmented and scaled back to the imagery's values; void is grey with stripes. The
    run folder gains its cache of scenes. Raises `EmptyDataset` when there is nothing to train on.
    """
    from PIL import Image, ImageDraw

    count = rows * PAIRS
    patches = list(_patches(dataset, fingerprint, plan, run, count))
    side = min(LARGEST, max(SMALLEST, plan.crop))
    width = PAIRS * (2 * side + 2 + MARGIN) + MARGIN
    lines = list(_legend_lines(dataset.legend, width))
    foot = 2 * MARGIN + len(lines) * (SWATCH + MARGIN)
    picture = Image.new("RGB", (width, rows * (side + MARGIN) + MARGIN + foot), PAPER)
    for number, (patch, mask) in enumerate(patches):
        x = MARGIN + number % PAIRS * (2 * side + 2 + MARGIN)
        y = MARGIN + number // PAIRS * (side + MARGIN)
        seen = visible(patch, fingerprint)
        for offset, part, how in ((0, seen, Image.Resampling.BICUBIC), (side + 2, mask, Image.Resampling.NEAREST)):
            picture.paste(Image.fromarray(part).resize((side, side), how), (x + offset, y))
    _draw_legend(ImageDraw.Draw(picture), lines, picture.height - foot + MARGIN)
    return np.asarray(picture)


def _patches(
    dataset: Dataset, fingerprint: Fingerprint, plan: Plan, run: RunFolder, count: int
) -> Iterator[tuple[NDArray[np.float32], Picture]]:
    """Patches (bands, crop, crop) in the imagery's values and their masks (crop, crop, 3), as many as asked for."""
    for step in range(-(-count // plan.batch)):
        images, labels = augmented_batch(dataset, fingerprint, plan, run, step=step)
        for image, truth in list(zip(images, labels, strict=True))[: count - step * plan.batch]:
            yield image, striped(truth, dataset.legend)


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
