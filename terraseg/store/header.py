"""What the header of a raster says: its bands with their names and values, and what marks the pixels that hold nothing."""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Any

import numpy as np
import rasterio
import rasterio.windows
from numpy.typing import NDArray
from rasterio.enums import ColorInterp, Resampling

from terraseg.core.grid import Grid
from terraseg.errors import BandMismatch
from terraseg.store.opening import grid_of, open_source, placed_note, placement_of, refuse_nowhere, translated, warped

READ_TYPES = frozenset("int8 uint8 int16 uint16 int32 uint32 float16 float32 float64".split())
"""Pixel types that a model can be made for."""
MEASURED = (0.0, 65_535.0)
"""Stored numbers that a sensor may give; a declared nodata outside is never imagery."""
_RGB = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)
COLORS = ("red", "green", "blue")


@dataclass(frozen=True)
class RasterFacts:
    """What a raster's header says. `bands` names the channels, alpha left out; `nodata` is None when none is declared.

    A band's name is its description, else its colour; without either it is "band_3" by its place, and `named` is false.
    `channels` are the bands' numbers in the file, from 1. `driver` is GDAL's short name. `is_product` tells that the file is
    a map made by terraseg. `dtype` and `nodata` are of the values as they are read: a picture with a colour table has three
    bands of uint8, a scale and an offset are applied. `is_scaled` tells that there are such. `notes` are sentences on what is
    done to the raster as it is read.
    """

    path: str
    driver: str
    grid: Grid
    bands: tuple[str, ...]
    named: bool
    dtype: str
    nodata: float | None
    has_alpha: bool
    channels: tuple[int, ...] = ()
    is_product: bool = False
    is_scaled: bool = False
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Scaling:
    """What turns a band's stored numbers into its values: stored * factor + offset."""

    factor: float = 1.0
    offset: float = 0.0

    @property
    def is_none(self) -> bool:
        """True where the numbers are the values."""
        return self.factor == 1 and self.offset == 0

    def value(self, stored: float | None) -> float | None:
        """The value of a stored number; None of None."""
        return None if stored is None else stored * self.factor + self.offset

    def stored(self, value: float) -> float:
        """The number that stands for a value."""
        return (value - self.offset) / self.factor


class OpenImage:
    """An open file of imagery: its dataset, warped where it has no transform of its own, and what its header says.

    `source` is the file itself, in its own pixels. `colors` is the (entries, 4) table of a picture that has one, whose three
    channels are read from its only band. `alpha` is the number of the channel that holds alpha, None without one. `fill` is
    what a warp puts where a band holds nodata that no sensor measures, None where there is no such. With `stored` no scale
    is applied. Raises
    `UnreadableFile`, and `BandMismatch` for pixels that no model can read.
    """

    def __init__(self, path: str | Path, nodata: float | None = None, *, stored: bool = False) -> None:
        self.path = str(path)
        self._stored = stored
        self.source = open_source(path)
        self.dataset: Any = self.source
        try:
            self._look(nodata)
        except BaseException:
            self.close()
            raise

    def _look(self, nodata: float | None) -> None:
        source = self.source
        self.colors = _color_table(source)
        self.alpha = _alpha(source)
        self.has_alpha = self.alpha is not None
        self.channels = (1, 2, 3) if self.colors is not None else _channels(source, self.alpha)
        _refuse_types(self.path, [source.dtypes[c - 1] for c in self.channels if c <= source.count])
        self.notes: tuple[str, ...] = ()
        self.fill: float | None = None
        placement = placement_of(source)
        if placement is not None:
            how = Resampling.bilinear if self.colors is None else Resampling.nearest
            stored = None if nodata is None else self.scaling(1).stored(nodata)
            declared = [stored] if stored is not None else [self.declared_nodata(c) for c in self.channels]
            if self.alpha is None:
                self.fill = next((value for value in declared if not is_measured(value)), None)
            self.dataset = warped(source, placement, resampling=how, nodata=stored, alpha=self.alpha, fill=self.fill)
            self.alpha = self.alpha or (self.dataset.count if self.fill is None else None)
            self.notes = (placed_note(source, placement, grid_of(self.dataset)),)
        refuse_nowhere(self.path, grid_of(self.dataset))
        self.notes += _notes(self)

    def __enter__(self) -> "OpenImage":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Lets go of the file."""
        self.dataset.close()
        self.source.close()

    @property
    def is_placed(self) -> bool:
        """True when the raster is warped as it is read."""
        return self.dataset is not self.source

    def scaling(self, channel: int) -> Scaling:
        """The scale and the offset that the file declares for a channel, none where numbers are read as stored."""
        if self.colors is not None or self._stored:
            return Scaling()
        factor, offset = float(self.source.scales[channel - 1]), float(self.source.offsets[channel - 1])
        usable = np.isfinite([factor, offset]).all() and factor != 0
        return Scaling(factor, offset) if usable else Scaling()

    def dtype(self, channel: int) -> str:
        """Numpy's name of the type that a channel is read in."""
        if self.colors is not None:
            return "uint8"
        stored = self.source.dtypes[channel - 1]
        return stored if self.scaling(channel).is_none else str(np.result_type(stored, np.float32))

    def declared_nodata(self, channel: int) -> float | None:
        """The stored number that means "no data" in a channel, as the file declares it or a warp writes it."""
        if self.fill is not None:
            return self.fill
        value = self.source.nodatavals[0 if self.colors is not None else channel - 1]
        return None if value is None else float(value)

    def names(self) -> tuple[tuple[str, ...], bool]:
        """The channels' names, and whether the file itself gives all of them."""
        return (COLORS, True) if self.colors is not None else _band_names(self.source, self.channels)


