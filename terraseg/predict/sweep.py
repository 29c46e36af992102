"""The sweep: a raster and a model to a class map, in memory that does not grow with the raster's height."""

import resource
import sys
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from terraseg.core.classes import VOID, Legend
from terraseg.core.scorer import Scorer
from terraseg.core.window import Window
from terraseg.errors import BrokenBundle
from terraseg.pixels.blend import Array, Blender, decide, to_byte, to_host
from terraseg.pixels.tiling import tile_order
from terraseg.predict.ahead import ahead
from terraseg.predict.budget import READ_AHEAD, WRITE_BEHIND, SweepPlan, plan_sweep
from terraseg.predict.fit import check_fit
from terraseg.predict.options import PredictOptions
from terraseg.predict.tiles import RasterSource, Tile, read_tile
from terraseg.store.mapwriter import MapLayers, MapWriter, map_writer

Progress = Callable[[int, int, int], None]
"""Called with the tiles done, the tiles in all, and the raster's pixels done."""


@dataclass(frozen=True)
class Cell:
    """Finished pixels, layer by layer: "classes" and "confidence" (height, width), "probabilities" (classes, height, width).

    All are uint8 with 255 for nodata. A cell without a valid pixel has no layers.
    """

    window: Window
    layers: dict[str, NDArray[np.uint8]]


@dataclass(frozen=True)
class PredictionSummary:
    """What a prediction did. `pixels` counts the raster's, `peak_memory_mb` is the process's highest so far.

    `skipped` tiles held no valid pixel and were not scored. `files` are the rasters written, the class map first; `notes`
    are sentences for the user.
    """

    pixels: int
    tiles: int
    skipped: int
    seconds: float
    peak_memory_mb: float
    files: tuple[Path, ...]
    notes: tuple[str, ...]

    @property
    def megapixels_per_s(self) -> float:
        """Raster pixels per second of wall time, reading and writing included."""
        return self.pixels / 1e6 / max(self.seconds, 1e-9)


def predict_raster(
    source: RasterSource,
    scorer: Scorer,
    out: Path,
    *,
    options: PredictOptions | None = None,
    provenance: dict[str, str] | None = None,
    progress: Progress | None = None,
) -> PredictionSummary:
    """The class map of a raster at `out`, with the layers that the options ask for beside it.

    `provenance` becomes tags of the files (the model's hash, versions). The result does not depend on the memory budget.
    Nothing stands under the final names until everything is whole: after an error or Ctrl-C they are as they were.

    Raises `BandMismatch` when the model does not fit, `BadOption` for options that cannot be met, `UnreadableFile` and
    `UnwritableFile` from the files, `BrokenBundle` when the model's output does not fit its legend.
    """
    options = options or PredictOptions()
    started = time.monotonic()
    notes = check_fit(scorer.spec, source.bands, source.dtype, source.grid.gsd_m)
    plan = plan_sweep(source.grid, scorer.spec, options)
    layers = MapLayers(
        options.confidence, options.probabilities, provenance or {}, options.compression, options.threads
    )
    with map_writer(out, source.grid, scorer.spec.legend, layers, plan.lattice.cols.step) as writer:
        skipped = _sweep(source, scorer, plan, writer, progress)
        files = writer.finish()
    if skipped == plan.tiles:
        notes = (*notes, "the raster has no valid pixel: the map holds nothing but nodata")
    pixels = source.grid.height * source.grid.width
    return PredictionSummary(pixels, plan.tiles, skipped, time.monotonic() - started, peak_memory_mb(), files, notes)


def _sweep(source: RasterSource, scorer: Scorer, plan: SweepPlan, writer: MapWriter, progress: Progress | None) -> int:
    """Works through all panels; gives the number of tiles skipped."""
    done = pixels = skipped = 0
    for panel in plan.panels:
        places = tile_order(plan.lattice.needed(panel))
        blender = Blender(plan.lattice, panel)
        with (
            closing(ahead(partial(read_tile, source, plan.lattice, scorer.spec), places, READ_AHEAD)) as tiles,
            closing(blend_tiles(tiles, scorer, blender, plan.batch, layers=writer.names)) as steps,
            closing(ahead(partial(_write, writer), steps, WRITE_BEHIND)) as written,
        ):
            for was_skipped, count in written:
                done, skipped, pixels = done + 1, skipped + was_skipped, pixels + count
                if progress is not None:
                    progress(done, plan.tiles, pixels)
    return skipped


