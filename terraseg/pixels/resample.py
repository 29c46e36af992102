"""Arrays at another pixel size: averaged over area where they shrink, bilinear where they grow."""

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from terraseg.core.classes import VOID
from terraseg.core.coding import Coding
from terraseg.pixels.blend import namespace

Array = Any
"""A numpy array, a torch tensor, or another array whose module has numpy's names."""
STRIP = 128
"""Rows of an array whose gaps are filled at once."""
TIE = 1e-5
"""Shares of a pixel's ground that differ by less are equal."""


@dataclass(frozen=True, eq=False)
class Taps:
    """How each pixel of a new axis comes from an old one: the sum over k of `weights[k]` times the pixels at `places[k]`.

    Both have the shape (taps, new length).
    """

    places: NDArray[np.int64]
    weights: NDArray[np.float32]

    @property
    def span(self) -> tuple[int, int]:
        """The first of the old pixels that are looked at, and the one behind the last."""
        return int(self.places.min()), int(self.places.max()) + 1

    def shifted(self, by: int) -> "Taps":
        """The same for an old axis that begins at pixel `by`."""
        return Taps(self.places - by, self.weights)


@lru_cache(maxsize=64)
def taps(old: int, new: int) -> Taps:
    """The way from an axis of `old` pixels to one of `new` pixels that covers the same ground.

    A smaller axis gets the mean over the ground of each of its pixels, a larger one lies between the two nearest centres;
    beyond the outer centres the edge holds.

    >>> taps(4, 2).weights.tolist(), taps(2, 4).weights[1].tolist()
    ([[0.5, 0.5], [0.5, 0.5]], [0.0, 0.25, 0.75, 1.0])
    """
    return part_taps(Fraction(old, new), range(new), old)


def part_taps(step: Fraction, new: range, length: int) -> Taps:
    """The way to some pixels, `new`, of an axis whose pixels are `step` of the `length` old ones each: as of the whole.

    >>> part_taps(Fraction(3, 2), range(1, 2), 3).places.tolist()
    [[1], [2]]
    """
    pixels, old, own = np.arange(new.start, new.stop, dtype=np.int64), step.numerator, step.denominator
    return _means(pixels, old, own, length) if step > 1 else _between(pixels, old, own, length)


def nearest_taps(step: Fraction, new: range, length: int) -> Taps:
    """As `part_taps`, from the old pixel alone in which the centre of each new one lies."""
    pixels = np.arange(new.start, new.stop, dtype=np.int64)
    places = (2 * pixels + 1) * step.numerator // (2 * step.denominator)
    return Taps(np.minimum(places, length - 1)[None], np.ones((1, len(pixels)), dtype=np.float32))


