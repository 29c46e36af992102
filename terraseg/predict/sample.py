"""A look at a raster's pixels before it is predicted: a few windows spread over it."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from terraseg.core.grid import Grid
from terraseg.core.imagery import QUANTILES
from terraseg.core.window import Window
from terraseg.pixels.statistics import BandStatistics, cell_shares
from terraseg.predict.tiles import Pixels, RasterSource

SIDE = 256
SPARSE, DENSE = 4, 8
"""Windows along each side of a raster: at first, and where these show next to nothing."""
FEWEST = 4096
"""Valid pixels below which a raster cannot be judged."""
FILLED_CORNER = 0.25
LARGEST = 1e38


@dataclass(frozen=True)
class Fill:
    """One value that stands in every band over solid areas: its share of the pixels seen, and whether it fills a corner."""

    value: float
    share: float
    in_corner: bool


@dataclass(frozen=True)
class RasterSample:
    """What was seen: per band the values at the percentiles `QUANTILES` and the `highest`, in raw pixel values.

    `red_over_blue` is the share of pixels that are redder than blue, None where no bands are named so. `fills` are the
    values of solid areas, the commonest first. `masked` is the share of pixels that are not valid and `scattered` the part
    of these that does not lie in solid areas.
    """

    quantiles: tuple[tuple[float, ...], ...]
    highest: tuple[float, ...]
    red_over_blue: float | None
    fills: tuple[Fill, ...]
    masked: float
    scattered: float

    def at(self, percentile: int) -> tuple[float, ...]:
        """The value of each band at one of the percentiles `QUANTILES`."""
        return tuple(band[QUANTILES.index(percentile)] for band in self.quantiles)


def sample_raster(source: RasterSource, bands: Sequence[str]) -> RasterSample | None:
    """The sample of an open raster whose channels are `bands`; None where hardly a pixel is valid.

    Sixteen windows of 256 px on a regular lattice, the corners among them; where they hold next to no valid pixel, 64.
    """
    for count in (SPARSE, DENSE):
        seen = _Seen(len(bands))
        for window in spread(source.grid, count):
            seen.add(source.read(window), _corners(window, source.grid), bands)
        if seen.statistics.count >= FEWEST:
            return seen.result()
    return None


def spread(grid: Grid, count: int) -> Iterator[Window]:
    """At most `count` x `count` windows of `SIDE` px that do not overlap, row by row; the whole of a small raster.

    >>> list(spread(Grid(None, (1, 0, 0, 0, -1, 0), 10, 300), 4))
    [Window(row=0, col=0, height=10, width=150), Window(row=0, col=150, height=10, width=150)]
    """
    rows, cols = _places(grid.height, count), _places(grid.width, count)
    for row, height in rows:
        for col, width in cols:
            yield Window(row, col, height, width)


def _places(length: int, count: int) -> list[tuple[int, int]]:
    pieces = min(count, -(-length // SIDE))
    if pieces * SIDE >= length:
        edges = np.linspace(0, length, pieces + 1).astype(int).tolist()
        return [(start, stop - start) for start, stop in pairwise(edges)]
    return [(int(start), SIDE) for start in np.linspace(0, length - SIDE, pieces).astype(int)]


def _corners(window: Window, grid: Grid) -> list[tuple[int, int]]:
    """Where in a window the raster's corners are."""
    rows = [r for r, here in ((0, window.row == 0), (-1, window.row_stop == grid.height)) if here]
    cols = [c for c, here in ((0, window.col == 0), (-1, window.col_stop == grid.width)) if here]
    return [(row, col) for row in rows for col in cols]


@dataclass
class _Seen:
    """The running sums of a sample."""

    bands: int
    pixels: int = 0
    masked: int = 0
    solid_masked: int = 0
    highest: NDArray[np.float64] | None = None
    shares: list[float] = field(default_factory=list)
    solid: Counter[float] = field(default_factory=Counter)
    corners: set[float] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.statistics = BandStatistics(self.bands)

    def add(self, patch: Pixels, corners: Sequence[tuple[int, int]], bands: Sequence[str]) -> None:
        """Takes in a window, in which `corners` are the raster's."""
        pixels, valid = patch.pixels, patch.valid
        self.pixels += valid.size
        self.masked += int((~valid).sum())
        self.solid_masked += int(_solid(~valid, np.zeros(valid.shape)).sum())
        known = pixels[:, valid]
        if known.dtype.kind == "f":
            # Undeclared fills go up to the largest number there is, which has no square.
            known = np.clip(known, -LARGEST, LARGEST)
        if known.size:
            self.statistics.add(known)
            highest = known.max(axis=1).astype(np.float64)
            self.highest = highest if self.highest is None else np.maximum(self.highest, highest)
        if {"red", "blue"} <= set(bands):
            self.shares += cell_shares(pixels[bands.index("red")], pixels[bands.index("blue")], valid, side=SIDE)
        self._fill(pixels, valid & (pixels == pixels[:1]).all(axis=0), corners)

    def _fill(self, pixels: NDArray[Any], equal: NDArray[np.bool_], corners: Sequence[tuple[int, int]]) -> None:
        solid = _solid(equal, pixels[0])
        values, counts = np.unique(pixels[0][solid], return_counts=True)
        found = {float(value): int(count) for value, count in zip(values, counts, strict=True)}
        self.solid.update(found)
        for place in corners:
            value = float(pixels[0][place])
            if equal[place] and found.get(value, 0) >= FILLED_CORNER * equal.size:
                self.corners.add(value)

    def result(self) -> RasterSample:
        """The finished sample."""
        quantiles = self.statistics.percentiles(QUANTILES)
        fills = [Fill(value, n / self.pixels, value in self.corners) for value, n in self.solid.most_common(8)]
        return RasterSample(
            tuple(tuple(float(v) for v in band) for band in quantiles),
            () if self.highest is None else tuple(float(v) for v in self.highest),
            float(np.mean(self.shares)) if self.shares else None,
            tuple(fills),
            self.masked / self.pixels,
            1 - self.solid_masked / max(1, self.masked),
        )


def _solid(where: NDArray[np.bool_], values: NDArray[Any]) -> NDArray[np.bool_]:
    """Pixels of a mask that have a neighbour of the same value in it both beside and above or below them."""
    across = where[:, 1:] & where[:, :-1] & (values[:, 1:] == values[:, :-1])
    down = where[1:] & where[:-1] & (values[1:] == values[:-1])
    beside, above = np.zeros_like(where), np.zeros_like(where)
    beside[:, 1:] |= across
    beside[:, :-1] |= across
    above[1:] |= down
    above[:-1] |= down
    return np.asarray(beside & above)
