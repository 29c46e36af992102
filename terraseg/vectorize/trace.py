"""The outlines of regions, strip by strip."""

import numpy as np
from numpy.typing import NDArray

from terraseg.core.classreader import ClassRaster
from terraseg.shapes.rings import OUTSIDE, Corners, find_corners, polygons_of_corners
from terraseg.vectorize.merge import Merged, merge_small
from terraseg.vectorize.pieces import strip_pieces
from terraseg.vectorize.regions import Regions, find_regions


def trace_map(
    raster: ClassRaster, *, min_area: float = 0.0, strip_rows: int | None = None
) -> tuple[NDArray[np.object_], NDArray[np.uint8]]:
    """The map as a coverage of polygons in pixel coordinates (x = column, y = row), and their class ids.

    Every pixel that is not nodata lies in one polygon; pixels of one class hang together over their sides, not over
    corners; holes are kept, and neighbours share their vertices. Regions smaller than `min_area` (square metres on the
    ground, or pixels without a CRS) are merged as `merge_small` says. The polygons are in the order of their first pixels,
    and do not depend on `strip_rows`, the number of rows held in memory.
    """
    regions = find_regions(raster, strip_rows=strip_rows)
    merged = merge_small(regions.class_id, regions.area, regions.borders, min_area=min_area / regions.area_unit)
    return trace_regions(raster, regions, merged), merged.class_id


def trace_regions(raster: ClassRaster, regions: Regions, merged: Merged) -> NDArray[np.object_]:
    """One polygon for each merged region, in pixel coordinates and in their order."""
    owner = np.concatenate([[OUTSIDE], merged.owner[regions.piece_region]]).astype(np.int32)
    above = np.full((1, raster.grid.width), OUTSIDE, dtype=np.int32)
    found: list[Corners] = []
    pieces = 0
    for window, _, local in strip_pieces(raster, regions.strip_rows):
        strip = owner[np.where(local > 0, local + pieces, 0)]
        found.append(find_corners(np.concatenate([above, strip]), top=window.row))
        pieces += int(local.max(initial=0))
        above = strip[-1:]
    below = np.full_like(above, OUTSIDE)
    found.append(find_corners(np.concatenate([above, below]), top=raster.grid.height))
    return polygons_of_corners(Corners.joined(found), count=len(merged.class_id))