def _means(pixels: NDArray[np.int64], old: int, new: int, length: int) -> Taps:
    """Edges are counted in parts of which an old pixel has `new` and a new one `old`: in whole numbers nothing is rounded."""
    low, high = pixels * old, (pixels + 1) * old
    first = low // new
    places = first + np.arange(int(np.max(-(-high // new) - first, initial=1)))[:, None]
    covered = np.minimum((places + 1) * new, high) - np.maximum(places * new, low)
    weights = (np.maximum(covered, 0) / old).astype(np.float32)
    return Taps(np.minimum(places, length - 1), weights)


def _between(pixels: NDArray[np.int64], old: int, new: int, length: int) -> Taps:
    centres = np.clip((2 * pixels + 1) * old - new, 0, 2 * new * (length - 1))
    first = np.minimum(centres // (2 * new), max(0, length - 2))
    second = ((centres - first * 2 * new) / (2 * new)).astype(np.float32)
    return Taps(np.stack([first, np.minimum(first + 1, length - 1)]), np.stack([1 - second, second]))


def resampled(array: Array, height: int, width: int) -> Array:
    """The planes of an array (n, planes, h, w) at another size, in float32, on the device where it lives.

    >>> resampled(np.array([[[[0, 2], [4, 6]]]], dtype=np.uint8), 1, 1).tolist()
    [[[[3.0]]]]
    """
    grows = height > array.shape[2]
    return resampled_by(array, taps(array.shape[2], height), taps(array.shape[3], width), grows=grows)


def resampled_by(array: Array, rows: Taps, cols: Taps, *, grows: bool) -> Array:
    """The planes of an array (n, planes, h, w) brought to other axes, in float32, on the device where it lives.

    `grows` says that columns become longer. Parts of an array that are brought alike then come out as they do in the whole.
    """
    xp = namespace(array)
    height, width = rows.places.shape[1], cols.places.shape[1]
    out = xp.zeros((*array.shape[:2], height, width), dtype=xp.float32, device=array.device)
    for n in range(array.shape[0]):
        # Plane by plane, so that what is made on the way stays small.
        for k in range(array.shape[1]):
            plane = array[n, k]
            # Turning a plane over costs as much as the work itself, so the smaller one is turned.
            if grows:
                out[n, k] = _along_rows(_along_rows(plane.T, cols, xp).T, rows, xp)
            else:
                out[n, k] = _along_rows(_along_rows(plane, rows, xp).T, cols, xp).T
    return out


def filled_near(pixels: NDArray[Any], valid: NDArray[np.bool_], reach: int) -> NDArray[Any]:
    """Pixels (bands, height, width) with the mean of the valid ones around where they are not: of a square of `reach` to
    each side. Those that have none there stay. So a new pixel is made of valid ones alone where it has any.

    >>> filled_near(np.array([[[9, 0, 3, 0, 7]]]), np.array([[True, False, True, False, False]]), 1).tolist()
    [[[9, 6, 3, 3, 7]]]
    """
    if valid.all() or not valid.any():
        return pixels
    filled = pixels.copy()
    # Strip by strip, so that what is made on the way stays small.
    for row in range(0, len(valid), STRIP):
        near = slice(max(0, row - reach), row + STRIP + reach)
        own = slice(row - near.start, row - near.start + min(STRIP, len(valid) - row))
        if not valid[row : row + STRIP].all():
            _fill_strip(filled[:, row : row + STRIP], pixels[:, near], valid[near], own, reach)
    return filled


def _fill_strip(filled: NDArray[Any], pixels: NDArray[Any], valid: NDArray[np.bool_], own: slice, reach: int) -> None:
    """Fills a strip, which are the rows `own` of the pixels around it."""
    known = _around(valid.astype(np.float64), reach)[own]
    lost = ~valid[own] & (known > 0)
    for band, values in zip(filled, pixels, strict=True):
        near = _around(np.where(valid, values, 0).astype(np.float64), reach)[own][lost] / known[lost]
        band[lost] = np.rint(near) if pixels.dtype.kind in "iu" else near


def _around(plane: NDArray[np.float64], reach: int) -> NDArray[np.float64]:
    """The sum over the square around each pixel, always in one order: no running sum, which would depend on where it began."""
    for _ in range(2):
        padded = np.pad(plane, ((reach, reach), (0, 0)))
        plane = sum((padded[k : k + len(plane)] for k in range(1, 2 * reach + 1)), start=padded[: len(plane)]).T
    return plane


def resampled_labels(labels: NDArray[np.uint8], rows: Taps, cols: Taps, coding: Coding) -> NDArray[np.uint8]:
    """Label bytes (height, width) brought to other axes: the class with most of the ground of each new pixel, of equals the
    lowest; where classes overlap those that have at least half of the labelled ground. Void where more than half of it is.
    """
    planes = [coding.plane(labels, k) for k in range(coding.classes)]
    known = _shares(labels != VOID, rows, cols)
    shares = [_shares(plane, rows, cols) for plane in planes]
    out = np.zeros(known.shape, dtype=np.uint8)
    if coding.overlapping:
        for k, share in enumerate(shares):
            out |= (2 * share >= known - TIE).astype(np.uint8) << np.uint8(k)
    else:
        most = np.zeros_like(known)
        for k, share in enumerate(shares):
            out[share > most + TIE] = k
            np.maximum(most, share, out=most)
    out[known < 0.5 - TIE] = VOID
    return out


def _shares(plane: NDArray[np.bool_], rows: Taps, cols: Taps) -> NDArray[np.float32]:
    return np.asarray(resampled_by(plane[None, None].astype(np.uint8), rows, cols, grows=False)[0, 0])


def _along_rows(plane: Array, way: Taps, xp: Any) -> Array:
    if plane.shape[0] == way.places.shape[1] and len(way.places) == 2 and not way.weights[1].any():
        return xp.asarray(plane, dtype=xp.float32)
    total = None
    for places, weights in zip(way.places, way.weights, strict=True):
        # torch refuses to wrap a read-only buffer, and the kept taps must not change.
        part = xp.asarray(plane[places.copy()], dtype=xp.float32)
        part *= xp.asarray(weights[:, None].copy(), device=plane.device)
        total = part if total is None else total.__iadd__(part)
    return total
