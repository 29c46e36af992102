"""Polygons with fewer vertices that still share their borders."""

import numpy as np
import shapely
from numpy.typing import NDArray


def simplify_coverage(polygons: NDArray[np.object_], *, tolerance: float) -> NDArray[np.object_]:
    """The polygons of a coverage with simpler borders, in the same order; neighbours keep one border between them.

    A corner goes when the triangle it makes with its two neighbours has an area below `tolerance` squared, smallest
    triangle first (Visvalingam and Whyatt 1993, as GEOS does it for coverages). In pixel units a tolerance of 1 takes
    away the stairs of a slanting border and leaves what is two pixels long and wide as it is; a lone pixel becomes a
    triangle. A tolerance of 0 changes nothing. Where three polygons meet, vertices stay; the outer edge of the coverage
    is simplified like the inner ones.

    >>> stairs = shapely.from_wkt("POLYGON ((0 0, 9 0, 9 9, 2 9, 2 8, 1 8, 1 7, 0 7, 0 0))")
    >>> shapely.get_num_coordinates(simplify_coverage(np.array([stairs]), tolerance=1)[0]).item()
    6
    """
    if tolerance <= 0 or len(polygons) == 0:
        return polygons
    return np.asarray(shapely.coverage_simplify(polygons, tolerance, simplify_boundary=True), dtype=object)
