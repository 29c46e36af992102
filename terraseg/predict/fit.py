"""Whether a model fits a raster, from the facts of both, before a pixel is read."""

import re

import numpy as np

from terraseg.core.modelspec import ModelSpec
from terraseg.errors import BandMismatch

COARSE = 1.5
"""Ground sample distances further apart than this factor are worth a word."""


def check_fit(spec: ModelSpec, bands: tuple[str, ...], dtype: str, gsd_m: float | None) -> tuple[str, ...]:
    """Notes on a raster that a model can be used on, though it differs; empty when all is well.

    Raises `BandMismatch` when the bands or the pixel type are not the model's. Bands without a name of their own
    ("band_3", "3") are taken by position. Ground sample distances are metres, None when unknown.
    """
    _check_bands(spec, bands)
    _check_dtype(spec, dtype)
    return _resolution_notes(spec, gsd_m)


def _check_bands(spec: ModelSpec, bands: tuple[str, ...]) -> None:
    wanted, found = [b.lower() for b in spec.bands], [b.lower() for b in bands]
    if len(wanted) != len(found):
        missing = [b for b in spec.bands if b.lower() not in found]
        cure = f"add {', '.join(missing)}" if missing and len(wanted) > len(found) else "pass the bands it wants"
        raise BandMismatch(
            f"the model reads {len(wanted)} bands ({', '.join(spec.bands)}) and the raster has {len(found)} "
            f"({', '.join(bands)}): {cure}, in the model's order, or use a model trained on such imagery"
        )
    differing = [(w, f) for w, f in zip(wanted, found, strict=True) if w != f and not (_unnamed(w) or _unnamed(f))]
    if differing and sorted(wanted) == sorted(found):
        raise BandMismatch(
            f"the raster's bands come as {', '.join(bands)} and the model reads them as {', '.join(spec.bands)}: "
            f"pass the bands in the model's order"
        )
    if differing:
        w, f = differing[0]
        raise BandMismatch(
            f"the raster has the band {f!r} where the model reads {w!r} ({', '.join(spec.bands)}): pass imagery with the "
            f"model's bands; if only the name is wrong, mend the band's description in the file"
        )


def _unnamed(band: str) -> bool:
    return re.fullmatch(r"(band[ _-]?)?\d+", band) is not None


def _check_dtype(spec: ModelSpec, dtype: str) -> None:
    if dtype == spec.dtype or (np.dtype(dtype).kind == "f" and np.dtype(spec.dtype).kind == "f"):
        return
    if np.dtype(spec.dtype).kind == "f":
        cure = "convert the raster as the training imagery was converted, reflectances to fractions for example"
    elif np.dtype(dtype).itemsize > np.dtype(spec.dtype).itemsize:
        cure = f"scale it down as the training imagery was, with gdal_translate -ot {_gdal_type(spec.dtype)} -scale"
    else:
        cure = "pass the imagery as it was before it was reduced"
    raise BandMismatch(
        f"the raster's pixels are {dtype} and the model was trained on {spec.dtype}, so the same value means another "
        f"brightness: {cure}, or use a model trained on {dtype}"
    )


def _gdal_type(dtype: str) -> str:
    return {"uint8": "Byte", "int8": "Int8", "uint16": "UInt16", "int16": "Int16"}.get(dtype, dtype.capitalize())


def _resolution_notes(spec: ModelSpec, gsd_m: float | None) -> tuple[str, ...]:
    if spec.gsd_m is None or gsd_m is None:
        return ()
    factor = gsd_m / spec.gsd_m
    if max(factor, 1 / factor) < COARSE:
        return ()
    how = f"{factor:.1f} times coarser" if factor > 1 else f"{1 / factor:.1f} times finer"
    return (
        f"the raster's pixels are {gsd_m:.3g} m on the ground, {how} than the {spec.gsd_m:.3g} m the model was trained "
        f"on: objects look the wrong size to it; resample the raster to about {spec.gsd_m:.3g} m for a better map",
    )
