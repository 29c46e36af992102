"""The area of interest: polygons outside which a map holds nothing."""

from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray

from terraseg.core.classes import VOID
from terraseg.core.grid import Grid
from terraseg.core.window import Window
from terraseg.errors import BadOption, CrsMissing
from terraseg.pixels.burn import BurnLayer
from terraseg.shapes.carry import carried_around
from terraseg.store.features import read_polygons


class Area:
    """The pixels of one raster whose centres lie in an area's polygons."""

    def __init__(self, geometries: NDArray[np.object_], grid: Grid) -> None:
        self._layer = BurnLayer(geometries, np.zeros(len(geometries), dtype=np.uint8), grid)
        self.geometries = geometries

    @property
    def is_empty(self) -> bool:
        """True when the area does not touch the raster."""
        return len(self.geometries) == 0

    def inside(self, window: Window) -> NDArray[np.bool_]:
        """Which pixels (height, width) of a window belong to the area."""
        return np.asarray(self._layer.burn(window) != VOID)


def read_area(path: Path | str, grid: Grid) -> Area:
    """The area of a polygon file in any CRS, on a raster's grid; lines and points in the file are left out.

    Raises `UnreadableFile`, `CrsMissing` when file or raster has no CRS, `BadOption` for a file without a polygon.
    """
    polygons = read_polygons(path)
    if not len(polygons.geometry):
        raise BadOption(f"{path} holds no polygon, so it marks no area: pass a file of polygons as --aoi")
    if grid.crs is None:
        raise CrsMissing(
            f"the raster has no CRS, so the area {path} cannot be placed on it: give it its CRS (gdal_edit.py -a_srs EPSG:n)"
        )
    if polygons.crs is None:
        raise CrsMissing(f"{path} names no CRS, so its area cannot be placed: set it (ogr2ogr -a_srs EPSG:n)")
    outline = grid.outline
    placed = carried_around(polygons.geometry, polygons.crs, grid.crs, outline, gsd_m=grid.gsd_m)
    meets = (shapely.get_dimensions(placed) == 2) & shapely.intersects(placed, outline)
    return Area(np.asarray(placed[meets], dtype=object), grid)
