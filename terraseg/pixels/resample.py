"""Arrays at another pixel size: averaged over area where they shrink, bilinear where they grow."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from terraseg.pixels.blend import namespace

Array = Any
"""A numpy array, a torch tensor, or another array whose module has numpy's names."""


@dataclass(frozen=True, eq=False)
class Taps:
    """How each pixel of a new axis comes from an old one: the sum over k of `weights[k]` times the pixels at `places[k]`.

    Both have the shape (taps, new length).
    """

    places: NDArray[np.int64]
    weights: NDArray[np.float32]


@lru_cache(maxsize=64)
def taps(old: int, new: int) -> Taps:
    """The way from an axis of `old` pixels to one of `new` pixels that covers the same ground.

    A smaller axis gets the mean over the ground of each of its pixels, a larger one lies between the two nearest centres;
    beyond the outer centres the edge holds.

    >>> taps(4, 2).weights.tolist(), taps(2, 4).weights[1].tolist()
    ([[0.5, 0.5], [0.5, 0.5]], [0.0, 0.25, 0.75, 1.0])
    """
    return _means(old, new) if new < old else _between(old, new)


def _means(old: int, new: int) -> Taps:
    edges = np.arange(new + 1) * (old / new)
    first = np.floor(edges[:-1] + 1e-9).astype(np.int64)
    count = int(np.max(np.ceil(edges[1:] - 1e-9).astype(np.int64) - first))
    places = first + np.arange(count)[:, None]
    covered = np.minimum(places + 1, edges[1:]) - np.maximum(places, edges[:-1])
    weights = np.clip(covered, 0, 1)
    weights = np.where(weights > 1e-9, weights, 0)
    weights = (weights / weights.sum(axis=0)).astype(np.float32)
    return Taps(np.minimum(places, old - 1), weights)


def _between(old: int, new: int) -> Taps:
    centres = np.clip((np.arange(new) + 0.5) * (old / new) - 0.5, 0, old - 1)
    first = np.minimum(np.floor(centres).astype(np.int64), max(0, old - 2))
    second = (centres - first).astype(np.float32)
    return Taps(np.stack([first, np.minimum(first + 1, old - 1)]), np.stack([1 - second, second]))


def resampled(array: Array, height: int, width: int) -> Array:
    """The planes of an array (n, planes, h, w) at another size, in float32, on the device where it lives.

    >>> resampled(np.array([[[[0, 2], [4, 6]]]], dtype=np.uint8), 1, 1).tolist()
    [[[[3.0]]]]
    """
    xp = namespace(array)
    rows, cols = taps(array.shape[2], height), taps(array.shape[3], width)
    out = xp.zeros((*array.shape[:2], height, width), dtype=xp.float32, device=array.device)
    for n in range(array.shape[0]):
        # Plane by plane, so that what is made on the way stays small.
        for k in range(array.shape[1]):
            plane = array[n, k]
            # Turning a plane over costs as much as the work itself, so the smaller one is turned.
            if height > array.shape[2]:
                out[n, k] = _along_rows(_along_rows(plane.T, cols, xp).T, rows, xp)
            else:
                out[n, k] = _along_rows(_along_rows(plane, rows, xp).T, cols, xp).T
    return out


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
