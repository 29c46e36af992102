"""A model in bytes made ready: calibrated on windows of the user's own imagery, and held against the exact one on others."""

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from terraseg.core.dataset import Imagery
from terraseg.core.int8 import LEAST_AGREEMENT, Int8Report
from terraseg.core.modelspec import ModelSpec
from terraseg.core.watch import Watch
from terraseg.engines.choose import choose_engine, open_scorer
from terraseg.engines.options import EngineOptions
from terraseg.errors import BadOption, TerrasegError, missing_extra
from terraseg.pixels.tiling import Lattice, square_lattice, tile_order
from terraseg.predict.options import InputOptions
from terraseg.predict.ready import Ready, made_ready
from terraseg.predict.tiles import read_tile
from terraseg.store.bundle import PARTS, read_spec
from terraseg.store.quantised import Int8Model, read_int8, write_int8

CALIBRATING, JUDGING = 16, 8
"""Windows that set the scales, and those on which both models are compared."""
LARGEST, SMALLEST = 512, 64
FEWEST = 6
RASTERS = 24
"""Rasters that are looked into: more bring little."""

Window = NDArray[Any]


@dataclass
class _Listener:
    """A scorer that keeps what it is given, and says nothing of it."""

    spec: ModelSpec
    device: str = ""
    heard: list[Window] = field(default_factory=list)

    def score(self, batch: NDArray[Any]) -> NDArray[np.float32]:
        """No probabilities at all."""
        self.heard += list(batch)
        return np.zeros((len(batch), len(self.spec.legend), *batch.shape[2:]), dtype=np.float32)


def ready_int8(
    folder: Path,
    images: Iterable[Imagery],
    *,
    inputs: InputOptions,
    engine: EngineOptions,
    watch: Watch,
    anew: bool = False,
) -> Int8Model:
    """The model in bytes of a bundle, made now where there is none, or `anew`, with what is known of it said.

    It is calibrated on windows spread over the rasters, as prediction reads them, and kept in the bundle. Raises `BadOption`
    for one that maps less than 99 % of the held-out pixels as the exact model does, unless `engine.force_int8`, and for
    imagery that is too small; `MissingExtra` where onnx is not installed, and what opening model and rasters raises.
    """
    choose_engine(read_spec(folder), engine=engine.engine, precision="int8", where=folder)
    known = None if anew else read_int8(folder)
    if known is None:
        if find_spec("onnx") is None:
            raise missing_extra("making a model in bytes", "int8")
        watch.step("int8")
        windows = calibration_windows(read_spec(folder), islice(images, RASTERS), inputs)
        graph, report = _best_graph(folder, windows, engine.engine, watch)
        if not (report.is_good or engine.force_int8):
            raise BadOption(_refusal(folder, report))
        known = write_int8(folder, graph, report)
        watch.say(f"wrote {known.path}")
    if not (known.report.is_good or engine.force_int8):
        raise BadOption(_refusal(folder, known.report))
    watch.say(known.report.sentence)
    return known


def _refusal(folder: Path, report: Int8Report) -> str:
    return (
        f"{folder} in bytes is not good enough, {LEAST_AGREEMENT:.0%} is asked for: {report.sentence}. Use the precision "
        "'fast', or force it with --set engine.force_int8=true"
    )


def _best_graph(folder: Path, windows: list[Window], engine: str, watch: Watch) -> tuple[bytes, Int8Report]:
    """The first graph that agrees well enough with the exact one; where none does, the one that agrees most."""
    from terraseg.export.int8 import int8_graphs, measure_agreement

    held = windows[2::3][:JUDGING]
    calibrating = [w for n, w in enumerate(windows) if n % 3 != 2][:CALIBRATING]
    exact = open_scorer(folder, engine=engine)
    best: tuple[bytes, Int8Report] | None = None
    for graph, floats in int8_graphs(folder / PARTS[0], calibrating):
        with _as_bundle(folder, graph) as trial:
            scorer = open_scorer(trial, engine=engine, precision="int8")
            report = measure_agreement(exact, scorer, held, calibrated=len(calibrating), floats=floats)
        watch.say(report.sentence)
        if best is None or report.agreement > best[1].agreement:
            best = graph, report
        if report.is_good:
            break
    assert best is not None
    return best


@contextmanager
def _as_bundle(folder: Path, graph: bytes) -> Iterator[Path]:
    """A bundle like the given one, with a graph in bytes that is on trial."""
    with tempfile.TemporaryDirectory() as trial:
        for part in PARTS:
            (Path(trial) / part).symlink_to((folder / part).resolve())
        write_int8(Path(trial), graph, Int8Report(0.0, 0, 0, 0))
        yield Path(trial)


def calibration_windows(spec: ModelSpec, images: Iterable[Imagery], inputs: InputOptions) -> list[Window]:
    """Windows (bands, side, side) of raw pixels as the model sees them, raster by raster, at most 24.

    They lie on each raster's own lattice without overlap and are picked by a fixed shuffle; those without a valid pixel do
    not count. Raises `BadOption` where there are too few to calibrate and to judge.
    """
    rasters, most = list(images), CALIBRATING + JUDGING
    share = -(-most // max(1, len(rasters)))
    failed: TerrasegError | None = None
    for side in _sides(spec):
        found: list[Window] = []
        for imagery in rasters:
            try:
                found += _windows_of(imagery, spec, inputs, (side, share))
            except TerrasegError as error:
                # Of several rasters one that cannot be used is reported when it is predicted.
                failed = error
        if len(found) >= FEWEST:
            chosen = np.linspace(0, len(found) - 1, min(most, len(found))).round().astype(int)
            return [found[k] for k in chosen]
    if failed is not None:
        raise failed
    raise BadOption(
        f"{len(rasters)} raster(s) do not hold {FEWEST} windows of {SMALLEST} px to calibrate and judge a model in bytes: pass "
        "larger imagery, or make it with `terraseg export --int8` from other imagery of the kind"
    )


def _sides(spec: ModelSpec) -> list[int]:
    """Sides of windows to try: the model's own tile, then ever smaller ones."""
    sides = [min(spec.tile, LARGEST)]
    while sides[-1] // 2 >= SMALLEST:
        sides.append(sides[-1] // 2)
    return [-(-side // spec.stride) * spec.stride for side in sides]


def _windows_of(imagery: Imagery, spec: ModelSpec, inputs: InputOptions, wanted: tuple[int, int]) -> list[Window]:
    """Up to `wanted[1]` windows of `wanted[0]` px of one raster, brought to the model's pixel size where need be."""
    side, count = wanted
    listener = _Listener(spec)
    with made_ready(imagery, listener, inputs) as ready:
        for place in _places(ready, side):
            if len(listener.heard) == count:
                break
            tile = read_tile(ready.source, _lattice(ready, side), ready.scorer.spec, place)
            if tile.pixels is not None:
                ready.scorer.score(np.ascontiguousarray(tile.pixels[None]))
    return listener.heard


def _lattice(ready: Ready, side: int) -> Lattice:
    return square_lattice(ready.source.grid.height, ready.source.grid.width, tile=side, overlap=0)


def _places(ready: Ready, side: int) -> list[tuple[int, int]]:
    """The tiles of a raster in a fixed random order; none where the raster is smaller than one."""
    grid = ready.source.grid
    if min(grid.height, grid.width) < side:
        return []
    places = list(tile_order(_lattice(ready, side).region))
    return [places[k] for k in np.random.default_rng(0).permutation(len(places))]
