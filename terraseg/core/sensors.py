"""What the numbers of well-known sensors mean: the bands of their products, and how pixel values become reflectance."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from terraseg.errors import UnknownName, nearest


@dataclass(frozen=True)
class Sensor:
    """A product of a sensor: what its files look like and what their values stand for.

    `stacks` are usual band lists in file order, `codes` the bands by the names that the product itself gives them, in lower
    case. Reflectance is `scale` * value + `offset` in imagery of whole numbers; `scale` is None where values are pictures and
    no measurements. `nodata` is the value without data, None where there is none.
    """

    title: str
    stacks: tuple[tuple[str, ...], ...]
    codes: dict[str, str]
    scale: float | None
    offset: float = 0.0
    nodata: float | None = None

    def band_names(self, found: Sequence[str]) -> tuple[str, ...] | None:
        """The usual names of a file's bands: by the product's codes, else by place where no band has a name.

        None where neither tells all of them.

        >>> SENSORS["landsat"].band_names(["SR_B4", "SR_B5"]), SENSORS["naip"].band_names(["band_1", "band_2"])
        (('red', 'nir'), None)
        """
        by_code = [self.codes.get(_code(band)) for band in found]
        named = [name for name in by_code if name is not None]
        if len(named) == len(found) and len(set(named)) == len(named):
            return tuple(named)
        if all(re.fullmatch(r"(band[ _-]?)?\d+", band.lower()) for band in found):
            return next((stack for stack in self.stacks if len(stack) == len(found)), None)
        return None

    def scaling(self, dtype: str) -> tuple[float | None, float]:
        """Scale and offset from values of a pixel type to reflectance; floats are taken for reflectance itself.

        The scale is None where values do not stand for reflectance.
        """
        if self.scale is None:
            return None, 0.0
        return (1.0, 0.0) if dtype.startswith("float") else (self.scale, self.offset)

    def note(self, dtype: str) -> str:
        """A sentence on what values of a pixel type stand for."""
        scale, offset = self.scaling(dtype)
        if scale is None:
            return f"{self.title}: values are brightness of a picture, and are not comparable between flights"
        if dtype.startswith("float"):
            return f"{self.title}: values are taken for reflectance, 0 to about 1"
        shift = f" {'-' if offset < 0 else '+'} {abs(offset):g}" if offset else ""
        return f"{self.title}: reflectance is {scale:g} * value{shift}"


def _code(band: str) -> str:
    """A band's code as products write it, without the words around it: "SR_B4" and "B04" stay, "T32 B8A" gives "b8a"."""
    words = [word for word in re.split(r"[^a-z0-9_]+", band.lower()) if word]
    return next((word for word in words if re.fullmatch(r"(sr_|st_)?b\d{1,2}a?", word)), "")


_SENTINEL_2 = {
    "b01": "coastal", "b02": "blue", "b03": "green", "b04": "red", "b05": "rededge", "b06": "rededge2", "b07": "rededge3",
    "b08": "nir", "b8a": "nir08", "b09": "nir09", "b11": "swir16", "b12": "swir22",
    "b1": "coastal", "b2": "blue", "b3": "green", "b4": "red", "b5": "rededge", "b6": "rededge2", "b7": "rededge3", "b8": "nir",
    "b9": "nir09",
}  # fmt: skip
_SENTINEL_2_STACKS = (
    ("coastal", "blue", "green", "red", "rededge", "rededge2", "rededge3", "nir", "nir08", "nir09", "swir16", "swir22"),
    ("blue", "green", "red", "rededge", "rededge2", "rededge3", "nir", "nir08", "swir16", "swir22"),
    ("blue", "green", "red", "nir"),
)
_OLI = ("coastal", "blue", "green", "red", "nir", "swir16", "swir22")
_TM = ("blue", "green", "red", "nir", "swir16")

SENSORS = {
    "sentinel-2": Sensor(
        "Sentinel-2 level 2A since baseline 04.00 (25 January 2022)", _SENTINEL_2_STACKS, _SENTINEL_2, 1e-4, -0.1, 0
    ),
    "sentinel-2-harmonized": Sensor(
        "Sentinel-2 level 2A before baseline 04.00, or with its offset taken out", _SENTINEL_2_STACKS, _SENTINEL_2, 1e-4, 0.0, 0
    ),
    "landsat": Sensor(
        "Landsat 8 and 9, collection 2, level 2", (_OLI,),
        {f"{sr}b{n}": band for sr in ("", "sr_") for n, band in enumerate(_OLI, start=1)}, 2.75e-5, -0.2, 0,
    ),
    "landsat-tm": Sensor(
        "Landsat 4 to 7, collection 2, level 2", ((*_TM, "swir22"),),
        {f"{sr}b{n}": band for sr in ("", "sr_") for n, band in [*enumerate(_TM, start=1), (7, "swir22")]}, 2.75e-5, -0.2, 0,
    ),
    "planetscope": Sensor(
        "PlanetScope surface reflectance",
        (
            ("coastal", "blue", "green1", "green", "yellow", "red", "rededge", "nir"),
            ("blue", "green", "red", "nir"),
        ),
        {}, 1e-4, 0.0, 0,
    ),
    "naip": Sensor("NAIP aerial imagery", (("red", "green", "blue", "nir"), ("red", "green", "blue")), {}, None),
}  # fmt: skip
"""Sensors by the name that a project file gives them.

Sources: ESA, "Sentinel-2 products specification document" and the notice on processing baseline 04.00; USGS, "Landsat 8-9
collection 2 level 2 science product guide"; Planet, "PlanetScope product specifications"; USDA, NAIP's information sheet.
"""


def sensor_named(name: str) -> Sensor:
    """The sensor of a name; `UnknownName` lists the known ones."""
    if name not in SENSORS:
        raise UnknownName(f"there is no sensor {name!r}: {nearest(name, SENSORS)}")
    return SENSORS[name]
