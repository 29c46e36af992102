"""Small regions go to the neighbour with which they share the most border: pure rules on the graph of regions."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from terraseg.pixels.regions import Borders
from terraseg.shapes.chains import linked

DROPPED = -1
"""The owner of a region that is gone and has no neighbour to go to."""


@dataclass(frozen=True, eq=False)
class Merged:
    """What became of each region: `owner` (n,) is the new region's number or `DROPPED`, `class_id` (m,) the new classes.

    New regions are numbered, as the old ones, by their first pixel in reading order.
    """

    owner: NDArray[np.int64]
    class_id: NDArray[np.uint8]


@dataclass(eq=False)
class _Graph:
    """Regions as they stand: `root` of each old region, and class, area and borders of the roots."""

    root: NDArray[np.int64]
    class_id: NDArray[np.uint8]
    area: NDArray[np.float64]
    borders: Borders


def merge_small(
    class_id: NDArray[np.uint8],
    area: NDArray[np.float64],
    borders: Borders,
    *,
    min_area: float | NDArray[np.float64],
    apart: Iterable[int] = (),
) -> Merged:
    """Regions after those that are too small for their class were handed over.

    The smallest of a neighbourhood goes first: to the neighbour with the longest shared border, of equal ones to the
    larger, then to the one whose first pixel comes first. It takes that neighbour's class, and regions of this class that
    now touch become one, unless the class is among the ids `apart`, whose regions touch and are separate objects. This
    goes on until every region is large enough or has no neighbour; the latter, islands in nodata, are dropped. `area` and
    `min_area`, one number or (256,) by class id, are in one unit.
    """
    number = len(class_id)
    least = np.broadcast_to(np.asarray(min_area, dtype=np.float64), (256,))
    is_apart = np.isin(np.arange(256), list(apart))
    graph = _Graph(np.arange(number), class_id.copy(), area.astype(np.float64), borders)
    while True:
        small = graph.area < least[graph.class_id]
        graph.borders = _touching(graph.borders, small)
        if len(graph.borders.one) == 0:
            break
        source, target = _choices(graph, small)
        _hand_over(graph, source, target, is_apart)
    keep = (graph.area >= least[graph.class_id])[graph.root]
    owner = np.full(number, DROPPED, dtype=np.int64)
    roots, owner[keep] = np.unique(graph.root[keep], return_inverse=True)
    return Merged(owner, graph.class_id[roots])


def _touching(borders: Borders, small: NDArray[np.bool_]) -> Borders:
    """Borders of which at least one side is small: no others can play a part any more."""
    return borders.where(small[borders.one] | small[borders.two])


def _choices(graph: _Graph, small: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The small regions that go now, and where to: those before which no small neighbour has to go.

    No two of them touch, so they can all go at once. Equal areas are put into a scattered order: in the order of their
    numbers a speckled map would be worked off one region a round.
    """
    source = np.concatenate([graph.borders.one, graph.borders.two])
    target = np.concatenate([graph.borders.two, graph.borders.one])
    length = np.concatenate([graph.borders.length, graph.borders.length])
    goes = small[source]
    source, target, length = source[goes], target[goes], length[goes]
    regions = np.unique(source)
    rank = np.full(len(small), len(small), dtype=np.int64)
    rank[regions[np.lexsort((regions, _scattered(regions), graph.area[regions]))]] = np.arange(len(regions))
    order = np.lexsort((target, -graph.area[target], -length, source))
    source, target = source[order], target[order]
    start = np.flatnonzero(np.diff(source, prepend=-1))
    first_to_go = np.minimum.reduceat(rank[target], start) > rank[source[start]]
    return source[start][first_to_go], target[start][first_to_go]


def _scattered(number: NDArray[np.int64]) -> NDArray[np.uint64]:
    """A fixed shuffle of the integers (the finalizer of Steele, Lea and Flood's SplitMix, 2014)."""
    x = number.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _hand_over(
    graph: _Graph, source: NDArray[np.int64], target: NDArray[np.int64], is_apart: NDArray[np.bool_]
) -> None:
    """Gives each source to its target, with all neighbours of the source that are of the target's class."""
    number = len(graph.class_id)
    receiver = np.full(number, DROPPED, dtype=np.int64)
    receiver[source] = target
    graph.class_id[source] = graph.class_id[target]
    one = np.concatenate([graph.borders.one, graph.borders.two])
    two = np.concatenate([graph.borders.two, graph.borders.one])
    same = (graph.class_id[two] == graph.class_id[one]) & ~is_apart[graph.class_id[one]]
    joins = (receiver[one] != DROPPED) & (same | (two == receiver[one]))
    group, lowest = linked(number, one[joins], two[joins])
    name = lowest[group]
    graph.area = np.bincount(name, weights=graph.area, minlength=number).astype(np.float64)
    graph.root = name[graph.root]
    graph.borders = graph.borders.renamed(name)
