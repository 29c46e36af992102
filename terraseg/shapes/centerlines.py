"""From the pixels of a skeleton to lines between its junctions and ends."""

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from terraseg.shapes.chains import END, chains_of, linked, offsets_of

SPUR = 1.5
"""Dead ends shorter than this many half widths of the street they leave are bumps of its edge."""

BEND_PX = 1.0
"""How far a line may leave its pixels."""

ROUNDS = 3


@dataclass(frozen=True, eq=False)
class Skeleton:
    """Pixels in the middle of long things, (n,) each: their places, and their distance to the edge in pixels."""

    row: NDArray[np.int64]
    col: NDArray[np.int64]
    radius: NDArray[np.float64]

    def rows(self, chosen: NDArray[np.generic]) -> "Skeleton":
        """The pixels that a mask or an index picks."""
        return Skeleton(self.row[chosen], self.col[chosen], self.radius[chosen])


@dataclass(frozen=True, eq=False)
class CenterLines:
    """Lines in pixel coordinates (x = column, y = row), and the pixels on each: line k has those from offsets[k] on.

    `pixel` are numbers of the skeleton's pixels; those too near to a junction to say how wide the thing is are left out.
    """

    geometry: NDArray[np.object_]
    pixel: NDArray[np.int64]
    offsets: NDArray[np.int64]


def center_lines(skeleton: Skeleton) -> CenterLines:
    """The lines of a skeleton between junctions and ends; closed ones where there are none.

    Short dead ends are cut off, three times over. Junction pixels that touch are one junction, where lines end at one
    point. Lines are simplified by a pixel (Douglas and Peucker 1973).
    """
    kept = np.arange(len(skeleton.row))
    for _ in range(ROUNDS):
        part = skeleton.rows(kept)
        graph = _graph(part)
        spurs = _spurs(part, graph)
        if not spurs.any():
            break
        kept = kept[~spurs]
    part = skeleton.rows(kept)
    graph = _graph(part)
    return _drawn(part, graph, kept)


@dataclass(frozen=True, eq=False)
class _Graph:
    """Walks along a skeleton: walk k passes the pixels path[offsets[k]:offsets[k + 1]], junctions or ends at both its ends.

    `degree` is the number of neighbours of each pixel, `junction` (n,) the junction that it belongs to, -1 for others.
    """

    path: NDArray[np.int64]
    offsets: NDArray[np.int64]
    is_ring: NDArray[np.bool_]
    degree: NDArray[np.int64]
    junction: NDArray[np.int64]


def _graph(skeleton: Skeleton) -> _Graph:
    one, two = _links(skeleton)
    number = len(skeleton.row)
    start, stop = np.concatenate([one, two]), np.concatenate([two, one])
    degree = np.bincount(start, minlength=number)
    junction = _junctions(degree, one, two)
    # Of the two links that leave a pixel of degree 2 the walk goes on by the one it did not come by.
    back = np.concatenate([np.arange(len(one)) + len(one), np.arange(len(one))])
    order = np.argsort(start, kind="stable")
    first = offsets_of(degree)[:-1]
    passes = degree[stop] == 2
    following = np.full(len(start), END, dtype=np.int64)
    at = np.flatnonzero(passes)
    a, b = order[first[stop[at]]], order[first[stop[at]] + 1]
    following[at] = np.where(a == back[at], b, a)
    chains = chains_of(following)
    path, offsets = _walks(chains.order, chains.starts, (start, stop))
    walk_first, walk_last = path[offsets[:-1]], path[offsets[1:] - 1]
    second, before = path[offsets[:-1] + 1], path[offsets[1:] - 2]
    # Each walk comes in both directions: the one that starts lower is kept, and of a loop the one that leaves lower.
    forwards = (walk_first < walk_last) | ((walk_first == walk_last) & (second <= before))
    same = (junction[walk_first] >= 0) & (junction[walk_first] == junction[walk_last])
    inside = same & (np.diff(offsets) <= 3) & ~chains.is_ring
    keep = np.flatnonzero(forwards & ~inside)
    lengths = np.diff(offsets)[keep]
    place = np.arange(lengths.sum()) + np.repeat(offsets[keep] - offsets_of(lengths)[:-1], lengths)
    return _Graph(path[place], offsets_of(lengths), chains.is_ring[keep], degree, junction)


