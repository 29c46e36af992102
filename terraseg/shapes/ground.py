"""Sizes on the ground: geodesic areas and lengths, whatever the map projection does to them."""

from functools import lru_cache

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS, Geod, Transformer

Affine6 = tuple[float, float, float, float, float, float]


@lru_cache(maxsize=64)
def parse_crs(crs: str) -> CRS:
    """The CRS behind a WKT, PROJ or "EPSG:n" string; remembered, since parsing costs milliseconds."""
    return CRS.from_user_input(crs)


@lru_cache(maxsize=64)
def ellipsoid(crs: str) -> Geod:
    """The CRS's own ellipsoid, so that a raster of Mars is measured on Mars."""
    geod = parse_crs(crs).get_geod()
    return geod if geod is not None else Geod(ellps="WGS84")


@lru_cache(maxsize=64)
def to_longitude_latitude(crs: str) -> Transformer:
    """A transformer from the CRS to longitude and latitude in degrees on its own datum."""
    parsed = parse_crs(crs)
    geodetic = parsed.geodetic_crs
    return Transformer.from_crs(parsed, geodetic if geodetic is not None else "EPSG:4326", always_xy=True)


def to_degrees(geometries: NDArray[np.object_], crs: str) -> NDArray[np.object_]:
    """The geometries in longitude and latitude (degrees) on the datum of `crs`."""
    transformer = to_longitude_latitude(crs)

    def project(points: NDArray[np.float64]) -> NDArray[np.float64]:
        lon, lat = transformer.transform(points[:, 0], points[:, 1])
        return np.column_stack([lon, lat])

    return np.asarray(shapely.transform(geometries, project), dtype=object)


def ground_area_m2(geometries: NDArray[np.object_], crs: str) -> NDArray[np.float64]:
    """Geodesic area of each polygon in square metres, holes taken off; shape (n,).

    Method: Karney, "Algorithms for geodesics", J. Geodesy 87 (2013), through PROJ's `Geod`.

    >>> ground_area_m2(np.array([], dtype=object), "EPSG:4326").shape
    (0,)
    """
    geod = ellipsoid(crs)
    degrees = shapely.orient_polygons(to_degrees(np.asarray(geometries, dtype=object), crs))
    return np.array([abs(geod.geometry_area_perimeter(g)[0]) for g in degrees], dtype=np.float64)


def ground_length_m(geometries: NDArray[np.object_], crs: str) -> NDArray[np.float64]:
    """Geodesic length of each line, or perimeter of each polygon with its holes, in metres; shape (n,)."""
    geod = ellipsoid(crs)
    degrees = to_degrees(np.asarray(geometries, dtype=object), crs)
    lines = shapely.boundary(degrees)
    lines = np.where(shapely.get_dimensions(degrees) == 2, lines, degrees)
    return np.array([geod.geometry_length(g) for g in lines], dtype=np.float64)


def pixel_size_m(crs: str, transform: Affine6, row: float, col: float) -> tuple[float, float]:
    """Ground size of a pixel at a pixel position, as (height, width) in metres along the raster's own axes.

    In web mercator at Kathmandu a nominal metre gives 0.885: the projection's scale is taken out.
    """
    a, b, c, d, e, f = transform
    x, y = c + a * col + b * row, f + d * col + e * row
    to_degree = to_longitude_latitude(crs)
    lon, lat = to_degree.transform([x, x + a, x + b], [y, y + d, y + e])
    geod = ellipsoid(crs)
    _, _, width = geod.inv(lon[0], lat[0], lon[1], lat[1])
    _, _, height = geod.inv(lon[0], lat[0], lon[2], lat[2])
    return float(height), float(width)
