"""Round things that touch, told apart by the discs that fit into them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from terraseg.pixels.thinning import AROUND

SPACING = 0.62
"""How near, in parts of the larger one's radius, two things may have their middles: nearer ones are one thing."""


@dataclass(frozen=True, eq=False)
class Parts:
    """A mask told apart: `labels` (height, width) numbers its parts from 1, 0 is outside or too small.

    Part k + 1 has its middle at (`row[k]`, `col[k]`), `radius[k]` from the mask's edge; arrays (n,), the radius in the
    units of the sampling.
    """

    labels: NDArray[np.int32]
    row: NDArray[np.int64]
    col: NDArray[np.int64]
    radius: NDArray[np.float64]


def split_discs(
    mask: NDArray[np.bool_], *, sampling: tuple[float, float] = (1.0, 1.0), least: float = 0.0, spacing: float = SPACING
) -> Parts:
    """Round things that touch or overlap, such as tree crowns, as parts of their own.

    Each peak of the distance to the mask's edge is the middle of a part, unless it lies nearer to the middle of a larger
    part than `spacing` of that one's radius, or has a radius below `least`. Every pixel goes uphill to its peak, and so to
    the part (the watershed of the distance transform: Vincent and Soille, IEEE Trans. PAMI 13 (1991)). Overlapping discs
    are told apart long before a neck shows between them, for which `split_at_necks` looks; things that are not round would
    fall to pieces here. A closed canopy shows no more than its outline does. The image's border is no edge.
    """
    distance = _distance(mask, sampling)
    peak_of = _uphill(mask, distance)
    flat = distance.ravel()
    peaks = np.unique(peak_of[mask.ravel()])
    # Largest first, of equal ones the first in reading order.
    peaks = peaks[np.argsort(-flat[peaks], kind="stable")]
    row, col = np.divmod(peaks, mask.shape[1])
    # Where pixels are longer than wide, the stairs of an edge make peaks of their own between the true ones.
    size = [2 * round(max(sampling) / side) + 1 for side in sampling]
    is_top = (distance >= ndimage.maximum_filter(distance, size=size)).ravel()[peaks]
    radius = np.where(is_top, flat[peaks], -1.0)
    part = _thinned_out(row, col, radius, sampling, (least, spacing))
    _give_away(part, peaks, mask, np.column_stack([row, col]) * sampling)
    number = np.zeros(mask.size, np.int32)
    number[peaks] = part
    inside = mask.ravel()
    labels = np.zeros(mask.size, np.int32)
    labels[inside] = number[peak_of[inside]]
    first = np.flatnonzero(np.diff(np.maximum.accumulate(part), prepend=0) > 0)
    return Parts(labels.reshape(mask.shape), row[first], col[first], flat[peaks[first]].astype(np.float64))


def _distance(mask: NDArray[np.bool_], sampling: tuple[float, float]) -> NDArray[np.float64]:
    if mask.all():
        return np.full(mask.shape, float(np.hypot(*mask.shape) * max(sampling)))
    return np.asarray(ndimage.distance_transform_edt(mask, sampling=sampling))


def _uphill(mask: NDArray[np.bool_], distance: NDArray[np.float64]) -> NDArray[np.int64]:
    """The peak, as a flat index, to which each pixel's steepest way leads; all of a flat top are peaks."""
    height, width = mask.shape
    index = np.arange(mask.size).reshape(mask.shape)
    best, to = distance.copy(), index.copy()
    for row, col in AROUND:
        here = (slice(max(0, -row), height - max(0, row)), slice(max(0, -col), width - max(0, col)))
        there = (slice(max(0, row), height + min(0, row)), slice(max(0, col), width + min(0, col)))
        better = mask[there] & (distance[there] > best[here])
        best[here] = np.where(better, distance[there], best[here])
        to[here] = np.where(better, index[there], to[here])
    way: NDArray[np.int64] = to.ravel()
    while True:
        further = way[way]
        if np.array_equal(further, way):
            return way
        way = further


def _thinned_out(
    row: NDArray[np.int64],
    col: NDArray[np.int64],
    radius: NDArray[np.float64],
    sampling: tuple[float, float],
    limits: tuple[float, float],
) -> NDArray[np.int32]:
    """The part of each peak, numbered from 1, those that lie in a larger one's reach with it; 0 for peaks that are too small.

    Peaks come largest first.
    """
    least, spacing = limits
    part = np.zeros(len(row), np.int32)
    if len(row) == 0:
        return part
    places = np.column_stack([row, col]) * sampling
    tree = cKDTree(places)
    number = 0
    for peak in range(len(row)):
        if part[peak] or radius[peak] < max(0.0, least):
            continue
        number += 1
        reach = np.array(tree.query_ball_point(places[peak], spacing * radius[peak]))
        part[reach[part[reach] == 0]] = number
        part[peak] = number
    return part


def _give_away(
    part: NDArray[np.int32], peaks: NDArray[np.int64], mask: NDArray[np.bool_], places: NDArray[np.float64]
) -> None:
    """Peaks too small for a part of their own go to the nearest part that they hang together with."""
    small = np.flatnonzero(part == 0)
    own = np.flatnonzero(part > 0)
    if len(small) == 0 or len(own) == 0:
        return
    pieces = ndimage.label(mask, np.ones((3, 3)))[0].ravel()[peaks]
    nearest = own[cKDTree(places[own]).query(places[small])[1]]
    together = pieces[nearest] == pieces[small]
    part[small[together]] = part[nearest[together]]
