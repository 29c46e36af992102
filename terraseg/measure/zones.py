"""The parts that a map is measured by, and the ground of each class in them."""

from collections import Counter
from dataclasses import dataclass
from typing import Literal

import numpy as np
import shapely
from numpy.typing import NDArray

from terraseg.core.classes import VOID, Legend
from terraseg.core.classreader import ClassRaster, LayerRaster, check_known
from terraseg.core.coding import Coding
from terraseg.core.grid import Grid
from terraseg.core.polygons import VectorLabels
from terraseg.core.window import Window, cut
from terraseg.errors import CrsMissing, GridMismatch, NoOverlap
from terraseg.pixels.coverage import Edges, coverage, edges_of
from terraseg.shapes.carry import carried_around
from terraseg.shapes.ground import ground_area_m2, to_degrees
from terraseg.shapes.pixelarea import PixelAreas

ZoneKind = Literal["district", "cell"]
BLOCK = 1024
FAR = 2.0**40
"""Pixels from a map beyond which nothing is told apart."""


@dataclass(frozen=True, eq=False)
class Zones:
    """Zones by name, with their outlines in the map's CRS; arrays have shape (n,).

    `area` is a zone's whole ground, mapped or not, in square metres, or in pixels without a CRS.
    """

    names: NDArray[np.str_]
    geometry: NDArray[np.object_]
    area: NDArray[np.float64]
    kind: ZoneKind
    crs: str | None

    def __len__(self) -> int:
        return len(self.names)

    def rows(self, chosen: NDArray[np.bool_]) -> "Zones":
        """The zones that a mask picks."""
        return Zones(self.names[chosen], self.geometry[chosen], self.area[chosen], self.kind, self.crs)

    def of_points(self, x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Pairs of the number of a point, in map coordinates, and of a zone that it lies in.

        Cells and districts that share no ground have a point in one of them at most: the first, on their border.
        """
        point, zone = shapely.STRtree(self.geometry).query(shapely.points(x, y), predicate="intersects")
        point, zone = point.astype(np.int64), zone.astype(np.int64)
        on_border = shapely.touches(self.geometry[zone], shapely.points(x[point], y[point]))
        order = np.lexsort((zone, point))
        point, zone, on_border = point[order], zone[order], on_border[order]
        again = np.append(False, point[1:] == point[:-1]) & on_border
        return point[~again], zone[~again]


def zones_of_districts(districts: VectorLabels, grid: Grid, *, source: str) -> Zones:
    """The districts that reach onto a map, in its CRS; `source` names their file in messages.

    Edges are straight in the districts' own CRS and keep to that course on the map. Raises `CrsMissing` when one of both has
    no CRS, `NoOverlap` when no district touches the map, `GridMismatch` for one with vertices where its CRS has no ground.
    """
    if (districts.crs is None) != (grid.crs is None):
        which = source if districts.crs is None else "the map"
        raise CrsMissing(
            f"{which} has no CRS, so districts and map cannot be laid on each other: set it (ogr2ogr -a_srs, gdal_edit.py -a_srs)"
        )
    geometry, names = districts.geometry, _named(districts.values)
    if districts.crs is None or grid.crs is None:
        area = shapely.area(geometry) / abs(_determinant(grid))
        placed = geometry
    else:
        _check_on_ground(names, to_degrees(geometry, districts.crs), source)
        area = ground_area_m2(geometry, districts.crs)
        placed = carried_around(geometry, districts.crs, grid.crs, grid.outline, gsd_m=grid.gsd_m)
    zones = Zones(names, placed, area, "district", grid.crs)
    meets = shapely.intersects(placed, grid.outline) & ~shapely.is_empty(placed)
    if not meets.any():
        raise NoOverlap(f"none of the {len(zones)} polygons of {source} touches the map: pass districts of its area")
    return zones.rows(meets)


def _check_on_ground(names: NDArray[np.str_], degrees: NDArray[np.object_], source: str) -> None:
    lost = names[~np.isfinite(shapely.bounds(degrees)).all(axis=1) & ~shapely.is_empty(degrees)]
    if len(lost):
        raise GridMismatch(
            f"{len(lost)} polygon(s) of {source} have vertices where their CRS has no ground, the first is {str(lost[0])!r}: "
            "repair them, or set the file's CRS right (ogr2ogr -a_srs)"
        )


def _named(values: NDArray[np.str_]) -> NDArray[np.str_]:
    """The names, each its own: those that are missing by number, those that come again with a count."""
    names, taken = [], Counter[str]()
    for place, value in enumerate(values):
        name = str(value) or f"zone {place + 1}"
        taken[name] += 1
        names.append(name if taken[name] == 1 else f"{name} ({taken[name]})")
    return np.array(names, dtype=np.str_)


def ground_by_zone(
    raster: ClassRaster | LayerRaster, zones: Zones, *, overlapping: bool = False, block: int = BLOCK
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Ground of each class in each zone (n, K) by index, and each zone's observed ground (n,); in m2, or pixels without a CRS.

    A pixel that a border cuts counts in either zone with the share of its surface that lies there, so zones that part the
    map add up to its whole. Memory is one block of the raster; another block size changes rounding alone.
    """
    coding = Coding(len(raster.legend), overlapping)
    table, codes = _code_table(raster.legend, coding)
    grid = raster.grid
    areas = None if grid.crs is None else PixelAreas(grid.crs, grid.transform, grid.height, grid.width)
    outlines = _in_pixels(zones.geometry, grid)
    edges: dict[int, Edges] = {}
    bounds = shapely.bounds(outlines)
    tree = shapely.STRtree(shapely.box(*bounds.T))
    ground = np.zeros((len(zones), codes + 1))
    for window in cut(grid.window, block, block):
        near = tree.query(shapely.box(window.col, window.row, window.col_stop, window.row_stop))
        edges = {zone: edges[zone] if zone in edges else edges_of(outlines[zone]) for zone in near.tolist()}
        if len(near) == 0:
            continue
        ids = raster.read(window)
        if not overlapping:
            check_known(raster.legend, [int(i) for i in np.unique(ids) if i != VOID])
        weights = np.ones(ids.shape) if areas is None else areas.read(window.row, window.col, *ids.shape)
        for zone in near.tolist():
            part = _around(bounds[zone], window)
            if part.is_empty:
                continue
            place = part.shifted(-window.row, -window.col).slices
            shares = coverage(edges[zone], part) * weights[place]
            ground[zone] += np.bincount(table[ids[place]].ravel(), weights=shares.ravel(), minlength=codes + 1)
    unit = 1.0 if areas is None else areas.unit_m2
    ground = ground[:, :codes] * unit
    members = coding.members()[: len(raster.legend), :codes].T if overlapping else np.eye(codes)
    return ground @ members.astype(np.float64), ground.sum(axis=1)


def _code_table(legend: Legend, coding: Coding) -> tuple[NDArray[np.int64], int]:
    """The column of each value of a raster, nodata in the one after the last; and how many columns there are."""
    codes = coding.codes if coding.overlapping else len(legend)
    table = np.full(VOID + 1, codes, np.int64)
    if coding.overlapping:
        table[:codes] = np.arange(codes)
    else:
        table[list(legend.ids)] = np.arange(codes)
    table[VOID] = codes
    return table, codes


def _around(bounds: NDArray[np.float64], window: Window) -> Window:
    """The pixels of a window that a shape of these bounds, in pixels, can reach."""
    near = np.clip(bounds, -FAR, FAR)
    left, top = np.floor(near[:2]).astype(np.int64)
    right, bottom = np.ceil(near[2:]).astype(np.int64)
    return Window(int(top), int(left), int(bottom - top), int(right - left)).intersection(window)


def _in_pixels(geometry: NDArray[np.object_], grid: Grid) -> NDArray[np.object_]:
    def project(points: NDArray[np.float64]) -> NDArray[np.float64]:
        rows, cols = grid.to_pixel(points[:, 0], points[:, 1])
        return np.column_stack([cols, rows])

    return np.asarray(shapely.transform(geometry, project), dtype=object)


def _determinant(grid: Grid) -> float:
    a, b, _, d, e, _ = grid.transform
    return a * e - b * d
