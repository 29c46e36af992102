"""Scenes, labels and tables as pictures: arrays (height, width, 3) of uint8."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from terraseg.core.classes import VOID, Legend
from terraseg.core.coding import Coding
from terraseg.core.fingerprint import Fingerprint
from terraseg.pixels.colors import label_colors

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont, ImageFont

GREY = (128, 128, 128)
STRIPE = (176, 176, 176)
STRIPE_PERIOD = 8
"""Pixels from one stripe of void to the next."""
CELL, MARGIN, FONT = 56, 8, 13
INK, PAPER, BLUE = (32, 32, 32), (255, 255, 255), (8, 81, 156)
LONGEST_NAME = 18

Picture = NDArray[np.uint8]


def picture_grid(
    raw: NDArray[Any],
    labels: NDArray[np.uint8],
    predicted: NDArray[np.uint8],
    legend: Legend,
    fingerprint: Fingerprint,
) -> NDArray[np.uint8]:
    """Rows of scene, truth and prediction side by side, (n * height, 3 * width, 3) of uint8; void is grey."""
    table = label_colors(legend, Coding(len(legend), fingerprint.overlapping), void=GREY)
    rows = [
        np.concatenate([visible(sample, fingerprint), table[truth], table[guess]], axis=1)
        for sample, truth, guess in zip(raw, labels, predicted, strict=True)
    ]
    return np.concatenate(rows, axis=0)


def visible(sample: NDArray[Any], fingerprint: Fingerprint) -> NDArray[np.uint8]:
    """Pixels (bands, h, w) as (h, w, 3) of uint8: red, green and blue, or the first bands, between their percentiles."""
    names = [band.name for band in fingerprint.bands]
    chosen = [names.index(n) for n in ("red", "green", "blue") if n in names]
    if len(chosen) < 3:
        chosen = [0, min(1, len(names) - 1), min(2, len(names) - 1)] if len(names) > 2 else [0, 0, 0]
    low = np.array([fingerprint.bands[k].p01 for k in chosen])[:, None, None]
    high = np.array([fingerprint.bands[k].p99 for k in chosen])[:, None, None]
    shares = (sample[chosen].astype(np.float64) - low) / np.maximum(high - low, 1e-9)
    return np.asarray(np.moveaxis(np.nan_to_num(shares).clip(0, 1) * 255, 0, -1), dtype=np.uint8)


def striped(labels: NDArray[np.uint8], legend: Legend, *, overlapping: bool = False) -> Picture:
    """Labels (h, w) in the colours of the legend, (h, w, 3); void is grey with lighter stripes."""
    picture = label_colors(legend, Coding(len(legend), overlapping), void=GREY)[labels]
    rows, cols = np.indices(labels.shape)
    picture[(labels == VOID) & ((rows + cols) % STRIPE_PERIOD < 2)] = STRIPE
    return np.asarray(picture, dtype=np.uint8)


def confusion_picture(matrix: NDArray[np.int64], names: Sequence[str]) -> Picture:
    """A confusion matrix (classes, classes) as a table: each row in per cent of its true class, the darker the more.

    Rows are the truth, columns the prediction; a class that the truth does not hold has an empty row.
    """
    from PIL import Image, ImageDraw

    font = lettering()
    short = [name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…" for name in names]
    left = 2 * MARGIN + max(round(font.getlength(name)) for name in short)
    top = 3 * FONT + 2 * MARGIN
    picture = Image.new("RGB", (left + CELL * len(names) + MARGIN, top + CELL * len(names) + MARGIN), PAPER)
    draw = ImageDraw.Draw(picture)
    draw.text((left, MARGIN), "rows: truth · columns: prediction · per cent of the truth", INK, font)
    shares = matrix / np.maximum(1, matrix.sum(axis=1, keepdims=True))
    for row, name in enumerate(short):
        y = top + CELL * row
        draw.text((left - MARGIN, y + CELL / 2), name, INK, font, anchor="rm")
        draw.text((left + CELL * row + CELL / 2, top - MARGIN), _fitted(name, font), INK, font, anchor="ms")
        for col, share in enumerate(shares[row].tolist()):
            x = left + CELL * col
            draw.rectangle((x, y, x + CELL - 2, y + CELL - 2), _tint(share))
            if matrix[row].any():
                ink = PAPER if share > 0.5 else INK
                draw.text((x + CELL / 2, y + CELL / 2), f"{100 * share:.0f}", ink, font, anchor="mm")
    return np.asarray(picture)


def lettering() -> "FreeTypeFont | ImageFont":
    """The font of all pictures."""
    from PIL import ImageFont

    return ImageFont.load_default(FONT)


def _fitted(name: str, font: "FreeTypeFont | ImageFont") -> str:
    """The name, cut where it is wider than a cell."""
    while len(name) > 1 and font.getlength(name) > CELL - 4:
        name = f"{name[:-2]}…" if len(name) > 2 else name[:1]
    return name


def _tint(share: float) -> tuple[int, int, int]:
    """A colour from white (0) to blue (1)."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip((240, 244, 250), BLUE, strict=True))
    return red, green, blue
