"""Class probabilities of overlapping tiles blended into one, holding only what later tiles still need.

Arrays are the scorer's own, numpy or torch, on whatever device: only functions that both have under one name are called
(the array API standard's, where torch follows it), so that from a GPU nothing but finished bytes comes back.
"""

import math
import sys
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from terraseg.pixels.tiling import Axis, Lattice, Region

Array = Any
"""A numpy array, a torch tensor, or another array whose module has numpy's names."""

FULL = 254
"""The byte that stands for probability 1: bytes count steps of 1/254, so that 255 is free for nodata."""


class Blender:
    """The blending of one region: tiles go in row by row, each cell comes out as soon as its last tile is in.

    Tiles must come in the order of `tile_order(lattice.needed(region))`, each through `add` or `skip`. Where only a window of
    the region's pixels is wanted, `tile_order(lattice.tiles_of(window))` will do; pixels outside it then come out wrong.
    Held are the fading lower rims of the last tile row, (classes, ramp, columns of the region) of float32, and the right
    rim of the last tile.
    Every pixel's sum has the same terms in the same order whatever the region, so results do not depend on the split.
    """

    def __init__(self, lattice: Lattice, region: Region) -> None:
        self.lattice = lattice
        self.region = region
        self._extent = lattice.extent(region)
        self._above: Array | None = None
        self._left: Array | None = None

    def add(self, row: int, col: int, scores: Array) -> Array | None:
        """The blended probabilities (classes, height, width) of cell (row, col), or None when the region does not own it.

        `scores` are the tile's probabilities, (classes, height, width) of at least the size of its window; what lies
        beyond the window (the filling of a small raster) is left out. They are not changed.
        """
        rows, cols = self.lattice.rows, self.lattice.cols
        part = self._weighted(row, col, scores)
        if self._left is not None:
            part[:, :, : cols.ramp] += self._left
        start, stop = cols.cell(col)
        self._left = part[:, :, stop - start :] if col + 1 in self.region.cols and cols.ramp else None
        if col not in self.region.cols:
            return None
        own = part[:, :, : stop - start]
        place = slice(start - self._extent.col, stop - self._extent.col)
        if row > 0 and self._above is not None:
            own[:, : rows.ramp] += self._above[:, :, place]
        start, stop = rows.cell(row)
        if row + 1 in self.region.rows and rows.ramp:
            self._rims(own)[:, :, place] = own[:, stop - start :]
        return own[:, : stop - start] if row in self.region.rows else None

    def skip(self, col: int) -> None:
        """Passes over a tile of column `col` without a valid pixel: what it would have added counts for none."""
        self._left = None
        if self._above is not None and col in self.region.cols:
            start, stop = self.lattice.cols.cell(col)
            self._above[:, :, start - self._extent.col : stop - self._extent.col] = 0

    def _weighted(self, row: int, col: int, scores: Array) -> Array:
        rows, cols = self.lattice.rows, self.lattice.cols
        down, across = (on_device(reach_weights(*_shape(axis, i)), scores) for axis, i in ((rows, row), (cols, col)))
        (top, bottom), (left, right) = rows.reach(row), cols.reach(col)
        y, x = rows.span(row)[0], cols.span(col)[0]
        if not rows.ramp and not cols.ramp:
            return scores[:, top - y : bottom - y, left - x : right - x]
        return scores[:, top - y : bottom - y, left - x : right - x] * (down[:, None] * across[None, :])

    def _rims(self, like: Array) -> Array:
        if self._above is None:
            shape = (like.shape[0], self.lattice.rows.ramp, self._extent.width)
            xp = namespace(like)
            self._above = xp.zeros(shape, dtype=xp.float32, device=like.device)
        return self._above


def _shape(axis: Axis, index: int) -> tuple[int, int, int]:
    start, stop = axis.reach(index)
    return stop - start, axis.ramp if index > 0 else 0, axis.ramp if index < axis.count - 1 else 0


