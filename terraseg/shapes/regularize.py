"""Buildings with straight walls and right angles, in a partition whose borders stay shared.

Buildings that touch are one group with one main direction. The group's outline is rectified ring by ring or replaced by a
circle; nodes, where other borders end at it, slide along to the new outline; party walls run straight between their nodes.
Every other border only follows its end node. Since all polygons are built of the same arcs they stay a coverage as long as
no arcs cross: rings that lead to a crossing, and those of buildings that come out too different, are left as they were.
"""

from dataclasses import dataclass, replace

import numpy as np
import shapely
from numpy.typing import NDArray

from terraseg.shapes.arcs import OUTSIDE, Arcs
from terraseg.shapes.assemble import Outlines, batches_of, outlines_of, polygons_of, rings_of
from terraseg.shapes.chains import linked, offsets_of, rows_of
from terraseg.shapes.crossings import crossing_arcs
from terraseg.shapes.outlines import NewRings, Walls, new_rings

BATCH_VERTICES = 300_000

Nodes = tuple[NDArray[np.integer], NDArray[np.integer]]


@dataclass(frozen=True, eq=False)
class Partition:
    """Arcs as simplified, and the raw ones around some regions: `raw_of` are their numbers among `arcs`."""

    arcs: Arcs
    nodes: Nodes
    raw: Arcs
    raw_of: NDArray[np.int64]


def regularize(partition: Partition, *, chosen: NDArray[np.bool_], least_iou: float = 0.95) -> Arcs:
    """The arcs of a partition with the regions marked in `chosen` (regions,) regularised; `raw` has all of their arcs.

    Regions whose new polygon shares less than `least_iou` with the raw one (intersection over union), and those that the
    edge of the map cuts, keep their arcs as they are.
    """
    arcs = _as_floats(partition.arcs)
    if not chosen.any() or len(partition.raw) == 0:
        return arcs
    group = _groups(partition, chosen)
    rings = _new_rings(partition, group, least_iou)
    accepted = rings.is_good.copy()
    before = outlines_of(arcs, partition.nodes)
    raw = outlines_of(_as_floats(partition.raw), _of(partition.nodes, partition.raw_of))
    fresh: NDArray[np.bool_] | None = None
    while True:
        changed = _apply(arcs, partition, rings, accepted)
        after = replace(before, arcs=changed.arcs)
        bad = crossing_arcs(changed.arcs, changed.moved, fresh=fresh)
        if not bad.any():
            bad = _turned_over(before, after, changed.moved)
        if not bad.any():
            bad = _misshapen(raw, after, (chosen, changed.moved), least_iou)
        guilty = np.unique(changed.rings[bad])
        guilty = guilty[guilty >= 0]
        if len(guilty) == 0:
            return changed.arcs
        accepted[guilty] = False
        # Of all other arcs it is known by now that none cross.
        fresh = np.asarray(np.isin(changed.rings, guilty).any(axis=1))


def _as_floats(arcs: Arcs) -> Arcs:
    return arcs.with_vertices(arcs.x.astype(np.float64), arcs.y.astype(np.float64), np.diff(arcs.offsets))


def _of(nodes: Nodes, chosen: NDArray[np.integer]) -> Nodes:
    return nodes[0][chosen], nodes[1][chosen]


def _groups(partition: Partition, chosen: NDArray[np.bool_]) -> NDArray[np.int32]:
    """The group of each region, `OUTSIDE` for those not chosen and, at the end, for the outside: what touches is one group."""
    raw, count = partition.raw, len(chosen)
    first, last = _of(partition.nodes, partition.raw_of)
    is_chosen = np.append(chosen, False)
    ones, twos = [], []
    for region in (raw.right, raw.left):
        for node in (first, last):
            at = is_chosen[region] & ~raw.is_ring
            ones.append(region[at].astype(np.int64))
            twos.append(node[at] + count)
    both = is_chosen[raw.right] & is_chosen[raw.left]
    ones.append(raw.right[both].astype(np.int64))
    twos.append(raw.left[both].astype(np.int64))
    total = count + int(max(first.max(initial=0), last.max(initial=0))) + 1
    group, _ = linked(total, np.concatenate(ones), np.concatenate(twos))
    numbers = np.full(count + 1, OUTSIDE, dtype=np.int32)
    _, numbers[:-1][chosen] = np.unique(group[:count][chosen], return_inverse=True)
    return numbers


def _new_rings(partition: Partition, group: NDArray[np.int32], least_iou: float) -> NewRings:
    """New outlines of the groups, from their raw arcs."""
    raw = partition.raw
    right, left = group[raw.right], group[raw.left]
    outer = np.flatnonzero(right != left)
    rows = raw.rows(outer)
    numbers = partition.raw_of[outer]
    arcs = Arcs(rows.x, rows.y, rows.offsets, right[outer], left[outer], rows.leaves, rows.arrives, rows.is_ring)
    nodes = _of(partition.nodes, numbers)
    outlines = outlines_of(arcs, nodes)
    rings = rings_of(outlines, np.arange(int(group.max(initial=-1)) + 1))
    walls = np.flatnonzero((right == left) & (right != OUTSIDE) & ~raw.is_ring)
    party = Walls(raw.rows(walls), partition.raw_of[walls], *_of(partition.nodes, partition.raw_of[walls]))
    start = np.concatenate([nodes[0], nodes[1]])[rings.halves]
    stop = np.concatenate([nodes[1], nodes[0]])[rings.halves]
    found = new_rings(rings, numbers, (start, stop), arcs.is_ring, party, least_iou=least_iou)
    # The edge of the map and of its nodata is no wall.
    cut = rings.halves[(rows.left == OUTSIDE)[rings.halves % len(outer)]]
    found.is_good[found.arc_ring[np.isin(rings.halves, cut)]] = False
    return found


