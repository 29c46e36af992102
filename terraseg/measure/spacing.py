"""How far apart things stand."""

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import Transformer

from terraseg.core.grid import Grid
from terraseg.measure.cells import metric_crs
from terraseg.shapes.ground import ground_length_m


def nearest_gaps(geometry: NDArray[np.object_], crs: str | None) -> NDArray[np.float64]:
    """From each of n polygons the gap to its nearest neighbour's outline, (n,): geodesic metres, or map units without a CRS.

    Neighbours that touch have a gap of 0. All are NaN where there are fewer than two polygons.
    """
    if len(geometry) < 2:
        return np.full(len(geometry), np.nan)
    placed = geometry if crs is None else _in_metres(geometry, crs)
    tree = shapely.STRtree(placed)
    (one, other), gap = tree.query_nearest(placed, exclusive=True, all_matches=False, return_distance=True)
    gaps = np.full(len(geometry), np.nan)
    gaps[one] = gap
    if crs is not None:
        # The nearest is found on a plane, its distance taken on the ground.
        metric = metric_crs(_frame(geometry, crs))
        apart = gap > 0
        lines = shapely.shortest_line(placed[one[apart]], placed[other[apart]])
        gaps[one[apart]] = ground_length_m(lines, metric)
    return gaps


def _in_metres(geometry: NDArray[np.object_], crs: str) -> NDArray[np.object_]:
    metric = metric_crs(_frame(geometry, crs))
    if metric == crs:
        return geometry
    transformer = Transformer.from_crs(crs, metric, always_xy=True)

    def project(points: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.column_stack(transformer.transform(points[:, 0], points[:, 1]))

    return np.asarray(shapely.transform(geometry, project), dtype=object)


def _frame(geometry: NDArray[np.object_], crs: str) -> Grid:
    """A grid over all polygons, for what is asked of the place and size of a map."""
    left, bottom, right, top = shapely.total_bounds(geometry)
    side = max(right - left, top - bottom) / 1000
    return Grid(crs, (side, 0.0, left, 0.0, -side, top), max(1, round((top - bottom) / side)), 1000)
