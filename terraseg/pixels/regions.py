"""The connected regions of a class map of any size: what they are, how large, and how they border on each other."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from terraseg.core.classes import VOID
from terraseg.core.classreader import ByteRaster, ClassRaster, check_known
from terraseg.core.grid import Grid
from terraseg.errors import GridMismatch
from terraseg.pixels.pieces import PartRaster, Strip, strip_pieces, strip_rows_of
from terraseg.shapes.chains import linked
from terraseg.shapes.pixelarea import PixelAreas

SIDE_STEPS = 1024
"""Border lengths are whole numbers of this part of a pixel's mean side, so that sums do not depend on their order."""

CONFIDENCE_BINS = 16
"""Confidences are counted by the upper four of their eight bits."""

COMPACT = 2**20
"""Borders are gone through once so many have been gathered, and again each time that their number has doubled."""


@dataclass(frozen=True, eq=False)
class Borders:
    """Shared border lengths: regions `one` < `two` (m,) touch over `length` (whole steps of 1 / 1024 pixel side)."""

    one: NDArray[np.int64]
    two: NDArray[np.int64]
    length: NDArray[np.int64]

    @staticmethod
    def joined(parts: "list[Borders]") -> "Borders":
        """The borders of all parts, one after the other."""
        one, two, length = (
            np.concatenate([np.zeros(0, np.int64), *(getattr(part, name) for part in parts)])
            for name in ("one", "two", "length")
        )
        return Borders(one, two, length)

    def where(self, chosen: NDArray[np.bool_]) -> "Borders":
        """The borders that a mask (m,) picks."""
        return Borders(self.one[chosen], self.two[chosen], self.length[chosen])

    def renamed(self, names: NDArray[np.int64]) -> "Borders":
        """The borders after region i became `names[i]`; borders inside one region are gone, equal ones summed."""
        one, two = names[self.one], names[self.two]
        between = one != two
        low, high = np.minimum(one, two)[between], np.maximum(one, two)[between]
        size = len(names)
        code, place = np.unique(low * size + high, return_inverse=True)
        length = np.bincount(place, weights=self.length[between], minlength=len(code)).astype(np.int64)
        return Borders(code // size, code % size, length)


@dataclass(frozen=True)
class Wanted:
    """What is gathered of regions besides their classes and areas; a map's second reading has to use the same.

    confidence  a raster whose values are summed and counted
    parts       a raster that tells touching objects of one class apart; see `strip_pieces`
    small       areas (256,) by class id, in square metres or pixels: borders of regions below them are kept, those between
                larger ones left out. None keeps all
    strip_rows  rows held in memory
    """

    confidence: ByteRaster | None = None
    parts: PartRaster | None = None
    small: NDArray[np.float64] | None = None
    strip_rows: int | None = None


@dataclass(frozen=True, eq=False)
class Regions:
    """The regions of a map, numbered by their first pixel in reading order; arrays have shape (n,).

    `piece_region` gives the region of each piece, the part of a region inside one strip of `strip_rows` rows, in reading
    order. `area` counts in steps of `area_unit` square metres, or in pixels without a CRS. `exposed` marks those that
    touch nodata or the map's edge. `confidence_sum` is over the pixels with a confidence, and `confidence_counts` (n, 16)
    counts these by the upper four bits; no columns without a confidence.
    """

    piece_region: NDArray[np.int64]
    strip_rows: int
    class_id: NDArray[np.uint8]
    area: NDArray[np.float64]
    area_unit: float
    exposed: NDArray[np.bool_]
    confidence_sum: NDArray[np.float64]
    confidence_counts: NDArray[np.uint32]
    borders: Borders

    def __len__(self) -> int:
        return len(self.class_id)


@dataclass(eq=False)
class _Sweep:
    """What a walk down the strips gathers, piece by piece."""

    pieces: int = 0
    class_id: list[NDArray[np.uint8]] = field(default_factory=list)
    area: list[NDArray[np.float64]] = field(default_factory=list)
    exposed: list[NDArray[np.bool_]] = field(default_factory=list)
    sums: list[NDArray[np.float64]] = field(default_factory=list)
    counts: list[NDArray[np.uint32]] = field(default_factory=list)
    links: list[NDArray[np.int64]] = field(default_factory=list)
    borders: list[Borders] = field(default_factory=list)
    gathered: int = 0
    compact_at: int = 0


def find_regions(raster: ClassRaster, wanted: Wanted | None = None) -> Regions:
    """The regions of a class map: pixels of one class that hang together over pixel sides, however the map is cut.

    Two readings of the map make it: here each strip's pieces are found and those that meet over a seam united, and
    whoever needs the regions' pixels walks the strips again. Memory is one strip plus what the regions themselves take.
    Raises `UnknownClass` for an id that the legend lacks and `GridMismatch` for a confidence of another size.
    """
    wanted = wanted or Wanted()
    grid = raster.grid
    _check_same_size(grid, wanted.confidence)
    rows = wanted.strip_rows or strip_rows_of(grid)
    areas = None if grid.crs is None else PixelAreas(grid.crs, grid.transform, grid.height, grid.width)
    unit = 1.0 if areas is None else areas.unit_m2
    sides = _side_steps(grid)
    sweep = _Sweep(compact_at=COMPACT)
    above: Strip | None = None
    for strip in strip_pieces(raster, rows, parts=wanted.parts):
        window = strip.window
        weights = None if areas is None else areas.read(window.row, window.col, window.height, window.width)
        _add_sums(sweep, strip, weights, None if wanted.confidence is None else wanted.confidence.read(window))
        sweep.exposed.append(_exposed(strip, above, grid))
        _add_borders(sweep, strip, sides, _small_pieces(sweep, strip, wanted.small, unit))
        if above is not None:
            _add_seam(sweep, above, strip, sides[1])
        sweep.pieces += len(sweep.class_id[-1])
        above = strip
        if wanted.small is not None and sweep.gathered > sweep.compact_at:
            _compact(sweep, wanted.small / unit)
    regions = _regions_of(sweep, rows, unit)
    check_known(raster.legend, np.unique(regions.class_id))
    return regions


def _check_same_size(grid: Grid, confidence: ByteRaster | None) -> None:
    if confidence is not None and (confidence.grid.height, confidence.grid.width) != (grid.height, grid.width):
        found = f"{confidence.grid.height} x {confidence.grid.width}"
        raise GridMismatch(
            f"the confidence is {found} px and the map {grid.height} x {grid.width} px: pass the one written with the map"
        )


def _side_steps(grid: Grid) -> tuple[int, int]:
    """Length of a pixel's vertical and horizontal side in border steps."""
    height, width = grid.pixel_size
    mean = (height * width) ** 0.5
    return max(1, round(SIDE_STEPS * height / mean)), max(1, round(SIDE_STEPS * width / mean))


def _add_sums(
    sweep: _Sweep, strip: Strip, weights: NDArray[np.float64] | None, confidence: NDArray[np.uint8] | None
) -> None:
    flat = strip.pieces.ravel()
    count = int(flat.max(initial=0)) + 1
    class_id = np.zeros(count, dtype=np.uint8)
    class_id[flat] = strip.ids.ravel()
    sweep.class_id.append(class_id[1:])
    area = np.bincount(flat, weights=None if weights is None else weights.ravel(), minlength=count)
    sweep.area.append(area[1:].astype(np.float64))
    sums, counts = np.zeros(count), np.zeros((count, 0), dtype=np.uint32)
    if confidence is not None:
        values = confidence.ravel()
        known = values != VOID
        place, value = flat[known], values[known]
        sums = np.bincount(place, weights=value, minlength=count).astype(np.float64)
        code = place * CONFIDENCE_BINS + (value >> 4)
        counts = np.bincount(code, minlength=count * CONFIDENCE_BINS).astype(np.uint32).reshape(count, -1)
    sweep.sums.append(sums[1:])
    sweep.counts.append(counts[1:])


def _exposed(strip: Strip, above: Strip | None, grid: Grid) -> NDArray[np.bool_]:
    """Which pieces of the strip touch nodata in it or the strip above, or the map's edge.

    A piece that has nodata below it in the next strip is found there.
    """
    pieces = strip.pieces
    exposed = np.zeros(int(pieces.max(initial=0)) + 1, dtype=np.bool_)
    for one, two in ((pieces[1:], pieces[:-1]), (pieces[:, 1:], pieces[:, :-1])):
        exposed[one[two == 0]] = True
        exposed[two[one == 0]] = True
    exposed[pieces[:, [0, -1]].ravel()] = True
    if above is None:
        exposed[pieces[0]] = True
    else:
        exposed[pieces[0][above.pieces[-1] == 0]] = True
    if strip.window.row_stop == grid.height:
        exposed[pieces[-1]] = True
    return exposed[1:]


def _small_pieces(
    sweep: _Sweep, strip: Strip, small: NDArray[np.float64] | None, unit: float
) -> NDArray[np.bool_] | None:
    """Which pieces, from 1, may be of a small region: those that are small, and those that may go on beyond the strip."""
    if small is None:
        return None
    found = np.append(False, sweep.area[-1] < small[sweep.class_id[-1]] / unit)
    found[strip.pieces[[0, -1]].ravel()] = True
    return found


def _add_borders(sweep: _Sweep, strip: Strip, sides: tuple[int, int], small: NDArray[np.bool_] | None) -> None:
    pieces = strip.pieces
    beside = (pieces[:, :-1], pieces[:, 1:], sides[0])
    below = (pieces[:-1], pieces[1:], sides[1])
    for one, two, length in (beside, below):
        touching = (one != two) & (one > 0) & (two > 0)
        low, high = one[touching], two[touching]
        if small is not None:
            matters = small[low] | small[high]
            low, high = low[matters], high[matters]
        _gather(sweep, _counted(low + sweep.pieces, high + sweep.pieces, length))


def _add_seam(sweep: _Sweep, above: Strip, below: Strip, length: int) -> None:
    """Pieces of one key that meet over the seam between two strips are of one region; others border on each other."""
    before = sweep.pieces - len(sweep.class_id[-2])
    one, two = above.pieces[-1], below.pieces[0]
    both = (one > 0) & (two > 0)
    same = both & (above.keys[-1] == below.keys[0])
    sweep.links.append(np.unique(np.column_stack([one[same] + before, two[same] + sweep.pieces]), axis=0))
    _gather(sweep, _counted(one[both & ~same] + before, two[both & ~same] + sweep.pieces, length))
    # What hangs down into nodata is exposed too.
    sweep.exposed[-2][one[(one > 0) & (two == 0)] - 1] = True


def _gather(sweep: _Sweep, borders: Borders) -> None:
    sweep.borders.append(borders)
    sweep.gathered += len(borders.one)


def _compact(sweep: _Sweep, small: NDArray[np.float64]) -> None:
    """Borders between regions that are large by now are dropped, and those between one pair of regions summed.

    Each region goes by its first piece from here on, which later links tie to whatever it grows together with. What
    reaches the last row may only grow, and is not small any more once it is large.
    """
    links = np.concatenate([np.zeros((0, 2), np.int64), *sweep.links]) - 1
    group, first = linked(sweep.pieces, links[:, 0], links[:, 1])
    area = np.bincount(group, weights=np.concatenate(sweep.area), minlength=len(first))
    is_small = area < small[np.concatenate(sweep.class_id)[first]]
    borders = Borders.joined(sweep.borders)
    borders = borders.where(is_small[group[borders.one]] | is_small[group[borders.two]])
    sweep.borders = [borders.renamed(first[group])]
    sweep.gathered = len(sweep.borders[0].one)
    sweep.compact_at = max(COMPACT, 2 * sweep.gathered)


def _counted(one: NDArray[np.int64], two: NDArray[np.int64], length: int) -> Borders:
    """Borders from one pair of pieces for each pixel side; pieces are counted from 0 from here on."""
    low, high = np.minimum(one, two) - 1, np.maximum(one, two) - 1
    code, count = np.unique((low << 32) | high, return_counts=True)
    return Borders(code >> 32, code & 0xFFFFFFFF, count.astype(np.int64) * length)


def _regions_of(sweep: _Sweep, strip_rows: int, area_unit: float) -> Regions:
    links = np.concatenate([np.zeros((0, 2), np.int64), *sweep.links]) - 1
    piece_region, first = linked(sweep.pieces, links[:, 0], links[:, 1])
    count = len(first)

    def total(parts: list[NDArray[np.float64]]) -> NDArray[np.float64]:
        values = np.concatenate([np.zeros(0), *parts])
        return np.bincount(piece_region, weights=values, minlength=count).astype(np.float64)

    exposed = np.zeros(count, dtype=np.bool_)
    exposed[piece_region[np.concatenate([np.zeros(0, np.bool_), *sweep.exposed])]] = True
    counts = np.zeros((count, sweep.counts[0].shape[1]), dtype=np.uint32)
    if counts.shape[1]:
        np.add.at(counts, piece_region, np.concatenate(sweep.counts))
    return Regions(
        piece_region=piece_region,
        strip_rows=strip_rows,
        class_id=np.concatenate([np.zeros(0, np.uint8), *sweep.class_id])[first],
        area=total(sweep.area),
        area_unit=area_unit,
        exposed=exposed,
        confidence_sum=total(sweep.sums),
        confidence_counts=counts,
        borders=Borders.joined(sweep.borders).renamed(piece_region),
    )
