"""Polygons, lines and points carried from one reference system to another, along their course and across 180 degrees."""

from functools import lru_cache
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import Transformer
from pyproj.exceptions import ProjError

from terraseg.errors import CrsMissing
from terraseg.shapes.antimeridian import HALF_TURN, POLE, Bounds, counting_on, turned_onto, unwrapped
from terraseg.shapes.ground import parse_crs, same_crs

EARTH_M = 6.37e6
OFF_PIXELS = 0.005
"""How far, in pixels, an edge that is carried over to another CRS may lie off its true course."""
AROUND_M, LONGEST_TURNS = 2 * np.pi * EARTH_M, 1000
"""The way around the Earth, and how many of these the border of a country with all its islands may be long."""
MOST_ADDED = 5_000_000
MARGIN = 0.05
"""What is carried over around a raster, as a share of its size."""


@lru_cache(maxsize=64)
def is_degrees(crs: str) -> bool:
    """True for a CRS of longitudes and latitudes."""
    return bool(parse_crs(crs).is_geographic)


def longest_edge_m(gsd_m: float | None) -> float:
    """How long, in metres, an edge may be for its course in another CRS to bend by less than `OFF_PIXELS`.

    A line that is straight in one map and bent as strongly as a parallel at 45 degrees in the other leaves its chord by
    length^2 / (8 R).
    """
    return float(np.sqrt(8 * EARTH_M * OFF_PIXELS * (gsd_m or 1.0)))


def carried(geometry: NDArray[np.object_], source: str, target: str, *, gsd_m: float | None) -> NDArray[np.object_]:
    """Geometries (n,) in another CRS; long edges bend as they do on the ground, to a fraction of a pixel of `gsd_m`.

    What the CRS cannot show has infinite coordinates. Raises `CrsMissing` where no way leads there.
    """
    if is_degrees(source):
        geometry = counting_on(geometry)
    unit_m = np.radians(1) * EARTH_M if is_degrees(source) else 1.0
    return moved(_denser(geometry, longest_edge_m(gsd_m) / unit_m, AROUND_M / unit_m), source, target)


def _denser(geometry: NDArray[np.object_], edge: float, around: float) -> NDArray[np.object_]:
    """Geometries with a vertex at least every `edge` along them; what is longer than any on Earth is nonsense and stays.

    Of very much border, all polygons together, the vertices are further apart, so that they stay within `MOST_ADDED`.
    """
    length = shapely.length(geometry)
    usable = np.isfinite(length) & (length < LONGEST_TURNS * around)
    dense = np.array(geometry, dtype=object)
    step = max(edge, float(length[usable].sum()) / MOST_ADDED)
    dense[usable] = shapely.segmentize(dense[usable], step)
    return dense


def carried_onto(
    geometry: NDArray[np.object_], source: str, target: str, bounds: Bounds, *, gsd_m: float | None
) -> NDArray[np.object_]:
    """Geometries in the CRS of a raster of these bounds, with longitudes that count as the raster's do; see `carried`.

    In its own CRS they stay as they are but for that.
    """
    placed = geometry if same_crs(source, target) else carried(geometry, source, target, gsd_m=gsd_m)
    return turned_onto(counting_on(placed), bounds) if is_degrees(target) else placed


def carried_around(
    geometry: NDArray[np.object_], source: str, target: str, outline: Any, *, gsd_m: float | None
) -> NDArray[np.object_]:
    """Of polygons (n,) what lies around a raster, in its CRS: a projection may not reach the rest of the world.

    `outline` is the raster's border as a polygon, with points on its sides for other CRSs to bend. Polygons in the raster's
    own CRS stay whole. Raises `CrsMissing` where the raster cannot be placed in the polygons' CRS.
    """
    near = geometry
    if not same_crs(source, target):
        frame = _frame(outline, target, source)
        if is_degrees(source):
            near = turned_onto(counting_on(geometry), frame.bounds)
        near = shapely.intersection(near, frame)
    placed = shapely.make_valid(carried_onto(near, source, target, outline.bounds, gsd_m=gsd_m))
    return np.array([_areal(shape) for shape in placed], dtype=object)


def _frame(outline: Any, crs: str, target: str) -> Any:
    """The box around a raster in another CRS; all around where it holds a pole."""
    points = shapely.get_coordinates(moved(np.array([outline], dtype=object), crs, target))
    points, around = unwrapped(points) if is_degrees(target) else (points, 0)
    (left, bottom), (right, top) = points.min(axis=0), points.max(axis=0)
    if not np.isfinite([left, bottom, right, top]).all():
        raise CrsMissing(f"the raster cannot be placed in {target[:60]}: reproject the polygons to the raster's CRS")
    if around:
        north = points[:, 1].mean() > 0
        return shapely.box(-HALF_TURN, bottom if north else -POLE, HALF_TURN, POLE if north else top)
    margin = MARGIN * max(right - left, top - bottom)
    return shapely.box(left - margin, bottom - margin, right + margin, top + margin)


def _areal(shape: Any) -> Any:
    """The polygons of a geometry alone."""
    if shapely.get_dimensions(shape) == 2 and shapely.get_type_id(shape) != shapely.GeometryType.GEOMETRYCOLLECTION:
        return shape
    parts = shapely.get_parts(shape)
    return shapely.union_all(parts[shapely.get_dimensions(parts) == 2])


def moved(geometry: NDArray[np.object_], source: str, target: str) -> NDArray[np.object_]:
    """Geometries in another CRS, vertex by vertex; `CrsMissing` where no way leads there."""
    try:
        transformer = Transformer.from_crs(source, target, always_xy=True)
    except ProjError as error:
        raise CrsMissing(f"no way leads from {source[:60]} to {target[:60]}: pass both in one CRS") from error

    def project(points: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.column_stack(transformer.transform(points[:, 0], points[:, 1]))

    return np.asarray(shapely.transform(geometry, project), dtype=object)
