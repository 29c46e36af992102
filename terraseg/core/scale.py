"""One ground sample distance for all: how the pixels of a raster become pixels of another size on the ground."""

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, sqrt

import numpy as np

from terraseg.core.grid import Grid

FINEST_PART = 8
"""Factors are fractions whose smaller number is at most this, so that whole pixels of both sizes line up often."""


@dataclass(frozen=True)
class PixelSize:
    """A pixel on the ground: the geometric mean of its sides in metres, and its width over its height."""

    gsd_m: float
    aspect: float = 1.0

    @property
    def sides(self) -> tuple[float, float]:
        """Height and width in metres."""
        shape = sqrt(self.aspect)
        return self.gsd_m / shape, self.gsd_m * shape


@dataclass(frozen=True)
class Scale:
    """Pixels of a raster to a pixel of another size, downwards and across: above 1 where the raster is finer."""

    rows: Fraction = Fraction(1)
    cols: Fraction = Fraction(1)

    @property
    def mean(self) -> float:
        """The geometric mean of both."""
        return sqrt(self.rows * self.cols)

    @property
    def whole(self) -> int | None:
        """The whole number of pixels along either axis that make one; None for any other factor."""
        return self.rows.numerator if self.rows == self.cols and self.rows.denominator == 1 else None

    def times(self, factor: int) -> "Scale":
        """The scale to a pixel that is `factor` times as large."""
        return Scale(self.rows * factor, self.cols * factor)


SAME = Scale()


@dataclass(frozen=True)
class Working:
    """From a scene's pixels to those that a network works on: brought to the model's size, then squares of them averaged.

    A model that works on `reduction` x `reduction` of its pixels as one does so in its own graph, after a raster has been
    brought to their size: training goes the same way.
    """

    scale: Scale = SAME
    reduction: int = 1

    @property
    def total(self) -> Scale:
        """Scene pixels to a working pixel."""
        return self.scale.times(self.reduction)


UNTOUCHED = Working()


def scale_to(size: PixelSize, grid: Grid) -> Scale:
    """How a raster is brought to pixels of a size; `SAME` where they are so to a few per cent, or its own are not known."""
    sides = grid.pixel_size_m
    if sides is None:
        return SAME
    height, width = size.sides
    return Scale(simple(height / sides[0]), simple(width / sides[1]))


def reach_of(total: Scale) -> int:
    """How far, in a raster's pixels, those lie from each other that make one working pixel; 0 for whole squares."""
    return 0 if total.whole else ceil(max(total.rows, total.cols, Fraction(1)))


def simple(factor: float) -> Fraction:
    """A factor as a fraction of small numbers, so that whole tiles of both sizes line up.

    >>> simple(2.02), simple(0.4), simple(1.05)
    (Fraction(2, 1), Fraction(2, 5), Fraction(1, 1))
    """
    if factor >= 1:
        return Fraction(factor).limit_denominator(FINEST_PART)
    return 1 / Fraction(1 / factor).limit_denominator(FINEST_PART)


def usual_pixel(grids: Iterable[Grid]) -> PixelSize | None:
    """The pixel of the middle one of several rasters by size, so that it is one that a raster has; None without a CRS.

    Of an even number the finer of the two in the middle is taken. The shape is the middle one too.
    """
    sides = [size for grid in grids if (size := grid.pixel_size_m) is not None]
    if not sides:
        return None
    gsds, aspects = [sqrt(height * width) for height, width in sides], [width / height for height, width in sides]
    return PixelSize(*(float(np.percentile(values, 50, method="lower")) for values in (gsds, aspects)))


def scale_text(scale: Scale, gsd_m: float, size: PixelSize) -> str:
    """What becomes of pixels of `gsd_m` metres that are brought to a size, in a few words; empty where they stay."""
    if scale == SAME:
        return ""
    if scale.mean >= 1:
        return f"averaged {gsd_m:.3g} -> {size.gsd_m:.3g} m"
    return f"enlarged {1 / scale.mean:.2g} times ({gsd_m:.3g} -> {size.gsd_m:.3g} m)"
