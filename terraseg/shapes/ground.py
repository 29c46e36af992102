"""Sizes on the ground: geodesic areas and lengths, whatever the map projection does to them."""

from functools import lru_cache

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS, Geod, Transformer
from pyproj.exceptions import ProjError

from terraseg.errors import GridMismatch

Affine6 = tuple[float, float, float, float, float, float]

LONG_EDGE_M = 5000.0
"""Edges beyond this are too long for areas in closed form."""

SHORT_EDGE_M, MILD_DEGREES = 1000.0, 80.0
"""Edges up to this long, and this far from the equator, have lengths in closed form."""


@lru_cache(maxsize=64)
def parse_crs(crs: str) -> CRS:
    """The CRS behind a WKT, PROJ or "EPSG:n" string; remembered, since parsing costs milliseconds."""
    return CRS.from_user_input(crs)


def same_crs(one: str | None, other: str | None) -> bool:
    """True when both name the same reference system, in whatever spelling; None equals only None.

    The order of its axes is left out: coordinates are x before y everywhere here, and files lose it.
    """
    if one is None or other is None:
        return one is other
    return one == other or parse_crs(one).equals(parse_crs(other), ignore_axis_order=True)


@lru_cache(maxsize=64)
def ellipsoid(crs: str) -> Geod:
    """The CRS's own ellipsoid, so that a raster of Mars is measured on Mars."""
    geod = parse_crs(crs).get_geod()
    return geod if geod is not None else Geod(ellps="WGS84")


@lru_cache(maxsize=64)
def to_longitude_latitude(crs: str) -> Transformer:
    """A transformer from the CRS to longitude and latitude in degrees on its own datum.

    Raises `GridMismatch` for a CRS from which no way leads there.
    """
    parsed = parse_crs(crs)
    geodetic = parsed.geodetic_crs
    try:
        return Transformer.from_crs(parsed, geodetic if geodetic is not None else "EPSG:4326", always_xy=True)
    except ProjError as error:
        raise GridMismatch(
            f"no way leads from the CRS {parsed.name!r} to degrees ({error}), so nothing can be measured in it: the file's CRS "
            "is damaged or unknown here, set it anew (gdal_edit.py -a_srs, ogr2ogr -a_srs)"
        ) from error


def to_degrees(geometries: NDArray[np.object_], crs: str) -> NDArray[np.object_]:
    """The geometries in longitude and latitude (degrees) on the datum of `crs`."""
    transformer = to_longitude_latitude(crs)

    def project(points: NDArray[np.float64]) -> NDArray[np.float64]:
        lon, lat = transformer.transform(points[:, 0], points[:, 1])
        return np.column_stack([lon, lat])

    return np.asarray(shapely.transform(geometries, project), dtype=object)


def ground_area_m2(geometries: NDArray[np.object_], crs: str) -> NDArray[np.float64]:
    """Geodesic area of each polygon in square metres, holes taken off; shape (n,).

    Method: the area between each edge and a parallel, in closed form on the sphere of equal area ("authalic", Snyder,
    "Map projections", USGS 1987), which agrees with the geodesic's to 1e-7 while edges are shorter than 5 km. Polygons with
    longer ones, and those around a pole, are measured by Karney, "Algorithms for geodesics", J. Geodesy 87 (2013).

    >>> ground_area_m2(np.array([], dtype=object), "EPSG:4326").shape
    (0,)
    """
    return ground_sizes(to_degrees(np.asarray(geometries, dtype=object), crs), crs)[0]


def ground_length_m(geometries: NDArray[np.object_], crs: str) -> NDArray[np.float64]:
    """Geodesic length of each line, or perimeter of each polygon with its holes, in metres; shape (n,)."""
    degrees = to_degrees(np.asarray(geometries, dtype=object), crs)
    points, owner, step = _steps(degrees)
    turn = np.radians(points[step + 1, 0] - points[step, 0])
    length = _lengths(ellipsoid(crs), points, step, np.remainder(turn + np.pi, 2 * np.pi) - np.pi)
    return np.bincount(owner, weights=length, minlength=len(degrees)).astype(np.float64)


