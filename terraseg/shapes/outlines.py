"""New outlines of building groups: rectified or round, cut into the arcs they are made of."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from terraseg.shapes.arcs import Arcs
from terraseg.shapes.assemble import Rings
from terraseg.shapes.chains import offsets_of
from terraseg.shapes.circles import circles_of, overlaps, ring_polygons, round_corners, round_polygons, summed
from terraseg.shapes.redrawn import Drawn, redrawn
from terraseg.shapes.straight import Samples, sides_of

WALL_PX = 1.5
"""How far a party wall may leave the straight line between its ends to be drawn as one."""

APART_PX = 0.2
"""How far nodes are drawn apart that would fall on one point."""


@dataclass(frozen=True, eq=False)
class Walls:
    """Party walls between two regions of a group: raw arcs, their numbers in the partition, and their first and last nodes."""

    arcs: Arcs
    number: NDArray[np.int64]
    first: NDArray[np.integer]
    last: NDArray[np.integer]


@dataclass(frozen=True, eq=False)
class NewRings:
    """What replaces the raw outlines, ring by ring, for those that `is_good` (rings,) marks.

    Arc `arc` (a,) of the partition, which is part of the ring `arc_ring`, gets the vertices from offsets[k] to
    offsets[k + 1], in its own direction; node `node` (b,), which lies on the ring `node_ring`, moves to `node_place` (b, 2).
    The party walls `straight` are straight between their nodes.
    """

    is_good: NDArray[np.bool_]
    arc: NDArray[np.int64]
    arc_ring: NDArray[np.int64]
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    offsets: NDArray[np.int64]
    node: NDArray[np.integer]
    node_ring: NDArray[np.int64]
    node_place: NDArray[np.float64]
    straight: NDArray[np.int64]


def new_rings(
    rings: Rings, numbers: NDArray[np.int64], nodes: tuple[NDArray[np.integer], NDArray[np.integer]],
    is_ring: NDArray[np.bool_], walls: Walls, *, least_iou: float,
) -> NewRings:  # fmt: skip
    """New outlines for the raw rings of building groups; those that share less than `least_iou` with them are not good.

    `numbers` (arcs,) are the arcs' numbers in the partition, `is_ring` marks those without nodes; `nodes` are the start and
    the end node of each half-edge in the order of the rings.
    """
    samples, first_side = sides_of(rings.points[:, 0], rings.points[:, 1], rings.offsets)
    drawn = _drawn(samples, rings, least_iou)
    half_ring = np.repeat(np.arange(len(rings.region)), np.diff(rings.starts))
    first_vertex = offsets_of(rings.counts)[:-1]
    has_node = ~is_ring[rings.halves % len(numbers)]
    edge = drawn.edge[first_side[first_vertex]]
    raw_place = rings.points[first_vertex]
    wanted = _at_walls(raw_place, nodes[0], edge, (drawn, walls))
    along = _along(drawn, edge, wanted, half_ring)
    along = _spread(drawn, edge, along, (rings.starts, has_node))
    place = _places(drawn, edge, along)
    twice = _seen_twice(nodes[0], has_node)
    good = drawn.is_good.copy()
    good[half_ring[twice]] = False
    x, y, offsets = _cut(drawn, (edge, along, place), half_ring, (rings.starts, has_node))
    backwards = rings.halves >= len(numbers)
    x, y = _turned(x, y, offsets, backwards)
    return NewRings(
        is_good=good,
        arc=numbers[rings.halves % len(numbers)],
        arc_ring=half_ring,
        x=x,
        y=y,
        offsets=offsets,
        node=nodes[0][has_node],
        node_ring=half_ring[has_node],
        node_place=place[has_node],
        straight=walls.number[_are_straight(walls.arcs)],
    )


def _drawn(samples: Samples, rings: Rings, least_iou: float) -> Drawn:
    """Each ring rectified, or round where that is nearer to the raw one."""
    raw = ring_polygons(
        rings.points[:, 0], rings.points[:, 1], rings.offsets, np.ones(len(rings.region), dtype=np.bool_)
    )
    _, group = np.unique(rings.region, return_inverse=True)
    drawn, overlap = redrawn(samples, group, raw, least_iou=least_iou)
    circles, centre, radius = circles_of(samples, raw)
    is_round = np.zeros(len(raw), dtype=np.bool_)
    straight = ring_polygons(drawn.x, drawn.y, drawn.offsets, drawn.is_good)[circles]
    round_ = round_polygons(centre[circles], radius[circles])
    is_round[circles] = overlaps(raw[circles], round_) > overlaps(raw[circles], straight)
    drawn = _with_circles(drawn, samples, is_round, (centre, radius))
    overlap[is_round] = 1.0
    return Drawn(drawn.x, drawn.y, drawn.offsets, drawn.edge, overlap >= least_iou)


def _with_circles(
    drawn: Drawn,
    samples: Samples,
    is_round: NDArray[np.bool_],
    circles: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> Drawn:
    """The rings with round ones in the places of those marked."""
    if not is_round.any():
        return drawn
    centre, radius = circles
    x, y, counts = round_corners(centre[is_round], radius[is_round])
    lengths = np.diff(drawn.offsets)
    starts = drawn.offsets[:-1].copy()
    starts[is_round] = len(drawn.x) + offsets_of(counts)[:-1]
    lengths[is_round] = counts
    offsets = offsets_of(lengths)
    gather = np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], lengths)
    ring = samples.ring
    edge = drawn.edge - drawn.offsets[ring] + offsets[ring]
    on = is_round[ring]
    at = np.arctan2(samples.y[on] - centre[ring[on], 1], samples.x[on] - centre[ring[on], 0]) % (2 * np.pi)
    number = lengths[ring[on]]
    edge[on] = offsets[ring[on]] + np.minimum((at / (2 * np.pi) * number).astype(np.int64), number - 1)
    return Drawn(
        np.concatenate([drawn.x, x])[gather], np.concatenate([drawn.y, y])[gather], offsets, edge, drawn.is_good
    )


def _at_walls(
    raw: NDArray[np.float64], node: NDArray[np.integer], edge: NDArray[np.int64], known: tuple[Drawn, Walls]
) -> NDArray[np.float64]:
    """Where each half-edge's first node should come: where it was, or where the party wall that ends there meets its edge."""
    drawn, walls = known
    wanted = raw.copy()
    if len(walls.number) == 0:
        return wanted
    counts = np.diff(walls.arcs.offsets)
    middle = np.column_stack(
        [summed(v.astype(np.float64), walls.arcs.offsets) / counts for v in (walls.arcs.x, walls.arcs.y)]
    )
    first, last = walls.arcs.offsets[:-1], walls.arcs.offsets[1:] - 1
    chord = np.column_stack([walls.arcs.x[last] - walls.arcs.x[first], walls.arcs.y[last] - walls.arcs.y[first]])
    chord = chord.astype(np.float64)
    middle = np.where((counts == 2)[:, None], middle, _mean_sides(walls.arcs))
    wall = np.full(int(max(node.max(initial=0), walls.first.max(), walls.last.max())) + 1, -1, dtype=np.int64)
    wall[walls.first] = wall[walls.last] = np.arange(len(walls.number))
    at = np.flatnonzero(wall[node] >= 0)
    own = wall[node[at]]
    dx, dy = _edge_directions(drawn, edge[at])
    across = np.abs(chord[own, 0] * dx + chord[own, 1] * dy) < 0.35 * np.hypot(*chord[own].T)
    shift = (middle[own, 0] - raw[at, 0]) * dx + (middle[own, 1] - raw[at, 1]) * dy
    shift = np.where(across & (np.abs(shift) < 3 * WALL_PX), shift, 0.0)
    wanted[at] += np.column_stack([shift * dx, shift * dy])
    return wanted


