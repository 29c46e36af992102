"""The sweep: a raster and a model to a class map, in memory that does not grow with the raster, to be gone on with."""

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from terraseg.core.machine import cores_available
from terraseg.core.scorer import Scorer
from terraseg.core.window import Window
from terraseg.errors import UnreadableFile, UnwritableFile
from terraseg.pixels.tiling import Lattice, tile_order
from terraseg.predict.ahead import ahead
from terraseg.predict.budget import (
    BLEND_BEHIND,
    READ_AHEAD,
    WRITE_BEHIND,
    SweepPlan,
    batch_size,
    plan_lattice,
    plan_sweep,
    sweep_needs,
)
from terraseg.predict.cells import CellMaker, Step, Wanted, score_tiles
from terraseg.predict.exact import PROMISED, exact_halo
from terraseg.predict.fit import check_fit
from terraseg.predict.memory import peak_memory_mb, settled_mb, share_one_heap
from terraseg.predict.options import PredictOptions
from terraseg.predict.seams import SeamTally, tally_note, tally_of
from terraseg.predict.tiles import RasterSource, Tile, read_tile
from terraseg.predict.work import panels, remaining
from terraseg.store.mapfolder import Keeping, blocks_path, is_made
from terraseg.store.maplayers import RUN_TAG, MapLayers, layer_path, layers_of
from terraseg.store.mapwriter import BLOCK, MapWriter, map_writer

Progress = Callable[[int, int, int], None]
"""Called with the tiles done, the tiles in all, and the raster's pixels done."""


@dataclass(frozen=True)
class MapJob:
    """What a prediction is part of.

    `provenance` becomes tags of the files (the model's hash, versions); `inputs` names what the map depends on besides, such
    as the state of the raster's files: a run goes on with what another one left only when both are the same, and without
    `inputs` takes no finished map for its own. `fresh` starts over. `part` is a shard's name and the window of the raster
    that is its share, on the corners of the map's blocks.
    """

    provenance: Mapping[str, str] = field(default_factory=dict)
    inputs: str = ""
    fresh: bool = False
    part: tuple[str, Window] | None = None


@dataclass(frozen=True)
class PredictionSummary:
    """What a prediction did. `pixels` counts those that this run had to do, `peak_memory_mb` is the process's highest so far.

    `tiles` were worked through, of them `skipped` held no valid pixel and were not scored; `found` were done by an earlier
    run. `files` are the rasters written, the class map first, or the part of a shard while others are missing: then the map
    `is_whole` not yet. It `was_made` before from the same raster, model and options, and nothing was done. `notes` are
    sentences for the user. `seams` tells whether the borders of tiles show.
    """

    pixels: int
    tiles: int
    skipped: int
    seconds: float
    peak_memory_mb: float
    files: tuple[Path, ...]
    notes: tuple[str, ...]
    found: int = 0
    seams: SeamTally = field(default_factory=SeamTally)
    is_whole: bool = True
    was_made: bool = False

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
    job: MapJob | None = None,
    progress: Progress | None = None,
) -> PredictionSummary:
    """The class map of a raster at `out`, with the layers that the options ask for beside it.

    The result does not depend on the memory budget, on shards, or on how often the work was broken off. Nothing stands under
    the final names until everything is whole; until then finished blocks lie in a hidden folder beside it, and the same call
    goes on with them after a kill, an error or Ctrl-C.

    Raises `BandMismatch` when the model does not fit, `BadOption` for options that cannot be met, `UnreadableFile` and
    `UnwritableFile` from the files, `BrokenBundle` when the model's output does not fit its legend.
    """
    options, job = options or PredictOptions(), job or MapJob()
    started = time.monotonic()
    share_one_heap()
    spec, grid = scorer.spec, source.grid
    notes = check_fit(spec, source.bands, source.dtype, grid.gsd_m)
    lattice = plan_lattice(grid, spec, options, _halo(source, scorer, options), room=getattr(scorer, "room", 1.0))
    layers, key = _made_from(source, scorer, lattice, options, job)
    paths = tuple(layer_path(out, layer.name) for layer in layers_of(layers, spec.legend))
    if job.inputs and not job.fresh and is_made(paths, key):
        return PredictionSummary(0, 0, 0, 0.0, peak_memory_mb(), paths, notes, was_made=True)
    plan = _plan(scorer, lattice, options)
    share = grid.window if job.part is None else job.part[1]
    keeping = Keeping(key, job.part and job.part[0], job.fresh)
    with map_writer(out, grid, spec.legend, layers, keeping=keeping, cache_bytes=plan.cache_bytes) as writer:
        sweep = Sweep(source, scorer, plan, writer, Wanted(writer.layers, options.threshold_for(spec)))
        with _resumable(writer):
            counts = sweep.run(share, progress)
            whole = writer.finish_part() if job.part is not None else bool(writer.finish())
        tally, scored = tally_of(writer.notes)
        notes = (*notes, *_notes(writer, tally, scored, lattice))
        files = paths if whole else (blocks_path(out, keeping.part),)
    seconds = time.monotonic() - started
    return PredictionSummary(
        counts.pixels, counts.tiles, counts.skipped, seconds, peak_memory_mb(), files, notes, counts.found, tally, whole
    )


def _halo(source: RasterSource, scorer: Scorer, options: PredictOptions) -> int | None:
    return exact_halo(source, scorer) if options.exact else None


