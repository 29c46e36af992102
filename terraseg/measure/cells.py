"""Square cells over a map, as parts to measure it by."""

import re

import numpy as np
import shapely
from numpy.typing import NDArray

from terraseg.core.grid import Grid
from terraseg.errors import BadOption, CrsMissing
from terraseg.measure.zones import Zones
from terraseg.shapes.carry import carried_onto, moved
from terraseg.shapes.ground import ground_area_m2, parse_crs, to_longitude_latitude

MOST_CELLS = 250_000
UTM_M = 300_000
"""Maps longer than this do not fit into a UTM zone."""
SQUARE = 0.002
"""How far the sides of a pixel may be off their nominal length on the ground for cells to be laid in the map's own CRS."""


def parse_cell(text: str) -> tuple[float, str] | None:
    """Size and unit of "100m", "1.5 km" or "200px"; None for what is no size, a file name say.

    >>> parse_cell("100m"), parse_cell("1.5 km"), parse_cell("districts.gpkg")
    ((100.0, 'm'), (1500.0, 'm'), None)
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(m|km|px)", text.strip().lower())
    if found is None:
        return None
    size = float(found[1]) * (1000 if found[2] == "km" else 1)
    if size <= 0:
        raise BadOption(f"cells of {text}: pass a size above 0, 100m say")
    return size, "px" if found[2] == "px" else "m"


def zones_of_cells(grid: Grid, size: float, unit: str = "m") -> Zones:
    """Square cells over a map, named by column and row of their grid from west and south.

    Of `size` pixels with the unit "px"; of `size` metres they lie on round coordinates of the map's own CRS where its metres
    are metres on the ground, else of the UTM zone or, for large maps, of an equal-area projection around its middle. Raises
    `CrsMissing` for metres without a CRS and `BadOption` for more cells than anyone can look at.
    """
    if unit == "px":
        return _pixel_cells(grid, size)
    if grid.crs is None:
        raise CrsMissing(f"the map has no CRS, so it has no metres: pass cells in pixels, --per {size:g}px say")
    metric = metric_crs(grid)
    outline = moved(np.array([grid.outline], dtype=object), grid.crs, metric)
    left, bottom, right, top = shapely.bounds(outline)[0]
    first_col, first_row = int(np.floor(left / size)), int(np.floor(bottom / size))
    cols, rows = int(np.ceil(right / size)) - first_col, int(np.ceil(top / size)) - first_row
    _check_number(cols * rows, f"{size:g} m")
    row, col = (part.ravel() for part in np.mgrid[0:rows, 0:cols])
    west, south = (col + first_col) * size, (row + first_row) * size
    cells = np.asarray(shapely.box(west, south, west + size, south + size), dtype=object)
    meets = shapely.intersects(cells, outline[0])
    cells, names = cells[meets], _cell_names(row[meets], col[meets])
    placed = carried_onto(cells, metric, grid.crs, grid.bounds, gsd_m=grid.gsd_m)
    return Zones(names, placed, ground_area_m2(cells, metric), "cell", grid.crs)


def _pixel_cells(grid: Grid, size: float) -> Zones:
    rows, cols = int(np.ceil(grid.height / size)), int(np.ceil(grid.width / size))
    _check_number(rows * cols, f"{size:g} px")
    row, col = (part.ravel() for part in np.mgrid[0:rows, 0:cols])
    top, left = row * size, col * size
    bottom, right = np.minimum(top + size, grid.height), np.minimum(left + size, grid.width)
    boxes = shapely.box(left, top, right, bottom)

    def project(points: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.column_stack(grid.to_map(points[:, 1], points[:, 0]))

    cells = np.asarray(shapely.transform(boxes, project), dtype=object)
    area = shapely.area(boxes) if grid.crs is None else ground_area_m2(cells, grid.crs)
    return Zones(_cell_names(row, col), cells, area, "cell", grid.crs)


def _check_number(number: int, size: str) -> None:
    if number > MOST_CELLS:
        raise BadOption(f"cells of {size} would be {number:,}: {MOST_CELLS:,} are the most, pass a larger size")


def _cell_names(row: NDArray[np.int64], col: NDArray[np.int64]) -> NDArray[np.str_]:
    return np.array([f"{c + 1}-{r + 1}" for r, c in zip(row.tolist(), col.tolist(), strict=True)], dtype=np.str_)


def metric_crs(grid: Grid) -> str:
    """A CRS in which planar lengths around a map are lengths on the ground; the map's own where it is one.

    Its UTM zone for maps of less than some hundred kilometres, else Lambert's azimuthal equal-area projection around its
    middle. The map must have a CRS.
    """
    if grid.crs is None:
        raise CrsMissing("the map has no CRS, so it has no metres")
    crs = parse_crs(grid.crs)
    sides, nominal = grid.pixel_size_m, grid.pixel_size
    if crs.is_projected and sides is not None:
        off = max(abs(side / length - 1) for side, length in zip(sides, nominal, strict=True))
        if off < SQUARE:
            return grid.crs
    x, y = grid.to_map(grid.height / 2, grid.width / 2)
    lon, lat = to_longitude_latitude(grid.crs).transform(float(x), float(y))
    length = max(grid.height * (sides or nominal)[0], grid.width * (sides or nominal)[1])
    datum = f"+R={crs.ellipsoid.semi_major_metre}" if crs.ellipsoid is not None else "+datum=WGS84"
    on_earth = crs.ellipsoid is not None and abs(crs.ellipsoid.semi_major_metre - 6_378_137) < 1000
    if on_earth and length < UTM_M and abs(lat) < 84:
        zone = int((lon + 180) // 6) % 60 + 1
        return f"EPSG:{(32600 if lat >= 0 else 32700) + zone}"
    if on_earth:
        datum = "+datum=WGS84"
    return f"+proj=laea +lat_0={lat:.6f} +lon_0={lon:.6f} {datum} +units=m +type=crs"
