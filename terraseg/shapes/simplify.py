"""Arcs with fewer vertices that still cross nowhere.

A vertex goes when the triangle it makes with its two neighbours has an area of at most the tolerance squared, small
triangles first (Visvalingam and Whyatt, "Line generalisation by repeated elimination of points", Cartographic Journal 30,
1993). Left to themselves the smallest triangles lie in the hollows of a round border, and what is round would grow: so over
every 64 vertices of an arc what one side gained goes back to the other, by triangles of up to twice that area, and of a short
arc, a piece of a crown's border say, hardly anything is left with either side. A vertex
stays when another corner of the map lies in its triangle. So no border ever sweeps over a corner of another, no two borders
can come to cross, and each arc can be simplified without knowing what becomes of the others: in any order, and however the
map was cut.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from terraseg.shapes.arcs import Arcs, Corners
from terraseg.shapes.chains import offsets_of

NEVER = np.iinfo(np.int64).max

RUN = 16
"""Vertices of an arc of which one at a time goes."""

EVEN_OVER = 64
"""Vertices of an arc over which area that went to one side is given back."""

EVENING = 2
"""How much larger than others the triangles may be that even out what others gave."""

SHORT = 32
"""Vertices of an arc up to which what remains with one side is at most half a triangle: many of these go round small things."""

UNEVEN = 4
"""How much more the area of a triangle counts that would shift a border further to the side to which it went already."""


@dataclass(frozen=True, eq=False)
class CornerIndex:
    """Corners of the lattice, to be counted row by row: `keys`, ascending, are row * `stride` + column."""

    keys: NDArray[np.int64]
    stride: int

    def with_corners(self, corners: Corners) -> "CornerIndex":
        """The index with the corners of a further strip below."""
        return CornerIndex(np.concatenate([self.keys, corners.row * self.stride + corners.col]), self.stride)

    def below(self, row: int) -> "CornerIndex":
        """The index without the rows above `row`."""
        return CornerIndex(self.keys[np.searchsorted(self.keys, row * self.stride) :], self.stride)

    def count(self, rows: NDArray[np.int64], lows: NDArray[np.int64], highs: NDArray[np.int64]) -> NDArray[np.int64]:
        """How many corners lie in each row from column low to column high, both included."""
        stops = np.searchsorted(self.keys, rows * self.stride + highs, side="right")
        return np.asarray(np.maximum(0, stops - np.searchsorted(self.keys, rows * self.stride + lows)))


@dataclass(eq=False)
class _State:
    """The vertices that are left, as a linked list, and twice the areas of their triangles; `NEVER` for those that stay.

    `is_gain` marks those whose going gives the area to the right. A `block` is a run of vertices of an arc, and `balance`
    (blocks,) twice the area that it gave to the right so far; `is_short` marks arcs of few vertices. `called` is room for the
    ranks of the vertices that are about to go, `NEVER` for all others.
    """

    x: NDArray[np.int64]
    y: NDArray[np.int64]
    before: NDArray[np.int64]
    after: NDArray[np.int64]
    arc: NDArray[np.int64]
    here: NDArray[np.bool_]
    twice_area: NDArray[np.int64]
    is_gain: NDArray[np.bool_]
    block: NDArray[np.int64]
    balance: NDArray[np.int64]
    called: NDArray[np.int64]
    left: NDArray[np.int64]
    first: NDArray[np.int64]
    is_short: NDArray[np.bool_]


def simplify_arcs(arcs: Arcs, corners: CornerIndex, *, tolerance: float) -> tuple[Arcs, NDArray[np.bool_]]:
    """The arcs, on whole lattice points, with fewer vertices; and which of them have one more to spare.

    `corners` has to hold all corners of the rows that the arcs pass. In pixels a tolerance of 1 takes away the stairs of a
    slanting border and leaves what is two pixels wide and more as it is; a lone pixel becomes a triangle; 0 changes
    nothing. An arc between two nodes keeps one vertex between them if it has any: where it is marked, that may go
    too when `may_lose_spare` says so.
    """
    limit = int(2 * tolerance**2 + 1e-9)
    if tolerance <= 0 or len(arcs) == 0:
        return arcs, np.zeros(len(arcs), dtype=np.bool_)
    state = _start(arcs)
    is_loop = _are_loops(arcs)
    least = np.where(is_loop, 4, 3)
    waiting = np.flatnonzero(state.here)
    while True:
        waiting = waiting[state.here[waiting] & (state.twice_area[waiting] <= EVENING * limit)]
        waiting = waiting[(state.left > least)[state.arc[waiting]]]
        allowed = waiting[_may_go(state, waiting, limit)]
        if len(allowed) == 0:
            break
        goes = _next_to_go(state, allowed, least)
        is_free = _are_free(state, goes, arcs, corners)
        state.twice_area[goes[~is_free]] = NEVER
        waiting = _distinct(waiting, _taken_out(state, goes[is_free]))
    spare = _have_spare(state, arcs, corners, (limit, is_loop))
    kept = state.here
    return arcs.with_vertices(arcs.x[kept], arcs.y[kept], state.left), spare


def may_lose_spare(
    arcs: Arcs, spare: NDArray[np.bool_], nodes: tuple[NDArray[np.integer], NDArray[np.integer]]
) -> NDArray[np.bool_]:
    """Which arcs lose their spare vertex, the second of three: not those that join one pair of nodes with another arc.

    Both would be one line, with nothing between them.
    """
    low, high = np.minimum(*nodes), np.maximum(*nodes)
    code = low.astype(np.int64) * (int(high.max(initial=0)) + 1) + high
    _, place, count = np.unique(code[~arcs.is_ring], return_inverse=True, return_counts=True)
    alone = np.zeros(len(arcs), dtype=np.bool_)
    alone[~arcs.is_ring] = count[place] == 1
    return spare & alone


def _are_loops(arcs: Arcs) -> NDArray[np.bool_]:
    """Arcs that come back to the node they started from."""
    first, last = arcs.offsets[:-1], arcs.offsets[1:] - 1
    return np.asarray(~arcs.is_ring & (arcs.x[first] == arcs.x[last]) & (arcs.y[first] == arcs.y[last]))


def _start(arcs: Arcs) -> _State:
    number = len(arcs.x)
    first, last = arcs.offsets[:-1], arcs.offsets[1:] - 1
    before, after = np.arange(-1, number - 1), np.arange(1, number + 1)
    before[first], after[last] = last, first
    lengths = np.diff(arcs.offsets)
    arc = np.repeat(np.arange(len(arcs)), lengths)
    block = np.cumsum((np.arange(number) - first[arc]) % EVEN_OVER == 0) - 1
    state = _State(
        x=arcs.x.astype(np.int64),
        y=arcs.y.astype(np.int64),
        before=before,
        after=after,
        arc=arc,
        here=np.ones(number, dtype=np.bool_),
        twice_area=np.zeros(number, np.int64),
        is_gain=np.zeros(number, dtype=np.bool_),
        block=block,
        balance=np.zeros(int(block[-1]) + 1, np.int64),
        called=np.full(number, NEVER),
        left=lengths,
        first=first,
        is_short=lengths <= SHORT,
    )
    _measure(state, np.arange(number))
    ends = np.concatenate([first[~arcs.is_ring], last[~arcs.is_ring]])
    state.twice_area[ends] = NEVER
    # The two ends stay for ever: their links lead nowhere.
    state.before[first[~arcs.is_ring]] = first[~arcs.is_ring]
    state.after[last[~arcs.is_ring]] = last[~arcs.is_ring]
    return state


def _measure(state: _State, at: NDArray[np.int64]) -> None:
    """Sets the areas of some vertices' triangles."""
    x, y, a, c = state.x, state.y, state.before[at], state.after[at]
    signed = (x[at] - x[a]) * (y[c] - y[a]) - (x[c] - x[a]) * (y[at] - y[a])
    state.twice_area[at] = np.abs(signed)
    state.is_gain[at] = signed < 0


