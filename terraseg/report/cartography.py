"""What makes a picture a map: the scale bar and the direction of north."""

import math

from pyproj import Transformer
from pyproj.exceptions import ProjError

from terraseg.core.grid import Grid
from terraseg.errors import GridMismatch
from terraseg.report.content import ScaleBar
from terraseg.shapes.ground import to_longitude_latitude

LONGEST = 0.3
"""Share of the picture's width that a scale bar takes at most."""


def pixel_sides_m(grid: Grid) -> tuple[float, float] | None:
    """Pixel (height, width) in metres at the centre; None without a CRS, and with one that has no place on a globe."""
    try:
        sides = grid.pixel_size_m
    except GridMismatch:
        return None
    return sides if sides is not None and all(math.isfinite(s) and s > 0 for s in sides) else None


def scale_bar(grid: Grid) -> ScaleBar | None:
    """The longest of 1, 2 or 5 times a power of ten metres that takes at most 30 % of the width; None without a CRS.

    True at the raster's centre, along its rows.
    """
    sides = pixel_sides_m(grid)
    if sides is None:
        return None
    across = sides[1] * grid.width
    length = round_length(across * LONGEST)
    return ScaleBar(length, length / across)


def round_length(most: float) -> float:
    """The largest of 1, 2 or 5 times a power of ten that is at most `most`, a positive length.

    >>> round_length(37.0)
    20.0
    """
    power = 10.0 ** math.floor(math.log10(most))
    return max(power * step for step in (1, 2, 5) if power * step <= most * (1 + 1e-9))


def north_angle(grid: Grid) -> float | None:
    """The direction of true north in the picture at its centre, in degrees clockwise from up, -180 to 180.

    None without a CRS, and at the poles, where every direction is south.
    """
    if grid.crs is None:
        return None
    try:
        transformer: Transformer = to_longitude_latitude(grid.crs)
        x, y = grid.to_map(grid.height / 2, grid.width / 2)
        lon, lat = transformer.transform(float(x), float(y))
        step = 1e-4 if lat < 0 else -1e-4
        aside = transformer.transform(lon, lat + step, direction="INVERSE")
    except (GridMismatch, ProjError):
        return None
    row, col = grid.to_pixel(*aside)
    right = (float(col) - grid.width / 2) / step
    up = (grid.height / 2 - float(row)) / step
    if not (math.isfinite(right) and math.isfinite(up)) or abs(lat) > 89.999 or math.hypot(right, up) == 0:
        return None
    return math.degrees(math.atan2(right, up))