def _plan(scorer: Scorer, lattice: Lattice, options: PredictOptions) -> SweepPlan:
    needs = sweep_needs(lattice, scorer.spec, options, BLOCK, options.threads or cores_available())
    if options.max_ram_bytes is None:
        return plan_sweep(lattice, scorer.spec, options, needs)
    settled = settled_mb(scorer, lattice.tile, batch_size(lattice, options))
    return plan_sweep(lattice, scorer.spec, options, needs, settled_mb=settled)


def _made_from(
    source: RasterSource, scorer: Scorer, lattice: Lattice, options: PredictOptions, job: MapJob
) -> tuple[MapLayers, str]:
    """The layers of a map, and the key of all that their pixels depend on, which stands among their tags."""
    spec, threshold = scorer.spec, options.threshold_for(scorer.spec)
    layers = MapLayers(
        options.confidence,
        options.probability_type,
        job.provenance,
        options.compression,
        options.threads,
        spec.overlapping,
        options.uncertainty,
    )
    model = [spec.to_json(), threshold, job.inputs]
    made = [source.grid.to_json(), asdict(lattice), asdict(layers) | {"threads": None}, BLOCK]
    text = json.dumps([*model, *made], sort_keys=True, default=str)
    key = hashlib.sha256(text.encode()).hexdigest()[:32]
    return replace(layers, tags={**job.provenance, RUN_TAG: key}), key


@dataclass
class Counts:
    """How far a sweep is: tiles done in this run, skipped among them, found done; pixels done in this run."""

    tiles: int = 0
    skipped: int = 0
    found: int = 0
    pixels: int = 0


@dataclass(frozen=True)
class Sweep:
    """All that the work on a raster needs; `run` does it."""

    source: RasterSource
    scorer: Scorer
    plan: SweepPlan
    writer: MapWriter
    wanted: Wanted

    def run(self, share: Window, progress: Progress | None) -> Counts:
        """Works through what is left of a share of the raster, panel by panel."""
        whole = panels(share, self.plan.panel_columns, BLOCK)
        done = self.writer.done
        left = tuple(window for panel in whole for window in remaining(panel, done, BLOCK))
        ahead_of = self.plan.tiles(left)
        counts = Counts(found=max(0, self.plan.tiles(whole) - ahead_of))
        before = share.height * share.width - sum(window.height * window.width for window in left)
        total = counts.found + ahead_of

        def report() -> None:
            if progress is not None:
                progress(counts.found + counts.tiles, total, before + counts.pixels)

        if counts.found:
            report()
        for window in left:
            for step in self._steps(window):
                counts.tiles += 1
                counts.skipped += step.skipped
                counts.pixels += 0 if step.cell is None else step.cell.window.height * step.cell.window.width
                report()
        return counts

    def _steps(self, window: Window) -> Iterator[Step]:
        """The turn of each tile of a window, written: reading, scoring, blending and writing go on at the same time."""
        lattice, spec = self.plan.lattice, self.scorer.spec
        maker = CellMaker(lattice, window, spec.legend, self.wanted)
        places = tile_order(lattice.tiles_of(window))
        scored = [0]
        with (
            closing(ahead(partial(_read, self.source, self.plan.lattice, self.scorer), places, READ_AHEAD)) as tiles,
            closing(score_tiles(tiles, self.scorer, self.plan.batch)) as scores,
            closing(ahead(maker.take, scores, BLEND_BEHIND)) as steps,
            closing(ahead(partial(self._write, scored), steps, WRITE_BEHIND)) as written,
        ):
            yield from written

    def _write(self, scored: list[int], step: Step) -> Step:
        """Writes a tile's cell, if it has one, and with the last of a row what was counted in it."""
        scored[0] += not step.skipped
        if step.cell is not None:
            self.writer.write(step.cell.window, step.cell.layers)
        if step.tally is not None:
            self.writer.note(tally_note(step.tally, scored[0]))
            scored[0] = 0
        return step


def _read(source: RasterSource, lattice: Lattice, scorer: Scorer, place: tuple[int, int]) -> Tile:
    try:
        return read_tile(source, lattice, scorer.spec, place)
    except UnreadableFile as error:
        window = lattice.window(*place)
        where = f"rows {window.row} to {window.row_stop}, columns {window.col} to {window.col_stop}"
        raise UnreadableFile(f"{error} (it happened at {where})") from error


@contextmanager
def _resumable(writer: MapWriter) -> Iterator[None]:
    """Adds to an error of a file that nothing is lost, where there is something to lose."""
    try:
        yield
    except (UnreadableFile, UnwritableFile) as error:
        if not writer.done.any():
            raise
        kept = f"{int(writer.done.sum())} of {writer.done.size} blocks of the map are finished and kept"
        raise type(error)(f"{error}; {kept}: the same command goes on from there") from error


def _notes(writer: MapWriter, tally: SeamTally, scored: int, lattice: Lattice) -> tuple[str, ...]:
    notes: list[Any] = []
    if writer.started_over:
        notes.append(
            "what an earlier run had finished was of another raster, model or other options: it was started over"
        )
    if writer.strangers and not writer.is_whole:
        names = ", ".join(path.name for path in writer.strangers)
        notes.append(f"{names} beside it: of another raster, model, engine or other options, and left out")
    if scored == 0:
        notes.append("the raster has no valid pixel: the map holds nothing but nodata")
    elif lattice.is_exact:
        apart = f"tiles differ at their borders by {tally.worst:.1g} of a probability at most"
        kept = tally.worst <= PROMISED
        notes.append(f"exact: {apart}" if kept else f"the map is not exact: {apart}, where {PROMISED:g} is promised")
    elif tally.score is not None:
        notes.append(tally.sentence())
    return tuple(notes)
