"""From arcs to polygons, a batch of regions at a time."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from terraseg.shapes.arcs import OUTSIDE, Arcs
from terraseg.shapes.chains import END, chains_of, offsets_of


@dataclass(frozen=True, eq=False)
class Outlines:
    """Arcs with what follows them round each region.

    Half-edge h < n is arc h with the region on its right, n + h the same arc walked back, with the region on its left.
    `following` (2 n,) is the next half-edge round the region `region` (2 n,). `by_region` (2 n,) sorts them by region: those
    of region r stand from `places[r]` to `places[r + 1]`.
    """

    arcs: Arcs
    region: NDArray[np.int32]
    following: NDArray[np.int32]
    by_region: NDArray[np.int32]
    places: NDArray[np.int64]


def outlines_of(arcs: Arcs, nodes: tuple[NDArray[np.integer], NDArray[np.integer]]) -> Outlines:
    """The arcs, linked where they meet; `nodes` numbers the first and the last node of each arc (anything for rings)."""
    number = len(arcs)
    region = np.concatenate([arcs.right, arcs.left])
    # Half the bytes of the usual integers: with all borders of a vast map here, that is what memory hangs on.
    first, last = (np.asarray(n, dtype=np.int32) for n in nodes)
    is_linked = np.concatenate([~arcs.is_ring, ~arcs.is_ring]) & (region != OUTSIDE)
    linked = np.flatnonzero(is_linked).astype(np.int32)
    leaving = 4 * np.concatenate([first, last]) + np.concatenate([arcs.leaves, (arcs.arrives + 2) % 4])
    slots = np.full(4 * (int(max(first.max(initial=0), last.max(initial=0))) + 1), END, dtype=np.int32)
    slots[leaving[linked]] = linked
    del leaving
    end = 4 * np.concatenate([last, first])[linked]
    arrives = np.concatenate([arcs.arrives, (arcs.leaves + 2) % 4])[linked]
    following = np.arange(2 * number, dtype=np.int32)
    # Where a region touches itself over a corner it goes on to the left: a hole so is a ring of its own and never a loop
    # in the outer one.
    taken = np.full(len(linked), END, dtype=np.int32)
    for turn in (3, 0, 1):
        candidate = slots[end + (arrives + turn) % 4]
        fits = (taken == END) & (candidate != END) & (region[candidate] == region[linked])
        taken[fits] = candidate[fits]
    following[linked] = taken
    places = offsets_of(np.bincount(region + 1, minlength=1))[1:]
    return Outlines(arcs, region, following, np.argsort(region, kind="stable").astype(np.int32), places)


@dataclass(frozen=True, eq=False)
class Rings:
    """Rings (n,) of regions: the half-edges of each in walking order, and its vertices.

    Ring k has the half-edges halves[starts[k]:starts[k + 1]], of which each has `counts` vertices, and the vertices
    points[offsets[k]:offsets[k + 1]], (x, y) and not closed. `region` is what it goes round, with that on its right hand.
    """

    halves: NDArray[np.int64]
    starts: NDArray[np.int64]
    counts: NDArray[np.int64]
    points: NDArray[np.float64]
    offsets: NDArray[np.int64]
    region: NDArray[np.int32]

    def twice_areas(self) -> NDArray[np.float64]:
        """Twice the signed area of each ring: positive where it turns clockwise on a screen, negative for holes."""
        if len(self.region) == 0:
            return np.zeros(0)
        rings = self.offsets
        local = self.points - np.repeat(self.points[rings[:-1]], np.diff(rings), axis=0)
        following = np.arange(1, len(local) + 1)
        following[rings[1:] - 1] = rings[:-1]
        x, y = local[:, 0], local[:, 1]
        return np.asarray(np.add.reduceat(x * y[following] - x[following] * y, rings[:-1]))


def rings_of(outlines: Outlines, regions: NDArray[np.integer]) -> Rings:
    """The rings of some regions, given in ascending order; rings by their first half-edges."""
    starts, stops = outlines.places[regions], outlines.places[regions + 1]
    lengths = stops - starts
    place = np.arange(lengths.sum()) + np.repeat(starts - offsets_of(lengths)[:-1], lengths)
    halves = np.sort(outlines.by_region[place]).astype(np.int64)
    chains = chains_of(np.searchsorted(halves, outlines.following[halves]))
    halves = halves[chains.order]
    points, counts = _points(outlines.arcs, halves)
    offsets = offsets_of(counts)[chains.starts]
    return Rings(halves, chains.starts, counts, points, offsets, outlines.region[halves[chains.starts[:-1]]])


def polygons_of(outlines: Outlines, regions: NDArray[np.integer]) -> NDArray[np.object_]:
    """The polygons of some regions, given in ascending order; x is the column and y the row, holes are kept.

    Each region must be connected over pixel sides. Rings turn clockwise on a screen outside and the other way round
    holes. They and their vertices come in the order of the arcs.
    """
    if len(regions) == 0:
        return np.zeros(0, dtype=object)
    rings = rings_of(outlines, regions)
    is_hole = rings.twice_areas() < 0
    polygon = np.searchsorted(regions, rings.region)
    if (np.bincount(polygon[~is_hole], minlength=len(regions)) != 1).any():
        raise AssertionError("a region with two outer rings is not connected over pixel sides")
    sequence = np.lexsort((np.arange(len(is_hole)), is_hole, polygon))
    place, closed = _closed(rings.offsets, sequence)
    polygons = offsets_of(np.bincount(polygon, minlength=len(regions)))
    built = shapely.from_ragged_array(shapely.GeometryType.POLYGON, rings.points[place], (closed, polygons))
    return np.asarray(built, dtype=object)


def batches_of(outlines: Outlines, regions: NDArray[np.integer], vertices: int) -> Iterator[NDArray[np.integer]]:
    """The regions in their order, as many at a time as have about so many vertices together; at least one."""
    if len(regions) == 0:
        return
    lengths = np.diff(outlines.arcs.offsets)
    inside = np.flatnonzero(outlines.region != OUTSIDE)
    counts = np.bincount(outlines.region[inside], weights=lengths[inside % len(lengths)])
    batch = (np.cumsum(counts[regions]) // vertices).astype(np.int64)
    yield from np.split(regions, np.flatnonzero(np.diff(batch)) + 1)


def _points(arcs: Arcs, halves: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The vertices (n, 2) of half-edges in walking order, each without its last node, and how many each has."""
    number = len(arcs)
    arc = halves % number
    lengths = np.diff(arcs.offsets)[arc]
    counts = lengths - ~arcs.is_ring[arc]
    starts = offsets_of(counts)
    within = np.arange(starts[-1]) - np.repeat(starts[:-1], counts)
    is_back = np.repeat(halves >= number, counts)
    base = np.repeat(arcs.offsets[arc], counts)
    place = base + np.where(is_back, np.repeat(lengths, counts) - 1 - within, within)
    return np.column_stack([arcs.x[place], arcs.y[place]]).astype(np.float64), counts


def _closed(rings: NDArray[np.int64], sequence: NDArray[np.intp]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Places of the vertices with rings in a new sequence, each closed by its first vertex, and the ring offsets."""
    length = np.diff(rings)[sequence] + 1
    offsets = offsets_of(length)
    place = np.arange(offsets[-1]) + np.repeat(rings[:-1][sequence] - offsets[:-1], length)
    place[offsets[1:] - 1] = rings[:-1][sequence]
    return place, offsets


def node_numbers(arcs: Arcs) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """The first and the last node of each arc, numbered by their places; rings have nodes of their own."""
    ends = np.concatenate([arcs.offsets[:-1], arcs.offsets[1:] - 1])
    code = arcs.y[ends].astype(np.int64)
    code *= int(arcs.x.max(initial=0)) + 1
    code += arcs.x[ends]
    del ends
    order = np.argsort(code)
    is_new = np.diff(code[order], prepend=-1) != 0
    number = np.empty(len(code), dtype=np.int32)
    number[order] = np.cumsum(is_new, dtype=np.int32) - 1
    return number[: len(arcs)], number[len(arcs) :]
