"""Closed outlines made of a few directions: right angles and, where an outline says so, 45 degrees."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from terraseg.shapes.chains import offsets_of, rows_of
from terraseg.shapes.straight import Pieces

DIAGONAL_PX = 4.0
"""Shorter edges are never diagonal: a cut corner is a corner."""

ROUNDS = 24


@dataclass(frozen=True, eq=False)
class Edges:
    """The edges (n,) of rings in walking order; ring k has those from offsets[k] to offsets[k + 1].

    Edge e runs in the direction `heading` * 45 degrees, at the distance `offset` to its left of the origin; `weight` says
    how many pixel sides speak for that. (`end_u`, `end_v`) is where the raw outline passes from it to the next one. All in
    the frame of the ring's main direction. `home` (pieces,) is the edge that each straight piece of the raw outline went to.
    """

    heading: NDArray[np.int64]
    offset: NDArray[np.float64]
    weight: NDArray[np.float64]
    end_u: NDArray[np.float64]
    end_v: NDArray[np.float64]
    offsets: NDArray[np.int64]
    home: NDArray[np.int64]

    @property
    def ring(self) -> NDArray[np.int64]:
        """The ring of each edge."""
        return np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))

    @property
    def before(self) -> NDArray[np.int64]:
        """The edge before each one in its ring."""
        before = np.arange(-1, len(self.heading) - 1)
        filled = self.offsets[:-1][np.diff(self.offsets) > 0]
        before[filled] = self.offsets[1:][np.diff(self.offsets) > 0] - 1
        return before

    @property
    def after(self) -> NDArray[np.int64]:
        """The edge after each one in its ring."""
        after = np.empty(len(self.heading), dtype=np.int64)
        after[self.before] = np.arange(len(after))
        return after

    def ends(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Where each edge meets the next one, (u, v)."""
        return meeting(self.heading, self.offset, self.after)

    def lengths(self) -> NDArray[np.float64]:
        """How far each edge goes in its direction; negative where it goes back."""
        u, v = self.ends()
        c, s = directions(self.heading)
        with np.errstate(invalid="ignore"):
            return (u - u[self.before]) * c + (v - v[self.before]) * s


