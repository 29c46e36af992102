"""Touching objects of one class parted at their necks."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

SMOOTH_PX = 1.0
"""Standard deviation by which heights are smoothed, so that single pixels of the outline make no peak of their own."""

DIP = 0.9
"""The share of its height on either side to which a probability falls, smoothed, between two objects."""


def split_at_necks(
    mask: NDArray[np.bool_],
    *,
    neck: float,
    height: NDArray[np.floating] | None = None,
    sure: NDArray[np.floating] | None = None,
) -> NDArray[np.int32]:
    """Numbers of the objects in a mask (height, width), from 1; 0 outside it.

    The mask is flooded from its peaks (watershed), and two basins are one object unless the pass between them is lower than
    `neck` times the lower of their peaks. The height is the distance to the mask's edge, or what is passed as `height`. The
    probability of the class, where it is passed as `sure` (height, width), lowers it: where it falls to `DIP` of what it is
    on either side, objects of any width part, as along a wall that a model sees and a mask does not show. With distances
    two overlapping discs part when their neck is narrower than `neck` times the smaller one's diameter; the image's border
    is no edge. Method: Vincent and Soille, "Watersheds in digital spaces", IEEE PAMI 13 (1991), with basins joined by the
    relative height of their passes.

    >>> discs = np.hypot(*np.ogrid[-9:10, -9:10]) < 9
    >>> int(split_at_necks(np.hstack([discs, discs]), neck=0.8).max())
    2
    """
    # Only who splits pays for the import: it takes longer than vectorizing a small map.
    from skimage.morphology import local_maxima
    from skimage.segmentation import watershed

    if not mask.any():
        return np.zeros(mask.shape, dtype=np.int32)
    steep = _distance(mask) if height is None else height.astype(np.float32)
    if sure is not None:
        steep = steep * np.clip(sure, 0, 1).astype(np.float32) ** np.float32(np.log(neck) / np.log(DIP))
    heights = _smooth(steep, mask)
    # A frame, since a flat image has no maximum.
    framed = np.pad(heights, 1, constant_values=-1)
    summits: NDArray[np.bool_] = local_maxima(framed, connectivity=1)[1:-1, 1:-1]  # type: ignore[no-untyped-call]
    peaks, count = ndimage.label(summits & mask)
    basins: NDArray[np.int32] = watershed(-heights, peaks, mask=mask)  # type: ignore[no-untyped-call]
    top = np.zeros(count + 1)
    top[peaks.ravel()] = heights.ravel()
    one, two, passes = _passes(basins, heights)
    names = _joined(top, zip(one.tolist(), two.tolist(), passes.tolist(), strict=True), neck)
    return np.asarray(names[basins])


def _distance(mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    if mask.all():
        return np.full(mask.shape, float(max(mask.shape)), dtype=np.float32)
    return np.asarray(ndimage.distance_transform_edt(mask), dtype=np.float32)


def _smooth(heights: NDArray[np.float32], mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Heights smoothed inside the mask only: the outside would pull narrow objects down."""
    weight = ndimage.gaussian_filter(mask.astype(np.float32), SMOOTH_PX, truncate=3)
    total = ndimage.gaussian_filter(np.where(mask, heights, np.float32(0)), SMOOTH_PX, truncate=3)
    return np.where(mask, total / np.maximum(weight, np.float32(1e-6)), np.float32(0))


def _passes(
    basins: NDArray[np.int32], heights: NDArray[np.float32]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """Pairs of basins that touch, from the highest pass to the lowest, with the height of the pass between them."""
    every, near, far = slice(None), slice(None, -1), slice(1, None)
    found = []
    for here, there in (((every, near), (every, far)), ((near, every), (far, every))):
        a, b = basins[here], basins[there]
        touch = (a != b) & (a > 0) & (b > 0)
        low = np.minimum(heights[here][touch], heights[there][touch])
        found.append((np.minimum(a, b)[touch], np.maximum(a, b)[touch], low))
    one, two, low = (np.concatenate(parts) for parts in zip(*found, strict=True))
    order = np.lexsort((two, one, -low))
    code = one.astype(np.int64) * (int(basins.max(initial=0)) + 1) + two
    _, first = np.unique(code[order], return_index=True)
    kept = order[np.sort(first)]
    return one[kept].astype(np.int64), two[kept].astype(np.int64), low[kept]


def _joined(top: NDArray[np.float64], passes: Iterable[tuple[int, int, float]], neck: float) -> NDArray[np.int32]:
    """The object of each basin, after basins with a high pass between them were joined, highest pass first."""
    parent = list(range(len(top)))
    peak = top.tolist()

    def root(basin: int) -> int:
        while parent[basin] != basin:
            parent[basin] = parent[parent[basin]]
            basin = parent[basin]
        return basin

    for one, two, height in passes:
        a, b = root(one), root(two)
        if a != b and height >= neck * min(peak[a], peak[b]):
            low, high = min(a, b), max(a, b)
            parent[high] = low
            peak[low] = max(peak[a], peak[b])
    _, names = np.unique([root(basin) for basin in range(len(parent))], return_inverse=True)
    return names.astype(np.int32)
