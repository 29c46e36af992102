"""From arrays to the report's pictures."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from terraseg.core.classes import VOID, Legend
from terraseg.core.coding import Coding
from terraseg.pixels.colors import label_colors
from terraseg.report.content import Agreement, KeyEntry, Picture
from terraseg.report.wording import percent

NO_PIXEL = 190
"""Grey of imagery without data: quiet on a light page and on a dark one."""

# Blue, vermilion and yellow stay apart for colour-blind eyes and in grey print (after Okabe and Ito, 2008).
AGREES = KeyEntry("Map and labels agree", "#DCE3E8")
DIFFERS = KeyEntry("Map and labels differ", "#C8391B")
NEITHER = KeyEntry("Background in both", "#DCE3E8")
FOUND = KeyEntry("Found", "#2E74B5")
MISSED = KeyEntry("Missed: labelled, not mapped", "#D55E00")
EXTRA = KeyEntry("Extra: mapped, not labelled", "#F0C22E")


def natural_colors(pixels: NDArray[Any], valid: NDArray[np.bool_], bands: Sequence[str]) -> NDArray[np.uint8]:
    """Pixels (bands, height, width) of any dtype as (height, width, 3) colours for a screen.

    Red, green and blue are taken by name, else the first three bands, else the first as grey. 8-bit pixels stay as they
    are; others are stretched band by band from the 2nd to the 98th percentile of the valid pixels. Invalid pixels
    become grey.
    """
    rgb = np.stack([_stretch(pixels[channel], valid) for channel in _color_channels(bands)], axis=-1)
    rgb[~valid] = NO_PIXEL
    return rgb


def _color_channels(bands: Sequence[str]) -> list[int]:
    names = [name.lower() for name in bands]
    if {"red", "green", "blue"} <= set(names):
        return [names.index(name) for name in ("red", "green", "blue")]
    return [0, 1, 2] if len(names) >= 3 else [0, 0, 0]


def _stretch(band: NDArray[Any], valid: NDArray[np.bool_]) -> NDArray[np.uint8]:
    if band.dtype == np.uint8:
        return band.copy()
    if not valid.any():
        return np.zeros(band.shape, dtype=np.uint8)
    low, high = np.percentile(band[valid].astype(np.float64), (2, 98))
    scaled = (np.where(valid, band, low).astype(np.float64) - low) / max(high - low, 1e-12)
    return np.asarray(np.clip(scaled * 255, 0, 255).round(), dtype=np.uint8)


def photograph(rgb: NDArray[np.uint8], alt: str) -> Picture:
    """A JPEG of (height, width, 3) colours."""
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(rgb)).save(buffer, "JPEG", quality=82, optimize=True, progressive=True)
    return Picture(buffer.getvalue(), "image/jpeg", rgb.shape[1], rgb.shape[0], alt)


def class_picture(
    indices: NDArray[np.uint8], legend: Legend, alt: str, *, clear: frozenset[int] = frozenset()
) -> Picture:
    """A palette PNG of class indices (height, width) in the legend's exact colours.

    Void is transparent, and so are the classes with an index in `clear`.
    """
    visible = {index: land_class.color for index, land_class in enumerate(legend.classes) if index not in clear}
    return _palette_picture(indices, visible, alt)


def layer_picture(labels: NDArray[np.uint8], legend: Legend, alt: str) -> Picture:
    """A palette PNG of bit masks (height, width) of overlapping classes, where several are in the mean of their colours.

    Void and ground of no class are transparent.
    """
    coding = Coding(len(legend), overlapping=True)
    table = label_colors(legend, coding, void=(0, 0, 0))
    return _palette_picture(labels, {code: f"#{bytes(table[code]).hex()}" for code in range(1, coding.codes)}, alt)


def _palette_picture(values: NDArray[np.uint8], colors: dict[int, str], alt: str) -> Picture:
    height, width = values.shape
    palette, alpha = np.zeros((256, 3), dtype=np.uint8), np.zeros(256, dtype=np.uint8)
    for value, color in colors.items():
        palette[value], alpha[value] = list(bytes.fromhex(color[1:])), 255
    image = Image.frombytes("P", (width, height), np.ascontiguousarray(values).tobytes())
    image.putpalette(palette.tobytes())
    buffer = io.BytesIO()
    image.save(buffer, "PNG", transparency=alpha.tobytes())
    return Picture(buffer.getvalue(), "image/png", width, height, alt)


def agreement_picture(
    truth: NDArray[np.uint8], prediction: NDArray[np.uint8], legend: Legend, name: str, *, overlapping: bool = False
) -> Agreement:
    """Where a map agrees with the labels, both label bytes (height, width); clear where either is void.

    With two classes, one of them background, it tells found, missed and extra pixels apart. Of overlapping classes all
    must agree.
    """
    background = None if overlapping else legend.background_index
    known = (truth != VOID) & (prediction != VOID)
    share = float(np.mean(truth[known] == prediction[known])) if known.any() else None
    codes = np.full(truth.shape, VOID, dtype=np.uint8)
    if len(legend) == 2 and background is not None:
        key: tuple[KeyEntry, ...] = (FOUND, MISSED, EXTRA, NEITHER)
        codes[known] = (2 * (truth == background) + (prediction == background))[known]
    else:
        key = (AGREES, DIFFERS)
        codes[known] = (truth != prediction)[known]
    alt = f"Agreement of map and labels of {name}: {percent(share)} of the labelled pixels shown agree."
    picture = _palette_picture(codes, {code: entry.color for code, entry in enumerate(key)}, alt)
    return Agreement(picture, key, share, bool((~known).any()))


def shrink_colors(rgb: NDArray[np.uint8], shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Colours (height, width, 3) at another (height, width), averaged."""
    image = Image.fromarray(np.ascontiguousarray(rgb)).resize((shape[1], shape[0]), Image.Resampling.BOX)
    return np.asarray(image, dtype=np.uint8)


def shrink_classes(indices: NDArray[np.uint8], shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Class indices (height, width) at another (height, width): the value at each new pixel's centre."""
    rows, cols = centres(indices.shape[0], shape[0]), centres(indices.shape[1], shape[1])
    return indices[np.ix_(rows, cols)]


def centres(size: int, samples: int) -> NDArray[np.intp]:
    """The pixels under the centres of `samples` equal parts of `size` pixels.

    >>> centres(6, 3).tolist()
    [1, 3, 5]
    """
    return ((np.arange(samples) + 0.5) * size / samples).astype(np.intp)