def read_facts(path: str | Path, *, stored: bool = False) -> RasterFacts:
    """The header of a raster; `UnreadableFile` when it has none that GDAL understands, `BandMismatch` for pixels that no
    model can read. With `stored` type and nodata are those of the numbers in the file, not of the values they stand for.
    """
    with OpenImage(path, stored=stored) as image:
        names, named = image.names()
        number = image.declared_nodata(1) if image.channels else None
        return RasterFacts(
            path=str(path),
            driver=image.source.driver,
            grid=grid_of(image.dataset),
            bands=names,
            named=named,
            dtype=str(np.result_type(*[image.dtype(c) for c in image.channels])) if image.channels else "none",
            nodata=number if image.colors is not None or not image.channels else image.scaling(1).value(number),
            has_alpha=image.has_alpha,
            channels=image.channels,
            is_scaled=any(not image.scaling(c).is_none for c in image.channels),
            is_product=any(tag.startswith("TERRASEG_") for tag in image.source.tags()),
            notes=image.notes,
        )


def is_measured(stored: float | None) -> bool:
    """False for a nodata value that no sensor gives: where it stands in one band, the others do not matter."""
    return stored is None or bool(np.isnan(stored)) or MEASURED[0] <= stored <= MEASURED[1]


def _notes(image: OpenImage) -> tuple[str, ...]:
    name = PurePosixPath(image.path).name
    if image.source.crs is not None and not image.is_placed and image.source.transform.is_identity:
        return (
            f"{name} names a CRS and no place in it: it is read as a picture without a place",
            *_changes(image, name),
        )
    return _changes(image, name)


def _changes(image: OpenImage, name: str) -> tuple[str, ...]:
    """What becomes of the stored numbers."""
    if image.colors is not None:
        return (f"{name} is a picture with a colour table: its entries are read as red, green and blue",)
    scaled = [c for c in image.channels if not image.scaling(c).is_none]
    if not scaled:
        return ()
    first = image.scaling(scaled[0])
    which = "its bands" if len(scaled) == len(image.channels) else f"band {scaled[0]}"
    sum_of = f"stored x {first.factor:g} + {first.offset:g}"
    more = ", each band by its own figures" if len({image.scaling(c) for c in scaled}) > 1 else ""
    return (f'{name} declares a scale for {which}: values are {sum_of}{more} (values = "stored" reads the numbers)',)


def _refuse_types(path: str, dtypes: list[str]) -> None:
    strange = sorted(set(dtypes) - READ_TYPES)
    if not strange:
        return
    if strange[0].startswith("complex"):
        cure = "write their amplitude into a float raster first, with gdal_calc.py --calc 'abs(A)' or your SAR tool's export"
    else:
        cure = "convert them to a type of at most 32 bits, with gdal_translate -ot Int32 or Float32"
    raise BandMismatch(f"{path} has pixels of type {strange[0]}, which no model reads: {cure}")


def _channels(dataset: rasterio.DatasetReader, alpha: int | None) -> tuple[int, ...]:
    return tuple(index for index in dataset.indexes if index != alpha)


def _color_table(dataset: rasterio.DatasetReader) -> NDArray[np.uint8] | None:
    """The colours (entries, 4) of a raster of one band that are not just the greys of its own numbers, else None."""
    if (
        dataset.count != 1
        or dataset.colorinterp[0] != ColorInterp.palette
        or dataset.dtypes[0] not in {"uint8", "uint16"}
    ):
        return None
    try:
        entries = dataset.colormap(1)
    except ValueError:  # rasterio's way to say that there is none
        return None
    table = np.zeros((np.iinfo(dataset.dtypes[0]).max + 1, 4), dtype=np.uint8)
    for number, color in entries.items():
        table[number] = color
    plain = [color[:3] == (number,) * 3 for number, color in entries.items()]
    return None if all(plain) else table


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


def _band_names(dataset: rasterio.DatasetReader, channels: tuple[int, ...]) -> tuple[tuple[str, ...], bool]:
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
