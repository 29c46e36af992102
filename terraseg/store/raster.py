"""Reading imagery: any raster that GDAL opens, with one file per scene or one per band, window by window."""

import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import rasterio
import rasterio.windows
from numpy.typing import NDArray
from rasterio.enums import ColorInterp, MaskFlags, Resampling
from rasterio.errors import NotGeoreferencedWarning, RasterioError

from terraseg.core.dataset import Imagery
from terraseg.core.grid import Grid
from terraseg.core.window import Window
from terraseg.errors import BandMismatch, GridMismatch, UnreadableFile


@dataclass(frozen=True)
class RasterFacts:
    """What a raster's header says. `bands` names the channels, alpha left out; `nodata` is None when none is declared.

    A band's name is its description, else its colour; without either it is "band_3" by its place, and `named` is false.
    `channels` are the bands' numbers in the file, from 1. `driver` is GDAL's short name. `is_palette` tells that pixel
    values are entries of a colour table, `is_product` that the file is a map made by terraseg.
    """

    path: str
    driver: str
    grid: Grid
    bands: tuple[str, ...]
    named: bool
    dtype: str
    nodata: float | None
    has_alpha: bool
    is_palette: bool
    channels: tuple[int, ...] = ()
    is_product: bool = False


@dataclass(frozen=True)
class Patch:
    """Pixels of a window: `pixels` (bands, height, width) in the raster's dtype, `valid` (height, width) of bool."""

    pixels: NDArray[Any]
    valid: NDArray[np.bool_]


@contextmanager
def translated(path: str | Path) -> Iterator[None]:
    """Library errors on reading `path`, raised as `UnreadableFile` with one sentence."""
    try:
        yield
    except (RasterioError, OSError) as error:
        if not str(path).startswith("/vsi") and "://" not in str(path) and not Path(path).exists():
            raise UnreadableFile(f"{path} does not exist: check the path, or the pattern that names it") from error
        reason = str(error.__cause__ or error).splitlines()[0].removesuffix(".")
        raise UnreadableFile(
            f"{path} cannot be read ({reason}): the file is damaged, cut short or no raster; export or download it again"
        ) from error


LOCAL_ARCHIVES = ("/vsimem/", "/vsizip/", "/vsitar/", "/vsigzip/", "/vsisubfile/")


def is_remote(path: str) -> bool:
    """True for an address that leads off this machine: a URL, or one of GDAL's virtual ones.

    >>> is_remote("https://example.org/a.tif"), is_remote("/vsicurl/https://x/a.tif"), is_remote("/vsizip/a.zip/a.tif")
    (True, True, False)
    """
    inside = path
    while inside.startswith(LOCAL_ARCHIVES):
        inside = inside[inside.index("/", 1) :].lstrip("/")
        inside = f"/{inside}" if inside.startswith("vsi") else inside
    return "://" in inside or inside.startswith("/vsi")


def gdal_path(path: str) -> str:
    """A path or an address as GDAL opens it with the user's own credentials: s3://, gs:// and az:// become virtual paths.

    >>> gdal_path("s3://bucket/a.tif"), gdal_path("a.tif")
    ('/vsis3/bucket/a.tif', 'a.tif')
    """
    scheme, mark, rest = path.partition("://")
    virtual = {"s3": "/vsis3/", "gs": "/vsigs/", "az": "/vsiaz/"}.get(scheme)
    return f"{virtual}{rest}" if mark and virtual else path


def open_dataset(path: str | Path) -> rasterio.DatasetReader:
    """A rasterio dataset, or `UnreadableFile`."""
    with translated(path), warnings.catch_warnings():
        # Imagery without a CRS is an ordinary case here; the grid says so.
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        return rasterio.open(path)


def grid_of(dataset: rasterio.DatasetReader) -> Grid:
    """The grid of an open dataset; a transform that is only the default counts as none, with no CRS."""
    t = dataset.transform
    crs = _crs_text(dataset)
    return Grid(crs, (t.a, t.b, t.c, t.d, t.e, t.f), dataset.height, dataset.width)


def _crs_text(dataset: rasterio.DatasetReader) -> str | None:
    if dataset.crs is None or (dataset.transform.is_identity and dataset.gcps[0]):
        return None
    epsg = dataset.crs.to_epsg()
    return f"EPSG:{epsg}" if epsg is not None else str(dataset.crs.to_wkt())