def _mean_sides(arcs: Arcs) -> NDArray[np.float64]:
    """The mean place of the pixel sides of each open arc."""
    x, y = arcs.x.astype(np.float64), arcs.y.astype(np.float64)
    length = np.hypot(np.diff(x, append=x[-1:]), np.diff(y, append=y[-1:]))
    length[arcs.offsets[1:] - 1] = 0
    total = np.maximum(summed(length, arcs.offsets), 1e-9)
    middles = ((v + np.append(v[1:], v[-1:])) / 2 for v in (x, y))
    return np.column_stack([summed(m * length, arcs.offsets) / total for m in middles])


def _edge_directions(drawn: Drawn, edge: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    before = drawn.before[edge]
    with np.errstate(invalid="ignore"):
        dx, dy = drawn.x[edge] - drawn.x[before], drawn.y[edge] - drawn.y[before]
        length = np.maximum(np.hypot(dx, dy), 1e-12)
        return np.nan_to_num(dx / length), np.nan_to_num(dy / length)


def _along(
    drawn: Drawn, edge: NDArray[np.int64], wanted: NDArray[np.float64], ring: NDArray[np.int64]
) -> NDArray[np.float64]:
    """How far along its edge each node lies, within the edge and in the order in which the ring passes them."""
    before = drawn.before[edge]
    dx, dy = _edge_directions(drawn, edge)
    with np.errstate(invalid="ignore"):
        x, y = wanted[:, 0] - drawn.x[before], wanted[:, 1] - drawn.y[before]
        length = np.hypot(drawn.x[edge] - drawn.x[before], drawn.y[edge] - drawn.y[before])
        along = np.nan_to_num(np.clip(x * dx + y * dy, 0.0, np.nan_to_num(length)))
    # Runs of nodes on one edge, one after the other in a ring, have to keep their order.
    new_run = (np.diff(edge, prepend=-1) != 0) | (np.diff(ring, prepend=-1) != 0)
    run = np.cumsum(new_run)
    step = float(along.max(initial=0)) + 1
    return np.maximum.accumulate(along + run * step) - run * step


def _spread(
    drawn: Drawn,
    edge: NDArray[np.int64],
    along: NDArray[np.float64],
    halves: tuple[NDArray[np.int64], NDArray[np.bool_]],
) -> NDArray[np.float64]:
    """The places along edges, with nodes that fell on one point, at a corner mostly, drawn apart a little."""
    starts, has_node = halves
    following = _followers(starts)
    place = _places(drawn, edge, along)
    with np.errstate(invalid="ignore"):
        same = has_node & (np.hypot(*(place - place[following]).T) < APART_PX)
    same &= following > np.arange(len(edge))
    before = drawn.before[edge]
    with np.errstate(invalid="ignore"):
        length = np.nan_to_num(np.hypot(drawn.x[edge] - drawn.x[before], drawn.y[edge] - drawn.y[before]))
    shifted = along.copy()
    shifted[same] -= APART_PX
    shifted[following[same]] += APART_PX
    return np.clip(shifted, 0.0, length)


def _followers(starts: NDArray[np.int64]) -> NDArray[np.int64]:
    """The next half-edge round its ring."""
    following = np.arange(1, starts[-1] + 1)
    following[starts[1:] - 1] = starts[:-1]
    return following


def _places(drawn: Drawn, edge: NDArray[np.int64], along: NDArray[np.float64]) -> NDArray[np.float64]:
    before = drawn.before[edge]
    dx, dy = _edge_directions(drawn, edge)
    with np.errstate(invalid="ignore"):
        return np.column_stack([drawn.x[before] + along * dx, drawn.y[before] + along * dy])


def _seen_twice(node: NDArray[np.integer], has_node: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Half-edges that start from a node which another one starts from too: where an outline touches itself or another."""
    _, place, count = np.unique(node[has_node], return_inverse=True, return_counts=True)
    twice = np.zeros(len(node), dtype=np.bool_)
    twice[has_node] = count[place] > 1
    return twice


def _cut(
    drawn: Drawn,
    nodes: tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]],
    ring: NDArray[np.int64],
    halves: tuple[NDArray[np.int64], NDArray[np.bool_]],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """The vertices of each half-edge in walking order, from its first node to the next one's; all of a ring without nodes."""
    edge, along, place = nodes
    starts, has_node = halves
    following = _followers(starts)
    size = np.diff(drawn.offsets)[ring]
    inner = (edge[following] - edge) % np.maximum(size, 1)
    # From the last node of a ring to its first the way on one edge may be the whole round.
    round_ = (inner == 0) & (following <= np.arange(len(edge))) & (along[following] <= along)
    inner = np.where(~has_node | round_, size, inner)
    base = drawn.offsets[:-1][ring]
    begin = np.where(has_node, edge, base)
    lengths = inner + 2 * has_node
    offsets = offsets_of(lengths)
    half = np.repeat(np.arange(len(edge)), lengths)
    within = np.arange(offsets[-1]) - offsets[half] - has_node[half]
    vertex = base[half] + (begin[half] - base[half] + within) % np.maximum(size, 1)[half]
    x, y = drawn.x[vertex], drawn.y[vertex]
    for at, node in ((offsets[:-1], np.arange(len(edge))), (offsets[1:] - 1, following)):
        x[at[has_node]], y[at[has_node]] = place[node[has_node]].T
    return _without_repeats(x, y, half, offsets)


def _without_repeats(
    x: NDArray[np.float64], y: NDArray[np.float64], half: NDArray[np.int64], offsets: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """The same lines without inner vertices that stand where a neighbour stands."""
    ends = np.zeros(len(x), dtype=np.bool_)
    ends[offsets[:-1]] = ends[offsets[1:] - 1] = True
    with np.errstate(invalid="ignore"):
        near = np.hypot(np.diff(x, prepend=np.nan), np.diff(y, prepend=np.nan)) < 1e-2
    near[offsets[:-1]] = False
    repeat = ~ends & (near | np.append(near[1:], False))
    return x[~repeat], y[~repeat], offsets_of(np.bincount(half[~repeat], minlength=len(offsets) - 1))


def _turned(
    x: NDArray[np.float64], y: NDArray[np.float64], offsets: NDArray[np.int64], backwards: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The lines in the directions of their arcs."""
    half = np.repeat(np.arange(len(backwards)), np.diff(offsets))
    place = np.arange(len(x))
    place = np.where(backwards[half], offsets[half] + offsets[half + 1] - 1 - place, place)
    return x[place], y[place]


def _are_straight(arcs: Arcs) -> NDArray[np.bool_]:
    """Open arcs that stay near the line between their ends."""
    first, last = arcs.offsets[:-1], arcs.offsets[1:] - 1
    x, y = arcs.x.astype(np.float64), arcs.y.astype(np.float64)
    dx, dy = x[last] - x[first], y[last] - y[first]
    arc = np.repeat(np.arange(len(arcs)), np.diff(arcs.offsets))
    length = np.maximum(np.hypot(dx, dy), 1e-9)
    off = np.abs(dx[arc] * (y - y[first][arc]) - dy[arc] * (x - x[first][arc])) / length[arc]
    far = np.zeros(len(arcs))
    np.maximum.at(far, arc, off)
    return far <= WALL_PX
