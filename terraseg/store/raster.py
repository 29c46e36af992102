"""Reading imagery: any raster that GDAL opens, with one file per scene or one per band, window by window."""

from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import numpy as np
import rasterio.windows
from numpy.typing import NDArray
from rasterio.enums import Resampling

from terraseg.core.dataset import Imagery
from terraseg.core.spectral import DTYPE
from terraseg.core.window import Window
from terraseg.errors import BandMismatch, GridMismatch
from terraseg.pixels.spectral import with_indices
from terraseg.store.header import OpenImage
from terraseg.store.opening import grid_of, translated
from terraseg.store.validity import ReadBand, Validity


@dataclass(frozen=True)
class Patch:
    """Pixels of a window: `pixels` (bands, height, width) in the raster's dtype, `valid` (height, width) of bool."""

    pixels: NDArray[Any]
    valid: NDArray[np.bool_]


class RasterReader:
    """An open scene, read window by window; a context manager. Use one per thread: GDAL handles are not shared.

    Bands come in the order that `Imagery.bands` asks for, spectral indices after them, and then all of them as float32.
    What pixels are valid is told in `store.validity`. `notes` are sentences on what is done to the files as they are read:
    warped onto the ground, expanded from a colour table, scaled.
    """

    def __init__(self, imagery: Imagery) -> None:
        self._stack = ExitStack()
        self.imagery = imagery
        self.bands = imagery.bands
        try:
            self._files = [
                self._stack.enter_context(OpenImage(path, imagery.nodata, stored=imagery.stored))
                for path in imagery.paths
            ]
            self.grid = grid_of(self._files[0].dataset)
            self._sources = self._select()
        except BaseException:
            self._stack.close()
            raise
        self._validity = Validity(self._files, imagery.nodata)
        self.notes = tuple(note for file in self._files for note in file.notes)
        self._file_dtype = str(np.result_type(*[self._files[f].dtype(channel) for f, channel in self._sources]))
        self.dtype = self._file_dtype
        if imagery.indices is not None:
            self.bands, self.dtype = (*imagery.bands, *imagery.indices.names), DTYPE

    def __enter__(self) -> "RasterReader":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def nodata(self) -> tuple[float | None, ...]:
        """For each band of the files the value that means "no data", None where there is none."""
        return tuple(
            self._files[file].scaling(channel).value(self._validity.value(file, channel))
            for file, channel in self._sources
        )

    @property
    def file_dtype(self) -> str:
        """The type of the bands that the files hold, without the indices."""
        return self._file_dtype

    @property
    def declared(self) -> float | str | None:
        """What means "no data" by the first file: "alpha" where it has such a band, else the value of the first band."""
        return "alpha" if self._files[0].has_alpha else self.nodata[0]

    def close(self) -> None:
        """Lets go of the files."""
        self._stack.close()

    def read(self, window: Window) -> Patch:
        """The pixels of a window, which must lie inside the raster."""
        if window.is_empty or not self.grid.window.contains(window):
            raise ValueError(f"{window} does not lie inside a raster of {self.grid.height} x {self.grid.width} pixels")
        return self._read(window, (window.height, window.width))

    def read_overview(self, max_side: int) -> Patch:
        """The whole scene, averaged down so that its longer side has at most `max_side` pixels."""
        shrink = max(1.0, max(self.grid.height, self.grid.width) / max_side)
        shape = (max(1, round(self.grid.height / shrink)), max(1, round(self.grid.width / shrink)))
        return self._read(self.grid.window, shape)

    def _read(self, window: Window, shape: tuple[int, int]) -> Patch:
        region = rasterio.windows.Window(window.col, window.row, window.width, window.height)
        same_size = shape == (window.height, window.width)
        stored = self._stored(region, shape, Resampling.nearest if same_size else Resampling.average)
        pixels = _stacked(
            [self._values(band, channel) for band, (_, channel) in zip(stored, self._sources, strict=True)],
            self._file_dtype,
        )
        valid, indices = self._validity.valid(region, stored), self.imagery.indices
        return Patch(pixels if indices is None else with_indices(pixels, self.imagery.bands, indices), valid)

    def _stored(self, region: Any, shape: tuple[int, int], how: Resampling) -> list[ReadBand]:
        """The bands as they stand in the files, in the order of the sources; a picture with a colour table is read once."""
        found: dict[tuple[int, int], ReadBand] = {}
        for number, file in enumerate(self._files):
            wanted = sorted({channel for f, channel in self._sources if f == number})
            if not wanted:
                continue
            channels = wanted if file.colors is None else [1]
            with translated(file.path):
                read = file.dataset.read(
                    channels,
                    window=region,
                    out_shape=(len(channels), *shape),
                    resampling=how if file.colors is None else Resampling.nearest,
                )
            for place, channel in enumerate(wanted):
                found[number, channel] = ReadBand(number, channel, read[place if file.colors is None else 0])
        return [found[source] for source in self._sources]

    def _values(self, band: ReadBand, channel: int) -> NDArray[Any]:
        """The values of a band's stored numbers."""
        file = self._files[band.file]
        if file.colors is not None:
            return np.asarray(file.colors[band.stored, channel - 1])
        scaling = file.scaling(channel)
        if scaling.is_none:
            return band.stored
        exact = band.stored.astype(file.dtype(channel))
        return np.asarray(exact * exact.dtype.type(scaling.factor) + exact.dtype.type(scaling.offset))

    def _select(self) -> list[tuple[int, int]]:
        """For each wanted band, the file and the channel that hold it."""
        first, wanted = self._files[0], self.bands
        for other in self._files[1:]:
            if not grid_of(other.dataset).same_place(self.grid):
                raise GridMismatch(
                    f"{other.path} ({_size(other)}) does not lie on the grid of {first.path} ({_size(first)}): the files of "
                    "one scene must share size, CRS and corners"
                )
        if self.imagery.channels:
            return self._told(self.imagery.channels)
        if len(self._files) > 1:
            if len(self._files) != len(wanted):
                raise BandMismatch(f"{len(self._files)} files for {len(wanted)} bands at {first.path}: one file a band")
            return [(number, file.channels[0]) for number, file in enumerate(self._files)]
        names, named = first.names()
        if (named or set(names[:3]) == {"red", "green", "blue"}) and set(wanted) <= set(names):
            return [(0, first.channels[names.index(name)]) for name in wanted]
        if len(first.channels) != len(wanted):
            raise BandMismatch(
                f"{first.path} has {len(names)} bands ({', '.join(names)}) where {len(wanted)} are expected "
                f"({', '.join(wanted)}): pass imagery with these bands, or name its bands by their descriptions"
            )
        return [(0, channel) for channel in first.channels]

    def _told(self, channels: tuple[int, ...]) -> list[tuple[int, int]]:
        """The file and the channel of each band where both are said."""
        if len(channels) != len(self.bands) or len(self._files) not in (1, len(channels)):
            raise ValueError(f"{len(channels)} channels in {len(self._files)} files for the bands {self.bands}")
        sources = [(0 if len(self._files) == 1 else n, channel) for n, channel in enumerate(channels)]
        for number, channel in sources:
            file = self._files[number]
            count = 3 if file.colors is not None else file.source.count
            if channel > count:
                raise BandMismatch(f"{file.path} has {count} bands, and band {channel} is asked for")
        return sources


def _stacked(bands: list[NDArray[Any]], dtype: str) -> NDArray[Any]:
    """Bands (height, width) as one array; where they lie in one already, one after the other, that array and no copy."""
    whole = bands[0].base
    if whole is not None and _is_stack(whole, bands, dtype):
        return np.asarray(whole)
    stacked = np.empty((len(bands), *bands[0].shape), dtype=dtype)
    for place, band in enumerate(bands):
        stacked[place] = band
    return stacked


def _is_stack(whole: NDArray[Any], bands: list[NDArray[Any]], dtype: str) -> bool:
    """True for an array (bands, height, width) whose parts are the bands, in their order."""
    if whole.shape != (len(bands), *bands[0].shape) or whole.dtype != dtype:
        return False
    return all(b.__array_interface__ == w.__array_interface__ for b, w in zip(bands, whole, strict=True))


def _size(file: OpenImage) -> str:
    return f"{file.dataset.height} x {file.dataset.width} px"


def open_raster(imagery: Imagery) -> RasterReader:
    """An open scene. Raises `UnreadableFile`, `BandMismatch` or `GridMismatch`."""
    return RasterReader(imagery)
