"""The settings of `terraseg predict`."""

import re
from dataclasses import dataclass
from typing import Literal

from terraseg.core.modelspec import ModelSpec
from terraseg.errors import BadOption

HALF = 0.5


@dataclass(frozen=True)
class PredictOptions:
    """How a raster is predicted; one table of the project file, `[predict]`.

    `tile`, `overlap`: pixels of the prediction lattice; None takes the model's.
    `batch`: tiles scored at once. One is as fast as many on a CPU; a GPU likes 8 to 16.
    `confidence`: also write the probability of the chosen class, 8 bit, as NAME_confidence.tif; where classes overlap, that
        of the least certain decision on whether a class is there.
    `uncertainty`: also write the entropy of the classes, 8 bit, as NAME_uncertainty.tif.
    `probabilities`: also write the probabilities of all classes, one band each, as NAME_probabilities.tif: "uint8" in steps
        of 1/254, which true stands for, or "float16".
    `threshold`: of overlapping classes each is mapped where its probability is at least this; None is one half.
    `max_ram`: the most memory that the process may take, engine and libraries included, such as "2G" or "600M"; None takes
        what one pass over a wide raster needs, within reason.
    `exact`: whether the map must be what one pass over the whole raster would give, to 1e-4 of a probability; tiles then
        overlap by twice as much as the model sees.
    `threads`: threads that compress the finished files; None takes every core that this process may use.
    `compression`: "deflate" opens everywhere; "zstd" is smaller and faster and needs GDAL 2.3 or QGIS 3.4 and later.
    """

    tile: int | None = None
    overlap: int | None = None
    batch: int = 1
    confidence: bool = False
    uncertainty: bool = False
    probabilities: bool | Literal["uint8", "float16"] = False
    threshold: float | None = None
    max_ram: str | None = None
    exact: bool = False
    threads: int | None = None
    compression: Literal["deflate", "zstd"] = "deflate"

    def __post_init__(self) -> None:
        for name, least in (("tile", 16), ("overlap", 0), ("batch", 1), ("threads", 1)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise BadOption(f"[predict] {name} = {value}: pass at least {least}")
        if self.max_ram is not None:
            parse_bytes(self.max_ram)
        if self.threshold is not None and not 0 < self.threshold < 1:
            raise BadOption(f"[predict] threshold = {self.threshold}: pass a probability between 0 and 1")

    @property
    def probability_type(self) -> Literal["", "uint8", "float16"]:
        """The pixel type of the probabilities, "" where none are wanted."""
        return self.probabilities if isinstance(self.probabilities, str) else "uint8" if self.probabilities else ""

    @property
    def max_ram_bytes(self) -> int | None:
        """The memory that the process may take, None where nothing is said."""
        return None if self.max_ram is None else parse_bytes(self.max_ram)

    def threshold_for(self, spec: ModelSpec) -> float | None:
        """The probability from which a class is mapped, None where the likeliest one is.

        Raises `BadOption` for a threshold that a model of classes that exclude each other has no use for.
        """
        if not spec.overlapping:
            if self.threshold is not None:
                raise BadOption(
                    f"[predict] threshold = {self.threshold} is for overlapping classes, and this model gives every pixel "
                    "its likeliest class: leave it out, or map the probabilities"
                )
            return None
        return HALF if self.threshold is None else self.threshold


def parse_bytes(text: str) -> int:
    """The bytes that a text such as "2G", "600M" or "1.5 GB" means, in powers of 1024.

    >>> parse_bytes("1.5G"), parse_bytes("600 MB")
    (1610612736, 629145600)
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT])(?:i?B)?\s*", text, re.IGNORECASE)
    if found is None or not float(found[1]):
        raise BadOption(f"[predict] max_ram = {text!r} is no amount of memory: write it with its unit, 2G or 600M")
    return int(float(found[1]) * 1024 ** ("KMGT".index(found[2].upper()) + 1))


@dataclass(frozen=True)
class InputOptions:
    """How a raster is made ready for a model; one table of the project file, `[input]`.

    `fit`: what becomes of a raster whose values are not such as the model was trained on: "strict" refuses it, "warn" says
        so and goes on, "off" does not look. Missing bands and another pixel type are always refused.
    `resample`: "auto" brings pixels of another ground size than the training's to it while they are read; "off" does not.
    `bands`: names of the raster's bands in its own order, where the file does not say them or says them wrong.
    `sensor`: what took the raster, "landsat" say: names its bands where the file does not.
    `nodata`: pixel value that means "no data" where the files do not say so.
    `values`: "scaled" by the scale that a file declares, or "stored": the numbers as they stand in it; "" is as the model
        was trained.
    `aoi`: a file of polygons in any CRS; the map holds nothing outside them, and nothing there is scored.
    `remote`: whether a STAC item on this machine may lead to files on others.
    """

    fit: Literal["strict", "warn", "off"] = "strict"
    resample: Literal["auto", "off"] = "auto"
    bands: tuple[str, ...] = ()
    sensor: str = ""
    nodata: float | None = None
    values: Literal["", "scaled", "stored"] = ""
    aoi: str = ""
    remote: bool = False
