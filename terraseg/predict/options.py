"""The settings of `terraseg predict`."""

from dataclasses import dataclass
from typing import Literal

from terraseg.errors import BadOption


@dataclass(frozen=True)
class PredictOptions:
    """How a raster is predicted; one table of the project file, `[predict]`.

    `tile`, `overlap`: pixels of the prediction lattice; None takes the model's.
    `batch`: tiles scored at once. One is as fast as many on a CPU; a GPU likes 8 to 16.
    `confidence`: also write the probability of the chosen class, 8 bit, as NAME_confidence.tif.
    `probabilities`: also write the probabilities of all classes, 8 bit, one band each, as NAME_probabilities.tif.
    `max_ram_mb`: memory for the sweep's own arrays: tiles read ahead, probabilities, blending sums, finished cells. The
        engine's working memory, the libraries and GDAL's block cache of 64 MB come on top.
    `threads`: threads that compress the finished files; None takes every core that this process may use.
    `compression`: "deflate" opens everywhere; "zstd" is smaller and faster and needs GDAL 2.3 or QGIS 3.4 and later.
    """

    tile: int | None = None
    overlap: int | None = None
    batch: int = 1
    confidence: bool = False
    probabilities: bool = False
    max_ram_mb: int = 256
    threads: int | None = None
    compression: Literal["deflate", "zstd"] = "deflate"

    def __post_init__(self) -> None:
        for name, least in (("tile", 16), ("overlap", 0), ("batch", 1), ("max_ram_mb", 1), ("threads", 1)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise BadOption(f"[predict] {name} = {value}: pass at least {least}")
