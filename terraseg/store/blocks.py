"""Imagery and labels of one scene, read together at the pixel size that training works on."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from terraseg.core.classes import VOID
from terraseg.core.coding import Coding
from terraseg.core.grid import Grid
from terraseg.core.scale import Working, reach_of
from terraseg.core.window import Window
from terraseg.errors import UnknownClass
from terraseg.pixels.reduce import reduced_labels, reduced_masks, reduced_pixels
from terraseg.pixels.resample import Taps, filled_near, nearest_taps, part_taps, resampled_by, resampled_labels
from terraseg.store.labels import LabelReader
from terraseg.store.raster import RasterReader

Block = tuple[NDArray[Any], NDArray[np.uint8]]


@dataclass(frozen=True, eq=False)
class BlockSource:
    """Open imagery and labels of one scene, in working pixels.

    Whole squares of its pixels are averaged as they are, `fill` standing for those that are not valid. Any other scale is
    that of prediction: to the model's pixels by `pixels.resample`, valid ones alone, then squares of these averaged.
    """

    raster: RasterReader
    labels: LabelReader
    fill: NDArray[Any]
    name: str
    coding: Coding
    working: Working

    def read(self, window: Window) -> Block:
        """Pixels and labels of a window of working pixels, as `TrainingScene.read` gives them."""
        whole = self.working.total.whole
        if whole is None:
            return self._read_resampled(window)
        pixels, labels, _ = self._read_own(window.magnified(whole))
        if whole == 1:
            return pixels, labels
        reduce = reduced_masks if self.coding.overlapping else reduced_labels
        return reduced_pixels(pixels, whole), reduce(labels, whole, self.coding.classes)

    @property
    def bytes_a_pixel(self) -> int:
        """Bytes that are held for a working pixel while a window is read."""
        total, bands = self.working.total, len(self.fill) * self.fill.dtype.itemsize
        if total.whole:
            return total.whole**2 * (bands + 2)
        return ceil(total.rows * total.cols * (2 * bands + 2)) + self.working.reduction**2 * (bands + 8)

    def _read_own(self, window: Window) -> tuple[NDArray[Any], NDArray[np.uint8], NDArray[np.bool_]]:
        """Pixels, labels and validity of a window of the scene's own pixels."""
        patch = self.raster.read(window)
        labels = np.array(self.labels.read(window), dtype=np.uint8)
        refuse_unknown(labels, self.coding, self.name)
        pixels = patch.pixels.astype(self.fill.dtype, copy=False)
        if not patch.valid.all():
            labels[~patch.valid] = VOID
            pixels[:, ~patch.valid] = self.fill[:, None]
        return pixels, labels, patch.valid

    def _read_resampled(self, window: Window) -> Block:
        grid, scale, factor = self.raster.grid, self.working.scale, self.working.reduction
        total, model = self.working.total, window.magnified(factor)
        ways = _ways(model, scale.rows, scale.cols, grid)
        drawn = _ways(window, total.rows, total.cols, grid, labels=True)
        reach = reach_of(total)
        own = _seen((*ways, *drawn), grid, reach)
        pixels, labels, valid = self._read_own(own)
        pixels = filled_near(pixels, valid, reach)
        rows, cols = (way.shifted(start) for way, start in zip(ways, (own.row, own.col), strict=True))
        out = np.empty((len(pixels), window.height, window.width), dtype=pixels.dtype)
        for k, band in enumerate(pixels):
            brought = resampled_by(band[None, None], rows, cols, grows=scale.rows < 1)[0]
            brought = (np.rint(brought) if out.dtype.kind in "iu" else brought).astype(out.dtype)
            out[k] = (reduced_pixels(brought, factor) if factor > 1 else brought)[0]
        rows, cols = (way.shifted(start) for way, start in zip(drawn, (own.row, own.col), strict=True))
        truth = resampled_labels(labels, rows, cols, self.coding)
        return out, truth


def _ways(window: Window, rows: Fraction, cols: Fraction, grid: Grid, *, labels: bool = False) -> tuple[Taps, Taps]:
    """How the rows and the columns of a window of new pixels come from a grid's own."""
    axes = ((rows, window.row, window.row_stop, grid.height), (cols, window.col, window.col_stop, grid.width))
    down, across = (
        (nearest_taps if labels and step < 1 else part_taps)(step, range(start, stop), length)
        for step, start, stop, length in axes
    )
    return down, across


def _seen(ways: tuple[Taps, ...], grid: Grid, reach: int) -> Window:
    """The window of a grid that some ways look at, and `reach` around it."""
    (top, bottom), (left, right) = (
        (min(way.span[0] for way in along) - reach, max(way.span[1] for way in along) + reach)
        for along in (ways[::2], ways[1::2])
    )
    return Window(top, left, bottom - top, right - left).intersection(grid.window)


def fill_values(fill: Sequence[float], dtype: DTypeLike) -> NDArray[Any]:
    """The fill of each band as a value of the pixel type, shape (bands,).

    >>> fill_values([0.6, 300.0], "uint8")
    array([  1, 255], dtype=uint8)
    """
    values = np.asarray(fill, dtype=np.float64)
    kind = np.dtype(dtype)
    if kind.kind in "iu":
        values = np.clip(np.rint(values), np.iinfo(kind).min, np.iinfo(kind).max)
    return values.astype(kind)


def refuse_unknown(labels: NDArray[np.uint8], coding: Coding, where: str) -> None:
    """Raises `UnknownClass` for a byte that has no meaning and is not void; no such label comes as far as a loss."""
    beyond = labels[(labels >= coding.codes) & (labels != VOID)]
    if beyond.size:
        what = "bit mask" if coding.overlapping else "class index"
        raise UnknownClass(
            f"the labels of {where} hold the {what} {beyond.max()}, and the legend has {coding.classes} classes: "
            "correct the label rule in the project file"
        )