def _links(skeleton: Skeleton) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs of neighbouring pixels; diagonal ones only where no pixel beside them joins them anyway."""
    number = len(skeleton.row)
    if number == 0:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    width = int(skeleton.col.max()) + 3
    code = (skeleton.row + 1) * width + skeleton.col + 1
    order = np.argsort(code, kind="stable")
    ranked = code[order]

    def found(step: int, at: NDArray[np.int64]) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
        place = np.minimum(np.searchsorted(ranked, code[at] + step), number - 1)
        return ranked[place] == code[at] + step, order[place]

    every = np.arange(number)
    ones, twos = [], []
    for step in (1, width):
        there, other = found(step, every)
        ones.append(every[there])
        twos.append(other[there])
    for step, beside in ((width + 1, (1, width)), (width - 1, (-1, width))):
        there, other = found(step, every)
        at = np.flatnonzero(there)
        joined = np.zeros(len(at), dtype=np.bool_)
        for side in beside:
            joined |= found(side, at)[0]
        ones.append(at[~joined])
        twos.append(other[at[~joined]])
    return np.concatenate(ones), np.concatenate(twos)


def _junctions(degree: NDArray[np.int64], one: NDArray[np.int64], two: NDArray[np.int64]) -> NDArray[np.int64]:
    """The junction of each pixel with three and more neighbours, those that touch together; -1 for other pixels."""
    meets = degree >= 3
    both = meets[one] & meets[two]
    group, _ = linked(len(degree), one[both], two[both])
    return np.where(meets, group, -1)


def _walks(
    order: NDArray[np.int64], starts: NDArray[np.int64], links: tuple[NDArray[np.int64], NDArray[np.int64]]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The pixels that chains of links pass, from the first to the last."""
    start, stop = links
    if len(order) == 0:
        return np.zeros(0, np.int64), np.zeros(1, np.int64)
    path = np.insert(start[order], starts[1:], stop[order[starts[1:] - 1]])
    return path, starts + np.arange(len(starts))


def _spurs(skeleton: Skeleton, graph: _Graph) -> NDArray[np.bool_]:
    """Pixels of short dead ends."""
    spur = np.zeros(len(skeleton.row), dtype=np.bool_)
    if len(graph.is_ring) == 0:
        return spur
    first, last = graph.path[graph.offsets[:-1]], graph.path[graph.offsets[1:] - 1]
    length = _lengths(skeleton, graph)
    for end, root in ((first, last), (last, first)):
        dead = (graph.degree[end] == 1) & (graph.junction[root] >= 0)
        walk = np.flatnonzero(dead & (length < SPUR * skeleton.radius[root]))
        counts = np.diff(graph.offsets)[walk]
        place = np.arange(counts.sum()) + np.repeat(graph.offsets[walk] - offsets_of(counts)[:-1], counts)
        spur[graph.path[place]] = True
    # The junction that a spur leaves stays for the other lines.
    return spur & (graph.junction < 0)


def _lengths(skeleton: Skeleton, graph: _Graph) -> NDArray[np.float64]:
    row, col = skeleton.row[graph.path], skeleton.col[graph.path]
    step = np.hypot(np.diff(row, append=row[-1:]), np.diff(col, append=col[-1:]))
    step[graph.offsets[1:] - 1] = 0
    return np.add.reduceat(step, graph.offsets[:-1])


def _drawn(skeleton: Skeleton, graph: _Graph, kept: NDArray[np.int64]) -> CenterLines:
    count = len(graph.is_ring)
    if count == 0:
        return CenterLines(np.zeros(0, dtype=object), np.zeros(0, np.int64), np.zeros(1, np.int64))
    x, y = skeleton.col + 0.5, skeleton.row + 0.5
    meets = np.flatnonzero(graph.junction >= 0)
    group = graph.junction[meets]
    size = np.maximum(np.bincount(group, minlength=len(x)), 1)
    px, py = x[graph.path], y[graph.path]
    ends = np.concatenate([graph.offsets[:-1], graph.offsets[1:] - 1])
    at = ends[graph.junction[graph.path[ends]] >= 0]
    own = graph.junction[graph.path[at]]
    for values, where in ((px, x), (py, y)):
        values[at] = (np.bincount(group, weights=where[meets], minlength=len(x)) / size)[own]
    walk = np.repeat(np.arange(count), np.diff(graph.offsets))
    lines = shapely.linestrings(np.column_stack([px, py]), indices=walk)
    clear = _are_clear(skeleton, graph, walk)
    geometry = np.asarray(shapely.simplify(lines, BEND_PX), dtype=object)
    return CenterLines(geometry, kept[graph.path[clear]], offsets_of(np.bincount(walk[clear], minlength=count)))


def _are_clear(skeleton: Skeleton, graph: _Graph, walk: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which pixels of the walks lie farther from the junctions at their ends than these are wide."""
    clear = np.ones(len(walk), dtype=np.bool_)
    for end in (graph.offsets[:-1], graph.offsets[1:] - 1):
        pixel = graph.path[end][walk]
        near = (
            np.hypot(skeleton.row[graph.path] - skeleton.row[pixel], skeleton.col[graph.path] - skeleton.col[pixel])
            < SPUR * skeleton.radius[pixel]
        )
        clear &= ~(near & (graph.junction[pixel] >= 0))
    return clear
