"""From one class map to a cleaner one, in bounded memory: the room's main function."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from terraseg.clean.options import CleanOptions, by_id
from terraseg.core.classes import VOID, Legend
from terraseg.core.classreader import ByteRaster, ClassRaster
from terraseg.core.grid import Grid
from terraseg.core.window import Window
from terraseg.errors import BadOption, GridMismatch
from terraseg.pixels.clean import Disc, majority, next_best, ruled_out
from terraseg.pixels.holes import Filled, fill_holes
from terraseg.pixels.merge import DROPPED, merge_small
from terraseg.pixels.pieces import strip_pieces
from terraseg.pixels.regions import Regions, Wanted, find_regions
from terraseg.store.maplayers import MapLayers
from terraseg.store.mapwriter import map_writer

FULL = 254
"""The byte that stands for probability 1."""


class ProbabilityRaster(Protocol):
    """The probabilities of all classes, read window by window."""

    @property
    def grid(self) -> Grid:
        """Where the pixels lie."""
        ...

    def read(self, window: Window) -> NDArray[np.float32]:
        """Probabilities (classes, height, width) of a window in the legend's order, NaN for nodata."""
        ...


@dataclass(frozen=True)
class Beside:
    """What lies beside a map: the probability of its classes, of the chosen one or of all; `tags` go into the new map."""

    confidence: ByteRaster | None = None
    probabilities: ProbabilityRaster | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class CleanSummary:
    """The files written, and the pixels that were given another class, `changed` of `observed` (those that are not nodata)."""

    files: tuple[Path, ...]
    observed: int
    changed: int


def clean_map(
    raster: ClassRaster,
    out: Path,
    *,
    options: CleanOptions,
    beside: Beside | None = None,
    strip_rows: int | None = None,
) -> CleanSummary:
    """Writes the cleaned map at `out`, with a confidence beside it where the first map has one.

    The confidence of a pixel that changed is the probability of its new class: read from the probabilities, or what is left
    over where there are two classes, else unknown (255). The map is read twice; memory is a strip of it and what its
    regions take, and nothing depends on `strip_rows`. Raises `BadOption` for a threshold without probabilities and
    `GridMismatch` where they are of another size.
    """
    beside = beside or Beside()
    _check(raster, options, beside)
    sure = Settled(raster, options, beside)
    limits = _limits(raster, options)
    small = np.maximum(*limits)
    regions = find_regions(sure, Wanted(small=small, strip_rows=strip_rows))
    classes = cleaned_classes(regions, *limits)
    observed = changed = 0
    layers = MapLayers(confidence=beside.confidence is not None, tags=beside.tags)
    with map_writer(out, raster.grid, raster.legend, layers) as writer:
        before = 0
        lookup = np.concatenate([[np.uint8(VOID)], classes[regions.piece_region]])
        for strip in strip_pieces(sure, regions.strip_rows):
            ids = lookup[np.where(strip.pieces > 0, strip.pieces + before, 0)]
            before += int(strip.pieces.max(initial=0))
            old = raster.read(strip.window)
            observed += int((old != VOID).sum())
            changed += int((old != ids).sum())
            cells = {"classes": ids}
            if beside.confidence is not None:
                cells["confidence"] = _confidence(beside, strip.window, (old, ids), raster.legend)
            writer.write(strip.window, cells)
        files = writer.finish()
    return CleanSummary(files, observed, changed)


def cleaned_classes(regions: Regions, holes: NDArray[np.float64], areas: NDArray[np.float64]) -> NDArray[np.uint8]:
    """The class of each region after small holes were filled and small regions handed over; 255 for what is dropped.

    `holes` and `areas` (256,) are the limits by class id, in square metres or pixels. Holes are filled class by class in
    the order of the ids, then regions are merged as `merge_small` says.
    """
    number = np.arange(len(regions))
    state = Filled(number, regions.class_id, regions.area, regions.exposed, regions.borders)
    for identifier in np.flatnonzero(holes > 0).tolist():
        state = fill_holes(state, class_id=identifier, below=holes[identifier] / regions.area_unit)
    merged = merge_small(state.class_id, state.area, state.borders, min_area=areas / regions.area_unit)
    owner = merged.owner[state.name]
    return np.where(owner == DROPPED, VOID, np.append(merged.class_id, VOID)[owner]).astype(np.uint8)


def _check(raster: ClassRaster, options: CleanOptions, beside: Beside) -> None:
    known = (beside.confidence, beside.probabilities)
    if options.has_threshold and all(layer is None for layer in known):
        raise BadOption(
            "a threshold needs the probabilities of the map, and neither a confidence nor probabilities lie beside it: "
            "predict with --confidence, or leave the threshold out"
        )
    if options.below == "next" and beside.probabilities is None:
        raise BadOption(
            'below = "next" needs the probabilities of all classes, and none lie beside the map: predict with '
            "probabilities = true under [predict], or take another"
        )
    if options.below == "background" and raster.legend.background_index is None:
        raise BadOption(
            f'below = "background", and none of the classes {", ".join(raster.legend.names)} is one: take "next" or "void"'
        )
    for layer in known:
        if layer is not None and (layer.grid.height, layer.grid.width) != (raster.grid.height, raster.grid.width):
            raise GridMismatch(
                f"the probabilities are {layer.grid.height} x {layer.grid.width} px and the map {raster.grid.height} x "
                f"{raster.grid.width} px: pass those written with the map"
            )


