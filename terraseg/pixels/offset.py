"""How far labels lie beside what they show: their outlines laid over the imagery's edges in every direction.

An edge and an outline are written as complex numbers, their strength and twice their direction, so that neither cares which
side is brighter (orientation correlation after Fitch et al., "Orientation correlation", BMVC 2002, with the angle doubled
as in Bigün and Granlund, "Optimal orientation detection of linear symmetry", ICCV 1987).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from terraseg.core.classes import VOID
from terraseg.core.coding import Coding

REACH = 64
"""Pixels, down and right, up to which an offset is looked for."""
SMOOTH = 1.5
NEIGHBOURHOOD = 65
STRONGEST = 3.0
"""Edges count up to so many times the mean of their neighbourhood, so that a bright roof does not outweigh a field."""
MARGIN = 4
BLUR = 1.0
CLOSE = 8
"""Pixels around a peak that belong to it."""

Field = NDArray[np.complex64]


@dataclass(frozen=True)
class Offset:
    """By how many pixels down and right labels have to be moved to lie on what they show.

    `peak` tells how far the agreement there stands out among all offsets, in standard deviations, `second` how far the next
    best does, elsewhere, and `here` that of the labels as they lie.
    """

    rows: int
    cols: int
    peak: float
    second: float
    here: float

    @property
    def length(self) -> float:
        """The distance in pixels."""
        return float(np.hypot(self.rows, self.cols))


def edge_field(grey: NDArray[np.float32], valid: NDArray[np.bool_]) -> Field:
    """The edges of a grey picture (h, w), evened out over the neighbourhood; 0 where pixels are not valid and next to it."""
    known = grey[valid]
    smooth = ndimage.gaussian_filter(
        np.where(valid, grey, known.mean() if len(known) else 0).astype(np.float32), SMOOTH
    )
    down, across = ndimage.sobel(smooth, 0), ndimage.sobel(smooth, 1)
    strength = np.hypot(down, across)
    usual = ndimage.uniform_filter(strength, NEIGHBOURHOOD)
    strength = np.minimum(strength / np.maximum(usual, np.finfo(np.float32).tiny), STRONGEST)
    inside = ndimage.binary_erosion(valid, iterations=MARGIN, border_value=0)
    return np.asarray(np.where(inside, _doubled(strength, down, across), 0), dtype=np.complex64)


def outline_field(labels: NDArray[np.uint8], coding: Coding) -> Field:
    """The borders between the classes of labels (h, w); 0 at void."""
    field = np.zeros(labels.shape, dtype=np.complex64)
    for kind in range(coding.classes):
        plane = coding.plane(labels, kind)
        if plane.any() and not plane.all():
            smooth = ndimage.gaussian_filter(plane.astype(np.float32), SMOOTH)
            down, across = ndimage.sobel(smooth, 0), ndimage.sobel(smooth, 1)
            field += _doubled(np.hypot(down, across), down, across)
    inside = ndimage.binary_erosion(labels != VOID, iterations=MARGIN, border_value=0)
    return np.where(inside, field, np.complex64(0))


def _doubled(strength: NDArray[np.float32], down: NDArray[np.float32], across: NDArray[np.float32]) -> Field:
    return np.asarray(strength * np.exp(2j * np.arctan2(down, across)), dtype=np.complex64)


def agreement(edges: Field, outlines: Field, reach: int = REACH) -> NDArray[np.float64]:
    """How well outlines moved by (i - reach, j - reach) pixels lie on the edges, shape (2 reach + 1, 2 reach + 1)."""
    shape = tuple(fft.next_fast_len(size + reach) for size in edges.shape)
    product = fft.fft2(edges, shape) * np.conj(fft.fft2(outlines, shape))
    places = np.arange(-reach, reach + 1)
    surface = fft.ifft2(product).real[np.ix_(places % shape[0], places % shape[1])]
    return np.asarray(surface, dtype=np.float64)


def best_offset(surface: NDArray[np.float64]) -> Offset | None:
    """The offset of the best agreement of a surface, or of the sum of several; None where nothing stands out at all."""
    smooth = ndimage.gaussian_filter(surface, BLUR)
    spread = float(smooth.std())
    if spread <= 1e-9 * max(1.0, float(np.abs(smooth).max())):
        return None
    reach = surface.shape[0] // 2
    scores = (smooth - smooth.mean()) / spread
    row, col = (int(n) for n in np.unravel_index(int(scores.argmax()), scores.shape))
    rows, cols = np.ogrid[: scores.shape[0], : scores.shape[1]]
    elsewhere = np.hypot(rows - row, cols - col) > CLOSE
    here = scores[reach - 2 : reach + 3, reach - 2 : reach + 3].max()
    return Offset(row - reach, col - reach, float(scores[row, col]), float(scores[elsewhere].max()), float(here))
