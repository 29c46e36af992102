"""Finished polygons in another coordinate reference system."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import Transformer
from pyproj.exceptions import CRSError, ProjError

from terraseg.core.grid import Grid
from terraseg.core.polygons import PolygonTable
from terraseg.errors import BadOption, CrsMissing
from terraseg.shapes.antimeridian import HALF_TURN, parted, unwrapped
from terraseg.shapes.carry import is_degrees
from terraseg.shapes.ground import parse_crs


def reprojection(grid: Grid, wanted: str | None) -> Callable[[PolygonTable], PolygonTable]:
    """What moves a table of polygons from a map's CRS to the wanted one; None leaves it.

    Vertices are moved one by one, so what neighbours share they go on sharing; sizes were measured on the ground and stay.
    In degrees polygons are cut at 180; those of a map that lies across are multipolygons then, all of them.
    Raises `CrsMissing` for a map without a CRS, `BadOption` for one that is unknown or to which no way leads.
    """
    if wanted is None:
        return lambda table: table
    project = point_mover(grid.crs, wanted)
    across = is_degrees(wanted) and _lies_across(grid, project)

    def move(table: PolygonTable) -> PolygonTable:
        moved = np.asarray(shapely.transform(table.geometry, project), dtype=object)
        if across:
            moved = np.array([_multi(shape) for shape in parted(moved)], dtype=object)
        return replace(table, geometry=np.asarray(shapely.orient_polygons(moved), dtype=object), crs=wanted)

    return move


def _lies_across(grid: Grid, project: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> bool:
    """Whether a map reaches beyond 180 degrees, or around a pole."""
    points, around = unwrapped(project(shapely.get_coordinates(grid.outline)))
    known = points[np.isfinite(points).all(axis=1), 0]
    return around != 0 or len(known) < len(points) or bool(known.min() < -HALF_TURN or known.max() > HALF_TURN)


def _multi(shape: Any) -> Any:
    return shapely.MultiPolygon([shape]) if shapely.get_type_id(shape) == shapely.GeometryType.POLYGON else shape


def point_mover(crs: str | None, wanted: str) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    """What moves points (n, 2) from one CRS to another; raises as `reprojection` does."""
    if crs is None:
        raise CrsMissing(f"the map has no CRS, so its polygons cannot be put into {wanted}: leave crs out")
    try:
        transformer = Transformer.from_crs(parse_crs(crs), parse_crs(wanted), always_xy=True)
    except (CRSError, ProjError) as error:
        raise BadOption(f"crs = {wanted!r} cannot be used ({error}): pass one such as EPSG:4326") from error

    def project(points: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.column_stack(transformer.transform(points[:, 0], points[:, 1]))

    return project