def read_facts(path: str | Path) -> RasterFacts:
    """The header of a raster; `UnreadableFile` when it has none that GDAL understands."""
    with open_dataset(path) as dataset:
        channels = _channels(dataset)
        names, named = _band_names(dataset, channels)
        return RasterFacts(
            path=str(path),
            driver=dataset.driver,
            grid=grid_of(dataset),
            bands=names,
            named=named,
            dtype=str(np.result_type(*[dataset.dtypes[c - 1] for c in channels])) if channels else "none",
            nodata=dataset.nodata,
            has_alpha=_alpha(dataset) is not None,
            is_palette=ColorInterp.palette in dataset.colorinterp,
            channels=tuple(channels),
            is_product=any(tag.startswith("TERRASEG_") for tag in dataset.tags()),
        )


def _channels(dataset: rasterio.DatasetReader) -> list[int]:
    alpha = _alpha(dataset)
    return [index for index in dataset.indexes if index != alpha]


def _alpha(dataset: rasterio.DatasetReader) -> int | None:
    """The channel that holds alpha: one declared as such, or an undeclared fourth byte beside red, green and blue.

    Drone mosaics often lose the declaration. A fourth band without a name that holds nothing but 0 and 255 is an alpha
    band; nine windows spread over the raster are looked at.
    """
    interpretation = dataset.colorinterp
    if ColorInterp.alpha in interpretation:
        return int(interpretation.index(ColorInterp.alpha)) + 1
    unnamed = dataset.count == 4 and interpretation[3] == ColorInterp.undefined and not dataset.descriptions[3]
    if not (unnamed and dataset.dtypes[3] == "uint8" and interpretation[:3] == _RGB):
        return None
    seen: set[int] = set()
    for row in (0.0, 0.5, 1.0):
        for col in (0.0, 0.5, 1.0):
            height, width = min(256, dataset.height), min(256, dataset.width)
            top, left = int(row * (dataset.height - height)), int(col * (dataset.width - width))
            with translated(dataset.name):
                block = dataset.read(4, window=rasterio.windows.Window(left, top, width, height))
            seen |= set(np.unique(block).tolist())
    return 4 if 255 in seen and seen <= {0, 255} else None


_RGB = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)


def _band_names(dataset: rasterio.DatasetReader, channels: list[int]) -> tuple[tuple[str, ...], bool]:
    """Channel names, and whether the file itself gives all of them (by description or as red, green and blue).

    A fourth band without a name beside red, green and blue is taken for near infrared.
    """
    colors = [dataset.colorinterp[c - 1] for c in channels]
    described = [(dataset.descriptions[c - 1] or "").strip().lower() for c in channels]
    if not _differ(described):
        described = [""] * len(channels)
    names = [name or (color.name if color in _RGB else "") for name, color in zip(described, colors, strict=True)]
    if not _differ(names) or (not all(described) and set(_RGB) - set(colors)):
        names = [""] * len(channels)
    is_named = bool(names) and all(names)
    if len(names) == 4 and set(names[:3]) == {"red", "green", "blue"} and not names[3]:
        names[3] = "nir"
    return tuple(name or f"band_{n}" for n, name in enumerate(names, start=1)), is_named


def _differ(names: list[str]) -> bool:
    """True when no two of the names that are not empty are the same."""
    given = [name for name in names if name]
    return len(set(given)) == len(given)


