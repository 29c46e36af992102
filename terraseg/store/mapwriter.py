"""Writing class maps: cells in any order, kept as compressed blocks with their overviews, finished as cloud-optimised files.

A map in the making lies in a hidden folder beside its final place, `.NAME.part/`. Each block of 512 pixels is compressed as
soon as its last pixel is known and appended to a file of blocks; an overview's block is made when the four under it are
there. What is left to the end is a head and a copy, and what a killed run finished is good for the next one.
"""

import os
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray

from terraseg.core.classes import Legend
from terraseg.core.grid import Grid
from terraseg.core.machine import cores_available
from terraseg.core.window import Window
from terraseg.errors import BadOption
from terraseg.pixels.pyramid import Pyramid
from terraseg.store.codec import compress, decompress
from terraseg.store.mapfolder import (
    Keeping,
    blocks_path,
    check_room,
    clear_folder,
    held_folder,
    merging,
    refused,
    scratch_folder,
)
from terraseg.store.maplayers import Layer, MapLayers, file_fields, layer_path, layers_of
from terraseg.store.mapparts import MapParts
from terraseg.store.sidecar import legend_sidecar
from terraseg.store.tiff import LEADER, Level, cog_head, framed

BLOCK = 512
"""The side of a block of a map, in pixels."""
HALVES_BYTES = 8 * 2**20
"""Bound on what waits for overviews that are not yet complete."""
CACHE_BYTES = 64 * 2**20
"""Bound on GDAL's block cache, which else grows to a twentieth of the machine's memory."""


