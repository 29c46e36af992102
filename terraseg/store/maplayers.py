"""The layers that a map may have, and the head of the file that each becomes."""

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import MemoryFile

from terraseg.core.classes import VOID, Legend
from terraseg.core.grid import Grid
from terraseg.pixels.blend import FULL
from terraseg.pixels.pyramid import halved_ids, halved_values
from terraseg.store.codec import Compression
from terraseg.store.tiff import Field, read_fields

LEGEND_TAG = "TERRASEG_LEGEND"
"""Dataset tag that holds a class map's legend as JSON."""
RUN_TAG = "TERRASEG_RUN"
"""Dataset tag that holds the key of all that a map was made from."""
OVERLAPPING_TAG = "TERRASEG_OVERLAPPING"
"""Dataset tag that marks a map of overlapping classes: a band of 0 and 1 for each."""
CLASSES, CONFIDENCE, PROBABILITIES, UNCERTAINTY = "classes", "confidence", "probabilities", "uncertainty"


@dataclass(frozen=True)
class MapLayers:
    """What is written beside the classes, and how: `tags` go into every file, `threads` (None: all cores) compress.

    `confidence` and `uncertainty` are bytes; `probabilities` are bytes ("uint8") or halves ("float16"), one band a class,
    or not wanted (""). `overlapping` classes have a band of 0 and 1 each instead of one band of ids.
    """

    confidence: bool = False
    probabilities: Literal["", "uint8", "float16"] = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    compression: Compression = "deflate"
    threads: int | None = None
    overlapping: bool = False
    uncertainty: bool = False


@dataclass(frozen=True)
class Layer:
    """One file of a map: its bands by name, and the pixels' dtype, uint8 with 255 for nodata or float16 with NaN."""

    name: str
    bands: tuple[str, ...]
    dtype: Literal["uint8", "float16"] = "uint8"

    @property
    def nodata(self) -> float:
        """The value of a pixel that holds nothing."""
        return VOID if self.dtype == "uint8" else float("nan")

    @property
    def pixel_bytes(self) -> int:
        """Bytes of a pixel of all bands."""
        return len(self.bands) * np.dtype(self.dtype).itemsize

    def empty(self, height: int, width: int) -> NDArray[Any]:
        """(bands, height, width) of nodata."""
        return np.full((len(self.bands), height, width), self.nodata, dtype=self.dtype)

    def halved(self, band: NDArray[Any]) -> NDArray[Any]:
        """One band at half the size: the commonest class of each four pixels, or their mean."""
        return halved_ids(band) if self.name == CLASSES else halved_values(band)


def layers_of(wanted: MapLayers, legend: Legend) -> tuple[Layer, ...]:
    """The layers of a map, the classes first."""
    layers = [Layer(CLASSES, legend.names if wanted.overlapping else ("class",))]
    if wanted.confidence:
        layers.append(Layer(CONFIDENCE, (CONFIDENCE,)))
    if wanted.probabilities:
        layers.append(Layer(PROBABILITIES, legend.names, wanted.probabilities))
    if wanted.uncertainty:
        layers.append(Layer(UNCERTAINTY, (UNCERTAINTY,)))
    return tuple(layers)


def layer_path(map_path: Path, layer: str) -> Path:
    """Where a layer of a class map lies: the map itself for "classes", else NAME_confidence.tif and so on.

    >>> layer_path(Path("maps/scene.tif"), "confidence").name
    'scene_confidence.tif'
    """
    return map_path if layer == CLASSES else map_path.with_name(f"{map_path.stem}_{layer}.tif")


def file_fields(layer: Layer, grid: Grid, legend: Legend, wanted: MapLayers, block: int) -> dict[int, Field]:
    """The TIFF fields of a layer's file, as GDAL writes them for a raster of this kind and place."""
    profile: dict[str, Any] = {"driver": "GTiff", "height": 1, "width": 1, "count": len(layer.bands)}
    profile |= {"tiled": True, "blockxsize": block, "blockysize": block, "interleave": "band", "SPARSE_OK": True}
    profile |= {"compress": wanted.compression, "nodata": layer.nodata, "dtype": layer.dtype}
    if layer.dtype == "float16":
        # GDAL before 3.11 knows halves as floats of 16 bits.
        profile |= {"dtype": "float32", "nbits": 16}
    if grid.crs is not None:
        profile["crs"] = rasterio.CRS.from_user_input(grid.crs)
    if layer.name == CLASSES and wanted.overlapping:
        # Three bands of bytes would be taken for red, green and blue.
        profile["photometric"] = "MINISBLACK"
    transform = rasterio.Affine(*grid.transform)
    if transform != rasterio.Affine.identity():
        profile["transform"] = transform
    with warnings.catch_warnings(), MemoryFile() as memory:
        # A map of imagery without a CRS has none either.
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with memory.open(**profile) as dataset:
            _describe(layer, dataset, legend, wanted)
        return read_fields(bytes(memory.getbuffer()))


def _describe(layer: Layer, dataset: Any, legend: Legend, wanted: MapLayers) -> None:
    dataset.update_tags(**wanted.tags)
    dataset.descriptions = layer.bands
    if layer.name == CLASSES:
        dataset.update_tags(**{LEGEND_TAG: json.dumps(legend.to_json(), ensure_ascii=False)})
    if layer.name == CLASSES and wanted.overlapping:
        dataset.update_tags(**{OVERLAPPING_TAG: "true"})
    elif layer.name == CLASSES:
        colors = dict.fromkeys(range(256), (0, 0, 0, 0)) | {c.id: (*c.rgb, 255) for c in legend.classes}
        dataset.write_colormap(1, colors)
    elif layer.dtype == "uint8":
        dataset.scales = (1 / FULL,) * len(layer.bands)
