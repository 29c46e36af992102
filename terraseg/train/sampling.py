"""Where the samples of a step are cut: a pure function of (seed, step, index)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from terraseg.core.window import Window
from terraseg.errors import EmptyDataset
from terraseg.store.cache import CELL, TrainingScene, cells_of
from terraseg.train.counted import SAMPLE, uniforms

CENTRED_SHARE = 0.1
"""Share of the samples that are cut around a pixel of a class, all classes alike; the others fall uniformly."""
ATTEMPTS = 4
MOST_CENTRES = 100_000

Places = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Sampler:
    """What sampling needs to know of the scenes.

    `windows` (m, 5) holds scene number, row, column, height and width of each training window, `upto` (m,) the
    cumulative shares of their areas. `centres` has for each class that occurs an array (n, 3) of window number, row and
    column of a cell with pixels of that class. `labelled` tells for each scene which cells have a label at all.
    """

    seed: int
    size: int
    windows: Places
    upto: NDArray[np.float64]
    centres: tuple[Places, ...]
    labelled: tuple[NDArray[np.bool_], ...]
    centred_share: float = CENTRED_SHARE


def make_sampler(
    scenes: Sequence[TrainingScene], *, seed: int, size: int, centred_share: float = CENTRED_SHARE
) -> Sampler:
    """A sampler of squares of `size` pixels from the training windows of the scenes.

    Raises `EmptyDataset` when there is no training window, or no labelled pixel in any.
    """
    places = [(n, w.row, w.col, w.height, w.width) for n, s in enumerate(scenes) for w in s.scene.train]
    if not places:
        raise EmptyDataset("no labelled scene has a training window: add labelled scenes, or train on a larger share")
    windows = np.array(places, dtype=np.int64)
    labelled = tuple(np.asarray(s.counts.any(axis=0), dtype=np.bool_) for s in scenes)
    if not any(labelled[n][cells_of(Window(*box), whole=False)].any() for n, *box in windows.tolist()):
        raise EmptyDataset(
            f"none of the {len(windows)} training windows has a labelled pixel: all is void or nodata. "
            "Check the labels, and the ignored values under [data]"
        )
    areas = (windows[:, 3] * windows[:, 4]).astype(np.float64)
    return Sampler(
        seed, size, windows, np.cumsum(areas) / areas.sum(), _centres(scenes, windows), labelled, centred_share
    )


def _centres(scenes: Sequence[TrainingScene], windows: Places) -> tuple[Places, ...]:
    """Cells by class, from training windows only: whole cells, so that no label from beside a window has a say."""
    found: list[list[Places]] = [[] for _ in range(len(scenes[0].counts))]
    for number, (scene, *box) in enumerate(windows.tolist()):
        rows, cols = cells_of(Window(*box), whole=True)
        for index, counts in enumerate(scenes[scene].counts[:, rows, cols]):
            at = np.argwhere(counts > 0)
            at = at[:: max(1, len(at) * len(windows) // MOST_CENTRES)]
            cells = (at + np.array([rows.start, cols.start])) * CELL
            found[index].append(np.column_stack([np.full(len(at), number), cells]).astype(np.int64))
    joined = (np.concatenate(parts) for parts in found)
    return tuple(cells for cells in joined if len(cells))


def places(sampler: Sampler, step: int, indices: ArrayLike) -> Places:
    """Scene number, row, column, height and width of the samples with these indices in a step, shape (n, 5).

    Every place lies inside one training window. It is a square of the sampler's size, less where the window is smaller.
    A place without any label is drawn again, a few times.
    """
    numbers = np.asarray(indices, dtype=np.int64)
    draws = uniforms(sampler.seed, SAMPLE, step, numbers, 5 * ATTEMPTS)
    chosen = _attempt(sampler, draws[:, :5])
    for attempt in range(1, ATTEMPTS):
        empty = np.array([not _has_label(sampler, place) for place in chosen.tolist()], dtype=np.bool_)
        if not empty.any():
            break
        chosen[empty] = _attempt(sampler, draws[empty, 5 * attempt : 5 * attempt + 5])
    return chosen


def _attempt(sampler: Sampler, draws: NDArray[np.float64]) -> Places:
    number = np.searchsorted(sampler.upto, draws[:, 1], side="right").clip(max=len(sampler.windows) - 1)
    window = sampler.windows[number]
    size = np.minimum(window[:, 3:], sampler.size)
    corner = window[:, 1:3] + (draws[:, 3:5] * (window[:, 3:] - size + 1)).astype(np.int64)
    chosen = np.column_stack([window[:, 0], corner, size])
    if sampler.centres:
        centred = np.flatnonzero(draws[:, 0] < sampler.centred_share)
        for row in centred:
            chosen[row] = _around(sampler, draws[row])
    return chosen


def _around(sampler: Sampler, draw: NDArray[np.float64]) -> Places:
    """A place that holds a cell of a class, the cell somewhere in its middle half."""
    cells = sampler.centres[int(draw[1] * len(sampler.centres))]
    number, *cell = cells[int(draw[2] * len(cells))].tolist()
    window = sampler.windows[number]
    size = np.minimum(window[3:], sampler.size)
    shift = (draw[3:5] - 0.5) * size / 2
    corner = np.rint(np.array(cell) + CELL / 2 - size / 2 + shift).astype(np.int64)
    corner = np.clip(corner, window[1:3], window[1:3] + window[3:] - size)
    return np.concatenate([window[:1], corner, size])


def _has_label(sampler: Sampler, place: list[int]) -> bool:
    scene, *box = place
    return bool(sampler.labelled[scene][cells_of(Window(*box), whole=False)].any())
