"""Which part of a raster is to be worked on: shards of one job, panels that fit the memory, what is finished already."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import numpy as np
from numpy.typing import NDArray

from terraseg.core.window import Window
from terraseg.errors import BadOption


@dataclass(frozen=True)
class Shard:
    """One of `count` equal parts of a job, `number` from 1.

    >>> Shard.parse("2/4"), Shard(2, 4).name
    (Shard(number=2, count=4), '2-of-4')
    """

    number: int
    count: int

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.count:
            raise BadOption(f"shard {self.number}/{self.count}: pass --shard i/n with i from 1 to n")

    @property
    def name(self) -> str:
        """How its files are named."""
        return f"{self.number}-of-{self.count}"

    @staticmethod
    def parse(text: str) -> "Shard":
        """The shard of a text "i/n"."""
        found = re.fullmatch(r"\s*(\d+)\s*/\s*(\d+)\s*", text)
        if found is None:
            raise BadOption(f"--shard {text!r} cannot be read: write it as i/n, --shard 2/4 is the second of four")
        return Shard(int(found[1]), int(found[2]))


def shares(shapes: Sequence[tuple[int, int]], shard: Shard, block: int) -> tuple[Window | None, ...]:
    """What a shard does of each raster, in pixels, None for nothing; `shapes` are their heights and widths.

    The rasters, one after the other, are cut into strips one block wide across their longer side, and each shard gets a run
    of strips with its share of the pixels: so all shards of a job share each raster's every pixel once, whatever machine
    works on which, and at most one raster a shard is cut.

    >>> shares([(2000, 900), (512, 512)], Shard(1, 2), 512)
    (Window(row=0, col=0, height=1024, width=900), None)
    """
    strips = [_strips(height, width, block) for height, width in shapes]
    sizes = [strip.height * strip.width for raster in strips for strip in raster]
    total, starts = sum(sizes), list(accumulate(sizes, initial=0))
    owners = iter([(start + size / 2) * shard.count // total for start, size in zip(starts, sizes, strict=False)])
    return tuple(_joined([strip for strip in raster if next(owners) == shard.number - 1]) for raster in strips)


def _strips(height: int, width: int, block: int) -> list[Window]:
    if height >= width:
        return [Window(row, 0, min(block, height - row), width) for row in range(0, height, block)]
    return [Window(0, col, height, min(block, width - col)) for col in range(0, width, block)]


def _joined(strips: list[Window]) -> Window | None:
    if not strips:
        return None
    first, last = strips[0], strips[-1]
    return Window(first.row, first.col, last.row_stop - first.row, last.col_stop - first.col)


def panels(share: Window, columns: int, block: int) -> tuple[Window, ...]:
    """A window that starts on a block's corner in panels of at most `columns` block columns, evenly wide, left to right.

    >>> [panel.width for panel in panels(Window(0, 512, 9, 1300), 2, 512)]
    [512, 788]
    """
    total = -(-share.width // block)
    pieces = -(-total // max(1, columns))
    edges = [min(share.width, total * piece // pieces * block) for piece in range(pieces + 1)]
    return tuple(Window(share.row, share.col + start, share.height, stop - start) for start, stop in pairwise(edges))


def remaining(panel: Window, done: NDArray[np.bool_], block: int) -> tuple[Window, ...]:
    """What is left of a panel, as windows on the corners of blocks; `done` (block rows, block columns) is of the raster.

    A sweep finishes blocks row by row from the left: what a killed one left of the row it was in comes first, then the rest.
    Blocks that are done further on are worked on again.
    """
    top, left = panel.row // block, panel.col // block
    mine = ~done[top : -(-panel.row_stop // block), left : -(-panel.col_stop // block)]
    first = np.where(mine.any(axis=1), mine.argmax(axis=1), -1)
    edges = [0, *(np.flatnonzero(np.diff(first)) + 1).tolist(), len(first)]
    windows = []
    for start, stop in pairwise(edges):
        if stop > start and first[start] >= 0:
            row, col = panel.row + start * block, panel.col + int(first[start]) * block
            bottom = min(panel.row_stop, panel.row + stop * block)
            windows.append(Window(row, col, bottom - row, panel.col_stop - col))
    return tuple(windows)
