"""From a map of overlapping classes to polygons, class by class."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from terraseg.core.classes import VOID, LandClass, Legend
from terraseg.core.classreader import ByteRaster, LayerRaster
from terraseg.core.coding import Coding
from terraseg.core.grid import Grid
from terraseg.core.polygons import PolygonTable
from terraseg.core.window import Window
from terraseg.vectorize.options import VectorizeOptions, building_ids, chosen_ids, named_ids
from terraseg.vectorize.polygons import BATCH, polygon_batches


@dataclass(frozen=True, eq=False)
class OneClass:
    """One of overlapping classes as a `ClassRaster` of two: the class, and the ground outside it."""

    raster: LayerRaster
    index: int

    @property
    def grid(self) -> Grid:
        """Where the pixels lie."""
        return self.raster.grid

    @property
    def legend(self) -> Legend:
        """The class under its own id and name, and its outside under others."""
        own = self.raster.legend.classes[self.index]
        return Legend((own, LandClass(0 if own.id else 1, f"not {self.index}", "#808080")))

    def read(self, window: Window) -> NDArray[np.uint8]:
        """The class ids (height, width) of a window."""
        labels = self.raster.read(window)
        own, outside = self.legend.ids
        inside = Coding(len(self.raster.legend), overlapping=True).plane(labels, self.index)
        return np.where(inside, own, np.where(labels == VOID, VOID, outside)).astype(np.uint8)


def polygons_of_layers(
    raster: LayerRaster, *, confidence: ByteRaster | None = None, options: VectorizeOptions | None = None
) -> PolygonTable:
    """All polygons of a map of overlapping classes in one table; see `layer_batches`."""
    return PolygonTable.joined(list(layer_batches(raster, confidence=confidence, options=options)))


def layer_batches(
    raster: LayerRaster,
    *,
    confidence: ByteRaster | None = None,
    options: VectorizeOptions | None = None,
    batch: int = BATCH,
) -> Iterator[PolygonTable]:
    """The polygons of a map of overlapping classes, those of one class after those of the other; at least one table.

    Each class is traced as `polygon_batches` does it, by itself: small holes in it are filled and small pieces dropped as if
    it were alone on the map, and polygons of different classes may overlap.
    """
    options = options or VectorizeOptions()
    wanted = [
        index for index, land in enumerate(raster.legend.classes) if land.id in chosen_ids(raster.legend, options)
    ]
    for index in wanted or [0]:
        own = _options_of(index, raster.legend, options)
        for table in polygon_batches(OneClass(raster, index), confidence=confidence, options=own, batch=batch):
            rows = table if wanted else table.rows(np.zeros(0, dtype=np.intp))
            yield replace(rows, legend=raster.legend)


def _options_of(index: int, legend: Legend, options: VectorizeOptions) -> VectorizeOptions:
    """The options as far as they concern one class."""
    land = legend.classes[index]
    name = (land.name,)
    return replace(
        options,
        classes=name,
        include_background=False,
        split=name if land.id in named_ids(legend, options.split) else (),
        buildings=name if land.id in building_ids(legend, options) else (),
        centerlines=name if land.id in named_ids(legend, options.centerlines) else (),
    )
