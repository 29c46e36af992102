"""The area of interest: polygons outside which a map holds nothing."""

from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import Transformer

from terraseg.core.classes import VOID
from terraseg.core.grid import Grid, same_crs
from terraseg.core.window import Window
from terraseg.errors import BadOption, CrsMissing
from terraseg.pixels.burn import BurnLayer
from terraseg.store.features import read_polygons

PIECES = 500
"""Pieces to the length of a raster in which straight edges are carried over from one CRS to another."""
MARGIN = 0.05


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
    outline = _outline(grid)
    if same_crs(polygons.crs, grid.crs):
        return Area(_meeting(polygons.geometry, outline), grid)
    there = _moved(np.array([outline], dtype=object), grid.crs, polygons.crs)[0]
    left, bottom, right, top = shapely.bounds(there)
    if not np.isfinite([left, bottom, right, top]).all():
        raise CrsMissing(f"the raster cannot be placed in the CRS of {path}: reproject the area to the raster's CRS")
    wide, high = MARGIN * (right - left), MARGIN * (top - bottom)
    # Only what lies around the raster is carried over: a projection may not reach the rest of the world.
    frame = shapely.box(left - wide, bottom - high, right + wide, top + high)
    near = shapely.intersection(polygons.geometry[shapely.intersects(polygons.geometry, frame)], frame)
    longest = max(right - left, top - bottom) / PIECES
    placed = _moved(shapely.segmentize(near, longest), polygons.crs, grid.crs)
    return Area(_meeting(shapely.make_valid(placed), outline), grid)


def _outline(grid: Grid) -> Any:
    """The raster's border as a polygon, with a point for every few pixels."""
    side = np.linspace(0, 1, PIECES)
    zero, one = np.zeros(PIECES), np.ones(PIECES)
    rows = np.concatenate([zero, side, one, side[::-1]]) * grid.height
    cols = np.concatenate([side, one, side[::-1], zero]) * grid.width
    return shapely.Polygon(np.column_stack(grid.to_map(rows, cols)))


def _meeting(geometries: NDArray[np.object_], outline: Any) -> NDArray[np.object_]:
    areal = shapely.get_dimensions(geometries) == 2
    return np.asarray(geometries[areal & shapely.intersects(geometries, outline)], dtype=object)


def _moved(geometries: NDArray[np.object_], source: str, target: str) -> NDArray[np.object_]:
    transformer = Transformer.from_crs(source, target, always_xy=True)

    def project(points: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.column_stack(transformer.transform(points[:, 0], points[:, 1]))

    return np.asarray(shapely.transform(geometries, project), dtype=object)
