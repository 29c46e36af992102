"""Confusions counted block by block: what confidence intervals are drawn from, and where a map is worst."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from terraseg.core.coding import Coding
from terraseg.core.grid import Grid
from terraseg.core.window import Window, cut
from terraseg.evaluate.ground import Ground
from terraseg.pixels.confusion import cell_confusions, count_unpredicted

USUAL_SIDE, LEAST_SIDE = 256, 32
RANGES = 2.0
"""Blocks are so many correlation ranges wide: what is 1/e alike at one range is 1/e^2 alike then."""
TILE_SIDE = 128
"""Pixels a side of the tiles that are judged, at least."""
MOST_COUNTS = 2**23
"""Counts held for one scene; blocks of a larger one are wider."""


@dataclass(frozen=True, eq=False)
class Cells:
    """Blocks of one lattice with a scored pixel: their windows, and their confusions (n, classes, classes or 4)."""

    windows: tuple[Window, ...]
    counts: NDArray[np.int64]


@dataclass(frozen=True)
class WorstTile:
    """A block of a scene with the share of its scored pixels that are right, and their number."""

    scene: str
    window: Window
    accuracy: float
    pixels: int

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {**asdict(self), "window": self.window.to_json()}

    @staticmethod
    def from_json(value: dict[str, Any]) -> "WorstTile":
        """The inverse of `to_json`."""
        return WorstTile(value["scene"], Window.from_json(value["window"]), value["accuracy"], value["pixels"])


def block_side(wanted: int | None, correlation_px: float) -> int:
    """The side of the blocks for intervals: the wanted one, else two correlation ranges, 256 px where none is known.

    >>> block_side(None, 70.2), block_side(None, 0.0), block_side(100, 70.2)
    (141, 256, 100)
    """
    if wanted is not None:
        return wanted
    return max(LEAST_SIDE, int(np.ceil(RANGES * correlation_px))) if correlation_px > 0 else USUAL_SIDE


def side_within(grid: Grid, side: int, coding: Coding) -> int:
    """The side, doubled until a scene's counts are few enough to be held."""
    each = coding.classes * (4 if coding.overlapping else coding.classes)
    while -(-grid.height // side) * -(-grid.width // side) * each > MOST_COUNTS and side < max(grid.height, grid.width):
        side *= 2
    return side


def count_cells(ground: Ground, coding: Coding, *, side: int, block: int) -> tuple[Cells, int]:
    """The confusions of each block of a lattice that starts at the scene's first pixel; and the unpredicted pixels.

    Blocks are `side` pixels wide, cut off by the scene's edge, and hold the pixels of the windows that lie in them. Pixels
    are read in squares of `block`, which makes no difference to the result.
    """
    grid = ground.grid
    rows, cols = -(-grid.height // side), -(-grid.width // side)
    columns = 4 if coding.overlapping else coding.classes
    counts = np.zeros((rows, cols, coding.classes, columns), dtype=np.int64)
    missing = 0
    for window in ground.windows:
        for part in cut(window, block, block):
            truth, mapped = ground.truth(part), ground.mapped(part)
            missing += count_unpredicted(truth, mapped)
            row, col = np.arange(part.row, part.row_stop) // side, np.arange(part.col, part.col_stop) // side
            high, wide = int(row[-1] - row[0]) + 1, int(col[-1] - col[0]) + 1
            place = (row - row[0])[:, None] * wide + (col - col[0])[None, :]
            found = cell_confusions(truth, mapped, coding, place).reshape(high, wide, coding.classes, columns)
            counts[row[0] : row[-1] + 1, col[0] : col[-1] + 1] += found
    used = counts.any(axis=(2, 3))
    windows = [cell for cell, is_used in zip(cut(grid.window, side, side), used.ravel(), strict=True) if is_used]
    return Cells(tuple(windows), counts[used]), missing


def coarser(cells: Cells, *, side: int, least: int = TILE_SIDE) -> tuple[Cells, int]:
    """The blocks joined into tiles of at least `least` pixels a side, on the same lattice; and the side of the tiles.

    A place is judged with its surroundings: a block of a few pixels is all wrong or all right.
    """
    times = -(-least // side)
    if times <= 1 or not cells.windows:
        return cells, side
    tile = side * times
    places = np.array([(w.row // tile, w.col // tile) for w in cells.windows])
    kinds, owner = np.unique(places, axis=0, return_inverse=True)
    counts = np.zeros((len(kinds), *cells.counts.shape[1:]), dtype=np.int64)
    np.add.at(counts, owner.ravel(), cells.counts)
    stops = np.zeros((len(kinds), 2), dtype=np.int64)
    np.maximum.at(stops, owner.ravel(), np.array([(w.row_stop, w.col_stop) for w in cells.windows]))
    windows = [
        Window(int(row) * tile, int(col) * tile, int(bottom - row * tile), int(right - col * tile))
        for (row, col), (bottom, right) in zip(kinds, stops, strict=True)
    ]
    return Cells(tuple(windows), counts), tile


def worst_tiles(
    scenes: Sequence[tuple[str, Cells]], most: int, *, side: int, overlapping: bool = False
) -> tuple[WorstTile, ...]:
    """The blocks of all scenes with the smallest share of right pixels, the worst first; perfect ones are not among them.

    Blocks with scored pixels on less than a quarter of their ground say little: they come in only where there is no other.
    """
    found = []
    for name, cells in scenes:
        pixels, right = right_pixels(cells.counts, overlapping=overlapping)
        found += [
            WorstTile(name, window, float(share), int(number))
            for window, share, number in zip(cells.windows, right / np.maximum(1, pixels), pixels, strict=True)
        ]
    enough = [tile for tile in found if tile.pixels * 4 >= side * side] or found
    wrong = [tile for tile in enough if tile.accuracy < 1]
    return tuple(sorted(wrong, key=lambda t: (t.accuracy, t.scene, t.window.row, t.window.col))[:most])


def right_pixels(counts: NDArray[Any], *, overlapping: bool) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Scored and right pixels of confusions (..., classes, classes or 4); of overlapping classes the mean over them."""
    if overlapping:
        right = counts[..., [0, 3]].sum(axis=(-1, -2)) / counts.shape[-2]
        return counts[..., 0, :].sum(axis=-1), np.asarray(right, dtype=np.float64)
    right = np.trace(counts, axis1=-2, axis2=-1)
    return counts.sum(axis=(-1, -2)), np.asarray(right, dtype=np.float64)
