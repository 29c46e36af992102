"""Which pixels a forest learns from: patches all over the training windows, and pixels of every class in them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from terraseg.core.classes import VOID
from terraseg.core.window import Window
from terraseg.errors import EmptyDataset
from terraseg.store.cache import CELL, TrainingScene, cells_of

PATCH = 96
"""Side of the squares from which pixels are drawn."""
MARGIN = 48
"""Pixels that are read around a patch, so that its features are those of the whole scene."""
PER_PATCH = 256
CENTRED_SHARE = 0.25
"""Share of the patches that lie around a pixel of a class, all classes alike; the others are spread evenly."""


@dataclass(frozen=True)
class Patch:
    """A square of scene number `scene` to draw pixels from, and the window to read around it: both in training ground.

    `number` is its place in the draw, by which its random numbers go.
    """

    number: int
    scene: int
    inner: Window
    outer: Window


def draw_patches(scenes: Sequence[TrainingScene], pixels: int, seed: int) -> list[Patch]:
    """Enough patches for so many pixels, none of which sees anything but its training window.

    Raises `EmptyDataset` when there is no training window, or no labelled pixel in any.
    """
    windows = [(number, window) for number, opened in enumerate(scenes) for window in opened.scene.train]
    labelled = [bool(scenes[n].counts[:, *cells_of(w, whole=False)].any()) for n, w in windows]
    windows = [window for window, has_labels in zip(windows, labelled, strict=True) if has_labels]
    if not windows:
        raise EmptyDataset(
            "no training window has a labelled pixel: check the labels, and the ignored values under [data]"
        )
    count = -(-pixels // PER_PATCH)
    centred = round(count * CENTRED_SHARE)
    random = np.random.default_rng([seed, count])
    places = [*_spread(windows, count - centred, random), *_centred(scenes, windows, centred, random)]
    return [_patch(number, *place) for number, place in enumerate(places)]


Place = tuple[int, Window, int, int]
"""Scene number, training window, and the row and column of a patch's middle."""


def _spread(windows: Sequence[tuple[int, Window]], count: int, random: np.random.Generator) -> Iterator[Place]:
    """Places at even steps through the area of all windows: each window gets its share, whatever the seed."""
    upto = np.cumsum([w.height * w.width for _, w in windows]).astype(np.float64)
    at = (np.arange(count) + random.random(count)) / count * upto[-1]
    for chosen in np.searchsorted(upto, at, side="right").clip(max=len(windows) - 1).tolist():
        scene, window = windows[chosen]
        row, col = random.integers(0, (window.height, window.width))
        yield scene, window, window.row + int(row), window.col + int(col)


def _centred(
    scenes: Sequence[TrainingScene], windows: Sequence[tuple[int, Window]], count: int, random: np.random.Generator
) -> Iterator[Place]:
    """Places around cells of each class in turn."""
    found: list[NDArray[np.int64]] = []
    for index in range(len(scenes[0].counts)):
        cells = []
        for number, (scene, window) in enumerate(windows):
            rows, cols = cells_of(window, whole=True)
            at = np.argwhere(scenes[scene].counts[index, rows, cols] > 0) + np.array([rows.start, cols.start])
            cells.append(np.column_stack([np.full(len(at), number), at * CELL + CELL // 2]))
        found.append(np.concatenate(cells).astype(np.int64))
    present = [cells for cells in found if len(cells)]
    for turn in range(count if present else 0):
        of_class = present[turn % len(present)]
        number, row, col = of_class[random.integers(len(of_class))].tolist()
        yield (*windows[number], row, col)


def _patch(number: int, scene: int, window: Window, row: int, col: int) -> Patch:
    height, width = min(PATCH, window.height), min(PATCH, window.width)
    top = min(max(row - height // 2, window.row), window.row_stop - height)
    left = min(max(col - width // 2, window.col), window.col_stop - width)
    inner = Window(top, left, height, width)
    around = Window(top - MARGIN, left - MARGIN, height + 2 * MARGIN, width + 2 * MARGIN)
    return Patch(number, scene, inner, around.intersection(window))


def draw_pixels(labels: NDArray[np.uint8], most: int, random: np.random.Generator) -> NDArray[np.int64]:
    """Indices into the flat labels of at most so many labelled pixels; a class's share goes by the root of its number.

    >>> draw_pixels(np.full((2, 2), VOID, dtype=np.uint8), 9, np.random.default_rng(0)).tolist()
    []
    """
    flat = labels.ravel()
    known = np.flatnonzero(flat != VOID)
    if len(known) <= most:
        return known.astype(np.int64)
    counts = np.bincount(flat[known], minlength=VOID)
    # The smallest of exponential waiting times: drawing without replacement by weight (Efraimidis and Spirakis, 2006).
    waiting = random.exponential(size=len(known)) * np.sqrt(counts[flat[known]])
    return np.sort(known[np.argpartition(waiting, most)[:most]]).astype(np.int64)


def pixel_weights(labels: NDArray[np.uint8], shares: Sequence[float]) -> NDArray[np.float64]:
    """How much each drawn pixel counts, 1 on average: together a class weighs as the root of its share on the ground.

    Between counting as on the ground, which forgets rare classes, and counting all alike, which finds them everywhere.
    """
    drawn = np.bincount(labels, minlength=len(shares))
    # A class can be drawn of which the facts know nothing, where reduction made its pixels.
    share = np.maximum(np.asarray(shares, dtype=np.float64), 1e-6)
    weight = np.sqrt(share) / np.maximum(drawn, 1)
    each = weight[labels]
    return np.asarray(each / each.mean())
