"""How large and how wide the objects of a class are, from labels."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

LEAST_PIXELS = 4
"""Smaller pieces are slips of the brush."""


@dataclass(frozen=True, eq=False)
class ObjectSizes:
    """Objects of one class, all arrays of shape (n,): `area` in pixels, `width` in pixels, `cut` by the window's border."""

    area: NDArray[np.float64]
    width: NDArray[np.float64]
    cut: NDArray[np.bool_]


def object_sizes(indices: NDArray[np.uint8], classes: int) -> tuple[ObjectSizes, ...]:
    """The connected pieces (4-neighbours) of each class in a window of class indices (height, width), by class.

    The width is twice the median distance to the object's edge along its ridge, the pixels that lie no nearer to the edge
    than their eight neighbours do: the local width of Hildebrand and Ruegsegger (J. Microscopy 185, 1997), taken on the
    medial axis only. Ridge pixels weigh by the area of the disc around them, so that corners and bumps have little say.
    The window's border is no edge. One distance transform serves all classes.
    """
    inner = _distance_to_edge(indices)
    return tuple(_sizes_of(indices == k, inner) for k in range(classes))


def _distance_to_edge(indices: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Distance of each pixel to the nearest pixel that has a neighbour of another value; the window's size without any."""
    edge = np.zeros(indices.shape, dtype=np.bool_)
    across = indices[1:] != indices[:-1]
    along = indices[:, 1:] != indices[:, :-1]
    edge[1:] |= across
    edge[:-1] |= across
    edge[:, 1:] |= along
    edge[:, :-1] |= along
    if not edge.any():
        return np.full(indices.shape, max(indices.shape) / 2, dtype=np.float32)
    return np.asarray(ndimage.distance_transform_edt(~edge), dtype=np.float32)


def _sizes_of(mask: NDArray[np.bool_], inner: NDArray[np.float32]) -> ObjectSizes:
    labels, count = ndimage.label(mask)
    if count == 0:
        return ObjectSizes(np.zeros(0), np.zeros(0), np.zeros(0, dtype=np.bool_))
    area = np.bincount(labels.ravel(), minlength=count + 1)[1:].astype(np.float64)
    own = np.where(mask, inner, np.float32(-1))
    on_ridge = mask & (own >= ndimage.maximum_filter(own, size=3))
    # Edge pixels have distance 0 in strips of one and of two pixels: their mean width is 1.5.
    width = 2 * _medians(labels[on_ridge], inner[on_ridge], count) + 1.5
    border = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
    cut = np.isin(np.arange(1, count + 1), border)
    kept = area >= LEAST_PIXELS
    return ObjectSizes(area[kept], width[kept], cut[kept])


def _medians(labels: NDArray[np.int32], values: NDArray[np.float32], count: int) -> NDArray[np.float64]:
    """The median value of each label from 1 to `count`, values weighing by their squares; 0 for a label without any."""
    order = np.lexsort((values, labels))
    upto = np.cumsum((values[order].astype(np.float64) + 0.5) ** 2)
    starts, stops = (np.searchsorted(labels[order], np.arange(1, count + 1), side=side) for side in ("left", "right"))
    medians = np.zeros(count)
    filled = stops > starts
    before = np.where(starts > 0, upto[starts - 1], 0.0)[filled]
    middle = np.searchsorted(upto, (before + upto[stops[filled] - 1]) / 2)
    medians[filled] = values[order][np.minimum(middle, stops[filled] - 1)]
    return medians
