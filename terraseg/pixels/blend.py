"""Class probabilities of overlapping tiles blended into one, holding only what later tiles still need.

Arrays are the scorer's own, numpy or torch, on whatever device: only functions that both have under one name are called
(the array API standard's, where torch follows it), so that from a GPU nothing but finished bytes comes back.
"""

import math
import sys
from dataclasses import dataclass
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

    def add(self, row: int, col: int, scores: Array) -> "Blended | None":
        """Cell (row, col), or None when the region does not own it.

        `scores` are the tile's probabilities, (classes, height, width) of at least the size of its window; what lies
        beyond the window (the filling of a small raster) is left out. They are not changed, and must not be while the cell
        is in use.
        """
        rows, cols = self.lattice.rows, self.lattice.cols
        (top, bottom), (left, right) = rows.reach(row), cols.reach(col)
        y, x = rows.span(row)[0], cols.span(col)[0]
        start, stop = cols.cell(col)
        place = slice(start - self._extent.col, stop - self._extent.col)
        above = self._above if row > 0 and col in self.region.cols else None
        height = rows.cell(row)[1] - top
        part = Blended(
            scores[:, top - y : bottom - y, left - x : right - x],
            (reach_weights(*_shape(rows, row)), reach_weights(*_shape(cols, col))),
            self._left,
            # The rims below take the place of those above.
            None if above is None else namespace(scores).asarray(above[:, :, place], copy=True),
            (height, stop - start),
        )
        fades = col + 1 in self.region.cols and cols.ramp > 0
        self._left = part.rim(stop - start) if fades else None
        if col not in self.region.cols:
            return None
        if row + 1 in self.region.rows and rows.ramp:
            self._rims(scores)[:, :, place] = part.part(slice(height, bottom - top), slice(0, stop - start))
        return part if row in self.region.rows else None

    def skip(self, col: int) -> None:
        """Passes over a tile of column `col` without a valid pixel: what it would have added counts for none."""
        self._left = None
        if self._above is not None and col in self.region.cols:
            start, stop = self.lattice.cols.cell(col)
            self._above[:, :, start - self._extent.col : stop - self._extent.col] = 0

    def _rims(self, like: Array) -> Array:
        if self._above is None:
            shape = (like.shape[0], self.lattice.rows.ramp, self._extent.width)
            xp = namespace(like)
            self._above = xp.zeros(shape, dtype=xp.float32, device=like.device)
        return self._above


@dataclass(frozen=True, eq=False)
class Blended:
    """A tile's part in the map and what its neighbours add to it; blended part by part when it is asked for.

    `scores` (classes, height, width) are those of the tile's reach, `weights` its own down and across. `left` holds the rim of
    the tile before it, `above` that of the tiles above its cell, None for none; `size` are the cell's rows and columns.
    Most of a tile fades into nothing: there its scores are given as they are, without a copy.
    """

    scores: Array
    weights: tuple[NDArray[np.float32], NDArray[np.float32]]
    left: Array | None
    above: Array | None
    size: tuple[int, int]

    @property
    def fading(self) -> int:
        """The first columns of the cell that the tile before it has a part in."""
        return 0 if self.left is None else int(self.left.shape[2])

    def part(self, rows: slice, cols: slice) -> Array:
        """The blended probabilities (classes, height, width) of rows and columns of the cell; not to be changed."""
        return self._part(rows, cols, above=self.above)

    def rim(self, first: int) -> Array:
        """The columns of the reach from `first` on, as the tile before and this one have them: what the next tile adds."""
        _, height, width = self.scores.shape
        return self._part(slice(0, height), slice(first, width), above=None)

    def _part(self, rows: slice, cols: slice, *, above: Array | None) -> Array:
        scores = self.scores[:, rows, cols]
        down, across = self.weights[0][rows], self.weights[1][cols]
        left = self.left if self.left is not None and cols.start < self.left.shape[2] else None
        above = above if above is not None and rows.start < above.shape[1] else None
        plain = bool((down == 1).all())
        if plain and left is None and above is None and bool((across == 1).all()):
            return scores
        weight = on_device(across, scores)[None, :]
        part = scores * (weight if plain else on_device(down, scores)[:, None] * weight)
        if left is not None:
            rim = left[:, rows, cols]
            part[:, :, : rim.shape[2]] += rim
        if above is not None:
            rim = above[:, rows, cols]
            part[:, : rim.shape[1]] += rim
        return part


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
    """The most probable class of each pixel as uint8 index, and its probability, from (classes, height, width).

    Gives two of (height, width). The first of equals wins.
    """
    xp = namespace(probabilities)
    best = probabilities[0]
    index = xp.zeros(best.shape, dtype=xp.uint8, device=best.device)
    # A running maximum takes a third of the time of argmax and max along the first axis.
    for k in range(1, probabilities.shape[0]):
        better = probabilities[k] > best
        best = xp.maximum(best, probabilities[k])
        index = xp.maximum(index, xp.asarray(better, dtype=xp.uint8) * k)
    return index, best


def decide_each(probabilities: Array, threshold: float) -> tuple[Array, Array]:
    """Where each of overlapping classes is, 1 or 0 as uint8, and the probability of the least certain of these decisions.

    Takes (classes, height, width), gives one of that shape and one of (height, width).
    """
    xp = namespace(probabilities)
    inside = probabilities >= threshold
    certain = xp.where(inside, probabilities, 1 - probabilities)
    least = certain[0]
    for k in range(1, certain.shape[0]):
        least = xp.minimum(least, certain[k])
    return xp.asarray(inside, dtype=xp.uint8), least


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