def _limits(raster: ClassRaster, options: CleanOptions) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return by_id(raster.legend, options.min_hole_m2), by_id(raster.legend, options.min_area_m2)


@dataclass(frozen=True, eq=False)
class Settled:
    """A map after threshold and majority, as a `ClassRaster`: each window is worked out when it is read."""

    raster: ClassRaster
    options: CleanOptions
    beside: Beside

    @property
    def grid(self) -> Grid:
        """Where the pixels lie."""
        return self.raster.grid

    @property
    def legend(self) -> Legend:
        """What the ids mean."""
        return self.raster.legend

    def read(self, window: Window) -> NDArray[np.uint8]:
        """The class ids (height, width) of a window inside the grid."""
        discs = self._discs()
        if not discs:
            return self._sure(window)
        rows, cols = (max(disc.reach[axis] for disc in discs.values()) for axis in (0, 1))
        wide = Window(window.row - rows, window.col - cols, window.height + 2 * rows, window.width + 2 * cols)
        there = wide.intersection(self.grid.window)
        beyond = (
            (there.row - wide.row, wide.row_stop - there.row_stop),
            (there.col - wide.col, wide.col_stop - there.col_stop),
        )
        ids = np.pad(self._sure(there), beyond, constant_values=VOID)
        own = ids[rows : rows + window.height, cols : cols + window.width]
        smooth = own.copy()
        for disc in set(discs.values()):
            of_disc = np.isin(own, [identifier for identifier, each in discs.items() if each == disc])
            smooth[of_disc] = majority(ids, disc, margin=(rows, cols))[of_disc]
        return smooth

    def _discs(self) -> dict[int, Disc]:
        """The disc of each class that is smoothed, by id."""
        height, width = self.grid.pixel_size_m or (1.0, 1.0)
        radii = by_id(self.legend, self.options.smooth_m)
        discs = {i: Disc(radii[i] / height, radii[i] / width) for i in np.flatnonzero(radii).tolist()}
        return {identifier: disc for identifier, disc in discs.items() if max(disc.reach) > 0}

    def _sure(self, window: Window) -> NDArray[np.uint8]:
        """The class ids after the threshold."""
        ids = self.raster.read(window)
        if not self.options.has_threshold:
            return ids
        floor = by_id(self.legend, self.options.threshold)
        every = None if self.beside.probabilities is None else self.beside.probabilities.read(window)
        given_up = ruled_out(ids, self._own(ids, every, window), floor=floor)
        instead = np.full(ids.shape, VOID, dtype=np.uint8)
        background = self.legend.background_index
        if self.options.below in ("auto", "background") and background is not None:
            instead[:] = self.legend.ids[background]
        elif self.options.below in ("auto", "next") and every is not None:
            instead = next_best(ids, every, class_ids=self.legend.ids, floor=floor)
        return np.where(given_up, instead, ids)

    def _own(self, ids: NDArray[np.uint8], every: NDArray[np.float32] | None, window: Window) -> NDArray[np.floating]:
        """The probability of each pixel's class, NaN where it is unknown."""
        if every is not None:
            return probability_of(ids, every, self.legend)
        assert self.beside.confidence is not None
        values = self.beside.confidence.read(window)
        return np.where(values == VOID, np.nan, values / FULL)


def probability_of(ids: NDArray[np.uint8], every: NDArray[np.float32], legend: Legend) -> NDArray[np.float32]:
    """The probability of the class of each pixel out of those of all classes; NaN for nodata."""
    index = np.zeros(256, dtype=np.intp)
    index[list(legend.ids)] = np.arange(len(legend))
    own = np.take_along_axis(every, index[ids][None], axis=0)[0]
    return np.where(ids == VOID, np.float32(np.nan), own)


def _confidence(
    beside: Beside, window: Window, maps: tuple[NDArray[np.uint8], NDArray[np.uint8]], legend: Legend
) -> NDArray[np.uint8]:
    """The confidence of a strip of the new map."""
    old, ids = maps
    assert beside.confidence is not None
    values = beside.confidence.read(window)
    changed = (old != ids) & (ids != VOID)
    if beside.probabilities is not None:
        own = probability_of(ids, beside.probabilities.read(window), legend) * FULL
        new = np.where(np.isnan(own), VOID, np.rint(np.nan_to_num(own))).astype(np.uint8)
    elif len(legend) == 2:
        new = np.where(values == VOID, VOID, FULL - values).astype(np.uint8)
    else:
        new = np.full(ids.shape, VOID, dtype=np.uint8)
    return np.where(ids == VOID, VOID, np.where(changed, new, values)).astype(np.uint8)