@dataclass(frozen=True, eq=False)
class _Changed:
    """The arcs with the accepted rings in place, which of them moved, and the up to three rings (n, 3) that each hangs on."""

    arcs: Arcs
    moved: NDArray[np.bool_]
    rings: NDArray[np.int64]


def _apply(arcs: Arcs, partition: Partition, rings: NewRings, accepted: NDArray[np.bool_]) -> _Changed:
    first, last = partition.nodes
    number = len(arcs)
    count = int(max(first.max(initial=0), last.max(initial=0))) + 1
    node_ring = np.full(count, -1, dtype=np.int64)
    place = np.zeros((count, 2))
    used = accepted[rings.node_ring]
    node_ring[rings.node[used]] = rings.node_ring[used]
    place[rings.node[used]] = rings.node_place[used]
    own = np.full(number, -1, dtype=np.int64)
    of_arc = accepted[rings.arc_ring]
    own[rings.arc[of_arc]] = rings.arc_ring[of_arc]
    ends = ~arcs.is_ring
    at_first = np.where(ends, node_ring[first], -1)
    at_last = np.where(ends, node_ring[last], -1)
    straight = rings.straight[(node_ring[first[rings.straight]] >= 0) & (node_ring[last[rings.straight]] >= 0)]
    # Three pools of vertices: the arcs as they were, the new pieces of outlines, and walls of two vertices.
    starts, lengths = arcs.offsets[:-1].copy(), np.diff(arcs.offsets)
    new_arc = rings.arc[of_arc]
    starts[new_arc] = len(arcs.x) + rings.offsets[:-1][of_arc]
    lengths[new_arc] = np.diff(rings.offsets)[of_arc]
    starts[straight], lengths[straight] = len(arcs.x) + len(rings.x), 2
    gather = np.arange(lengths.sum()) + np.repeat(starts - offsets_of(lengths)[:-1], lengths)
    two = np.zeros(2)
    x = np.concatenate([arcs.x, rings.x, two])[gather]
    y = np.concatenate([arcs.y, rings.y, two])[gather]
    offsets = offsets_of(lengths)
    for node, ring, vertex in ((first, at_first, offsets[:-1]), (last, at_last, offsets[1:] - 1)):
        moves = np.flatnonzero(ring >= 0)
        x[vertex[moves]], y[vertex[moves]] = place[node[moves]].T
    moved = (own >= 0) | (at_first >= 0) | (at_last >= 0)
    return _Changed(arcs.with_vertices(x, y, lengths), moved, np.stack([own, at_first, at_last], axis=1))


def _turned_over(before: Outlines, after: Outlines, moved: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Moved arcs around regions that lost their area, or one of whose rings turned over or shrank to nothing."""
    regions = _around(after.arcs, moved)
    bad = np.zeros(len(moved), dtype=np.bool_)
    for batch in batches_of(before, regions, BATCH_VERTICES):
        old, new = rings_of(before, batch), rings_of(after, batch)
        one, two = old.twice_areas(), new.twice_areas()
        wrong = (np.sign(one) != np.sign(two)) | (np.abs(two) < 1e-3)
        halves = new.halves[rows_of(new.starts, np.flatnonzero(wrong))]
        bad[halves % len(moved)] = True
    return bad


def _misshapen(
    raw: Outlines, after: Outlines, masks: tuple[NDArray[np.bool_], NDArray[np.bool_]], least_iou: float
) -> NDArray[np.bool_]:
    """Arcs of chosen regions that are no valid polygons, unlike their raw outlines, or have other borders inside them."""
    arcs, (chosen, moved) = after.arcs, masks
    middle = _middles(arcs)
    bad = np.zeros(len(moved), dtype=np.bool_)
    regions = _around(arcs, moved)
    for batch in batches_of(raw, regions[chosen[regions]], BATCH_VERTICES):
        new, old = polygons_of(after, batch), polygons_of(raw, batch)
        valid = shapely.is_valid(new)
        wrong = ~valid
        shared = shapely.area(shapely.intersection(new[valid], old[valid]))
        union = shapely.area(new[valid]) + shapely.area(old[valid]) - shared
        wrong[valid] = shared < least_iou * union
        tree = shapely.STRtree(new)
        point, polygon = tree.query(middle, predicate="within")
        foreign = (arcs.right[point] != batch[polygon]) & (arcs.left[point] != batch[polygon])
        wrong[polygon[foreign]] = True
        culprits = np.zeros(len(chosen) + 1, dtype=np.bool_)
        culprits[batch[wrong]] = True
        bad |= moved & (culprits[arcs.right] | culprits[arcs.left])
    return bad


def _around(arcs: Arcs, moved: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The regions that moved arcs border on, ascending."""
    found = np.unique(np.concatenate([arcs.right[moved], arcs.left[moved]]))
    return np.asarray(found[found != OUTSIDE], dtype=np.int64)


def _middles(arcs: Arcs) -> NDArray[np.object_]:
    """The middle of each arc's first segment."""
    first = arcs.offsets[:-1]
    x, y = ((v[first] + v[first + 1]) / 2 for v in (arcs.x, arcs.y))
    return np.asarray(shapely.points(x, y), dtype=object)
