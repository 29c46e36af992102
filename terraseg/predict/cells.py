"""From tiles to finished cells: scored in batches, blended, and turned into what a map holds."""

from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from terraseg.core.classes import VOID, Legend
from terraseg.core.scorer import Scorer
from terraseg.core.window import Window
from terraseg.errors import BrokenBundle
from terraseg.pixels.blend import Array, Blended, Blender, decide, decide_each, namespace, to_byte, to_host, uncertainty
from terraseg.pixels.relabel import ids_from_indices
from terraseg.pixels.tiling import Lattice
from terraseg.predict.seams import SeamMeter, SeamTally
from terraseg.predict.tiles import Tile
from terraseg.store.maplayers import CLASSES, CONFIDENCE, PROBABILITIES, UNCERTAINTY, Layer

STRIP = 32
"""Rows of a cell that are worked on at once: their probabilities stay in the processor's cache from one step to the next."""


@dataclass(frozen=True)
class Cell:
    """Finished pixels, layer by layer: "classes" and "confidence" (height, width), "probabilities" (classes, height, width).

    Of overlapping classes "classes" is (classes, height, width), 1 where each is and 0 elsewhere. Bytes are 255 and halves
    NaN for nodata. A cell without a valid pixel has no layers.
    """

    window: Window
    layers: dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Step:
    """One tile's turn: whether it was skipped, and the cell it completed (None for a tile that only fades into others).

    With the last tile of a row comes what the meter of seams counted in it.
    """

    skipped: bool
    cell: Cell | None
    tally: SeamTally | None = None


@dataclass(frozen=True)
class Wanted:
    """What the cells must hold: their layers, and the probability from which each of overlapping classes is mapped."""

    layers: tuple[Layer, ...]
    threshold: float | None = None


def score_tiles(tiles: Iterable[Tile], scorer: Scorer, batch: int) -> Generator[tuple[Tile, Array | None], None, None]:
    """Each tile with its probabilities (classes, height, width), None for one without a valid pixel; in order.

    The scorer always gets batches of exactly `batch` tiles, the last one filled up by repetition, so that what it gives
    for a tile does not depend on how many came with it.
    """
    waiting: list[Tile] = []
    for tile in tiles:
        waiting.append(tile)
        if sum(t.pixels is not None for t in waiting) in (0, batch):
            yield from _scored(waiting, scorer, batch)
            waiting = []
    yield from _scored(waiting, scorer, batch)


def _scored(tiles: list[Tile], scorer: Scorer, batch: int) -> Iterator[tuple[Tile, Array | None]]:
    scores = iter(_score([t.pixels for t in tiles if t.pixels is not None], scorer, batch))
    for tile in tiles:
        yield tile, None if tile.pixels is None else next(scores)


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


class CellMaker:
    """Blends the tiles of one window, in the order of `tile_order(lattice.tiles_of(window))`, into its cells."""

    def __init__(self, lattice: Lattice, window: Window, legend: Legend, wanted: Wanted) -> None:
        self._window, self._legend, self._wanted = window, legend, wanted
        self._last = lattice.tiles_of(window).cols[-1]
        self._blender = Blender(lattice, lattice.region_of(window))
        self._meter = SeamMeter(lattice, wanted.threshold)

    def take(self, scored: tuple[Tile, Array | None]) -> Step:
        """One tile's turn; of its cell what lies in the window."""
        tile, scores = scored
        cell = self._blender.lattice.cell(tile.row, tile.col)
        place = cell.intersection(self._window)
        owned = self._blender.region.owns(tile.row, tile.col)
        if scores is None:
            self._blender.skip(tile.col)
            return Step(True, Cell(place, {}) if owned else None, self._tally(tile))
        self._meter.look(tile, scores)
        blended = self._blender.add(tile.row, tile.col, scores)
        if blended is None:
            return Step(False, None, self._tally(tile))
        inner = place.shifted(-cell.row, -cell.col)
        valid = tile.valid[place.shifted(-tile.window.row, -tile.window.col).slices]
        layers = finish(blended, inner, valid, self._legend, self._wanted) if valid.any() else {}
        return Step(False, Cell(place, layers), self._tally(tile))

    def _tally(self, tile: Tile) -> SeamTally | None:
        return self._meter.taken() if tile.col == self._last else None


def finish(
    blended: Blended, inner: Window, valid: NDArray[np.bool_], legend: Legend, wanted: Wanted
) -> dict[str, NDArray[Any]]:
    """The layers of a window of a cell, in the cell's own pixels, nodata where not `valid` (height, width)."""
    holes = None if valid.all() else ~valid
    ids = None if legend.ids == tuple(range(len(legend))) else legend
    layers: dict[str, NDArray[Any]] = {}
    for rows, cols in _pieces(blended, inner):
        place = (
            slice(rows.start - inner.row, rows.stop - inner.row),
            slice(cols.start - inner.col, cols.stop - inner.col),
        )
        piece = blended.part(rows, cols)
        decided = decide(piece) if wanted.threshold is None else decide_each(piece, wanted.threshold)
        for layer in wanted.layers:
            values = _values(layer, piece, decided, ids, overlapping=wanted.threshold is not None)
            if layer.name not in layers:
                layers[layer.name] = np.empty((*values.shape[:-2], inner.height, inner.width), dtype=values.dtype)
            layers[layer.name][..., *place] = values
    for values in layers.values() if holes is not None else ():
        values[..., holes] = VOID if values.dtype == np.uint8 else np.nan
    return layers


def _pieces(blended: Blended, inner: Window) -> Iterator[tuple[slice, slice]]:
    """Rows and columns of a cell that are worked on at once: where it fades into the one before, then strips of the rest.

    On a GPU all at once.
    """
    whole = slice(inner.row, inner.row_stop)
    if not isinstance(blended.scores, np.ndarray):
        yield whole, slice(inner.col, inner.col_stop)
        return
    border = min(max(blended.fading, inner.col), inner.col_stop)
    if border > inner.col:
        yield whole, slice(inner.col, border)
    for row in range(inner.row, inner.row_stop if border < inner.col_stop else inner.row, STRIP):
        yield slice(row, min(row + STRIP, inner.row_stop)), slice(border, inner.col_stop)


def _values(
    layer: Layer, probabilities: Array, decided: tuple[Array, Array], legend: Legend | None, *, overlapping: bool
) -> NDArray[Any]:
    """A layer's values from blended probabilities (classes, height, width) and what was decided from them.

    Without a `legend` indices are ids.
    """
    if layer.name == UNCERTAINTY:
        return to_host(uncertainty(probabilities, overlapping=overlapping))
    if layer.name == PROBABILITIES:
        return _probabilities(probabilities, layer)
    if layer.name == CONFIDENCE:
        return to_host(to_byte(decided[1]))
    assert layer.name == CLASSES
    classes = to_host(decided[0])
    return classes if overlapping or legend is None else ids_from_indices(classes, legend)


def _probabilities(probabilities: Array, layer: Layer) -> NDArray[Any]:
    if layer.dtype == "uint8":
        return to_host(to_byte(probabilities))
    xp = namespace(probabilities)
    return to_host(xp.asarray(probabilities, dtype=xp.float16))