def _write(writer: MapWriter, step: "Step") -> tuple[bool, int]:
    """Writes a step's cell, if it has one; gives whether its tile was skipped, and the pixels done."""
    if step.cell is None:
        return step.skipped, 0
    if step.cell.layers:
        writer.write(step.cell.window, step.cell.layers)
    return step.skipped, step.cell.window.height * step.cell.window.width


@dataclass(frozen=True)
class Step:
    """One tile's turn: whether it was skipped, and the cell it completed (None for a tile that only fades into others)."""

    skipped: bool
    cell: Cell | None


def blend_tiles(
    tiles: Iterable[Tile], scorer: Scorer, blender: Blender, batch: int, layers: frozenset[str]
) -> Generator[Step, None, None]:
    """A step for each tile of the blender's region, in order; `layers` names what the cells must hold.

    The scorer always gets batches of exactly `batch` tiles, the last one filled up by repetition, so that what it gives
    for a tile does not depend on how many came with it.
    """
    waiting: list[Tile] = []
    for tile in tiles:
        waiting.append(tile)
        if sum(t.pixels is not None for t in waiting) in (0, batch):
            yield from _blend_batch(waiting, scorer, blender, batch, layers)
            waiting = []
    yield from _blend_batch(waiting, scorer, blender, batch, layers)


def _blend_batch(
    tiles: list[Tile], scorer: Scorer, blender: Blender, batch: int, layers: frozenset[str]
) -> Generator[Step, None, None]:
    scores = iter(_score([t.pixels for t in tiles if t.pixels is not None], scorer, batch))
    for tile in tiles:
        window = blender.lattice.cell(tile.row, tile.col)
        if tile.pixels is None:
            blender.skip(tile.col)
            yield Step(True, Cell(window, {}) if blender.region.owns(tile.row, tile.col) else None)
            continue
        blended = blender.add(tile.row, tile.col, next(scores))
        if blended is None:
            yield Step(False, None)
        else:
            valid = tile.valid[window.shifted(-tile.window.row, -tile.window.col).slices]
            yield Step(False, Cell(window, finish(blended, valid, scorer.spec.legend, layers)))


def _score(pixels: list[NDArray[Any]], scorer: Scorer, batch: int) -> Array:
    """Probabilities (n, classes, tile, tile) of up to `batch` tiles; empty for none."""
    if not pixels:
        return ()
    full = pixels + pixels[-1:] * (batch - len(pixels))
    scores = scorer.score(np.stack(full) if batch > 1 else full[0][None])
    wanted = (batch, len(scorer.spec.legend), *pixels[0].shape[1:])
    if tuple(scores.shape) != wanted:
        raise BrokenBundle(
            f"the model gives an array of shape {tuple(scores.shape)} where its description promises {wanted} "
            f"(tiles, classes, height, width): weights and model.json do not belong together; export the model again"
        )
    return scores


def finish(
    probabilities: Array, valid: NDArray[np.bool_], legend: Legend, layers: frozenset[str]
) -> dict[str, NDArray[np.uint8]]:
    """The layers of a cell from its blended probabilities (classes, height, width): ids and bytes, 255 where not valid."""
    index, confidence = decide(probabilities)
    ids = np.full(256, VOID, dtype=np.uint8)
    ids[: len(legend)] = legend.ids
    finished = {"classes": ids[to_host(index)]}
    if "confidence" in layers:
        finished["confidence"] = to_host(confidence)
    if "probabilities" in layers:
        finished["probabilities"] = to_host(to_byte(probabilities))
    if not valid.all():
        finished = {name: np.where(valid, layer, np.uint8(VOID)) for name, layer in finished.items()}
    return finished


def peak_memory_mb(status: Path = Path("/proc/self/status")) -> float:
    """The highest resident memory that this process has had, in MB."""
    if status.exists():
        # getrusage also counts what the parent held when it started this process.
        fields = dict(line.split(":", 1) for line in status.read_text().splitlines())
        if "VmHWM" in fields:
            return int(fields["VmHWM"].split()[0]) / 2**10
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Linux counts kilobytes here, macOS bytes.
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10