class RasterReader:
    """An open scene, read window by window; a context manager. Use one per thread: GDAL handles are not shared.

    Bands come in the order that `Imagery.bands` asks for. A pixel is not valid where alpha or a mask is 0, where every
    band holds nodata, and where any band is not a finite number.
    """

    def __init__(self, imagery: Imagery) -> None:
        self._stack = ExitStack()
        self._datasets = [self._stack.enter_context(open_dataset(path)) for path in imagery.paths]
        self.imagery = imagery
        self.grid = grid_of(self._datasets[0])
        self.bands = imagery.bands
        try:
            self._sources = self._select()
            self._masks = [_mask_band(dataset) for dataset in self._datasets]
        except BaseException:
            self._stack.close()
            raise
        dtypes = [self._datasets[d].dtypes[channel - 1] for d, channel in self._sources]
        self.dtype = str(np.result_type(*dtypes))

    def __enter__(self) -> "RasterReader":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def nodata(self) -> tuple[float | None, ...]:
        """For each band the value that means "no data", None where there is none."""
        return tuple(self._nodata_of(dataset, channel) for dataset, channel in self._sources)

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
        pixels = np.empty((len(self._sources), *shape), dtype=self.dtype)
        same_size = shape == (window.height, window.width)
        how = Resampling.nearest if same_size else Resampling.average
        for number, dataset in enumerate(self._datasets):
            places = [i for i, (d, _) in enumerate(self._sources) if d == number]
            channels = [self._sources[i][1] for i in places]
            if channels:
                with translated(dataset.name):
                    read = dataset.read(channels, window=region, out_shape=(len(channels), *shape), resampling=how)
                pixels[places] = read
        return Patch(pixels, self._valid(region, pixels))

    def _valid(self, region: rasterio.windows.Window, pixels: NDArray[Any]) -> NDArray[np.bool_]:
        valid = np.ones(pixels.shape[1:], dtype=np.bool_)
        if pixels.dtype.kind == "f":
            valid &= np.isfinite(pixels).all(axis=0)
        nodata = [self._nodata_of(d, channel) for d, channel in self._sources]
        if all(value is not None and not np.isnan(value) for value in nodata):
            values = np.array(nodata, dtype=np.float64)[:, None, None]
            valid &= ~(pixels == values).all(axis=0)
        for dataset, band in zip(self._datasets, self._masks, strict=True):
            if band is None:
                continue
            with translated(dataset.name):
                if band == DATASET_MASK:
                    mask = dataset.read_masks(1, window=region, out_shape=pixels.shape[1:])
                else:
                    mask = dataset.read(band, window=region, out_shape=pixels.shape[1:])
            valid &= mask > 0
        return valid

    def _nodata_of(self, dataset: int, channel: int) -> float | None:
        if self.imagery.nodata is not None:
            return self.imagery.nodata
        value = self._datasets[dataset].nodatavals[channel - 1]
        return None if value is None else float(value)

    def _select(self) -> list[tuple[int, int]]:
        """For each wanted band, the dataset and the channel that hold it."""
        first, wanted = self._datasets[0], self.bands
        for other in self._datasets[1:]:
            if not grid_of(other).same_place(self.grid):
                raise GridMismatch(
                    f"{other.name} ({other.height} x {other.width} px) does not lie on the grid of {first.name} "
                    f"({first.height} x {first.width} px): the files of one scene must share size, CRS and corners"
                )
        if self.imagery.channels:
            return self._told(self.imagery.channels)
        if len(self._datasets) > 1:
            if len(self._datasets) != len(wanted):
                raise BandMismatch(
                    f"{len(self._datasets)} files for {len(wanted)} bands at {first.name}: one file a band"
                )
            return [(number, _channels(dataset)[0]) for number, dataset in enumerate(self._datasets)]
        channels = _channels(first)
        names, named = _band_names(first, channels)
        if (named or set(names[:3]) == {"red", "green", "blue"}) and set(wanted) <= set(names):
            return [(0, channels[names.index(name)]) for name in wanted]
        if len(channels) != len(wanted):
            raise BandMismatch(
                f"{first.name} has {len(channels)} bands ({', '.join(names)}) where {len(wanted)} are expected "
                f"({', '.join(wanted)}): pass imagery with these bands, or name its bands by their descriptions"
            )
        return [(0, channel) for channel in channels]

    def _told(self, channels: tuple[int, ...]) -> list[tuple[int, int]]:
        """The dataset and the channel of each band where both are said."""
        if len(channels) != len(self.bands) or len(self._datasets) not in (1, len(channels)):
            raise ValueError(f"{len(channels)} channels in {len(self._datasets)} files for the bands {self.bands}")
        sources = [(0 if len(self._datasets) == 1 else n, channel) for n, channel in enumerate(channels)]
        for number, channel in sources:
            if channel > self._datasets[number].count:
                count = self._datasets[number].count
                raise BandMismatch(f"{self._datasets[number].name} has {count} bands, and band {channel} is asked for")
        return sources


DATASET_MASK = 0


def _mask_band(dataset: rasterio.DatasetReader) -> int | None:
    """The channel that holds alpha, `DATASET_MASK` for a mask beside the bands, None where neither says anything."""
    alpha = _alpha(dataset)
    if alpha is not None:
        return alpha
    return DATASET_MASK if dataset.mask_flag_enums[0] == [MaskFlags.per_dataset] else None


def open_raster(imagery: Imagery) -> RasterReader:
    """An open scene. Raises `UnreadableFile`, `BandMismatch` or `GridMismatch`."""
    return RasterReader(imagery)
