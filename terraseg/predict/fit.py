"""Whether a model fits a raster: from the facts of both before a pixel is read, and from a look at the pixels."""

from collections.abc import Sequence

import numpy as np

from terraseg.core.imagery import ImageryFacts
from terraseg.core.modelspec import ModelSpec
from terraseg.errors import BandMismatch
from terraseg.predict.bands import match_bands
from terraseg.predict.sample import RasterSample
from terraseg.predict.values import Finding, gdal_type, judge_values, ratios, scale_cure, scale_differs, spans

COARSE = 1.5
"""Pixels further apart than this factor are remarked on where they are not resampled."""
ALIKE = 4.0
"""Values within this factor of each other are of one scale, on a bright day and on a dull one."""


def check_fit(spec: ModelSpec, bands: tuple[str, ...], dtype: str, gsd_m: float | None) -> tuple[str, ...]:
    """Notes on a raster that a model can be used on, though it differs; empty when all is well.

    Raises `BandMismatch` when the bands, in the order in which they are read, or the pixel type are not the model's. Bands
    without a name of their own ("band_3", "3") are taken by position. Ground sample distances are metres, None when unknown.
    """
    match = match_bands(spec.bands, bands)
    if match.places != tuple(range(len(bands))):
        raise BandMismatch(
            f"the raster's bands come as {', '.join(bands)} and the model reads them as {', '.join(spec.bands)}: "
            f"pass these bands alone, in this order"
        )
    if not _same_type(spec.dtype, dtype):
        raise BandMismatch(_type_text(spec, dtype, None))
    return _resolution_notes(spec, gsd_m)


def judge_raster(
    spec: ModelSpec, sample: RasterSample | None, *, dtype: str, nodata: Sequence[float | None]
) -> tuple[Finding, ...]:
    """What pixel type and values of a raster have against a model that reads its bands; empty when all is well.

    Without a `sample`, or with a model that does not say what its training imagery was like, only the type is looked at.
    Whole numbers of 16 bits and more are taken for each other. Raises `BandMismatch` for a type that the model cannot read.
    """
    known = spec.imagery
    if known is None or sample is None:
        if not (_same_type(spec.dtype, dtype) or _both_wide(spec.dtype, dtype)):
            raise BandMismatch(_type_text(spec, dtype, None))
        return ()
    if not (_same_type(spec.dtype, dtype) or _both_wide(spec.dtype, dtype) or _holds(known, spec.dtype, dtype, sample)):
        raise BandMismatch(_type_text(spec, dtype, sample))
    findings = judge_values(known, sample, dtype=spec.dtype, nodata=nodata)
    if _same_type(spec.dtype, dtype) or any(finding.refused for finding in findings):
        return findings
    note = f"the raster's pixels are {dtype} and the model reads {spec.dtype}: the values are taken as they are"
    return (*findings, Finding(note, False))


def _same_type(model: str, raster: str) -> bool:
    return model == raster or (np.dtype(model).kind == "f" and np.dtype(raster).kind == "f")


def _both_wide(model: str, raster: str) -> bool:
    return all(np.dtype(name).kind in "iu" and np.dtype(name).itemsize > 1 for name in (model, raster))


def _holds(known: ImageryFacts, model: str, raster: str, sample: RasterSample) -> bool:
    """True when a model's type takes a raster's values as they are, and they are such as it was trained on."""
    return np.can_cast(raster, model) and max(known.at(99)) <= _limit(raster) and not scale_differs(known, sample)


def _limit(dtype: str) -> float:
    return float(np.iinfo(dtype).max) if np.dtype(dtype).kind in "iu" else float("inf")


def _type_text(spec: ModelSpec, dtype: str, sample: RasterSample | None) -> str:
    found = f"the raster's pixels are {dtype} and the model was trained on {spec.dtype}"
    if sample is not None and spec.imagery is not None:
        return f"{found}; {spans(spec.imagery, sample)}: {_type_cure(spec.imagery, spec.dtype, dtype, sample)}"
    if np.dtype(spec.dtype).kind == "f":
        cure = "convert the raster as the training imagery was converted, reflectances to fractions for example"
    elif np.dtype(dtype).itemsize > np.dtype(spec.dtype).itemsize:
        cure = f"scale it down as the training imagery was, with gdal_translate -ot {gdal_type(spec.dtype)} -scale"
    else:
        cure = "pass the imagery as it was before it was reduced"
    return f"{found}, so the same value means another brightness: {cure}, or use a model trained on {dtype}"


def _type_cure(known: ImageryFacts, model: str, raster: str, sample: RasterSample) -> str:
    fits = max(sample.highest) <= _limit(model) and max(known.at(99)) <= _limit(raster)
    alike = 1 / ALIKE <= float(np.median(ratios(known, sample))) <= ALIKE
    if fits and alike:
        return f"the values are alike and only the type is not; write them with gdal_translate -ot {gdal_type(model)}"
    return f"{scale_cure(known, sample, model)}, or use a model trained on {raster}"


def settle(findings: Sequence[Finding], *, refuse: bool) -> tuple[str, ...]:
    """The findings as notes. With `refuse`, `BandMismatch` for the first that would give a map of nonsense."""
    for finding in findings:
        if finding.refused and refuse:
            raise BandMismatch(f"{finding.text}; if the raster is right all the same, pass --fit warn")
    return tuple(finding.text for finding in findings)


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
