"""How wide streets are: along their middle, junctions left out."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from terraseg.core.grid import Grid
from terraseg.pixels.centreline import MiddlePoints
from terraseg.pixels.thinning import AROUND, branches
from terraseg.shapes.chains import linked

SPUR = 2.5
"""Dead ends shorter than this many half widths of the street they leave are bumps of its edge."""
JUNCTION = 1.5
"""How far around a junction, in its radii, widths are no street's."""
SHORTEST = 2.0
"""Segments shorter than this many times their half width say nothing."""


@dataclass(frozen=True, eq=False)
class Streets:
    """Streets as points along their middle and as the segments between junctions.

    Points (n,): map coordinates `x` and `y`, `width` (NaN where an edge is hidden), `step`, the length that a point stands
    for, and the `segment` that it belongs to. Segments (m,): median `segment_width`, NaN where it is nowhere to be seen, and
    `segment_length`. Lengths are metres with a CRS, else pixels.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    width: NDArray[np.float64]
    step: NDArray[np.float64]
    segment: NDArray[np.int64]
    segment_width: NDArray[np.float64]
    segment_length: NDArray[np.float64]

    def median_width(self, chosen: NDArray[np.generic] | slice | None = None) -> float | None:
        """The width that half of the length exceeds, of all points or of the chosen ones; None where none is seen."""
        width, step = (self.width, self.step) if chosen is None else (self.width[chosen], self.step[chosen])
        seen = ~np.isnan(width)
        return weighted_median(width[seen], step[seen]) if seen.any() else None


def find_streets(points: MiddlePoints, grid: Grid) -> Streets:
    """The streets that middle points make, without bumps, junctions and shreds."""
    kept = _without_spurs(points)
    points = points.rows(kept)
    links, lines = _links(points.row, points.col)
    is_junction = lines >= 3
    clear = ~is_junction & ~_near_junction(points, is_junction)
    points, links = points.rows(clear), _renumbered(links, clear)
    segment, first = linked(len(points), links[:, 0], links[:, 1])
    length = np.bincount(segment, weights=points.step, minlength=len(first)).astype(np.float64)
    radius = _medians(points.radius, segment, len(first))
    long = length >= SHORTEST * radius
    chosen = long[segment] if len(segment) else np.zeros(0, np.bool_)
    points, segment = points.rows(chosen), (np.cumsum(long) - 1)[segment[chosen]]
    x, y = grid.to_map(points.row + 0.5, points.col + 0.5)
    width = _medians(points.width, segment, int(long.sum()))
    return Streets(x, y, points.width, points.step, segment, width, length[long])


def weighted_median(values: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    """The value below which half of the weight lies.

    >>> weighted_median(np.array([3.0, 1.0, 2.0]), np.array([1.0, 1.0, 5.0]))
    2.0
    """
    order = np.argsort(values, kind="stable")
    upto = np.cumsum(weights[order])
    return float(values[order][min(np.searchsorted(upto, upto[-1] / 2), len(values) - 1)])


def _links(row: NDArray[np.int64], col: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int8]]:
    """Pairs (m, 2) of points that touch, and how many lines leave each point."""
    if len(row) == 0:
        return np.zeros((0, 2), np.int64), np.zeros(0, np.int8)
    width = int(col.max()) + 3
    code = (row + 1) * width + col + 1
    order = np.argsort(code, kind="stable")
    ranked = code[order]
    around, pairs = np.zeros(len(row), np.uint8), []
    for bit, (down, right) in enumerate(AROUND):
        wanted = code + down * width + right
        place = np.minimum(np.searchsorted(ranked, wanted), len(ranked) - 1)
        there = ranked[place] == wanted
        around |= there.astype(np.uint8) << np.uint8(bit)
        pairs.append(np.column_stack([np.flatnonzero(there), order[place[there]]]))
    return np.concatenate(pairs), branches()[around]


def _renumbered(links: NDArray[np.int64], kept: NDArray[np.bool_]) -> NDArray[np.int64]:
    number = np.cumsum(kept) - 1
    return np.asarray(number[links[kept[links].all(axis=1)]])


def _without_spurs(points: MiddlePoints) -> NDArray[np.bool_]:
    """Which points are left when dead ends that are short for the street they leave are cut off, twice over."""
    kept = np.ones(len(points), np.bool_)
    for _ in range(2):
        place = np.flatnonzero(kept)
        links, lines = _links(points.row[place], points.col[place])
        is_junction = lines >= 3
        on_line = ~is_junction
        inner = _renumbered(links, on_line)
        line = place[on_line]
        branch, first = linked(len(line), inner[:, 0], inner[:, 1])
        count = len(first)
        length = np.bincount(branch, weights=points.step[line], minlength=count)
        ends = np.bincount(branch, weights=lines[on_line] <= 1, minlength=count) > 0
        number = np.full(len(place), -1, np.int64)
        number[on_line] = branch
        to_junction = on_line[links[:, 0]] & is_junction[links[:, 1]]
        radius = np.zeros(count)
        np.maximum.at(radius, number[links[to_junction, 0]], points.radius[place[links[to_junction, 1]]])
        spur = ends & (radius > 0) & (length < SPUR * radius)
        kept[line[spur[branch]]] = False
    return kept


def _near_junction(points: MiddlePoints, is_junction: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which points lie so near to a junction that its room widens the street; distances are taken in local pixels."""
    near = np.zeros(len(points), np.bool_)
    if not is_junction.any():
        return near
    places = np.column_stack([points.row, points.col]).astype(np.float64)
    # A street's pixel step and its length on the ground tell the size of a pixel.
    pixel = max(float(np.median(points.step)), 1e-9) / 1.1
    tree = cKDTree(places)
    reach = JUNCTION * points.radius[is_junction] / pixel
    for found in tree.query_ball_point(places[is_junction], reach):
        near[found] = True
    return near


def _medians(values: NDArray[np.float64], group: NDArray[np.int64], count: int) -> NDArray[np.float64]:
    """The median of each group's values that are numbers, (count,); NaN for a group without any."""
    seen = ~np.isnan(values)
    order = np.lexsort((values[seen], group[seen]))
    values, group = values[seen][order], group[seen][order]
    start, stop = (np.searchsorted(group, np.arange(count), side=side) for side in ("left", "right"))
    medians = np.full(count, np.nan)
    filled = stop > start
    low, high = (start + stop - 1)[filled] // 2, (start + stop)[filled] // 2
    medians[filled] = (values[low] + values[high]) / 2
    return medians