def _lengths(
    geod: Geod, points: NDArray[np.float64], step: NDArray[np.int64], turn: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Geodesic lengths in metres from points (n, 2) in degrees to the next ones; `turn` is by how much longitude grows.

    Of short edges by the radii of curvature at the middle latitude (Gauss; Rapp, "Geometric geodesy", 1991), which agrees
    with the geodesic's to 1e-7, else Karney's.
    """
    lat = np.radians(points[:, 1])
    sine = np.sin((lat[step] + lat[step + 1]) / 2)
    bend = 1 - geod.es * sine**2
    along, across = geod.a * (1 - geod.es) / bend**1.5, geod.a * np.sqrt((1 - sine**2) / bend)
    length = np.hypot(along * (lat[step + 1] - lat[step]), across * turn)
    is_mild = (length <= SHORT_EDGE_M) & (np.abs(sine) <= np.sin(np.radians(MILD_DEGREES)))
    far = np.flatnonzero(~is_mild)
    if len(far):
        one, two = points[step[far]], points[step[far] + 1]
        length[far] = geod.inv(one[:, 0], one[:, 1], two[:, 0], two[:, 1])[2]
    return np.asarray(length)


def ground_sizes(degrees: NDArray[np.object_], crs: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Areas in square metres and perimeters in metres of polygons in degrees on the datum of `crs`; see the two above."""
    geod, number = ellipsoid(crs), len(degrees)
    rings, owner, sign = _rings(degrees)
    points, ring, step = _steps(rings)
    lon, lat = points[:, 0], points[:, 1]
    turn = np.radians(lon[step + 1] - lon[step])
    turn = np.remainder(turn + np.pi, 2 * np.pi) - np.pi
    length = _lengths(geod, points, step, turn)
    sine, radius = _authalic(geod, np.radians(lat))
    half = np.tan(np.arcsin(sine) / 2)
    middle = (half[step] + half[step + 1]) / (1 + half[step] * half[step + 1])
    # The parallel of each ring's own first point is the reference: small differences of large areas lose digits.
    first = np.zeros(len(rings))
    first[ring[::-1]] = sine[step[::-1]]
    strip = 2 * np.arctan(np.tan(turn / 2) * middle) - turn * first[ring]
    # Which way round a ring goes cannot be told from longitudes that jump at 180 degrees, so it is not asked.
    area = np.abs(np.bincount(ring, weights=strip, minlength=len(rings))) * radius**2
    around = np.abs(np.bincount(ring, weights=turn, minlength=len(rings))) > np.pi
    for place in np.flatnonzero(around | (_largest(ring, length, len(rings)) > LONG_EDGE_M)):
        area[place] = abs(geod.geometry_area_perimeter(rings[place])[0])
    perimeter = np.bincount(owner[ring], weights=length, minlength=number).astype(np.float64)
    return np.bincount(owner, weights=sign * area, minlength=number).astype(np.float64), perimeter


def _rings(polygons: NDArray[np.object_]) -> tuple[NDArray[np.object_], NDArray[np.intp], NDArray[np.float64]]:
    """The rings of polygons, the number of the polygon that each belongs to, and 1 for an outer one, -1 for a hole."""
    parts, part_owner = shapely.get_parts(polygons, return_index=True)
    rings, part = shapely.get_rings(parts, return_index=True)
    is_outer = np.append(True, part[1:] != part[:-1])[: len(part)]
    return rings, part_owner[part], np.where(is_outer, 1.0, -1.0)


def _steps(degrees: NDArray[np.object_]) -> tuple[NDArray[np.float64], NDArray[np.intp], NDArray[np.intp]]:
    """The vertices of all lines and rings, and for each step from one vertex to the next its geometry and its first vertex."""
    parts, part_owner = shapely.get_parts(degrees, return_index=True)
    if len(parts) and (shapely.get_dimensions(parts) == 2).any():
        parts, ring_owner = shapely.get_rings(parts, return_index=True)
        part_owner = part_owner[ring_owner]
    points, line = shapely.get_coordinates(parts, return_index=True)
    step = np.flatnonzero(line[1:] == line[:-1])
    return points, part_owner[line[step]], step


def _largest(owner: NDArray[np.intp], values: NDArray[np.float64], number: int) -> NDArray[np.float64]:
    largest = np.zeros(number)
    np.maximum.at(largest, owner, values)
    return largest


def _authalic(geod: Geod, lat: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """Sines of the authalic latitudes, and the radius of the authalic sphere."""

    def zone(sine: NDArray[np.float64]) -> NDArray[np.float64]:
        e = float(np.sqrt(geod.es))
        bent = np.arctanh(e * sine) / e if e > 0 else sine
        return np.asarray((1 - geod.es) * (sine / (1 - geod.es * sine**2) + bent))

    whole = float(zone(np.ones(1))[0])
    return np.clip(zone(np.sin(lat)) / whole, -1, 1), float(geod.a * np.sqrt(whole / 2))


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
