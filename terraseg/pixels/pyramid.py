"""A raster and its overviews in square blocks: how many there are, which four make one, and how four pixels make one."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from terraseg.core.classes import VOID
from terraseg.core.window import Window


@dataclass(frozen=True)
class Pyramid:
    """Level 0 is the raster, each further one has half the pixels along either axis, until one block holds all.

    Blocks of a level are numbered row by row. The last ones may reach beyond the raster.

    >>> Pyramid(900, 1300, 512).sizes
    ((900, 1300), (450, 650), (225, 325))
    """

    height: int
    width: int
    block: int

    @cached_property
    def sizes(self) -> tuple[tuple[int, int], ...]:
        """Height and width of each level; halves are rounded up."""
        sizes = [(self.height, self.width)]
        while max(sizes[-1]) > self.block:
            sizes.append(((sizes[-1][0] + 1) // 2, (sizes[-1][1] + 1) // 2))
        return tuple(sizes)

    def shape(self, level: int) -> tuple[int, int]:
        """Block rows and block columns of a level."""
        height, width = self.sizes[level]
        return -(-height // self.block), -(-width // self.block)

    def count(self, level: int) -> int:
        """Blocks of a level."""
        rows, cols = self.shape(level)
        return rows * cols

    def window(self, index: int) -> Window:
        """The pixels of the raster in block `index` of level 0."""
        row, col = divmod(index, self.shape(0)[1])
        top, left = row * self.block, col * self.block
        return Window(top, left, min(self.block, self.height - top), min(self.block, self.width - left))

    def meeting(self, window: Window) -> Iterator[int]:
        """The blocks of level 0 that share pixels with a window of the raster."""
        if window.is_empty:
            return
        across = self.shape(0)[1]
        for row in range(window.row // self.block, -(-window.row_stop // self.block)):
            for col in range(window.col // self.block, -(-window.col_stop // self.block)):
                yield row * across + col

    def parent(self, level: int, index: int) -> int:
        """The block of level `level + 1` that holds block `index` of `level`."""
        row, col = divmod(index, self.shape(level)[1])
        return (row // 2) * self.shape(level + 1)[1] + col // 2

    def children(self, level: int, index: int) -> dict[tuple[int, int], int]:
        """The one to four blocks of level `level - 1` under a block, by their place (0 or 1 down, 0 or 1 across) in it."""
        row, col = divmod(index, self.shape(level)[1])
        rows, cols = self.shape(level - 1)
        places = ((down, across) for down in (0, 1) for across in (0, 1))
        return {
            (down, across): (2 * row + down) * cols + 2 * col + across
            for down, across in places
            if 2 * row + down < rows and 2 * col + across < cols
        }


def halved_ids(ids: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The commonest id of each four (height, width, both even); of equals the first. 255 counts only where all four are.

    >>> halved_ids(np.array([[7, 3, 255, 255], [255, 3, 5, 255]], dtype=np.uint8)).tolist()
    [[3, 5]]
    """
    # Whole rows of bytes are compared many at a time, every other byte one by one.
    four = [np.ascontiguousarray(ids[down::2, across::2]) for down in (0, 1) for across in (0, 1)]
    same = {(i, j): (four[i] == four[j]).view(np.uint8) for i in range(4) for j in range(i + 1, 4)}
    best, most = four[0], np.zeros(four[0].shape, dtype=np.uint8)
    for i, mine in enumerate(four):
        votes = (mine != VOID).view(np.uint8)
        votes = votes * (1 + sum(same[min(i, j), max(i, j)] for j in range(4) if j != i))
        best = np.where(votes > most, mine, best)
        most = np.maximum(most, votes)
    return best


def halved_values(values: NDArray[Any]) -> NDArray[Any]:
    """The means of each four (height, width, both even) of bytes or floats, nodata (255, NaN) left out; halves round up.

    >>> halved_values(np.array([[10, 11, 255, 255], [255, 11, 255, 255]], dtype=np.uint8)).tolist()
    [[11, 255]]
    """
    four = (values[0::2, 0::2], values[0::2, 1::2], values[1::2, 0::2], values[1::2, 1::2])
    if values.dtype.kind == "f":
        return _halved_floats(four, values.dtype)
    total = np.zeros(four[0].shape, dtype=np.uint16)
    count = np.zeros(four[0].shape, dtype=np.uint16)
    for quarter in four:
        known = quarter != VOID
        count += known
        np.add(total, quarter, out=total, where=known)
    means = (2 * total + count) // np.maximum(2 * count, 1)
    return np.where(count > 0, means, VOID).astype(np.uint8)


def _halved_floats(four: tuple[NDArray[Any], ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    total = np.zeros(four[0].shape, dtype=np.float32)
    count = np.zeros(four[0].shape, dtype=np.float32)
    for quarter in four:
        known = ~np.isnan(quarter)
        count += known
        np.add(total, quarter, out=total, where=known)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan).astype(dtype)
