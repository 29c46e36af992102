"""Features as areas on the grid of a scene: lines and points given a width, outlines moved, grown or shrunk."""

import numpy as np
import shapely
from numpy.typing import NDArray

from terraseg.core.grid import Grid
from terraseg.shapes.ground import ellipsoid, to_longitude_latitude

ROUND = 8
"""Segments in which a quarter of a circle is drawn."""


def map_offset(grid: Grid, shift: tuple[float, float]) -> tuple[float, float]:
    """A shift in metres east and north as (dx, dy) in units of the grid's CRS, at the grid's middle.

    Without a CRS the shift is in pixels right and up.

    >>> map_offset(Grid(None, (1.0, 0.0, 0.0, 0.0, 1.0, 0.0), 10, 10), (3.0, 2.0))
    (3.0, -2.0)
    """
    east, north = shift
    if not east and not north:
        return 0.0, 0.0
    xs, ys = grid.to_map([grid.height / 2, grid.height / 2 - north], [grid.width / 2, grid.width / 2 + east])
    if grid.crs is None:
        return float(xs[1] - xs[0]), float(ys[1] - ys[0])
    degrees = to_longitude_latitude(grid.crs)
    lon, lat = degrees.transform(xs[0], ys[0])
    azimuth, length = float(np.degrees(np.arctan2(east, north))), float(np.hypot(east, north))
    lon, lat, _ = ellipsoid(grid.crs).fwd(lon, lat, azimuth, length)
    x, y = degrees.transform(lon, lat, direction="INVERSE")
    return float(x - xs[0]), float(y - ys[0])


def ground_shift(grid: Grid, rows: float, cols: float) -> tuple[float, float]:
    """The shift, see `map_offset`, that moves something by so many pixels down and right: its inverse."""
    if grid.crs is None:
        return float(cols), float(-rows)
    middle = grid.height / 2, grid.width / 2
    xs, ys = grid.to_map([middle[0], middle[0] + rows], [middle[1], middle[1] + cols])
    lon, lat = to_longitude_latitude(grid.crs).transform(xs, ys)
    azimuth, _, length = ellipsoid(grid.crs).inv(lon[0], lat[0], lon[1], lat[1])
    turn = np.radians(azimuth)
    return float(length * np.sin(turn)), float(length * np.cos(turn))


def drawn_areas(
    geometry: NDArray[np.object_],
    widths: NDArray[np.float64] | None,
    grid: Grid,
    *,
    buffer: float = 0.0,
    shift: tuple[float, float] = (0.0, 0.0),
) -> NDArray[np.object_]:
    """Features in the grid's CRS, shape (n,), as the areas that they stand for; some may be empty.

    Lines and points, those whose `widths` in metres are not NaN, become bands and discs of that width with round ends.
    Polygons grow by `buffer` metres, and shrink where it is negative. All are moved by `shift`, see `map_offset`. Metres
    are those on the ground at the grid's middle, in any CRS.
    """
    drawn = np.array(geometry, dtype=object)
    thin = np.zeros(len(drawn), dtype=np.bool_) if widths is None else np.isfinite(widths)
    if buffer:
        drawn[~thin] = _buffered(drawn[~thin], np.full(int((~thin).sum()), buffer), grid)
    if widths is not None and thin.any():
        drawn[thin] = _buffered(drawn[thin], widths[thin] / 2, grid)
    dx, dy = map_offset(grid, shift)
    if dx or dy:
        drawn = np.asarray(shapely.transform(drawn, lambda points: points + np.array([dx, dy])), dtype=object)
    return drawn


def _buffered(geometry: NDArray[np.object_], distance: NDArray[np.float64], grid: Grid) -> NDArray[np.object_]:
    """Features grown by so many metres, in a plane whose axes are those of the pixels and whose unit is the metre."""
    height, width = grid.pixel_size_m or (1.0, 1.0)

    def to_metres(points: NDArray[np.float64]) -> NDArray[np.float64]:
        rows, cols = grid.to_pixel(points[:, 0], points[:, 1])
        return np.column_stack([cols * width, rows * height])

    def to_map(points: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.column_stack(grid.to_map(points[:, 1] / height, points[:, 0] / width))

    grown = shapely.buffer(shapely.transform(geometry, to_metres), distance, quad_segs=ROUND)
    return np.asarray(shapely.transform(grown, to_map), dtype=object)
