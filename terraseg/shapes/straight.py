"""Straight pieces of many closed outlines at once, and the main direction of each group of them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from terraseg.shapes.chains import offsets_of


@dataclass(frozen=True, eq=False)
class Samples:
    """Points (n,) along closed rings, a pixel apart, in walking order; ring k has those from offsets[k] to offsets[k + 1]."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    offsets: NDArray[np.int64]

    @property
    def ring(self) -> NDArray[np.int64]:
        """The ring of each point."""
        return np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))


@dataclass(frozen=True, eq=False)
class Pieces:
    """The straight pieces (m,) of rings in walking order: ring k has those from offsets[k] to offsets[k + 1].

    A piece stands for the samples on it: `weight` of them, with the mean (`x`, `y`), along the direction `angle` in
    radians, and ends at (`end_x`, `end_y`). `piece` gives the piece of each sample.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    angle: NDArray[np.float64]
    weight: NDArray[np.float64]
    end_x: NDArray[np.float64]
    end_y: NDArray[np.float64]
    offsets: NDArray[np.int64]
    piece: NDArray[np.int64]

    @property
    def ring(self) -> NDArray[np.int64]:
        """The ring of each piece."""
        return np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))


def sides_of(
    x: NDArray[np.number], y: NDArray[np.number], offsets: NDArray[np.int64]
) -> tuple[Samples, NDArray[np.int64]]:
    """The middles of all pixel sides along closed lattice rings, and the place among them of each vertex' first side."""
    following = np.arange(1, len(x) + 1)
    following[offsets[1:] - 1] = offsets[:-1]
    dx, dy = (v[following].astype(np.int64) - v.astype(np.int64) for v in (x, y))
    lengths = np.abs(dx) + np.abs(dy)
    starts = offsets_of(lengths)
    along = np.arange(starts[-1]) - np.repeat(starts[:-1], lengths) + 0.5
    at_x = np.repeat(x, lengths) + along * np.repeat(np.sign(dx), lengths)
    at_y = np.repeat(y, lengths) + along * np.repeat(np.sign(dy), lengths)
    return Samples(at_x, at_y, starts[offsets]), starts[:-1]


def straight_pieces(samples: Samples, *, tolerance: float) -> Pieces:
    """Each ring cut where it bends: no sample is farther than `tolerance` from the line between the ends of its piece.

    Method: Douglas and Peucker, "Algorithms for the reduction of the number of points", Cartographica 10 (1973), started
    from the sample farthest from the ring's middle and the one farthest from that; all rings at once, level by level.
    """
    order, starts = _from_a_corner(samples)
    x, y = samples.x[order], samples.y[order]
    ends = starts[1:] - 1
    far = _farthest(x, y, starts, (x[starts[:-1]], y[starts[:-1]]))
    kept = np.zeros(len(x), dtype=np.bool_)
    kept[starts[:-1]] = kept[ends] = kept[far] = True
    one, two = np.concatenate([starts[:-1], far]), np.concatenate([far, ends])
    while len(one):
        inner = two - one > 1
        one, two = one[inner], two[inner]
        if len(one) == 0:
            break
        middle, distance = _farthest_between(x, y, one, two)
        cuts = distance > tolerance
        kept[middle[cuts]] = True
        one, two = (np.concatenate([one[cuts], middle[cuts]]), np.concatenate([middle[cuts], two[cuts]]))
    return _fitted(x, y, kept, (order, starts), samples)


def _from_a_corner(samples: Samples) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Samples ring by ring from the one farthest from the middle, which comes again at the end; and the rings' starts."""
    counts = np.diff(samples.offsets)
    middles = [np.add.reduceat(v, samples.offsets[:-1]) / counts for v in (samples.x, samples.y)]
    first = _farthest(samples.x, samples.y, samples.offsets, (middles[0], middles[1]))
    starts = offsets_of(counts + 1)
    ring = np.repeat(np.arange(len(counts)), counts + 1)
    within = np.arange(starts[-1]) - starts[ring]
    base = samples.offsets[:-1]
    return base[ring] + (first[ring] - base[ring] + within) % counts[ring], starts