class MapWriter:
    """A class map in the making: `write` cells, then `finish`. Made by `map_writer`."""

    def __init__(self, out: Path, grid: Grid, legend: Legend, layers: MapLayers, parts: MapParts) -> None:
        self._out, self._grid, self._legend, self._wanted, self._parts = out, grid, legend, layers, parts
        self.is_whole = False
        """True once the final files stand."""
        self.layers = layers_of(layers, legend)
        """What each cell must have, layer by layer."""
        self.pyramid = Pyramid(grid.height, grid.width, BLOCK)
        """The blocks of the map and of its overviews."""
        self._waiting: dict[int, _Block] = {}
        self._empty: dict[int, bytes] = {}
        self._halves = _Halves()
        self._pool = ThreadPoolExecutor(layers.threads or cores_available())

    @property
    def names(self) -> frozenset[str]:
        """The layers that each cell must have, by name."""
        return frozenset(layer.name for layer in self.layers)

    @property
    def paths(self) -> tuple[Path, ...]:
        """Where the final files stand once they are made, the class map first."""
        return tuple(layer_path(self._out, layer.name) for layer in self.layers)

    @property
    def done(self) -> NDArray[np.bool_]:
        """Which blocks of the map are finished, (block rows, block columns)."""
        return self._parts.there(0).reshape(self.pyramid.shape(0))

    @property
    def started_over(self) -> bool:
        """True when blocks of another key were found and dropped."""
        return self._parts.other_key

    @property
    def strangers(self) -> tuple[Path, ...]:
        """Files of blocks beside this part's that are of another raster, model or options, and do not count."""
        return self._parts.strangers

    @property
    def notes(self) -> list[bytes]:
        """What `note` was given for this map, in this run and before."""
        return self._parts.notes

    def note(self, content: bytes) -> None:
        """Keeps a few bytes beside the blocks, for the runs that go on."""
        with refused(self._out):
            self._parts.add_note(content)

    def write(self, window: Window, layers: Mapping[str, NDArray[Any]]) -> None:
        """Takes the finished pixels of a window: (height, width) a layer, or (bands, height, width); none for nodata.

        Each pixel is given once; those of finished blocks may come again and are passed over. One thread at a time.
        """
        for index in self.pyramid.meeting(window):
            if self._parts.has(0, index):
                continue
            block = self.pyramid.window(index)
            shared = block.intersection(window)
            waiting = self._waiting.setdefault(index, _Block(block.height * block.width, {}))
            waiting.missing -= shared.height * shared.width
            if layers:
                waiting.take(self.layers, layers, shared.shifted(-window.row, -window.col), (shared, block))
            if waiting.missing == 0:
                self._keep(0, index, self._waiting.pop(index).values)

    def finish(self) -> tuple[Path, ...]:
        """Makes the final files and gives their paths, the class map first. The map itself is renamed last.

        Pixels never written are nodata.
        """
        for index in list(self._waiting):
            self._keep(0, index, self._waiting.pop(index).values)
        self._finish()
        return self.paths

    def finish_part(self) -> bool:
        """Ends a part; where all others are there as well, makes the final files. True when these stand."""
        with merging(self._out):
            if not self._parts.stand():
                # Another process was the last and is done.
                self.is_whole = True
                return True
            with refused(self._out):
                self._parts.look_around()
            if self._parts.there(0).all():
                self._finish()
        return self.is_whole

    def _finish(self) -> None:
        for level in range(len(self.pyramid.sizes)):
            for index in np.flatnonzero(~self._parts.there(level)).tolist():
                self._keep(0, index, {}) if level == 0 else self._keep_overview(level, index)
        with refused(self._out):
            folder = scratch_folder(self._out)
            for number, layer in enumerate(self.layers):
                self._assemble(number, layer, folder / f"{layer.name}.tif")
            self._write_sidecar(folder / "sidecar.xml")
            for layer in reversed(self.layers):
                (folder / f"{layer.name}.tif").replace(layer_path(self._out, layer.name))
        self.is_whole = True

    def _write_sidecar(self, temporary: Path) -> None:
        """The names of ids beside a map that holds ids; beside one of overlapping classes an earlier map's go."""
        path = self._out.with_name(f"{self._out.name}.aux.xml")
        if self._wanted.overlapping:
            path.unlink(missing_ok=True)
            return
        temporary.write_text(legend_sidecar(self._legend), encoding="utf-8")
        temporary.replace(path)

    def close(self) -> None:
        """Ends the threads that compress; pixels of unfinished blocks are forgotten."""
        self._pool.shutdown(cancel_futures=True)
        self._waiting.clear()

    def _keep(self, level: int, index: int, values: Mapping[str, NDArray[Any]]) -> None:
        """Compresses a block of all layers, {} for nothing but nodata, keeps it, and the overviews that it completes."""
        with refused(self._out):
            for number, layer in enumerate(self.layers):
                content = self._compressed(values[layer.name]) if values else self._nodata(number)
                self._parts.add(number, level, index, content)
        if values and level + 1 < len(self.pyramid.sizes):
            self._halves.keep(
                (level, index), {layer.name: self._halved(layer, values[layer.name]) for layer in self.layers}
            )
        self._climb(level, index)

    def _climb(self, level: int, index: int) -> None:
        if level + 1 == len(self.pyramid.sizes):
            return
        parent = self.pyramid.parent(level, index)
        if all(self._parts.has(level, child) for child in self.pyramid.children(level + 1, parent).values()):
            self._keep_overview(level + 1, parent)

    def _keep_overview(self, level: int, index: int) -> None:
        """Makes the block of an overview from the four under it."""
        quarters = {
            place: self._quarter(level - 1, child) for place, child in self.pyramid.children(level, index).items()
        }
        values: dict[str, NDArray[Any]] = {}
        for layer in self.layers if any(quarters.values()) else ():
            whole = layer.empty(BLOCK, BLOCK)
            for (down, across), quarter in quarters.items():
                if quarter:
                    rows, cols = (slice(half * BLOCK // 2, (half + 1) * BLOCK // 2) for half in (down, across))
                    whole[:, rows, cols] = quarter[layer.name]
            values[layer.name] = whole
        self._keep(level, index, values)

    def _quarter(self, level: int, index: int) -> Mapping[str, NDArray[Any]]:
        """A block of all layers at half the size, as it was kept or from what is stored; {} for nothing but nodata."""
        kept = self._halves.taken((level, index))
        if kept is not None:
            return kept
        with refused(self._out):
            contents = [self._parts.get(number, level, index) for number in range(len(self.layers))]
        if all(content == self._nodata(number) for number, content in enumerate(contents)):
            return {}
        blocks = {
            layer.name: _unpacked(content, len(layer.bands))
            for layer, content in zip(self.layers, contents, strict=True)
        }
        return {layer.name: self._halved(layer, blocks[layer.name]) for layer in self.layers}

    def _halved(self, layer: Layer, bands: Iterable[NDArray[Any] | memoryview]) -> NDArray[Any]:
        """A block's bands, compressed or not, at half the size: (bands, side, side)."""

        def halved(band: NDArray[Any] | memoryview) -> NDArray[Any]:
            if isinstance(band, memoryview):
                band = decompress(band, BLOCK, layer.dtype, self._wanted.compression)
            return layer.halved(band)

        return np.stack(list(self._pool.map(halved, bands)))

    def _compressed(self, values: NDArray[Any]) -> bytes:
        return _packed(list(self._pool.map(lambda band: compress(band, self._wanted.compression), values)))

    def _nodata(self, number: int) -> bytes:
        if number not in self._empty:
            self._empty[number] = self._compressed(self.layers[number].empty(BLOCK, BLOCK))
        return self._empty[number]

    def _assemble(self, number: int, layer: Layer, path: Path) -> None:
        """The finished file of a layer: a head, and the blocks as they are."""
        bands = len(layer.bands)
        levels = [Level(*size, self._lengths(number, level, bands)) for level, size in enumerate(self.pyramid.sizes)]
        fields = file_fields(layer, self._grid, self._legend, self._wanted, BLOCK)
        with path.open("wb", buffering=2**20) as file:
            file.write(cog_head(fields, levels))
            for level in reversed(range(len(levels))):
                for index in range(self.pyramid.count(level)):
                    file.write(memoryview(self._parts.get(number, level, index))[4 * bands :])
            file.flush()
            os.fsync(file.fileno())

    def _lengths(self, number: int, level: int, bands: int) -> NDArray[np.uint32]:
        lengths = np.empty((self.pyramid.count(level), bands), dtype=np.uint32)
        for index in range(len(lengths)):
            lengths[index] = np.frombuffer(self._parts.get(number, level, index, first=4 * bands), dtype="<u4")
        return lengths


class _Halves:
    """Blocks at half the size that wait for their overview, by level and number: as many as `HALVES_BYTES` hold."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[int, int], Mapping[str, NDArray[Any]]] = OrderedDict()
        self._bytes = 0

    def keep(self, place: tuple[int, int], layers: Mapping[str, NDArray[Any]]) -> None:
        """Takes a block; the oldest are forgotten, they can be made again."""
        self._kept[place] = layers
        self._bytes += sum(values.nbytes for values in layers.values())
        while self._bytes > HALVES_BYTES:
            self.taken(next(iter(self._kept)))

    def taken(self, place: tuple[int, int]) -> Mapping[str, NDArray[Any]] | None:
        """Gives a block and lets go of it; None for one that is not here."""
        layers = self._kept.pop(place, None)
        if layers is not None:
            self._bytes -= sum(values.nbytes for values in layers.values())
        return layers


@dataclass
class _Block:
    """A block whose pixels come in: how many are missing, and those that are there, by layer, none for nodata so far."""

    missing: int
    values: dict[str, NDArray[Any]]

    def take(
        self,
        wanted: tuple[Layer, ...],
        layers: Mapping[str, NDArray[Any]],
        source: Window,
        place: tuple[Window, Window],
    ) -> None:
        """Copies the window `source` of each layer's pixels; `place` is the same ground and the block's, in the raster."""
        shared, block = place
        rows, cols = shared.shifted(-block.row, -block.col).slices
        for layer in wanted:
            if layer.name not in self.values:
                self.values[layer.name] = layer.empty(BLOCK, BLOCK)
            self.values[layer.name][:, rows, cols] = layers[layer.name][..., *source.slices]


def _packed(blocks: list[bytes]) -> bytes:
    """The bands of a block as one record: their lengths, and each as it will stand in the finished file."""
    return np.array([len(block) for block in blocks], dtype="<u4").tobytes() + b"".join(map(framed, blocks))


def _unpacked(content: bytes, bands: int) -> list[memoryview]:
    place, blocks, view = 4 * bands, [], memoryview(content)
    for length in np.frombuffer(view[:place], dtype="<u4").tolist():
        blocks.append(view[place + LEADER : place + LEADER + length])
        place += length + 2 * LEADER
    return blocks


@contextmanager
def map_writer(
    out: Path,
    grid: Grid,
    legend: Legend,
    layers: MapLayers | None = None,
    *,
    keeping: Keeping | None = None,
    cache_bytes: int = CACHE_BYTES,
) -> Iterator[MapWriter]:
    """A writer for a class map at `out`; within the block GDAL's cache is bounded.

    When the block ends without `finish`, finished blocks stay for the next run with the same `keeping`; without one, what
    was written is thrown away. Raises `BadOption` when `out` is no TIFF, `UnwritableFile` when it cannot be written or the
    disk has no room, `StaleRun` while another process writes the same map or the same part of it.
    """
    if out.suffix.lower() not in {".tif", ".tiff"}:
        raise BadOption(f"a class map is a GeoTIFF and {out} is named otherwise: pass a name that ends in .tif")
    wanted = layers or MapLayers()
    names = layers_of(wanted, legend)
    kept = keeping or Keeping("")
    with held_folder(out, keeping), rasterio.Env(GDAL_CACHEMAX=cache_bytes), ExitStack() as stack:
        whole, worth = False, False
        try:
            with refused(out):
                check_room(out, grid, names)
                pyramid = Pyramid(grid.height, grid.width, BLOCK)
                parts = MapParts(blocks_path(out, kept.part), kept.key, pyramid, len(names))
                stack.callback(parts.close)
            writer = MapWriter(out, grid, legend, wanted, parts)
            stack.callback(writer.close)
            try:
                yield writer
            finally:
                whole, worth = writer.is_whole, keeping is not None and not parts.is_empty
        finally:
            if whole or not worth:
                clear_folder(out, keeping, whole=whole)