def _may_go(state: _State, at: NDArray[np.int64], limit: int) -> NDArray[np.bool_]:
    """Vertices with small triangles that leave their block even, and those with larger ones that make it so."""
    area, balance = state.twice_area[at], state.balance[state.block[at]]
    after = np.abs(balance + np.where(state.is_gain[at], area, -area))
    most = np.where(state.is_short[state.arc[at]], limit // 2, limit)
    return np.asarray((after < np.abs(balance)) | ((area <= limit) & (after <= most)))


def _next_to_go(state: _State, waiting: NDArray[np.int64], least: NDArray[np.int64]) -> NDArray[np.int64]:
    """The next vertex of each block; where an arc has few left, only the first of these, and never two neighbours."""
    rank = _rank(state, waiting)
    run = state.block[waiting] * EVEN_OVER + (waiting - state.first[state.arc[waiting]]) % EVEN_OVER // RUN
    starts = np.flatnonzero(np.diff(run, prepend=-1))
    lowest = np.minimum.reduceat(rank, starts)
    goes = waiting[rank == np.repeat(lowest, np.diff(starts, append=len(waiting)))]
    state.called[goes] = lowest
    first = (lowest < state.called[state.before[goes]]) & (lowest < state.called[state.after[goes]])
    state.called[goes] = NEVER
    goes = goes[first]
    number = np.bincount(state.arc[goes], minlength=len(least))
    few = (state.left - number < least)[state.arc[goes]]
    if not few.any():
        return np.asarray(goes)
    scarce = goes[few]
    order = np.lexsort((_rank(state, scarce), state.arc[scarce]))
    ahead = np.diff(state.arc[scarce[order]], prepend=-1) != 0
    return np.sort(np.concatenate([goes[~few], scarce[order][ahead]]))


def _rank(state: _State, at: NDArray[np.int64]) -> NDArray[np.int64]:
    """In which order vertices of an arc go: areas, weighed so that what one gives to a side the next one takes back."""
    along = at - state.first[state.arc[at]]
    balance = state.balance[state.block[at]]
    evens_out = np.where(state.is_gain[at], balance <= 0, balance >= 0)
    area = np.minimum(state.twice_area[at], 2**28) * np.where(evens_out, 1, UNEVEN)
    return np.asarray((area << 31) | along)


def _taken_out(state: _State, gone: NDArray[np.int64]) -> NDArray[np.int64]:
    """Takes vertices out, no two of them neighbours, and gives those whose triangles changed."""
    before, after = state.before[gone], state.after[gone]
    state.here[gone] = False
    np.add.at(state.balance, state.block[gone], np.where(state.is_gain[gone], 1, -1) * state.twice_area[gone])
    state.after[before], state.before[after] = after, before
    state.left -= np.bincount(state.arc[gone], minlength=len(state.left))
    changed = _distinct(before, after)
    changed = changed[(state.before[changed] != changed) & (state.after[changed] != changed)]
    _measure(state, changed)
    return np.asarray(changed)


def _distinct(one: NDArray[np.int64], two: NDArray[np.int64]) -> NDArray[np.int64]:
    """The numbers of both, ascending, each once."""
    both = np.sort(np.concatenate([one, two]))
    return np.asarray(both[np.diff(both, prepend=-1) != 0])


def _have_spare(
    state: _State, arcs: Arcs, corners: CornerIndex, rule: tuple[int, NDArray[np.bool_]]
) -> NDArray[np.bool_]:
    """Arcs between two nodes whose one vertex in between could go too."""
    limit, is_loop = rule
    middle = np.flatnonzero(state.here & (state.twice_area <= limit))
    middle = middle[(~arcs.is_ring & ~is_loop & (state.left == 3))[state.arc[middle]]]
    spare = np.zeros(len(arcs), dtype=np.bool_)
    spare[state.arc[middle[_are_free(state, middle, arcs, corners)]]] = True
    return spare


def _are_free(state: _State, at: NDArray[np.int64], arcs: Arcs, corners: CornerIndex) -> NDArray[np.bool_]:
    """Whether each vertex's triangle, edges included, holds no corner but those of the arc between its two neighbours."""
    a, c = state.before[at], state.after[at]
    free = np.ones(len(at), dtype=np.bool_)
    # By Pick's theorem a lattice triangle of twice the area 1 holds no further lattice point; one of no area at all is a
    # piece of the border itself.
    wide = np.flatnonzero(state.twice_area[at] > 1)
    if len(wide) == 0:
        return free
    triangles = np.stack([a[wide], at[wide], c[wide]], axis=1)
    x, y = state.x[triangles], state.y[triangles]
    free[wide] = _corners_in(x, y, corners) == _own_in(x, y, state, arcs, triangles)
    return free


def _corners_in(x: NDArray[np.int64], y: NDArray[np.int64], corners: CornerIndex) -> NDArray[np.int64]:
    """How many corners lie in each triangle, (n, 3) of lattice points, edges included."""
    low, high = y.min(axis=1), y.max(axis=1)
    heights = high - low + 1
    starts = offsets_of(heights)
    triangle = np.repeat(np.arange(len(x)), heights)
    row = np.arange(starts[-1]) - np.repeat(starts[:-1] - low, heights)
    left, right = np.full(len(row), NEVER), np.full(len(row), -NEVER)
    for one, two in ((0, 1), (1, 2), (2, 0)):
        x1, y1, x2, y2 = (v[triangle, k] for k in (one, two) for v in (x, y))
        rise = y2 - y1
        # Columns where the row meets the edge, rounded to the inside; an edge along the row counts by its ends.
        across = (row - y1) * (x2 - x1)
        flat = rise == 0
        step = np.where(flat, 1, rise)
        floor = np.where(flat, x1, x1 + across // step)
        ceil = np.where(flat, x1, x1 - (-across) // step)
        meets = (row >= np.minimum(y1, y2)) & (row <= np.maximum(y1, y2))
        left = np.where(meets, np.minimum(left, ceil), left)
        right = np.where(meets, np.maximum(right, floor), right)
    found = corners.count(row, left, right)
    return np.bincount(triangle, weights=found, minlength=len(x)).astype(np.int64)


def _own_in(
    x: NDArray[np.int64], y: NDArray[np.int64], state: _State, arcs: Arcs, triangles: NDArray[np.int64]
) -> NDArray[np.int64]:
    """How many of the arc's first vertices from a triangle's one neighbour to the other lie in it."""
    a, _, c = triangles.T
    arc = state.arc[a]
    lengths = np.diff(arcs.offsets)[arc]
    counts = (c - a) % lengths + 1
    starts = offsets_of(counts)
    triangle = np.repeat(np.arange(len(a)), counts)
    along = np.arange(starts[-1]) - np.repeat(starts[:-1], counts)
    base = arcs.offsets[arc]
    place = base[triangle] + ((a - base)[triangle] + along) % lengths[triangle]
    px, py = state.x[place], state.y[place]
    sides = []
    for one, two in ((0, 1), (1, 2), (2, 0)):
        x1, y1, x2, y2 = (v[triangle, k] for k in (one, two) for v in (x, y))
        sides.append((x2 - x1) * (py - y1) - (y2 - y1) * (px - x1))
    inside = (np.minimum.reduce(sides) >= 0) | (np.maximum.reduce(sides) <= 0)
    return np.bincount(triangle[inside], minlength=len(a))
