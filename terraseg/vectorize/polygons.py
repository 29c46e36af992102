"""From a class raster to a table of polygons: the room's main function."""

import numpy as np
import shapely
from numpy.typing import NDArray

from terraseg.core.classreader import ByteRaster, ClassRaster
from terraseg.core.grid import Grid
from terraseg.core.polygons import PolygonTable
from terraseg.shapes.ground import ground_area_m2, ground_length_m, to_degrees
from terraseg.shapes.simplify import simplify_coverage
from terraseg.vectorize.merge import DROPPED, Merged, merge_small
from terraseg.vectorize.options import VectorizeOptions, chosen_ids
from terraseg.vectorize.regions import Regions, find_regions
from terraseg.vectorize.trace import trace_regions

FULL_CONFIDENCE = 254
"""The byte of a confidence raster that stands for probability 1."""


def polygons_of(
    raster: ClassRaster,
    *,
    confidence: ByteRaster | None = None,
    options: VectorizeOptions | None = None,
    strip_rows: int | None = None,
) -> PolygonTable:
    """The polygons of a class map in map coordinates, with class, ground size and mean confidence.

    All classes are traced and simplified together, so that an outline does not depend on which classes are asked for;
    then the chosen ones are kept. A polygon that reaches off the Earth, as on a full disk seen from space, gets the area
    of its pixels on the ground and no perimeter (NaN). The confidence is the mean over the polygon's pixels before its
    border was simplified. The result does not depend on `strip_rows`, the number of rows held in memory.
    """
    options = options or VectorizeOptions()
    wanted = chosen_ids(raster.legend, options)
    regions = find_regions(raster, confidence=confidence, strip_rows=strip_rows)
    merged = merge_small(
        regions.class_id, regions.area, regions.borders, min_area=options.min_area_m2 / regions.area_unit
    )
    traced = trace_regions(raster, regions, merged)
    simple = simplify_coverage(traced, tolerance=tolerance_pixels(raster.grid, options.simplify_m))
    chosen = np.isin(merged.class_id, wanted)
    outlines = simple[chosen]
    geometry = to_map(outlines, raster.grid)
    area, perimeter = _sizes(outlines, geometry, raster.grid.crs)
    unknown = np.isnan(area)
    area[unknown] = (_summed(merged, regions.area)[chosen] * regions.area_unit)[unknown]
    return PolygonTable(
        geometry=geometry,
        class_id=merged.class_id[chosen],
        area=area,
        perimeter=perimeter,
        confidence=_mean_confidence(regions, merged)[chosen],
        legend=raster.legend,
        crs=raster.grid.crs,
    )


def tolerance_pixels(grid: Grid, simplify_m: float | None) -> float:
    """The simplification tolerance in pixels: one unless metres are given; without a CRS metres count as pixels."""
    if simplify_m is None:
        return 1.0
    gsd_m = grid.gsd_m
    return simplify_m if gsd_m is None else simplify_m / gsd_m


def to_map(outlines: NDArray[np.object_], grid: Grid) -> NDArray[np.object_]:
    """Polygons from pixel to map coordinates; outer rings turn counter-clockwise there, as simple features ask."""

    def project(points: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.column_stack(grid.to_map(points[:, 1], points[:, 0]))

    return np.asarray(shapely.orient_polygons(shapely.transform(outlines, project)), dtype=object)


def _sizes(
    outlines: NDArray[np.object_], geometry: NDArray[np.object_], crs: str | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Areas and perimeters; NaN for polygons that reach beyond what the projection shows of the Earth."""
    if crs is None:
        return shapely.area(outlines), shapely.length(outlines)
    area, perimeter = np.full(len(geometry), np.nan), np.full(len(geometry), np.nan)
    on_earth = np.isfinite(shapely.bounds(to_degrees(geometry, crs))).all(axis=1)
    area[on_earth] = ground_area_m2(geometry[on_earth], crs)
    perimeter[on_earth] = ground_length_m(geometry[on_earth], crs)
    return area, perimeter


def _mean_confidence(regions: Regions, merged: Merged) -> NDArray[np.float64]:
    """Mean probability by merged region; NaN where none of its pixels has one."""
    sums, counts = _summed(merged, regions.confidence_sum), _summed(merged, regions.confidence_count)
    mean = np.full(len(merged.class_id), np.nan)
    np.divide(sums, counts * FULL_CONFIDENCE, out=mean, where=counts > 0)
    return mean


def _summed(merged: Merged, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sums over the old regions of each merged one."""
    kept = merged.owner != DROPPED
    sums = np.bincount(merged.owner[kept], weights=values[kept], minlength=len(merged.class_id))
    return sums.astype(np.float64)
