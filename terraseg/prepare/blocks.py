"""Rectangles of a scene that judge the training: which ones, and what they leave to train on."""

from collections.abc import Iterable, Sequence
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from terraseg.core.window import Window
from terraseg.prepare.survey import lattice_edges

STRIPS = 5
"""A validation part is one of so many: a fifth."""
WIDEST = 4
"""A strip grows to hold a patch, up to one in so many of the scene."""
INNER = 0.05
"""What it costs to cut the training part in pieces, in units of the mixtures' distance."""
CONSIDERED = 6
SLIVER = 32
"""Training windows narrower than this are left out where wider ones remain."""


def subtract(window: Window, hole: Window) -> tuple[Window, ...]:
    """What is left of a window without a hole, in at most four rectangles: above, below, left and right of it.

    >>> subtract(Window(0, 0, 10, 10), Window(0, 4, 10, 2))
    (Window(row=0, col=0, height=10, width=4), Window(row=0, col=6, height=10, width=4))
    """
    gone = window.intersection(hole)
    if gone.is_empty:
        return (window,)
    parts = (
        Window(window.row, window.col, gone.row - window.row, window.width),
        Window(gone.row_stop, window.col, window.row_stop - gone.row_stop, window.width),
        Window(gone.row, window.col, gone.height, gone.col - window.col),
        Window(gone.row, gone.col_stop, gone.height, window.col_stop - gone.col_stop),
    )
    return tuple(part for part in parts if not part.is_empty)


def without(windows: Iterable[Window], holes: Iterable[Window]) -> tuple[Window, ...]:
    """What is left of disjoint windows without the holes, as disjoint windows."""
    left = tuple(windows)
    for hole in holes:
        left = tuple(part for window in left for part in subtract(window, hole))
    return left


def area_of(windows: Iterable[Window]) -> int:
    """Pixels of disjoint windows."""
    return sum(w.height * w.width for w in windows)


def grown(window: Window, by: int) -> Window:
    """The window with `by` more pixels on every side; an empty one stays empty."""
    if window.is_empty:
        return window
    return Window(window.row - by, window.col - by, window.height + 2 * by, window.width + 2 * by)


def training_windows(whole: Window, holes: Sequence[Window]) -> tuple[Window, ...]:
    """What of a scene can be trained on beside the holes; slivers are left out where anything wider remains."""
    left = without((whole,), holes)
    wide = tuple(w for w in left if min(w.height, w.width) >= min(SLIVER, whole.height, whole.width))
    return wide or left


def pixels_in(counts: NDArray[np.int64], whole: Window, window: Window) -> NDArray[np.float64]:
    """Class pixels of a window, from a scene's lattice of cells (rows, columns, classes); cut cells count by their area."""
    shares = []
    for size, cells, start, stop in (
        (whole.height, counts.shape[0], window.row, window.row_stop),
        (whole.width, counts.shape[1], window.col, window.col_stop),
    ):
        edges = lattice_edges(size, cells)
        inside = np.minimum(edges[1:], stop) - np.maximum(edges[:-1], start)
        shares.append(np.maximum(inside, 0) / np.maximum(np.diff(edges), 1))
    return np.asarray(np.einsum("i,j,ijk->k", shares[0], shares[1], counts), dtype=np.float64)


def choose_windows(whole: Window, counts: NDArray[np.int64], *, patch: int, gap: int) -> tuple[Window, ...]:
    """The fifth of a scene that judges the training: a strip along a side, or blocks scattered over a large scene.

    Taken is what has the scene's own mixture of classes at the least loss of training ground. Strips along the border
    come first among equals, since they leave the training part in one piece. Blocks, one in each row and column of five,
    come in where each can hold a patch and the gap.
    """
    mixture = _mixture(counts.sum(axis=(0, 1)))
    area = whole.height * whole.width

    def cost(windows: Sequence[Window], inner: bool) -> float:
        part = np.sum([pixels_in(counts, whole, w) for w in windows], axis=0)
        if part.sum() == 0:
            return np.inf
        lost = area - area_of(windows) - area_of(without((whole,), [grown(w, gap) for w in windows]))
        return distance(_mixture(part), mixture) + lost / area + INNER * inner

    candidates: list[tuple[tuple[Window, ...], bool]] = strips(whole, patch + gap)
    least = min(whole.height, whole.width) // STRIPS
    if least >= patch + gap:
        scattered = sorted(
            scattered_blocks(whole),
            key=lambda ws: distance(_mixture(np.sum([pixels_in(counts, whole, w) for w in ws], axis=0)), mixture),
        )
        candidates += [(windows, True) for windows in scattered[:CONSIDERED]]
    costs = [cost(windows, inner) for windows, inner in candidates]
    best = int(np.argmin(costs)) if candidates else 0
    return candidates[best][0] if candidates and np.isfinite(costs[best]) else (whole,)


def strips(whole: Window, least: int) -> list[tuple[tuple[Window, ...], bool]]:
    """Strips of a fifth over the full width or height, wider where a fifth is less than `least`; and whether each is inner."""
    found: list[tuple[tuple[Window, ...], bool]] = []
    for size, other, across in ((whole.height, whole.width, True), (whole.width, whole.height, False)):
        width = max(size // STRIPS, min(least, size // WIDEST))
        if width < 1:
            continue
        for k in range(STRIPS):
            start = round(k * (size - width) / (STRIPS - 1))
            window = Window(start, 0, width, other) if across else Window(0, start, other, width)
            found.append(((window,), 0 < k < STRIPS - 1))
    return found


def scattered_blocks(whole: Window) -> list[tuple[Window, ...]]:
    """Every way to take one of five by five blocks in each row and each column."""
    rows, cols = lattice_edges(whole.height, STRIPS).tolist(), lattice_edges(whole.width, STRIPS).tolist()
    return [
        tuple(Window(rows[i], cols[j], rows[i + 1] - rows[i], cols[j + 1] - cols[j]) for i, j in enumerate(order))
        for order in permutations(range(STRIPS))
    ]


def _mixture(pixels: NDArray[np.int64] | NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(pixels / max(1.0, float(pixels.sum())), dtype=np.float64)


def distance(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Half the summed difference of two mixtures: 0 for equal ones, 1 for disjoint ones."""
    return float(np.abs(one - other).sum() / 2)


def mixture_distance(part: NDArray[np.float64], whole: NDArray[np.float64]) -> float:
    """`distance` of the mixtures of two counts of class pixels."""
    return distance(_mixture(part), _mixture(whole))
