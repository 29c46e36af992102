"""Class maps on disk: rasters of class ids with their legend, written whole and read by windows."""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import rasterio.windows
from numpy.typing import NDArray

from terraseg.core.classes import PALETTE, VOID, LandClass, Legend
from terraseg.core.grid import Grid
from terraseg.core.text import parse_json
from terraseg.core.window import Window, cut
from terraseg.errors import BadOption, GridMismatch, UnknownClass, UnreadableFile
from terraseg.store.maplayers import LEGEND_TAG, OVERLAPPING_TAG, MapLayers
from terraseg.store.mapwriter import map_writer
from terraseg.store.opening import grid_of, open_dataset, translated

SCAN_ROWS, SCAN_COLS = 512, 8192


class ByteReader:
    """An open single-band raster of whole numbers from 0 to 254 with 255 for nodata; a context manager.

    Rasters of other tools are read too: their own nodata value and mask become 255, wider integers become uint8. Raises
    `UnreadableFile` for a raster that cannot be meant so.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._dataset = open_dataset(path)
        try:
            self._check()
            self.grid: Grid = grid_of(self._dataset)
        except BaseException:
            self._dataset.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Lets go of the file."""
        self._dataset.close()

    def read(self, window: Window) -> NDArray[np.uint8]:
        """The values of a window inside the raster, (height, width) of uint8 with 255 for nodata."""
        if window.is_empty or not self.grid.window.contains(window):
            raise ValueError(f"{window} does not lie inside a raster of {self.grid.height} x {self.grid.width} pixels")
        place = rasterio.windows.Window(window.col, window.row, window.width, window.height)
        with translated(self.path):
            values = self._dataset.read(1, window=place)
            if self._dataset.nodata == VOID and values.dtype == np.uint8:
                return np.asarray(values)
            valid = self._dataset.read_masks(1, window=place) > 0
        strange = values[valid & ((values < 0) | (values >= VOID))]
        if strange.size:
            raise UnreadableFile(
                f"{self.path} holds the value {strange[0]}, where classes are numbered from 0 to 254 and 255 is nodata: "
                f"declare it as nodata (gdal_edit.py -a_nodata {strange[0]}) or give that class another number"
            )
        return np.where(valid, values, VOID).astype(np.uint8)

    def _check(self) -> None:
        count, dtype = self._dataset.count, self._dataset.dtypes[0]
        if count != 1 or np.dtype(dtype).kind not in "ui":
            bands = "band" if count == 1 else "bands"
            raise UnreadableFile(
                f"{self.path} has {count} {bands} of {dtype}, where one band of whole numbers is expected: pass a class "
                f"map, such as terraseg predict writes"
            )


class ClassMapReader(ByteReader):
    """An open class map: `grid`, `legend`, and `read`, which gives class ids with 255 for nodata.

    A map that was not made by terraseg gets a legend from the values it holds, named "class 3" and so on, in the colours
    of its colour table or of the house; finding them reads the whole raster once, when the legend is first asked for.
    """

    @cached_property
    def legend(self) -> Legend:
        """The classes of the map."""
        text = self._dataset.tags().get(LEGEND_TAG)
        return self._legend_of_values() if text is None else parsed_legend(text, self.path)

    @property
    def tags(self) -> dict[str, str]:
        """What the file says of its making: the tags that were passed when it was written, and GDAL's own."""
        return dict(self._dataset.tags())

    def _check(self) -> None:
        if OVERLAPPING_TAG in self._dataset.tags():
            raise UnreadableFile(
                f"{self.path} maps overlapping classes, a band each, where a map of one class a pixel is expected: map with a "
                "model of classes that exclude each other"
            )
        super()._check()

    def _legend_of_values(self) -> Legend:
        seen = np.zeros(256, dtype=np.bool_)
        for block in cut(self.grid.window, SCAN_ROWS, SCAN_COLS):
            seen |= np.bincount(self.read(block).ravel(), minlength=256) > 0
        ids = np.flatnonzero(seen[:VOID]).tolist()
        try:
            table = self._dataset.colormap(1)
        except ValueError:  # rasterio's way to say that there is none
            table = {}
        return Legend(tuple(LandClass(i, f"class {i}", _color(table.get(i), place)) for place, i in enumerate(ids)))


def parsed_legend(text: str, path: Path) -> Legend:
    """The legend in a map's tag; `UnreadableFile` when it is none."""
    try:
        return Legend.from_json(parse_json(text))
    except (ValueError, KeyError, TypeError, AttributeError, BadOption) as error:
        raise UnreadableFile(
            f"{path} has a {LEGEND_TAG} tag that is no legend ({error}): make the file anew"
        ) from error


def _color(entry: tuple[int, ...] | None, place: int) -> str:
    return PALETTE[place % len(PALETTE)] if entry is None else "#{:02X}{:02X}{:02X}".format(*entry[:3])


def read_class_map(path: str | Path) -> ClassMapReader:
    """An open class map. Raises `UnreadableFile`."""
    return ClassMapReader(path)


def open_confidence(path: str | Path) -> ByteReader:
    """An open confidence raster: bytes from 0 to 254 in steps of 1/254 of probability, 255 for nodata.

    `mapwriter.layer_path(map_path, "confidence")` is where `predict` puts it.
    """
    return ByteReader(path)


def write_class_map(
    path: Path,
    ids: NDArray[Any],
    grid: Grid,
    legend: Legend,
    *,
    confidence: NDArray[np.uint8] | None = None,
    tags: Mapping[str, str] | None = None,
) -> tuple[Path, ...]:
    """The files of a class map held in memory: `ids` (height, width) of class ids with 255 for nodata.

    `confidence` (height, width) of bytes is written beside it. Raises `GridMismatch` for another shape than the grid's and
    `UnknownClass` for a value that is in no class.
    """
    for array in (ids, ids if confidence is None else confidence):
        if array.shape != (grid.height, grid.width):
            raise GridMismatch(f"an array of shape {array.shape} on a grid of {grid.height} x {grid.width} px: {path}")
    unknown = sorted(set(np.unique(ids).tolist()) - {*legend.ids, VOID})
    if unknown:
        raise UnknownClass(f"the value {unknown[0]} is no class of the map {path}: the ids are {legend.ids}")
    layers = {"classes": ids.astype(np.uint8)}
    if confidence is not None:
        layers["confidence"] = confidence
    with map_writer(path, grid, legend, MapLayers(confidence=confidence is not None, tags=tags or {})) as writer:
        writer.write(grid.window, layers)
        return writer.finish()
