"""Which pixels of a scene hold imagery: one mask a raster, from nodata, alpha, masks inside and beside the file, and NaN.

The mask is GDAL's own of the whole file ("dataset mask"), less the pixels in which a band that is read holds no number:

1. Alpha decides alone where there is any, and so does a mask of the whole file, in it or beside it (.msk): 0 is nothing.
2. Otherwise a pixel is nothing where *every* band of the file holds its nodata. A dark pixel that is 0 in one band of three
   is imagery.
3. A band that is not a finite number, or holds a declared nodata that no sensor measures (below 0 or above 65,535), makes its
   pixel nothing, whatever the others hold: such a number must not come as far as a network or a mean.

A nodata value that the user says takes the place of declared ones, and counts beside alpha and masks.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import MaskFlags

from terraseg.store.header import OpenImage, is_measured
from terraseg.store.opening import translated

Region = Any
"""A rasterio window."""
Stored = NDArray[Any]
"""Numbers (height, width) as they stand in the file."""


@dataclass(frozen=True, eq=False)
class ReadBand:
    """One band as it was read: its file's number in the scene, its channel there and its stored numbers."""

    file: int
    channel: int
    stored: Stored


@dataclass(frozen=True, eq=False)
class Validity:
    """The rule of one scene's files; `nodata` is the user's, in values as they are read."""

    files: Sequence[OpenImage]
    nodata: float | None = None

    def valid(self, region: Region, bands: Sequence[ReadBand]) -> NDArray[np.bool_]:
        """Which pixels of a region hold imagery, of the shape of the bands that were read of it."""
        shape = bands[0].stored.shape
        valid = np.ones(shape, dtype=np.bool_)
        for file in self.files:
            mask = _file_mask(file, region, shape)
            if mask is not None:
                valid &= mask
        for band in bands:
            fine = self._is_number(band)
            valid = valid if fine is None else valid & fine
        empty = valid
        for band in bands:
            nodata = self.value(band.file, band.channel)
            if nodata is None:
                return valid
            empty = empty & equal(band.stored, nodata)
            if not empty.any():
                return valid
        return valid & ~self._empty_throughout(empty, region, bands)

    def value(self, file: int, channel: int) -> float | None:
        """The stored number that means "no data" in a channel, None where none does."""
        image = self.files[file]
        if self.nodata is not None:
            return self.nodata if image.colors is not None else image.scaling(channel).stored(self.nodata)
        return image.declared_nodata(channel) if _has_own_nodata(image) else None

    def _is_number(self, band: ReadBand) -> NDArray[np.bool_] | None:
        """Rule 3 for one band; None where every pixel keeps it."""
        rules = [np.isfinite(band.stored)] if band.stored.dtype.kind == "f" else []
        nodata = self.value(band.file, band.channel)
        if not is_measured(nodata):
            rules.append(~equal(band.stored, nodata))
        colors = self.files[band.file].colors
        if colors is not None:
            rules.append(colors[band.stored, 3] > 0)
        return np.asarray(np.logical_and.reduce(rules)) if rules else None

    def _empty_throughout(
        self, empty: NDArray[np.bool_], region: Region, bands: Sequence[ReadBand]
    ) -> NDArray[np.bool_]:
        """Of pixels that hold nodata in the bands that were read, those that hold it in all others of their file too."""
        if len(self.files) > 1 or self.files[0].colors is not None:
            return empty
        image, read = self.files[0], {band.channel for band in bands}
        for channel in image.channels:
            if not empty.any():
                break
            if channel in read:
                continue
            with translated(image.path):
                stored = image.dataset.read(channel, window=region, out_shape=empty.shape)
            empty &= equal(stored, self.value(0, channel))
        return empty


def equal(stored: Stored, nodata: float | None) -> NDArray[np.bool_]:
    """Where stored numbers are a nodata value, as GDAL compares them: in their own type, floats to their last digits.

    >>> equal(np.array([[1, 255]], dtype=np.uint8), 255.0).tolist(), equal(np.array([[0]], dtype=np.uint8), -9999.0).tolist()
    ([[False, True]], [[False]])
    """
    if nodata is None:
        return np.zeros(stored.shape, dtype=np.bool_)
    if stored.dtype.kind != "f":
        limits = np.iinfo(stored.dtype)
        if not limits.min <= nodata <= limits.max or nodata != int(nodata):
            return np.zeros(stored.shape, dtype=np.bool_)
        return np.asarray(stored == stored.dtype.type(int(nodata)))
    if np.isnan(nodata):
        return np.isnan(stored)
    # Pixels may be infinite, and the nodata of a long float too large for a short one.
    with np.errstate(over="ignore", invalid="ignore"):
        value = stored.dtype.type(nodata)
        if np.isinf(value):
            return np.asarray((stored == value) & bool(np.isinf(nodata)))
        return np.asarray(np.abs(stored - value) <= 2 * np.finfo(stored.dtype).eps * np.abs(value))


def _has_own_nodata(image: OpenImage) -> bool:
    """True where nodata values say what is valid: there is neither alpha nor a mask that would."""
    return image.alpha is None and _mask_reader(image) is None


def _file_mask(image: OpenImage, region: Region, shape: tuple[int, ...]) -> NDArray[np.bool_] | None:
    """Rule 1 for one file, None where it has neither alpha nor mask."""
    reader = _mask_reader(image)
    with translated(image.path):
        if image.alpha is not None:
            return np.asarray(image.dataset.read(image.alpha, window=region, out_shape=shape) > 0)
        return None if reader is None else np.asarray(reader(window=region, out_shape=shape) > 0)


def _mask_reader(image: OpenImage) -> Callable[..., NDArray[np.uint8]] | None:
    """What reads the mask of a file without alpha: one of the whole file, or the union of masks of single bands."""
    flags = image.dataset.mask_flag_enums
    if MaskFlags.per_dataset in flags[0]:
        return lambda **place: image.dataset.read_masks(1, **place)
    known = ({MaskFlags.all_valid}, {MaskFlags.nodata})
    return image.dataset.dataset_mask if any(set(of_band) not in known for of_band in flags) else None
