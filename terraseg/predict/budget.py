"""How a sweep is cut so that it stays within a memory budget."""

from dataclasses import dataclass

import numpy as np

from terraseg.core.grid import Grid
from terraseg.core.modelspec import ModelSpec
from terraseg.core.window import Window
from terraseg.errors import BadOption
from terraseg.pixels.tiling import Lattice, fitted_lattice, square_lattice
from terraseg.predict.cells import STRIP
from terraseg.predict.memory import MEGABYTE
from terraseg.predict.options import PredictOptions
from terraseg.store.mapwriter import BLOCK, HALVES_BYTES

READ_AHEAD = 3
"""Tiles that wait for the scorer."""
BLEND_BEHIND = 1
"""Scored tiles that wait to be blended."""
WRITE_BEHIND = 3
"""Cells that wait for the writer."""
USUAL_ARRAYS = 256 * MEGABYTE
"""What the arrays may take where no budget is given."""
USUAL_PANEL = 28 * MEGABYTE
"""What a panel takes of it, so that a vast raster needs no more memory than a large one: 21,000 px with six classes."""
TILES_ACROSS = 24
"""Tiles in a row that a panel holds at least where memory allows: those at its border are scored twice."""
USUAL_CACHE, LEAST_CACHE = 32 * MEGABYTE, 16 * MEGABYTE
"""GDAL's cache of decoded blocks of the input."""
SLACK = 24 * MEGABYTE
"""What the allocator keeps, threads' stacks, code that is loaded late."""

LARGER, SHORTER = 49 / 16, 1 / 2
"""Tiles have more pixels and overlap less than the model's own where they stand on its stride: they agree better there."""
SCORE_BYTES = 20_000_000
"""What the scores of one such tile may take; twice that for a network on a coarser grid."""


@dataclass(frozen=True)
class SweepPlan:
    """What a sweep will do: the lattice, how many block columns a panel has, the tiles in a batch, GDAL's cache in bytes."""

    lattice: Lattice
    panel_columns: int
    batch: int
    cache_bytes: int

    def tiles(self, windows: tuple[Window, ...]) -> int:
        """Tiles to work through for windows one after the other; those that two of them share count twice."""
        return sum(self.lattice.tiles_of(window).count for window in windows)


@dataclass(frozen=True)
class Needs:
    """Bytes that a sweep's arrays take: those that do not grow with the panel, and those of each block column in it."""

    fixed: int
    per_column: int


