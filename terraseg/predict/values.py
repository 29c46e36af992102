"""Whether a raster's values are of the kind that a model was trained on."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from terraseg.core.imagery import ImageryFacts
from terraseg.predict.sample import Fill, RasterSample

APART = 12.0
"""Values that are larger, or smaller, by this factor in every band are on another scale."""
BYTE = 255
FEW, MANY = 0.001, 0.01
WARM, COLD = 0.6, 0.4


@dataclass(frozen=True)
class Finding:
    """What does not fit, with the cure; `refused` when scoring such a raster would give a map of nonsense."""

    text: str
    refused: bool


def judge_values(
    known: ImageryFacts, seen: RasterSample, *, dtype: str, nodata: Sequence[float | None]
) -> tuple[Finding, ...]:
    """What a look at the pixels has against a raster of bands that a model reads; empty when all is well.

    `dtype` is the model's, `nodata` what is declared for each band. The bounds are wide: a dark scene is not refused by a
    model of bright ones, and saturated roofs are no missing imagery.
    """
    filled = [fill for fill in seen.fills if _is_missing(fill, known)]
    if filled:
        return (Finding(_fill_text(filled[0], nodata), True),)
    if scale_differs(known, seen):
        return (Finding(f"{spans(known, seen)}: {scale_cure(known, seen, dtype)}", True),)
    holes = _holes(known, seen, nodata)
    if holes:
        return (Finding(holes, True),)
    notes = []
    if all(low > high for low, high in zip(seen.at(50), known.at(99), strict=True)) or all(
        high < low for high, low in zip(seen.at(99), known.at(1), strict=True)
    ):
        notes.append(
            f"{spans(known, seen)}: the model has hardly seen such values, so look at the map before you use it"
        )
    if known.red_over_blue is not None and seen.red_over_blue is not None:
        low, high = known.red_over_blue
        if (low >= WARM and seen.red_over_blue <= COLD) or (high <= COLD and seen.red_over_blue >= WARM):
            notes.append(_swap_text(low, high, seen.red_over_blue))
    return tuple(Finding(note, False) for note in notes)


def scale_differs(known: ImageryFacts, seen: RasterSample) -> bool:
    """True when the values of every band lie on another scale than the training imagery's."""
    factors = ratios(known, seen)
    if all(top <= BYTE for top in seen.highest) and all(middle > 2 * BYTE for middle in known.at(50)):
        return True
    larger = all(low > high for low, high in zip(seen.at(50), known.at(99), strict=True))
    smaller = all(high < low for high, low in zip(seen.at(99), known.at(50), strict=True))
    return (larger and all(r >= APART for r in factors)) or (smaller and all(r <= 1 / APART for r in factors))


def spans(known: ImageryFacts, seen: RasterSample) -> str:
    """The half-sentence with both ranges, from the 1st to the 99th percentile over all bands."""
    found, trained = ((min(of.at(1)), max(of.at(99))) for of in (seen, known))
    return (
        f"the raster's values are {number(found[0])} to {number(found[1])} and those the model was trained on "
        f"{number(trained[0])} to {number(trained[1])}"
    )


def scale_cure(known: ImageryFacts, seen: RasterSample, dtype: str) -> str:
    """What the other scale is likely to be, and the command that mends it; `dtype` is the model's."""
    found, trained = _tops(seen.at(1), seen.at(99)), _tops(known.at(1), known.at(99))
    have, want = float(np.median(found)), float(np.median(trained))
    ratio, kind = have / want, gdal_type(dtype)
    if ratio > 3000 and want <= 2:
        return f"this is reflectance scaled by 10,000; divide it, gdal_translate -ot {kind} -scale 0 10000 0 1"
    if ratio < 1 / 3000 and have <= 2:
        return f"this is reflectance as a fraction; multiply it by 10,000, gdal_translate -ot {kind} -scale 0 1 0 10000"
    if max(seen.highest) <= BYTE and have > 2 and want > BYTE:
        return "these are 8 bit values where the model reads 16 bit; pass the imagery as it was before it was reduced"
    if have > BYTE and 2 < want <= BYTE:
        return (
            f"these are 16 bit values where the model reads 8 bit; scale them down as the training imagery was, with "
            f"gdal_translate -ot {kind} -scale"
        )
    if want <= 2 < have:
        return (
            f"the model reads fractions; divide the values, with gdal_translate -ot {kind} -scale 0 255 0 1 for 8 bit"
        )
    if have <= 2 < want:
        return f"these are fractions; multiply them, with gdal_translate -ot {kind} -scale 0 1 0 255 for 8 bit"
    how = f"{number(ratio)} times larger" if ratio > 1 else f"{number(1 / ratio)} times smaller"
    return f"they are about {how}; bring them to the training imagery's scale with gdal_translate -ot {kind} -scale"


