"""The connected regions of a class map of any size: what they are, how large, and how they border on each other."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from terraseg.core.classes import VOID
from terraseg.core.classreader import ByteRaster, ClassRaster, check_known
from terraseg.core.grid import Grid
from terraseg.errors import GridMismatch
from terraseg.shapes.pixelarea import PixelAreas
from terraseg.vectorize.pieces import linked, strip_pieces, strip_rows_of

SIDE_STEPS = 1024
"""Border lengths are whole numbers of this part of a pixel's mean side, so that sums do not depend on their order."""


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

    def renamed(self, names: NDArray[np.int64]) -> "Borders":
        """The borders after region i became `names[i]`; borders inside one region are gone, equal ones summed."""
        one, two = names[self.one], names[self.two]
        between = one != two
        low, high = np.minimum(one, two)[between], np.maximum(one, two)[between]
        size = len(names)
        code, place = np.unique(low * size + high, return_inverse=True)
        length = np.bincount(place, weights=self.length[between], minlength=len(code)).astype(np.int64)
        return Borders(code // size, code % size, length)


@dataclass(frozen=True, eq=False)
class Regions:
    """The regions of a map, numbered by their first pixel in reading order; arrays have shape (n,).

    `piece_region` gives the region of each piece, the part of a region inside one strip of `strip_rows` rows, in reading
    order. `area` counts in steps of `area_unit` square metres, or in pixels without a CRS; `confidence_sum` and
    `confidence_count` are over the pixels with a confidence.
    """

    piece_region: NDArray[np.int64]
    strip_rows: int
    class_id: NDArray[np.uint8]
    area: NDArray[np.float64]
    area_unit: float
    confidence_sum: NDArray[np.float64]
    confidence_count: NDArray[np.float64]
    borders: Borders

    def __len__(self) -> int:
        return len(self.class_id)


@dataclass(eq=False)
class _Sweep:
    """What a walk down the strips gathers, piece by piece."""

    pieces: int = 0
    class_id: list[NDArray[np.uint8]] = field(default_factory=list)
    sums: list[NDArray[np.float64]] = field(default_factory=list)
    links: list[NDArray[np.int64]] = field(default_factory=list)
    borders: list[Borders] = field(default_factory=list)


def find_regions(
    raster: ClassRaster, *, confidence: ByteRaster | None = None, strip_rows: int | None = None
) -> Regions:
    """The regions of a class map: pixels of one class that hang together over pixel sides, however the map is cut.

    Memory is one strip plus what the regions themselves take. Raises `UnknownClass` for an id that the legend lacks and
    `GridMismatch` for a confidence of another size.
    """
    grid = raster.grid
    if confidence is not None and (confidence.grid.height, confidence.grid.width) != (grid.height, grid.width):
        found = f"{confidence.grid.height} x {confidence.grid.width}"
        raise GridMismatch(
            f"the confidence is {found} px and the map {grid.height} x {grid.width} px: pass the one written with the map"
        )
    rows = strip_rows or strip_rows_of(grid)
    areas = None if grid.crs is None else PixelAreas(grid.crs, grid.transform, grid.height, grid.width)
    sides = _side_steps(grid)
    sweep = _Sweep()
    above: NDArray[np.int64] | None = None
    above_ids: NDArray[np.uint8] | None = None
    for window, ids, local in strip_pieces(raster, rows):
        weights = None if areas is None else areas.read(window.row, window.col, window.height, window.width)
        _add_sums(sweep, ids, local, weights, None if confidence is None else confidence.read(window))
        pieces = np.where(local > 0, local + sweep.pieces, 0)
        _add_borders(sweep, pieces, sides)
        if above is not None and above_ids is not None:
            _add_seam(sweep, (above, above_ids), (pieces[0], ids[0]), sides[1])
        sweep.pieces += len(sweep.class_id[-1])
        above, above_ids = pieces[-1], ids[-1]
    regions = _regions_of(sweep, rows, 1.0 if areas is None else areas.unit_m2)
    check_known(raster.legend, np.unique(regions.class_id))
    return regions


def _side_steps(grid: Grid) -> tuple[int, int]:
    """Length of a pixel's vertical and horizontal side in border steps."""
    height, width = grid.pixel_size
    mean = (height * width) ** 0.5
    return max(1, round(SIDE_STEPS * height / mean)), max(1, round(SIDE_STEPS * width / mean))


def _add_sums(
    sweep: _Sweep,
    ids: NDArray[np.uint8],
    local: NDArray[np.int64],
    weights: NDArray[np.float64] | None,
    confidence: NDArray[np.uint8] | None,
) -> None:
    flat = local.ravel()
    count = int(flat.max(initial=0)) + 1
    class_id = np.zeros(count, dtype=np.uint8)
    class_id[flat] = ids.ravel()
    sums = np.zeros((3, count))
    sums[0] = np.bincount(flat, weights=None if weights is None else weights.ravel(), minlength=count)
    if confidence is not None:
        known = confidence.ravel() != VOID
        sums[1] = np.bincount(flat[known], weights=confidence.ravel()[known], minlength=count)
        sums[2] = np.bincount(flat[known], minlength=count)
    sweep.class_id.append(class_id[1:])
    sweep.sums.append(sums[:, 1:])


def _add_borders(sweep: _Sweep, pieces: NDArray[np.int64], sides: tuple[int, int]) -> None:
    beside = (pieces[:, :-1], pieces[:, 1:], sides[0])
    below = (pieces[:-1], pieces[1:], sides[1])
    for one, two, length in (beside, below):
        touching = (one != two) & (one > 0) & (two > 0)
        sweep.borders.append(_counted(one[touching], two[touching], length))


def _add_seam(
    sweep: _Sweep,
    above: tuple[NDArray[np.int64], NDArray[np.uint8]],
    below: tuple[NDArray[np.int64], NDArray[np.uint8]],
    length: int,
) -> None:
    """Pieces of one class that meet over the seam between two strips are of one region; others border on each other."""
    both = (above[0] > 0) & (below[0] > 0)
    same = both & (above[1] == below[1])
    sweep.links.append(np.unique(np.column_stack([above[0][same], below[0][same]]), axis=0))
    sweep.borders.append(_counted(above[0][both & ~same], below[0][both & ~same], length))


def _counted(one: NDArray[np.int64], two: NDArray[np.int64], length: int) -> Borders:
    """Borders from one pair of pieces for each pixel side; pieces are counted from 0 from here on."""
    low, high = np.minimum(one, two) - 1, np.maximum(one, two) - 1
    code, count = np.unique((low << 32) | high, return_counts=True)
    return Borders(code >> 32, code & 0xFFFFFFFF, count.astype(np.int64) * length)


def _regions_of(sweep: _Sweep, strip_rows: int, area_unit: float) -> Regions:
    links = np.concatenate([np.zeros((0, 2), np.int64), *sweep.links]) - 1
    piece_region, first = linked(sweep.pieces, links[:, 0], links[:, 1])
    class_id = np.concatenate([np.zeros(0, np.uint8), *sweep.class_id])[first]
    sums = np.concatenate([np.zeros((3, 0)), *sweep.sums], axis=1)
    totals = [np.bincount(piece_region, weights=row, minlength=len(first)).astype(np.float64) for row in sums]
    borders = Borders.joined(sweep.borders).renamed(piece_region)
    return Regions(piece_region, strip_rows, class_id, totals[0], area_unit, totals[1], totals[2], borders)
