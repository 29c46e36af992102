"""Finished polygons in another coordinate reference system."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import Transformer
from pyproj.exceptions import CRSError, ProjError

from terraseg.core.polygons import PolygonTable
from terraseg.errors import BadOption, CrsMissing
from terraseg.shapes.ground import parse_crs


def reprojection(crs: str | None, wanted: str | None) -> Callable[[PolygonTable], PolygonTable]:
    """What moves a table of polygons from the map's CRS to the wanted one; None leaves it.

    Vertices are moved one by one, so what neighbours share they go on sharing; sizes were measured on the ground and stay.
    Raises `CrsMissing` for a map without a CRS, `BadOption` for one that is unknown or to which no way leads.
    """
    if wanted is None:
        return lambda table: table
    project = point_mover(crs, wanted)

    def move(table: PolygonTable) -> PolygonTable:
        moved = shapely.orient_polygons(shapely.transform(table.geometry, project))
        return replace(table, geometry=np.asarray(moved, dtype=object), crs=wanted)

    return move


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
