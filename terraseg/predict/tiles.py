"""From a raster to the tiles a model scores: read, filled where nothing is valid, mirrored where the raster ends."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from terraseg.core.grid import Grid
from terraseg.core.modelspec import ModelSpec
from terraseg.core.window import Window
from terraseg.pixels.resample import filled_near
from terraseg.pixels.tiling import Lattice


class Pixels(Protocol):
    """Raw pixels (bands, height, width) of a window, and which of them (height, width) are valid."""

    @property
    def pixels(self) -> NDArray[Any]:
        """Raw values in the raster's dtype."""
        ...

    @property
    def valid(self) -> NDArray[np.bool_]:
        """False where the raster holds nothing."""
        ...


class RasterSource(Protocol):
    """An open raster, read window by window from one thread at a time."""

    @property
    def grid(self) -> Grid:
        """Where the pixels lie."""
        ...

    @property
    def bands(self) -> tuple[str, ...]:
        """Names of the channels that `read` gives, in order."""
        ...

    @property
    def dtype(self) -> str:
        """Numpy's name of the pixel type."""
        ...

    def read(self, window: Window) -> Pixels:
        """The pixels of a window inside the raster."""
        ...


class Inside(Protocol):
    """An area of a raster that is asked for."""

    def inside(self, window: Window) -> NDArray[np.bool_]:
        """Which pixels (height, width) of a window belong to it."""
        ...


@dataclass(frozen=True, eq=False)
class Cast:
    """`Pixels` in another type."""

    pixels: NDArray[Any]
    valid: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class FittedSource:
    """A raster made ready for a model: its pixels in the type `dtype`, and with an `area` a map of that alone.

    What lies outside the area is read, so that the model sees what surrounds it, and is nodata in the map. Where its pixels
    are to be resampled, and not in whole squares, those that are not valid are filled by the valid ones within `reach`.
    """

    source: RasterSource
    dtype: str
    area: Inside | None = None
    reach: int = 0

    @property
    def grid(self) -> Grid:
        """Where the pixels lie."""
        return self.source.grid

    @property
    def bands(self) -> tuple[str, ...]:
        """Names of the channels."""
        return self.source.bands

    def read(self, window: Window) -> Pixels:
        """The pixels of a window inside the raster."""
        patch = self.source.read(window)
        return patch if patch.pixels.dtype == self.dtype else Cast(cast(patch.pixels, self.dtype), patch.valid)


@dataclass(frozen=True)
class Tile:
    """Tile (row, col) of a lattice: `pixels` (bands, tile, tile) fit to be scored, None when no pixel is valid.

    `valid` has the shape of `window`, which is smaller than the tile where the raster is; it is False where the map holds
    nothing: where the raster does not, and outside an area that is asked for.
    """

    row: int
    col: int
    window: Window
    pixels: NDArray[Any] | None
    valid: NDArray[np.bool_]


def read_tile(source: RasterSource, lattice: Lattice, spec: ModelSpec, place: tuple[int, int]) -> Tile:
    """The tile at `place` (row, column), in the model's dtype.

    Invalid pixels, and single values that are not finite, become the model's mean of their band, which it sees as zero, or
    with the `reach` of a `FittedSource` the mean of the valid ones near them. Beyond the edge of the raster its pixels are
    mirrored, below and to the right.
    """
    window = lattice.window(*place)
    area = source.area if isinstance(source, FittedSource) else None
    inside = None if area is None else area.inside(window)
    if inside is not None and not inside.any():
        return Tile(*place, window, None, inside)
    patch = source.read(window)
    mapped = patch.valid if inside is None else patch.valid & inside
    if not mapped.any():
        return Tile(*place, window, None, mapped)
    pixels = fill(patch.pixels, patch.valid, spec.mean)
    if isinstance(source, FittedSource) and source.reach:
        pixels = filled_near(pixels, patch.valid, source.reach)
    pixels = mirror(pixels, lattice.tile)
    return Tile(*place, window, pixels.astype(spec.dtype, copy=False), mapped)


def cast(pixels: NDArray[Any], dtype: str) -> NDArray[Any]:
    """Pixels in another type; what a type of whole numbers cannot hold becomes the nearest that it can.

    >>> cast(np.array([-5, 9], dtype=np.int16), "uint16").tolist()
    [0, 9]
    """
    if np.dtype(dtype).kind in "iu" and pixels.dtype.kind in "iu":
        limits = np.iinfo(dtype)
        return np.asarray(np.clip(pixels, limits.min, limits.max), dtype=dtype)
    # Invalid pixels may hold numbers that a shorter float cannot.
    with np.errstate(over="ignore", invalid="ignore"):
        return pixels.astype(dtype)


def fill(pixels: NDArray[Any], valid: NDArray[np.bool_], values: tuple[float, ...]) -> NDArray[Any]:
    """Pixels (bands, height, width) with each band's value, in their dtype, where they are invalid or not finite.

    Integer bands get the nearest integer that their dtype holds. The array given is not changed.

    >>> fill(np.array([[[7, 9]]], dtype=np.uint8), np.array([[True, False]]), (300.0,)).tolist()
    [[[7, 255]]]
    """
    good = np.broadcast_to(valid, pixels.shape)
    if pixels.dtype.kind == "f":
        good = good & np.isfinite(pixels)
    if good.all():
        return pixels
    band_values = np.array(values, dtype=np.float64)
    if pixels.dtype.kind != "f":
        limits = np.iinfo(pixels.dtype)
        band_values = np.clip(np.rint(band_values), limits.min, limits.max)
    return np.where(good, pixels, band_values.astype(pixels.dtype)[:, None, None])


def mirror(pixels: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    """Pixels (bands, height, width) of at least `size`, mirrored below and to the right as networks fill up what they are given.

    >>> mirror(np.array([[[1, 2, 3]]]), (1, 5))[0, 0].tolist()
    [1, 2, 3, 3, 2]
    """
    below, right = (max(0, least - side) for side, least in zip(pixels.shape[1:], size, strict=True))
    if not below and not right:
        return pixels
    return np.pad(pixels, ((0, 0), (0, below), (0, right)), mode="symmetric")