def gdal_type(dtype: str) -> str:
    """GDAL's name of a numpy type.

    >>> gdal_type("uint8"), gdal_type("float32")
    ('Byte', 'Float32')
    """
    return {"uint8": "Byte", "uint16": "UInt16", "uint32": "UInt32"}.get(dtype, dtype.capitalize())


def number(value: float) -> str:
    """A value in three digits, or whole with thousands apart.

    >>> number(0.12345), number(10412.3), number(-0.0)
    ('0.123', '10,412', '0')
    """
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value + 0.0:.3g}"


def ratios(known: ImageryFacts, seen: RasterSample) -> list[float]:
    """How much larger the values of each band are than the training imagery's, at their largest."""
    found, trained = _tops(seen.at(1), seen.at(99)), _tops(known.at(1), known.at(99))
    return [f / t for f, t in zip(found, trained, strict=True)]


def _tops(low: Sequence[float], high: Sequence[float]) -> list[float]:
    return [max(abs(a), abs(b), 1e-9) for a, b in zip(low, high, strict=True)]


def _is_missing(fill: Fill, known: ImageryFacts) -> bool:
    """True for solid areas of a value that the training imagery did not hold: far from all it held, or in a corner."""
    bands = list(zip(known.at(1), known.at(99), strict=True))
    far = all(not low - 2 * (high - low) <= fill.value <= high + 2 * (high - low) for low, high in bands)
    beyond = all(not low <= fill.value <= high for low, high in bands)
    return (far and fill.share >= FEW) or (beyond and fill.in_corner and fill.share >= MANY)


def _fill_text(fill: Fill, nodata: Sequence[float | None]) -> str:
    declared = sorted({value for value in nodata if value is not None})
    said = f"nodata is declared as {number(declared[0])}" if declared else "no nodata value is declared"
    value = f"{fill.value:g}"
    return (
        f"{fill.share:.1%} of the pixels looked at hold {value} in every band, in solid areas, which the training imagery "
        f"did not, and {said}: this is ground without imagery; pass --set input.nodata={value}, or write it into the file "
        f"with gdal_edit.py -a_nodata {value}"
    )


def _holes(known: ImageryFacts, seen: RasterSample, nodata: Sequence[float | None]) -> str:
    """A nodata value that is an ordinary brightness and takes single pixels out of the imagery; empty without."""
    values = [value for value in nodata if value is not None]
    if len(values) < len(nodata) or seen.masked < FEW or seen.scattered < 0.5:
        return ""
    if not all(low < v < high for v, low, high in zip(values, known.at(5), known.at(95), strict=True)):
        return ""
    return (
        f"nodata is declared as {number(values[0])}, an ordinary value of such imagery, and takes {seen.masked:.1%} of the "
        f"pixels looked at out of it one by one: take it out of the file with gdal_edit.py -unsetnodata, or pass the "
        f"right one with --set input.nodata"
    )


def _swap_text(low: float, high: float, share: float) -> str:
    usual = f"{low:.0%} to {high:.0%}"
    return (
        f"{share:.0%} of the pixels are redder than blue, where {usual} of the training imagery's were: red and blue may be "
        f'swapped; if so, name the bands in the file\'s order with --set \'input.bands=["blue", "green", "red"]\''
    )
