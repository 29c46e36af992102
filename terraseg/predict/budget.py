"""How a sweep is cut so that its arrays stay within a memory budget."""

from dataclasses import dataclass

import numpy as np

from terraseg.core.grid import Grid
from terraseg.core.modelspec import ModelSpec
from terraseg.errors import BadOption
from terraseg.pixels.tiling import Lattice, Region
from terraseg.predict.options import PredictOptions

READ_AHEAD = 3
"""Tiles that wait for the scorer."""
WRITE_BEHIND = 3
"""Cells that wait for the writer."""
MEGABYTE = 2**20


@dataclass(frozen=True)
class SweepPlan:
    """What a sweep will do: the lattice, the panels it is worked in from left to right, and the tiles in a batch.

    `tiles` counts what is scored or skipped, with the tile columns that two panels share counted twice.
    """

    lattice: Lattice
    panels: tuple[Region, ...]
    batch: int

    @property
    def tiles(self) -> int:
        """Tiles to work through."""
        return sum(self.lattice.needed(panel).count for panel in self.panels)


def plan_sweep(grid: Grid, spec: ModelSpec, options: PredictOptions) -> SweepPlan:
    """The sweep over a whole grid, in panels as wide as the memory budget allows.

    Raises `BadOption` when the overlap does not fit the tile, or when the budget is too small for one tile column, with
    the smallest that would do.
    """
    tile = spec.tile if options.tile is None else options.tile
    overlap = spec.overlap if options.overlap is None else options.overlap
    if options.overlap is None and overlap >= tile:
        overlap = tile // 4
    lattice = Lattice(grid.height, grid.width, tile, overlap)
    batch = min(options.batch, lattice.region.count)
    panels = lattice.panels(lattice.region, panel_columns(lattice, spec, batch, options))
    return SweepPlan(lattice, tuple(panels), batch)


def panel_columns(lattice: Lattice, spec: ModelSpec, batch: int, options: PredictOptions) -> int:
    """The most tile columns that a panel may have within `options.max_ram_mb`."""
    fixed, per_column = sweep_bytes(lattice, spec, batch, options)
    budget = options.max_ram_mb * MEGABYTE
    if lattice.rows.count == 1:
        return lattice.cols.count if budget >= fixed else _refuse(lattice, spec, fixed, options)
    columns = (budget - fixed) // max(1, per_column)
    if columns >= 1:
        return int(min(columns, lattice.cols.count))
    return _refuse(lattice, spec, fixed + per_column, options)


def sweep_bytes(lattice: Lattice, spec: ModelSpec, batch: int, options: PredictOptions) -> tuple[int, int]:
    """Bytes that a sweep's arrays take: those that do not grow with the panel, and those of each tile column in it."""
    classes, tile_pixels = len(spec.legend), lattice.tile**2
    read = tile_pixels * (len(spec.bands) * np.dtype(spec.dtype).itemsize + 1)
    scored = tile_pixels * classes * 4
    cell = tile_pixels * (1 + options.confidence + classes * options.probabilities)
    # Scores of the batch, their weighted copy with the rim kept of the one before, and the working arrays of the decision.
    blending = (batch + 3) * scored + 4 * tile_pixels * 4
    fixed = (READ_AHEAD + 2 + 2 * batch) * read + blending + (WRITE_BEHIND + 2) * cell
    return fixed, classes * lattice.rows.ramp * lattice.cols.step * 4


def _refuse(lattice: Lattice, spec: ModelSpec, needed: int, options: PredictOptions) -> int:
    least = -(-needed // MEGABYTE)
    raise BadOption(
        f"[predict] max_ram_mb = {options.max_ram_mb} is too little for tiles of {lattice.tile} px with "
        f"{len(spec.legend)} classes: pass at least {least}, or smaller tiles"
    )
