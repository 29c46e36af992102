"""Outlines drawn anew with right angles: as near to the raw ones as pays, with as few edges as do."""

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from terraseg.shapes.chains import offsets_of, rows_of
from terraseg.shapes.circles import overlaps, ring_polygons, summed
from terraseg.shapes.rectify import rectified
from terraseg.shapes.straight import Samples, main_directions, straight_pieces

BEND_PX = 1.2
"""How far the raw outline may leave a straight edge, how near parallel edges are one, and how short an edge is none."""

COARSER_PX = (2.4, 4.8, 9.6)
"""The same for outlines that come out with many edges: predictions tremble by more than a pixel, large buildings more."""

SIMPLE_EDGES = 8
"""Outlines of no more edges are simple enough."""

EDGE_WORTH = 0.001
"""The IoU with the raw outline that each edge has to bring."""

HOPELESS = 0.03
"""Outlines that fall so far short of the least IoU are not drawn again."""

SURE = 0.02
"""How far an IoU that was summed along the outline is off at most, with few exceptions."""


@dataclass(frozen=True, eq=False)
class Drawn:
    """Vertices of new rings: ring k has those from offsets[k] to offsets[k + 1], and edge e ends at vertex e.

    `edge` gives the edge that each raw pixel side went to.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    offsets: NDArray[np.int64]
    edge: NDArray[np.int64]
    is_good: NDArray[np.bool_]

    @property
    def before(self) -> NDArray[np.int64]:
        """The vertex before each one in its ring."""
        before = np.arange(-1, len(self.x) - 1)
        before[self.offsets[:-1]] = self.offsets[1:] - 1
        return before


def redrawn(
    samples: Samples, group: NDArray[np.int64], raw: NDArray[np.object_], *, least_iou: float
) -> tuple[Drawn, NDArray[np.float64]]:
    """Each ring with right angles, and how well it fits the raw one, as an IoU; 0 where none was found.

    `group` (rings,) gives the building group of each ring, whose rings have one main direction; `raw` are the rings as
    polygons. A coarser outline is taken where the finer one's further edges bring too little, and where only it keeps
    `least_iou`. The IoU is exact where it decides on that, and elsewhere a sum along the
    outline, off by hardly more than `SURE`.
    """
    drawn, overlap = _rectified(samples, group, raw, BEND_PX)
    for bend in COARSER_PX:
        drawn, overlap = _simpler(drawn, overlap, (samples, group, raw), (bend, least_iou))
    close = np.abs(overlap - least_iou) < SURE
    overlap[close] = overlaps(raw[close], ring_polygons(drawn.x, drawn.y, drawn.offsets, close)[close])
    return drawn, overlap


def _rectified(
    samples: Samples, group: NDArray[np.int64], raw: NDArray[np.object_], bend: float
) -> tuple[Drawn, NDArray[np.float64]]:
    """Each ring with right angles, its edges no farther than `bend` pixels from it; and how well it fits, as an IoU."""
    pieces = straight_pieces(samples, tolerance=bend)
    turn = main_directions(pieces, group, int(group.max(initial=-1)) + 1)[group]
    edges, good = rectified(pieces, turn, least=bend)
    u, v = edges.ends()
    angle = turn[edges.ring]
    with np.errstate(invalid="ignore"):
        x, y = u * np.cos(angle) - v * np.sin(angle), u * np.sin(angle) + v * np.cos(angle)
    drawn = Drawn(x, y, edges.offsets, edges.home[pieces.piece], good & np.isfinite(summed(x + y, edges.offsets)))
    return drawn, _fits(drawn, samples, raw)


def _fits(drawn: Drawn, samples: Samples, raw: NDArray[np.object_]) -> NDArray[np.float64]:
    """How well new rings fit the raw ones, as an IoU; 0 where one is no valid polygon.

    What lies between the two outlines is summed along the raw one, pixel side by pixel side, each with its distance to the
    edge that it went to. Laying the polygons over each other takes ten times as long.
    """
    own = drawn.is_good[samples.ring]
    end = drawn.edge[own]
    begin = drawn.before[end]
    dx, dy = drawn.x[end] - drawn.x[begin], drawn.y[end] - drawn.y[begin]
    off = np.abs(dx * (samples.y[own] - drawn.y[begin]) - dy * (samples.x[own] - drawn.x[begin]))
    # The middle of a level side lies at half a column.
    along = np.abs(np.where(samples.x[own] % 1 == 0.5, dx, dy))
    between = np.bincount(samples.ring[own], weights=off * along / (dx * dx + dy * dy), minlength=len(raw))
    fits = np.zeros(len(raw))
    good = np.flatnonzero(drawn.is_good)
    new = ring_polygons(drawn.x, drawn.y, drawn.offsets, drawn.is_good)[good]
    both = shapely.area(raw[good]) + shapely.area(new)
    fits[good] = np.where(shapely.is_valid(new), (both - between[good]) / (both + between[good]), 0)
    return np.maximum(fits, 0)


def _simpler(
    fine: Drawn,
    overlap: NDArray[np.float64],
    outlines: tuple[Samples, NDArray[np.int64], NDArray[np.object_]],
    limits: tuple[float, float],
) -> tuple[Drawn, NDArray[np.float64]]:
    """The rings with fewer edges where the others did not pay: a wall that a model drew with a tremble is straight.

    `limits` are how far edges may leave the raw outline, in pixels, and the least IoU. The rings of a group are decided on
    together, since they have one main direction.
    """
    samples, group, raw = outlines
    bend, least_iou = limits
    many = np.bincount(group, weights=np.diff(fine.offsets) > SIMPLE_EDGES) > 0
    # What is no building is none with fewer edges either.
    many &= np.bincount(group, weights=(overlap > 0) & (overlap < least_iou - HOPELESS)) == 0
    at = np.flatnonzero(many[group]) if len(group) else np.zeros(0, dtype=np.int64)
    if len(at) == 0:
        return fine, overlap
    rows = rows_of(samples.offsets, at)
    own = Samples(samples.x[rows], samples.y[rows], offsets_of(np.diff(samples.offsets)[at]))
    _, part = np.unique(group[at], return_inverse=True)
    coarse, found = _rectified(own, part, raw[at], bend)
    weight = shapely.area(raw[at])

    def worth(drawn: NDArray[np.int64], fit: NDArray[np.float64]) -> NDArray[np.float64]:
        share = np.bincount(part, weights=weight * fit) / np.bincount(part, weights=weight)
        return np.asarray(share - EDGE_WORTH * np.bincount(part, weights=drawn))

    fits = np.bincount(part, weights=found < least_iou) == 0
    fitted = np.bincount(part, weights=overlap[at] < least_iou) == 0
    gains = worth(np.diff(coarse.offsets), found) > worth(np.diff(fine.offsets)[at], overlap[at])
    wins = (fits & (gains | ~fitted))[part]
    overlap = overlap.copy()
    overlap[at[wins]] = found[wins]
    return _replaced(fine, coarse, at, wins, (samples.ring, rows)), overlap


def _replaced(
    fine: Drawn,
    coarse: Drawn,
    at: NDArray[np.int64],
    wins: NDArray[np.bool_],
    sides: tuple[NDArray[np.int64], NDArray[np.int64]],
) -> Drawn:
    """The rings `at` replaced by the coarse ones that win; `sides` are each sample's ring and the places of the coarse ones'."""
    ring, rows = sides
    taken = np.flatnonzero(wins)
    starts, counts = fine.offsets[:-1].copy(), np.diff(fine.offsets)
    starts[at[taken]] = len(fine.x) + coarse.offsets[:-1][taken]
    counts[at[taken]] = np.diff(coarse.offsets)[taken]
    offsets = offsets_of(counts)
    gather = np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], counts)
    edge = fine.edge - fine.offsets[ring]
    of_coarse = np.repeat(np.arange(len(at)), np.bincount(ring, minlength=len(counts))[at])
    won = wins[of_coarse]
    edge[rows[won]] = (coarse.edge - coarse.offsets[of_coarse])[won]
    good = fine.is_good.copy()
    good[at[taken]] = coarse.is_good[taken]
    x, y = (np.concatenate(pair)[gather] for pair in ((fine.x, coarse.x), (fine.y, coarse.y)))
    return Drawn(x, y, offsets, edge + offsets[ring], good)
