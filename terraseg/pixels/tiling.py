"""The lattice of prediction tiles: fixed over a raster, whatever part of it is worked on."""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from math import isqrt

from terraseg.core.window import Window
from terraseg.errors import BadOption


@dataclass(frozen=True)
class Axis:
    """Tiles along one axis of `length` pixels: as few as overlap by `overlap` or more, spread evenly from edge to edge.

    What they have to spare is shared among all their overlaps. With `snap` all tiles start on multiples of it: the last one
    then reaches beyond the edge by less than that.

    Each tile **owns** a half-open run of pixels, its cell; the cells cover the axis once. Around the border of two cells
    both tiles count, over `ramp` pixels in the middle of what both see: tile i **reaches** from the start of its cell to
    `ramp` pixels into the next one. So at most two tiles meet at a pixel, also where a large overlap lets more of them see
    it: the ramp is as long as the least overlap, or as the shortest way from one tile to the next.

    With `align` tiles do not fade: each cell is one tile's alone, half an overlap away from that tile's ends. Every tile then
    starts on a multiple of `align`, and the last one reaches from the last such place that gives it a whole tile to the edge.

    >>> axis = Axis(length=10, tile=4, overlap=1)
    >>> [axis.span(i) for i in range(axis.count)], [axis.cell(i) for i in range(axis.count)]
    ([(0, 4), (3, 7), (6, 10)], [(0, 3), (3, 6), (6, 10)])
    >>> axis.reach(0)
    (0, 4)
    """

    length: int
    tile: int
    overlap: int
    align: int = 0
    snap: int = 1

    def __post_init__(self) -> None:
        if self.length < 1 or self.tile < 1:
            raise BadOption(f"a tile of {self.tile} px over {self.length} px: both must be above zero")
        if not 0 <= self.overlap < self.tile:
            raise BadOption(
                f"an overlap of {self.overlap} px on tiles of {self.tile} px: pass one from 0 to {self.tile - 1}"
            )
        if self.align and (self.step % self.align or self.overlap % 2):
            raise BadOption(
                f"tiles every {self.step} px, overlapping by {self.overlap} px, on a lattice of {self.align} px: the first must "
                f"be a multiple of the lattice, the second even"
            )
        if self.step % self.snap:
            raise BadOption(f"tiles every {self.step} px cannot all start on multiples of {self.snap} px")

    @property
    def step(self) -> int:
        """Pixels from one tile to the next, at most."""
        return self.tile - self.overlap

    @property
    def ramp(self) -> int:
        """Pixels over which one tile fades into the next."""
        if self.align:
            return 0
        return min(self.overlap, self.size - max(self.overlaps, default=self.overlap))

    @property
    def overlaps(self) -> dict[int, int]:
        """How often two neighbours share so many pixels; empty for a single tile."""
        gaps = self.count - 1
        if self.align or gaps == 0:
            return {self.overlap: gaps} if gaps else {}
        step, longer = divmod(self._last, gaps)
        shared = {self.size - step * self.snap: gaps - longer}
        return shared | {self.size - (step + 1) * self.snap: longer} if longer else shared

    @property
    def size(self) -> int:
        """Pixels of the axis that one tile sees: the tile, or all of a shorter axis."""
        return min(self.tile, self.length)

    @property
    def count(self) -> int:
        """How many tiles there are."""
        return 1 + max(0, -((self.tile - self.length) // self.step))

    def span(self, index: int) -> tuple[int, int]:
        """The pixels that a tile sees, as (start, stop)."""
        start = self._start(index)
        if self.align:
            return start, self.length if index == self.count - 1 else start + self.size
        return start, min(start + self.size, self.length)

    def cell(self, index: int) -> tuple[int, int]:
        """The pixels that a tile owns, as (start, stop)."""
        return self._border(index), self._border(index + 1)

    def reach(self, index: int) -> tuple[int, int]:
        """The pixels that a tile has a part in, as (start, stop): its cell and the ramp behind it."""
        start, stop = self.cell(index)
        return start, stop if index == self.count - 1 else stop + self.ramp

    def reaching(self, start: int, stop: int) -> range:
        """The tiles that have a part in the pixels from `start` to `stop`."""
        owners = self.owning(start, stop)
        if len(owners) and owners.start > 0 and self.reach(owners.start - 1)[1] > start:
            return range(owners.start - 1, owners.stop)
        return owners

    def owning(self, start: int, stop: int) -> range:
        """The tiles whose cells meet the pixels from `start` to `stop`; none for an empty run."""
        start, stop = max(start, 0), min(stop, self.length)
        if start >= stop:
            return range(0)
        return range(self._owner(start), self._owner(stop - 1) + 1)

    @property
    def _last(self) -> int:
        """Where the last tile starts, in snaps."""
        return -((self.size - self.length) // self.snap)

    def _start(self, index: int) -> int:
        if self.align:
            return min(index * self.step, self.length - self.size) // self.align * self.align
        gaps = max(1, self.count - 1)
        return (2 * index * self._last + gaps) // (2 * gaps) * self.snap

    def _border(self, index: int) -> int:
        """Where cell `index` starts: in the middle of the overlap, less half the ramp."""
        if index <= 0:
            return 0
        if index >= self.count:
            return self.length
        if self.align:
            return index * self.step + self.overlap // 2
        start, before = self._start(index), self._start(index - 1) + self.size
        return start + (before - start - self.ramp) // 2

    def _owner(self, pixel: int) -> int:
        return bisect_right(range(1, self.count), pixel, key=self._border)


@dataclass(frozen=True)
class Region:
    """A rectangle of cells, as ranges of tile rows and tile columns."""

    rows: range
    cols: range

    @property
    def count(self) -> int:
        """How many cells."""
        return len(self.rows) * len(self.cols)

    def owns(self, row: int, col: int) -> bool:
        """True when cell (row, col) is one of them."""
        return row in self.rows and col in self.cols


@dataclass(frozen=True)
class Lattice:
    """All tiles of a raster: `rows` from top to bottom, `cols` from left to right.

    Tile (i, j) depends on the raster's size, the tile and the overlap, and on nothing else. A raster smaller than a tile has
    one tile of its own size along that axis.
    """

    rows: Axis
    cols: Axis

    @property
    def height(self) -> int:
        """Rows of the raster."""
        return self.rows.length

    @property
    def width(self) -> int:
        """Columns of the raster."""
        return self.cols.length

    @property
    def tile(self) -> tuple[int, int]:
        """Height and width of a tile."""
        return self.rows.tile, self.cols.tile

    @property
    def is_exact(self) -> bool:
        """True when tiles do not fade and each pixel is one tile's alone."""
        return self.rows.align > 0

    @property
    def tile_pixels(self) -> int:
        """The most pixels that a tile has."""
        return (self.rows.tile + self.rows.align) * (self.cols.tile + self.cols.align)

    @property
    def region(self) -> Region:
        """All cells."""
        return Region(range(self.rows.count), range(self.cols.count))

    def window(self, row: int, col: int) -> Window:
        """What tile (row, col) sees; always inside the raster."""
        return _window(self.rows.span(row), self.cols.span(col))

    def cell(self, row: int, col: int) -> Window:
        """What tile (row, col) owns; inside its window."""
        return _window(self.rows.cell(row), self.cols.cell(col))

    def region_of(self, window: Window) -> Region:
        """The cells that meet a window of the raster."""
        return Region(self.rows.owning(window.row, window.row_stop), self.cols.owning(window.col, window.col_stop))

    def extent(self, region: Region) -> Window:
        """The pixels of a region's cells."""
        if region.count == 0:
            return Window(0, 0, 0, 0)
        (top, _), (_, bottom) = self.rows.cell(region.rows.start), self.rows.cell(region.rows.stop - 1)
        (left, _), (_, right) = self.cols.cell(region.cols.start), self.cols.cell(region.cols.stop - 1)
        return _window((top, bottom), (left, right))

    def needed(self, region: Region) -> Region:
        """The tiles that have a part in a region: its own, and those above and to the left that fade into it."""
        return self.tiles_of(self.extent(region))

    def tiles_of(self, window: Window) -> Region:
        """The tiles that have a part in the pixels of a window of the raster."""
        rows = self.rows.reaching(window.row, window.row_stop)
        return Region(rows, self.cols.reaching(window.col, window.col_stop))


def square_lattice(height: int, width: int, *, tile: int, overlap: int, align: int = 0, snap: int = 1) -> Lattice:
    """The lattice of square tiles, alike along both axes; see `Axis`.

    >>> square_lattice(5, 10, tile=4, overlap=1).window(1, 2)
    Window(row=1, col=6, height=4, width=4)
    """
    return Lattice(Axis(height, tile, overlap, align, snap), Axis(width, tile, overlap, align, snap))


COARSEST = 32
"""Pixels in which the sides of fitted tiles are tried, where the stride is finer."""
SEAM = 1 / 8
"""Pixels across a seam, in strides, that come out otherwise than from the whole raster where nothing overlaps; half as many with
every stride of overlap. Measured with a ResNet-34 and a U-Net's decoder."""
WORTH = 10
"""How much more work a pixel less that comes out otherwise is worth."""


@dataclass(frozen=True)
class _Fit:
    """One way to lay tiles along an axis: the pixels run for each of it, and those that come out otherwise."""

    axis: Axis
    work: float
    off: float


def fitted_lattice(height: int, width: int, *, largest: int, overlap: int, stride: int) -> Lattice:
    """The lattice whose tiles, of `largest` pixels at most, run over few pixels and leave few that a whole pass would map
    otherwise.

    Tile and overlap are multiples of `stride`: tiles on a network's own stride give in their middle what one pass over the
    whole raster gives, and a tile of any other size would be filled up to the next multiple inside. `overlap` is the least.
    Tiles need not be square: of sides that fit the raster well, long ones have fewer seams.

    >>> lattice = fitted_lattice(6000, 6000, largest=896 * 896, overlap=32, stride=32)
    >>> lattice.tile, lattice.rows.count, lattice.rows.span(6), lattice.rows.ramp
    ((896, 896), 7, (5120, 6000), 32)
    """
    rows, cols = (_fits(side, isqrt(largest), overlap, stride) for side in (height, width))
    pairs = [(r, c) for r in rows for c in cols if r.axis.tile * c.axis.tile <= largest]
    best = min(pairs, key=lambda pair: pair[0].work * pair[1].work + WORTH * (pair[0].off + pair[1].off))
    return Lattice(best[0].axis, best[1].axis)


def _fits(length: int, side: int, overlap: int, stride: int) -> list[_Fit]:
    """Tiles of half to twice a side, and the least that the overlap leaves a stride of."""
    whole, least = -(-length // stride) * stride, overlap + stride
    unit = max(stride, COARSEST // stride * stride)
    sides = {least, *range(max(least, side // 2 // unit * unit), min(2 * side, whole) + 1, unit)}
    fits = [_fit(Axis(length, tile, overlap, snap=stride), stride) for tile in sorted(sides) if tile < whole]
    return [*fits, _fit(Axis(length, whole, 0, snap=stride), stride)] if whole <= 2 * side else fits


def _fit(axis: Axis, stride: int) -> _Fit:
    off = sum(times * _off(pixels, stride) for pixels, times in axis.overlaps.items())
    return _Fit(axis, axis.count * axis.tile / axis.length, off / axis.length)


def _off(overlap: int, stride: int) -> float:
    return float(SEAM * stride * 0.5 ** (overlap / stride))


def tile_order(needed: Region) -> Iterator[tuple[int, int]]:
    """The tiles of a region as (row, column), row by row: the order in which they are scored and blended."""
    for row in needed.rows:
        for col in needed.cols:
            yield row, col


def _window(rows: tuple[int, int], cols: tuple[int, int]) -> Window:
    return Window(rows[0], cols[0], rows[1] - rows[0], cols[1] - cols[0])
