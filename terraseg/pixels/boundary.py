"""The seams along the outlines of classes: what boundary IoU compares."""

import numpy as np
from numpy.typing import NDArray

from terraseg.core.classes import VOID
from terraseg.core.coding import Coding

TRUE, MAPPED, BOTH = range(3)
"""The columns of boundary counts."""


def near_edge(labels: NDArray[np.uint8], distance: int) -> NDArray[np.bool_]:
    """Pixels with another value at most `distance` rows and columns away, (height, width): the inner seams of all classes.

    Void (255) has no say and is in no seam, and nothing lies beyond the array: neither the end of the labels nor the edge of a
    scene is an outline. This is what is left of each class after `distance` erosions by a 3 x 3 square.

    >>> near_edge(np.array([[1, 1, 1, 0, 255, 255, 0]], dtype=np.uint8), 2).tolist()
    [[False, True, True, True, False, False, False]]
    """
    wide = np.pad(labels, distance, mode="edge")
    highest = _extreme(np.maximum, np.where(wide == VOID, np.uint8(0), wide), 2 * distance + 1)
    lowest = _extreme(np.minimum, wide, 2 * distance + 1)
    return np.asarray((labels != VOID) & ((highest != labels) | (lowest != labels)))


def _extreme(extreme: np.ufunc, values: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """The largest or smallest value in each square of `size` pixels, along one axis after the other in doubling steps."""
    for _ in range(2):
        reach = 1
        while reach < size:
            step = min(reach, size - reach)
            values, reach = extreme(values[:-step], values[step:]), reach + step
        values = values.T
    return values


def boundary_counts(
    truth: NDArray[np.uint8], mapped: NDArray[np.uint8], coding: Coding, *, distance: int, core: tuple[slice, slice]
) -> NDArray[np.int64]:
    """Seam pixels of each class in the truth, in the map, and in both, (classes, 3), among the pixels of `core`.

    Both are label bytes of one shape (see `core.Coding`) and reach `distance` pixels beyond the core where there is anything;
    a pixel that is 255 in either does not count. Counts of parts add up to those of the whole. Boundary IoU is both / (truth +
    mapped - both); source: Cheng et al., "Boundary IoU", CVPR 2021, whose program also measures the distance by squares.
    """
    known = (truth[core] != VOID) & (mapped[core] != VOID)
    if not coding.overlapping:
        true, guess = (np.where(near_edge(each, distance)[core] & known, each[core], VOID) for each in (truth, mapped))
        shared = true[true == guess]
        return np.column_stack([_by_class(each, coding.classes) for each in (true, guess, shared)])
    counts = np.zeros((coding.classes, 3), dtype=np.int64)
    for index in range(coding.classes):
        seams = []
        for each in (truth, mapped):
            plane = np.where(each == VOID, VOID, coding.plane(each, index)).astype(np.uint8)
            seams.append(near_edge(plane, distance)[core] & (plane[core] == 1) & known)
        counts[index] = seams[0].sum(), seams[1].sum(), (seams[0] & seams[1]).sum()
    return counts


def _by_class(values: NDArray[np.uint8], classes: int) -> NDArray[np.int64]:
    return np.bincount(values.ravel(), minlength=VOID + 1)[:classes].astype(np.int64)