@lru_cache(maxsize=64)
def reach_weights(length: int, rise: int, fall: int) -> NDArray[np.float32]:
    """Weights along a tile's reach, (length,) of float32: up over `rise` pixels, 1, down over `fall` pixels.

    A raised cosine. Where one tile falls and the next rises the two weights add up to 1 exactly: they are multiples of
    1/4096. At a raster's own edge there is no ramp, the weight is 1.

    >>> reach_weights(6, 2, 2).tolist()
    [0.146484375, 0.853515625, 1.0, 1.0, 0.853515625, 0.146484375]
    """
    weights = np.ones(length, dtype=np.float32)
    weights[:rise] = _raised_cosine(rise)
    weights[length - fall :] = 1 - _raised_cosine(fall)
    weights.flags.writeable = False
    return weights


def _raised_cosine(ramp: int) -> NDArray[np.float32]:
    phase = (np.arange(ramp) + 0.5) / max(1, ramp)
    return (np.round(np.sin(phase * np.pi / 2) ** 2 * 4096) / 4096).astype(np.float32)


def decide(probabilities: Array) -> tuple[Array, Array]:
    """The most probable class of each pixel as uint8 index, and its probability as uint8 in steps of 1/254.

    Takes (classes, height, width), gives two of (height, width). The first of equals wins.
    """
    xp = namespace(probabilities)
    best = probabilities[0]
    index = xp.zeros(best.shape, dtype=xp.uint8, device=best.device)
    # A running maximum takes a third of the time of argmax and max along the first axis.
    for k in range(1, probabilities.shape[0]):
        better = probabilities[k] > best
        best = xp.maximum(best, probabilities[k])
        index = xp.maximum(index, xp.asarray(better, dtype=xp.uint8) * k)
    return index, to_byte(best)


def decide_each(probabilities: Array, threshold: float) -> tuple[Array, Array]:
    """Where each of overlapping classes is, 1 or 0 as uint8, and the probability of the least certain of these decisions.

    Takes (classes, height, width), gives one of that shape and, in steps of 1/254, one of (height, width).
    """
    xp = namespace(probabilities)
    inside = probabilities >= threshold
    certain = xp.where(inside, probabilities, 1 - probabilities)
    least = certain[0]
    for k in range(1, certain.shape[0]):
        least = xp.minimum(least, certain[k])
    return xp.asarray(inside, dtype=xp.uint8), to_byte(least)


def uncertainty(probabilities: Array, *, overlapping: bool = False) -> Array:
    """The entropy of each pixel's classes (Shannon, 1948), in steps of 1/254 of the most there can be, (height, width) of uint8.

    0 is a certain pixel, 254 one that could be any class. Of overlapping classes it is that of the least certain one.
    """
    xp = namespace(probabilities)
    total = xp.zeros(probabilities[0].shape, dtype=xp.float32, device=probabilities.device)
    if overlapping:
        for p in probabilities:
            total = xp.maximum(total, _surprise(p) + _surprise(1 - p))
        return to_byte(total / math.log(2))
    for p in probabilities:
        total += _surprise(p)
    return to_byte(xp.clip(total / math.log(max(2, probabilities.shape[0])), 0, 1))


def _surprise(p: Array) -> Array:
    # The logarithm of nothing is no number; times nothing it is nothing.
    return -p * namespace(p).log(namespace(p).clip(p, 1e-12, 1))


def to_byte(probabilities: Array) -> Array:
    """Probabilities as uint8 in steps of 1/254: 0 for 0, 254 for 1."""
    xp = namespace(probabilities)
    return xp.asarray(xp.round(probabilities * FULL), dtype=xp.uint8)


def to_host(array: Array) -> NDArray[Any]:
    """The array as numpy's, copied from the device it lives on."""
    return np.asarray(array.cpu() if hasattr(array, "cpu") else array)


def on_device(values: NDArray[np.float32], like: Array) -> Array:
    """A small host array where `like` lives, as its kind."""
    # torch refuses to wrap a read-only buffer, and the caller must not change a cached one.
    return namespace(like).asarray(values.copy(), device=like.device)


def namespace(array: Array) -> Any:
    """The module whose functions work on an array: numpy's, torch's; found without importing either."""
    return sys.modules[type(array).__module__.partition(".")[0]]