def plan_lattice(
    grid: Grid, spec: ModelSpec, options: PredictOptions, halo: int | None = None, *, room: float = 1.0
) -> Lattice:
    """The tiles of a raster: on the network's stride, and of a size that runs over few pixels and leaves few seams.

    Where the options say tile or overlap they are squares of these, the model's where they say one alone. With a `halo`
    (pixels, a multiple of the model's stride) no pixel is taken from a tile that does not see so far around it: the tiles
    overlap by two halos and are at least four wide. An engine that takes less memory than others has `room` for so many
    times as many pixels. Raises `BadOption` when the overlap does not fit the tile.
    """
    if halo is not None:
        return _exact_lattice(grid, spec, options, halo)
    if options.tile is None and options.overlap is None:
        # To a network on a coarser grid a tile shows little: it needs more of it, and a wider rim.
        coarse = spec.reduction > 1
        overlap = max(1, int(spec.overlap * (1 if coarse else SHORTER)) // spec.stride) * spec.stride
        # There the scores, on the raster's own pixels, take most of the memory, whatever the engine.
        pixels = int(LARGER * spec.tile**2 * (4 if coarse else room))
        largest = min(pixels, int(SCORE_BYTES * (2 if coarse else room)) // (4 * len(spec.legend)))
        largest = max(largest, spec.tile**2, (overlap + spec.stride) ** 2)
        return fitted_lattice(grid.height, grid.width, largest=largest, overlap=overlap, stride=spec.stride)
    tile = spec.tile if options.tile is None else options.tile
    overlap = spec.overlap if options.overlap is None else options.overlap
    if options.overlap is None and overlap >= tile:
        overlap = tile // 4
    snap = 1 if (tile - overlap) % spec.stride else spec.stride
    return square_lattice(grid.height, grid.width, tile=tile, overlap=overlap, snap=snap)


def _exact_lattice(grid: Grid, spec: ModelSpec, options: PredictOptions, halo: int) -> Lattice:
    if options.overlap is not None:
        raise BadOption("[predict] overlap is what the model needs where exact = true: leave it out")
    least = 2 * halo + spec.stride
    if options.tile is not None and options.tile < least:
        raise BadOption(f"[predict] tile = {options.tile} is too small for an exact map: pass at least {least}")
    tile = max(spec.tile, 4 * halo) if options.tile is None else options.tile
    tile = -(-tile // spec.stride) * spec.stride
    return square_lattice(grid.height, grid.width, tile=tile, overlap=2 * halo, align=spec.stride)


def batch_size(lattice: Lattice, options: PredictOptions) -> int:
    """Tiles to score at once: no more than there are, and one where they are not all of a size."""
    return 1 if lattice.is_exact else min(options.batch, lattice.region.count)


def plan_sweep(
    lattice: Lattice, spec: ModelSpec, options: PredictOptions, needs: Needs, *, settled_mb: float = 0.0
) -> SweepPlan:
    """The sweep over a lattice, in panels as wide as the memory budget allows.

    `settled_mb` is what the process takes before, and while it scores one batch. Raises `BadOption` when the budget is too
    small for panels of one block column, with the smallest that would do.
    """
    batch = batch_size(lattice, options)
    if options.max_ram_bytes is None:
        most = max(1, (USUAL_ARRAYS - needs.fixed) // needs.per_column)
        enough = max(USUAL_PANEL // needs.per_column, TILES_ACROSS * lattice.cols.step // BLOCK)
        return SweepPlan(lattice, max(1, min(most, enough)), batch, USUAL_CACHE)
    held = int(settled_mb * MEGABYTE) + SLACK + needs.fixed
    least = held + needs.per_column + LEAST_CACHE
    if options.max_ram_bytes < least:
        more, smaller = (least >> 20) - int(settled_mb), max(64, max(lattice.tile) // 2)
        raise BadOption(
            f"[predict] max_ram = {options.max_ram} is too little: the model and its engine take {settled_mb:.0f} MB, and tiles "
            f"of {lattice.rows.tile} x {lattice.cols.tile} px with {len(spec.legend)} classes {more} MB more: pass at least "
            f"{-(-least // MEGABYTE)}M, or smaller tiles (--set predict.tile={smaller})"
        )
    room = options.max_ram_bytes - held
    cache = min(USUAL_CACHE, max(LEAST_CACHE, room // 4))
    return SweepPlan(lattice, max(1, (room - cache) // needs.per_column), batch, cache)


def sweep_needs(lattice: Lattice, spec: ModelSpec, options: PredictOptions, block: int, threads: int) -> Needs:
    """What a sweep's arrays take; `block` is the side of a block of the map."""
    classes = len(spec.legend)
    tile_pixels, batch = lattice.tile_pixels, batch_size(lattice, options)
    read = tile_pixels * (len(spec.bands) * np.dtype(spec.dtype).itemsize + 1)
    pixel_bytes = mapped_bytes(spec, options)
    # Batches scored and blended, the rim kept of the tile before, and what decisions on a strip work in.
    strip = STRIP * (lattice.cols.tile + lattice.cols.align)
    blending = (1 + BLEND_BEHIND) * batch * tile_pixels * classes * 4
    blending += lattice.rows.tile * lattice.cols.ramp * classes * 4 + strip * (4 * classes + 8) * 4
    cells = (WRITE_BEHIND + 2) * tile_pixels * pixel_bytes
    # Four blocks become one of an overview; each thread works on one band of them.
    packing = 6 * block**2 * pixel_bytes + min(threads, classes) * 12 * block**2
    rims = classes * lattice.rows.ramp * 4
    beside = 2 * lattice.cols.step * rims + 4 * block**2 * pixel_bytes + HALVES_BYTES
    fixed = (READ_AHEAD + 2 + 2 * batch) * read + blending + cells + packing + beside
    return Needs(fixed, block * (rims + block * pixel_bytes + 64))


def mapped_bytes(spec: ModelSpec, options: PredictOptions) -> int:
    """Bytes of a pixel of all layers of the map."""
    classes = len(spec.legend)
    probabilities = {"": 0, "uint8": 1, "float16": 2}[options.probability_type] * classes
    return (classes if spec.overlapping else 1) + options.confidence + options.uncertainty + probabilities