def _farthest(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    starts: NDArray[np.int64],
    origin: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> NDArray[np.int64]:
    """The place of the point of each row farthest from the row's origin."""
    lengths = np.diff(starts)
    distance = np.hypot(x - np.repeat(origin[0], lengths), y - np.repeat(origin[1], lengths))
    return _places_of_largest(distance, starts)


def _places_of_largest(values: NDArray[np.float64], starts: NDArray[np.int64]) -> NDArray[np.int64]:
    largest = np.maximum.reduceat(values, starts[:-1])
    hit = np.where(values == np.repeat(largest, np.diff(starts)), np.arange(len(values)), len(values))
    return np.minimum.reduceat(hit, starts[:-1])


def _farthest_between(
    x: NDArray[np.float64], y: NDArray[np.float64], one: NDArray[np.int64], two: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """For each pair of places the one between them that is farthest from the line through both, and how far it is."""
    counts = two - one - 1
    starts = offsets_of(counts)
    pair = np.repeat(np.arange(len(one)), counts)
    place = np.arange(starts[-1]) - starts[pair] + one[pair] + 1
    dx, dy = x[two] - x[one], y[two] - y[one]
    length = np.hypot(dx, dy)
    px, py = x[place] - x[one][pair], y[place] - y[one][pair]
    across = np.abs(dx[pair] * py - dy[pair] * px) / np.maximum(length, 1e-12)[pair]
    distance = np.where(length[pair] > 1e-9, across, np.hypot(px, py))
    found = _places_of_largest(distance, starts)
    return place[found], distance[found]


def _fitted(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    kept: NDArray[np.bool_],
    rotated: tuple[NDArray[np.int64], NDArray[np.int64]],
    samples: Samples,
) -> Pieces:
    """The pieces between the kept samples, their directions by least squares."""
    order, starts = rotated
    last = np.zeros(len(x), dtype=np.bool_)
    last[starts[1:] - 1] = True
    piece = np.cumsum(kept & ~last) - 1
    count = int(piece[-1]) + 1
    # A bend belongs to both pieces: it is left to the one that it begins, and neither direction hangs on it.
    weight = np.bincount(piece[~last], minlength=count).astype(np.float64)
    mean_x, mean_y = (np.bincount(piece[~last], weights=v[~last], minlength=count) / weight for v in (x, y))
    ends = np.flatnonzero(kept)
    stops = ends[1:][~last[ends[:-1]]]
    begins = ends[:-1][~last[ends[:-1]]]
    u, v = x - mean_x[piece], y - mean_y[piece]
    xx, xy, yy = (np.bincount(piece[~last], weights=w[~last], minlength=count) for w in (u * u, u * v, v * v))
    axis = 0.5 * np.arctan2(2 * xy, xx - yy)
    chord = np.arctan2(y[stops] - y[begins], x[stops] - x[begins])
    angle = np.where(weight > 2, axis + np.pi * np.round((chord - axis) / np.pi), chord)
    of_sample = np.empty(len(samples.x), dtype=np.int64)
    of_sample[order[~last]] = piece[~last]
    pieces = offsets_of(np.bincount(np.repeat(np.arange(len(starts) - 1), np.diff(starts))[kept & ~last]))
    return Pieces(mean_x, mean_y, angle, weight, x[stops], y[stops], pieces, of_sample)


def main_directions(pieces: Pieces, group: NDArray[np.int64], count: int) -> NDArray[np.float64]:
    """The main direction of each group of rings, `group` (rings,), as an angle below a right one, in radians; (count,).

    It is the one from which the pieces, by their squared lengths, deviate least when right angles count as none.
    """
    owner = group[pieces.ring]
    weight = pieces.weight**2
    turn = [np.bincount(owner, weights=weight * part(4 * pieces.angle), minlength=count) for part in (np.cos, np.sin)]
    first = np.arctan2(turn[1], turn[0]) / 4
    # Once more with those pieces alone that lie near it, edges at 45 degrees among them.
    off = pieces.angle - first[owner]
    rest = off - np.round(off / (np.pi / 4)) * (np.pi / 4)
    near = np.abs(rest) < np.radians(12)
    weight = np.where(near, pieces.weight**3, 0)
    total = np.bincount(owner, weights=weight, minlength=count)
    shift = np.bincount(owner, weights=weight * rest, minlength=count)
    return first + np.divide(shift, total, out=np.zeros(count), where=total > 0)