def directions(heading: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Unit vectors of headings, (u, v)."""
    return _COSINES[heading % 8], _COSINES[(heading - 2) % 8]


_COSINES = np.array([1, 0.5**0.5, 0, -(0.5**0.5), -1, -(0.5**0.5), 0, 0.5**0.5])


def meeting(
    heading: NDArray[np.int64], offset: NDArray[np.float64], after: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where each line meets the line `after` it, (u, v); infinite or not a number where they are parallel."""
    c, s = directions(heading)
    c2, s2, other = c[after], s[after], offset[after]
    with np.errstate(divide="ignore", invalid="ignore"):
        crossing = c * s2 - s * c2
        return (c2 * offset - c * other) / crossing, (s2 * offset - s * other) / crossing


def rectified(pieces: Pieces, turn: NDArray[np.float64], *, least: float) -> tuple[Edges, NDArray[np.bool_]]:
    """Edges with right angles and 45 degrees between them, and which rings they could be found for.

    `turn` (rings,) is the main direction of each ring. Each straight piece takes the nearest of the eight headings; parallel
    neighbours close to each other become one edge at the mean of their places, and those farther apart get an edge between
    them; then the shortest edges go, one neighbourhood at a time, until none is shorter than `least` pixels, or a
    diagonal one than four. Parallel edges
    nearer to each other than that count as one.
    """
    edges = _settled(_start(pieces, turn), least)
    rings, done = np.arange(len(turn)), []
    for _ in range(ROUNDS):
        goes = _goes(edges, edges.lengths(), least)
        # Most rings are done after a round or two, and are not gone through again.
        works = np.bincount(edges.ring[goes], minlength=len(rings)) > 0
        done.append((rings[~works], _of_rings(edges, ~works)))
        rings, edges, goes = rings[works], _of_rings(edges, works), goes[works[edges.ring]]
        if len(rings) == 0:
            break
        edges = _settled(_without(edges, goes), least)
    edges = _in_order([*done, (rings, edges)])
    return edges, _are_good(edges)


def _of_rings(edges: Edges, chosen: NDArray[np.bool_]) -> Edges:
    """The edges of the chosen rings (rings,), and the pieces that went to them."""
    stays = chosen[edges.ring]
    number = np.cumsum(stays) - 1
    columns = {name: getattr(edges, name)[stays] for name in ("heading", "offset", "weight", "end_u", "end_v")}
    offsets = offsets_of(np.diff(edges.offsets)[chosen])
    return Edges(offsets=offsets, home=number[edges.home[stays[edges.home]]], **columns)


def _in_order(parts: list[tuple[NDArray[np.int64], Edges]]) -> Edges:
    """All rings, each part's by their numbers, in the order of these."""
    order = np.argsort(np.concatenate([rings for rings, _ in parts]))
    lengths = np.concatenate([np.diff(edges.offsets) for _, edges in parts])
    every = [edges for _, edges in parts]
    rows = rows_of(offsets_of(lengths), order)
    names = ("heading", "offset", "weight", "end_u", "end_v")
    columns = {name: np.concatenate([getattr(edges, name) for edges in every])[rows] for name in names}
    place = np.empty(len(rows), dtype=np.int64)
    place[rows] = np.arange(len(rows))
    before = offsets_of(np.array([len(edges.heading) for edges in every]))
    home = place[np.concatenate([edges.home + first for edges, first in zip(every, before, strict=False)])]
    counts = np.concatenate([np.bincount(e.ring[e.home], minlength=len(e.offsets) - 1) for e in every])
    return Edges(offsets=offsets_of(lengths[order]), home=home[rows_of(offsets_of(counts), order)], **columns)


def _start(pieces: Pieces, turn: NDArray[np.float64]) -> Edges:
    ring = pieces.ring
    own = turn[ring]
    relative = (pieces.angle - own) / (np.pi / 4)
    heading = np.round(relative).astype(np.int64)
    is_diagonal = (heading % 2 == 1) & (pieces.weight >= DIAGONAL_PX) & (np.abs(relative - heading) < 1 / 3)
    heading = np.where((heading % 2 == 1) & ~is_diagonal, 2 * np.round(relative / 2).astype(np.int64), heading) % 8
    cos, sin = np.cos(own), np.sin(own)
    u, v = pieces.x * cos + pieces.y * sin, pieces.y * cos - pieces.x * sin
    c, s = directions(heading)
    return Edges(
        heading=heading,
        offset=c * v - s * u,
        weight=pieces.weight,
        end_u=pieces.end_x * cos + pieces.end_y * sin,
        end_v=pieces.end_y * cos - pieces.end_x * sin,
        offsets=pieces.offsets,
        home=np.arange(len(heading)),
    )


def _settled(edges: Edges, least: float) -> Edges:
    """The edges with no two parallel ones side by side."""
    for _ in range(ROUNDS):
        edges = _merged(edges, least)
        step, opposite = _parallel(edges)
        spike = opposite & (np.abs(step) < least)
        if spike.any():
            # Out and back again: the side with less to it goes.
            after = edges.after
            lighter = np.where(edges.weight[after] < edges.weight, after, np.arange(len(after)))
            goes = np.zeros(len(after), dtype=np.bool_)
            goes[lighter[spike]] = True
            edges = _without(edges, goes)
            continue
        needs = ((step != 0) & ~opposite) | opposite
        if not needs.any():
            break
        edges = _connected(edges, np.flatnonzero(needs), step)
    return edges


def _parallel(edges: Edges) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """How far to its left each edge's parallel follower lies, 0 for others, and whether that one runs the other way."""
    after = edges.after
    turn = (edges.heading[after] - edges.heading) % 8
    same, opposite = turn == 0, turn == 4
    alone = after == np.arange(len(after))
    step = np.where(same, edges.offset[after] - edges.offset, 0.0)
    step = np.where(opposite, -edges.offset[after] - edges.offset, step)
    return np.where(alone, 0.0, step), opposite & ~alone


def _merged(edges: Edges, least: float) -> Edges:
    """Runs of parallel edges close to each other as one edge each."""
    step, opposite = _parallel(edges)
    after = edges.after
    same = (edges.heading[after] == edges.heading) & ~opposite
    joins = np.zeros(len(after), dtype=np.bool_)
    joins[after] = same & (np.abs(step) < least)
    # A ring of nothing but parallel edges has no first one: it is lost anyway, and is left alone.
    ring = edges.ring
    heads = np.bincount(ring[~joins], minlength=len(edges.offsets) - 1)
    joins &= heads[ring] > 0
    if not joins.any():
        return edges
    return _regrouped(edges, ~joins)


def _regrouped(edges: Edges, is_head: NDArray[np.bool_]) -> Edges:
    """Each head with the edges that follow it up to the next head, as one edge; a ring starts with its first head."""
    ring, counts = edges.ring, np.diff(edges.offsets)
    first = np.zeros(len(counts), dtype=np.int64)
    heads = np.flatnonzero(is_head)
    first[ring[heads[::-1]]] = heads[::-1]
    base = edges.offsets[:-1]
    order = base[ring] + (first[ring] - base[ring] + np.arange(len(ring)) - base[ring]) % np.maximum(counts, 1)[ring]
    run = np.cumsum(is_head[order]) - 1
    number = int(run[-1]) + 1
    weight = np.bincount(run, weights=edges.weight[order], minlength=number).astype(np.float64)
    offset = np.bincount(run, weights=(edges.weight * edges.offset)[order], minlength=number) / weight
    last = np.append(np.flatnonzero(np.diff(run)), len(run) - 1)
    renamed = np.empty(len(order), dtype=np.int64)
    renamed[order] = run
    return Edges(
        heading=edges.heading[order[is_head[order]]],
        offset=offset,
        weight=weight,
        end_u=edges.end_u[order[last]],
        end_v=edges.end_v[order[last]],
        offsets=offsets_of(np.bincount(ring[heads], minlength=len(counts))),
        home=renamed[edges.home],
    )


def _connected(edges: Edges, at: NDArray[np.int64], step: NDArray[np.float64]) -> Edges:
    """An edge across between each of the given edges and its parallel follower, where the raw outline passes over."""
    heading = (edges.heading[at] + np.where(step[at] >= 0, 2, -2)) % 8
    c, s = directions(heading)
    new = {
        "heading": heading,
        "offset": c * edges.end_v[at] - s * edges.end_u[at],
        "weight": np.full(len(at), 1e-3),
        "end_u": edges.end_u[at],
        "end_v": edges.end_v[at],
    }
    number = np.arange(len(edges.heading))
    moved = number + np.searchsorted(at, number, side="left")
    counts = np.diff(edges.offsets) + np.bincount(edges.ring[at], minlength=len(edges.offsets) - 1)
    columns = {name: np.insert(getattr(edges, name), at + 1, values) for name, values in new.items()}
    return Edges(offsets=offsets_of(counts), home=moved[edges.home], **columns)


def _goes(edges: Edges, lengths: NDArray[np.float64], least: float) -> NDArray[np.bool_]:
    """The edges that are too short and shorter than their neighbours; none of a ring with four or fewer."""
    counts = np.diff(edges.offsets)[edges.ring]
    value = np.where(np.isfinite(lengths), lengths, -np.inf)
    ahead = (value < value[edges.before]) | ((value == value[edges.before]) & (edges.before > np.arange(len(value))))
    behind = (value < value[edges.after]) | ((value == value[edges.after]) & (edges.after > np.arange(len(value))))
    short = np.where(edges.heading % 2 == 1, max(least, DIAGONAL_PX), least)
    goes = (value < short) & (counts > 4) & ahead & behind
    # One at a time where a ring is about to become a rectangle.
    few = np.bincount(edges.ring[goes], minlength=len(edges.offsets) - 1) > np.maximum(np.diff(edges.offsets) - 4, 0)
    if few.any():
        crowded = np.flatnonzero(goes & few[edges.ring])
        order = np.lexsort((value[crowded], edges.ring[crowded]))
        best = np.diff(edges.ring[crowded[order]], prepend=-1) != 0
        goes[crowded] = False
        goes[crowded[order][best]] = True
    return np.asarray(goes)


def _without(edges: Edges, goes: NDArray[np.bool_]) -> Edges:
    """The edges without some, whose pieces go to the edge before; a ring never loses its last edge."""
    stays = ~goes
    emptied = np.bincount(edges.ring[stays], minlength=len(edges.offsets) - 1) == 0
    stays |= emptied[edges.ring]
    before = edges.before
    home = np.arange(len(goes))
    for _ in range(ROUNDS):
        lost = ~stays[home]
        if not lost.any():
            break
        home[lost] = before[home[lost]]
    renamed = np.cumsum(stays) - 1
    end_u, end_v = edges.end_u.copy(), edges.end_v.copy()
    gone = np.flatnonzero(~stays)
    end_u[before[gone]] = (edges.end_u[before[gone]] + edges.end_u[gone]) / 2
    end_v[before[gone]] = (edges.end_v[before[gone]] + edges.end_v[gone]) / 2
    columns = {name: getattr(edges, name)[stays] for name in ("heading", "offset", "weight")}
    counts = np.bincount(edges.ring[stays], minlength=len(edges.offsets) - 1)
    return replace(
        edges,
        **columns,
        end_u=end_u[stays],
        end_v=end_v[stays],
        offsets=offsets_of(counts),
        home=renamed[home[edges.home]],
    )


def _are_good(edges: Edges) -> NDArray[np.bool_]:
    """Rings of four and more edges that all go forwards."""
    counts = np.diff(edges.offsets)
    lengths = edges.lengths()
    bad = np.bincount(edges.ring[~(lengths > 0.5)], minlength=len(counts)) > 0
    return (counts >= 4) & ~bad
