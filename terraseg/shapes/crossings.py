"""Which arcs of a partition came to cross or touch others after some of them were moved."""

import numpy as np
import shapely
from numpy.typing import NDArray

from terraseg.shapes.arcs import Arcs

APART = 1e-3
"""How near, in pixels, two borders may come that share no vertex."""

BAND = 1024
"""Rows of pixels looked at in one go."""

CELL = 32
"""Side in pixels of the cells by which segments far from all moved ones are left out."""


def crossing_arcs(arcs: Arcs, moved: NDArray[np.bool_], *, fresh: NDArray[np.bool_] | None = None) -> NDArray[np.bool_]:
    """Arcs that cross, touch or run along a moved one (or themselves) other than end to end, and moved ones without length.

    With `fresh` only these arcs, moved or moved back, are looked at: no two others may cross. Memory is a band of rows of
    the map.
    """
    looked_at = moved if fresh is None else fresh
    one, two, arc = _segments(arcs)
    bad = np.zeros(len(arcs), dtype=np.bool_)
    flat = np.hypot(*(two - one).T) < APART
    bad[arc[flat & moved[arc]]] = True
    of_these = looked_at[arc]
    near = np.flatnonzero(_near(one, two, of_these))
    one, two, arc, of_these = one[near], two[near], arc[near], of_these[near]
    low, high = np.minimum(one[:, 1], two[:, 1]), np.maximum(one[:, 1], two[:, 1])
    for top in np.arange(0, high.max(initial=0) + 1, BAND):
        here = (high >= top - 1) & (low <= top + BAND + 1)
        mine, all_ = np.flatnonzero(here & of_these), np.flatnonzero(here)
        if len(mine) == 0:
            continue
        lines = shapely.linestrings(np.stack([one[all_], two[all_]], axis=1))
        place = np.searchsorted(all_, mine)
        near, far = shapely.STRtree(lines).query(lines[place], predicate="dwithin", distance=APART)
        first, second = mine[near], all_[far]
        other = first != second
        first, second = first[other], second[other]
        wrong = _are_wrong((one[first], two[first]), (one[second], two[second]))
        bad[arc[first[wrong]]] = bad[arc[second[wrong]]] = True
    return bad


def _near(one: NDArray[np.float64], two: NDArray[np.float64], chosen: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Segments in whose cells of `CELL` pixels, or next to them, there is a chosen one; the chosen ones among them."""
    low, high = np.minimum(one, two), np.maximum(one, two)
    origin = low.min(axis=0, initial=0) - APART
    first, last = ((np.floor((ends - origin) / CELL)).astype(np.int64) for ends in (low - APART, high + APART))
    first = np.maximum(first, 0)
    shape = last.max(axis=0, initial=0) + 2
    marks = np.zeros((shape[1], shape[0]), dtype=np.int32)
    a, b = first[chosen], last[chosen] + 1
    for cols, rows, sign in ((a, a, 1), (b, b, 1), (a, b, -1), (b, a, -1)):
        np.add.at(marks, (rows[:, 1], cols[:, 0]), sign)
    is_marked = marks.cumsum(axis=0).cumsum(axis=1) > 0
    total = np.pad(is_marked.astype(np.int32).cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    (left, top), (right, bottom) = first.T, (last + 1).T
    return np.asarray(total[bottom, right] - total[top, right] - total[bottom, left] + total[top, left] > 0)


def _segments(arcs: Arcs) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Both ends (n, 2) of every segment, and its arc; rings are closed."""
    points = np.column_stack([arcs.x, arcs.y]).astype(np.float64)
    arc = np.repeat(np.arange(len(arcs)), np.diff(arcs.offsets))
    following = np.arange(1, len(points) + 1)
    last = arcs.offsets[1:] - 1
    following[last] = np.where(arcs.is_ring, arcs.offsets[:-1], -1)
    has = following >= 0
    return points[has], points[following[has]], arc[has]


def _are_wrong(
    first: tuple[NDArray[np.float64], NDArray[np.float64]], second: tuple[NDArray[np.float64], NDArray[np.float64]]
) -> NDArray[np.bool_]:
    """Whether two segments that touch do so other than by one shared end."""
    shared = np.zeros(len(first[0]), dtype=np.bool_)
    along = np.zeros(len(first[0]), dtype=np.bool_)
    for a, b in (first, first[::-1]):
        for c, d in (second, second[::-1]):
            same = (a == c).all(axis=1)
            p, q = b - a, d - c
            cross = p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0]
            ahead = (p * q).sum(axis=1)
            size = np.hypot(*p.T) * np.hypot(*q.T)
            shared |= same
            along |= same & (ahead > 0) & (np.abs(cross) <= 1e-6 * size)
    return ~shared | along
