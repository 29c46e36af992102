"""The middle of streets as lines with their widths."""

from dataclasses import replace

import numpy as np
import shapely
from numpy.typing import NDArray

from terraseg.core.classes import Legend
from terraseg.core.classreader import ClassRaster
from terraseg.core.grid import Grid
from terraseg.core.lines import LineTable
from terraseg.pixels.centreline import MiddlePoints, middle_points
from terraseg.shapes.antimeridian import parted
from terraseg.shapes.carry import is_degrees
from terraseg.shapes.centerlines import CenterLines, Skeleton, center_lines
from terraseg.shapes.ground import ground_length_m
from terraseg.vectorize.options import VectorizeOptions, named_ids
from terraseg.vectorize.reproject import point_mover

COVER_WORDS = ("tree", "crown", "canopy", "car", "vehicle", "shadow", "cloud")
"""Classes with one of these words in their names hide streets from above."""


def center_lines_of(raster: ClassRaster, options: VectorizeOptions) -> LineTable:
    """The centre lines of the classes that `options.centerlines` names, each class by itself, in map coordinates.

    A line runs from junction to junction. Its width is the median from edge to edge along it, junctions left out; where
    crowns and the like hide the edges all along it is NaN. Streets wider than 60 m are measured too narrow. Memory is a
    window of the map and what the lines' pixels take.
    """
    tables = [_lines_of(raster, identifier) for identifier in named_ids(raster.legend, options.centerlines)]
    table = _joined(tables, raster)
    if options.crs is None:
        return table
    move = point_mover(raster.grid.crs, options.crs)
    lines = np.asarray(shapely.transform(table.geometry, move), dtype=object)
    return replace(table, geometry=parted(lines) if is_degrees(options.crs) else lines, crs=options.crs)


def _lines_of(raster: ClassRaster, identifier: int) -> LineTable:
    points = middle_points(raster, [identifier], _covers(raster.legend, identifier))
    grid = raster.grid
    gsd_m = grid.gsd_m or 1.0
    lines = center_lines(Skeleton(points.row, points.col, points.radius / gsd_m))
    geometry = _to_map(lines.geometry, grid)
    length = shapely.length(lines.geometry) if grid.crs is None else ground_length_m(geometry, grid.crs)
    ids = np.full(len(geometry), identifier, dtype=np.uint8)
    return LineTable(geometry, ids, _widths(lines, points), length, raster.legend, grid.crs)


def _covers(legend: Legend, identifier: int) -> tuple[int, ...]:
    named = (c for c in legend.classes if any(word in c.name.lower().split() for word in COVER_WORDS))
    return tuple(c.id for c in named if c.id != identifier)


def _to_map(geometry: NDArray[np.object_], grid: Grid) -> NDArray[np.object_]:
    def project(points: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.column_stack(grid.to_map(points[:, 1], points[:, 0]))

    return np.asarray(shapely.transform(geometry, project), dtype=object)


def _widths(lines: CenterLines, points: MiddlePoints) -> NDArray[np.float64]:
    """The median width along each line; NaN where none is seen."""
    line = np.repeat(np.arange(len(lines.geometry)), np.diff(lines.offsets))
    width = points.width[lines.pixel]
    seen = ~np.isnan(width)
    order = np.lexsort((width[seen], line[seen]))
    line, width = line[seen][order], width[seen][order]
    start, stop = (np.searchsorted(line, np.arange(len(lines.geometry)), side=side) for side in ("left", "right"))
    medians = np.full(len(lines.geometry), np.nan)
    has = stop > start
    low, high = (start + stop - 1)[has] // 2, (start + stop)[has] // 2
    medians[has] = (width[low] + width[high]) / 2
    return medians


def _joined(tables: list[LineTable], raster: ClassRaster) -> LineTable:
    none = np.zeros(0)
    empty = LineTable(none.astype(object), none.astype(np.uint8), none, none, raster.legend, raster.grid.crs)
    every = [empty, *tables]
    return LineTable(
        geometry=np.concatenate([t.geometry for t in every]),
        class_id=np.concatenate([t.class_id for t in every]),
        width=np.concatenate([t.width for t in every]),
        length=np.concatenate([t.length for t in every]),
        legend=raster.legend,
        crs=raster.grid.crs,
    )
