"""Where labels lie: label rasters on the grid of their image, and the CRS that misplaced coordinates look like."""

import warnings
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pyproj import Transformer
from pyproj.exceptions import ProjError

from terraseg.core.grid import Grid
from terraseg.errors import GridMismatch
from terraseg.pixels.drawn import map_offset
from terraseg.shapes.antimeridian import HALF_TURN, TURN
from terraseg.shapes.carry import is_degrees
from terraseg.shapes.ground import Affine6, parse_crs, same_crs, to_longitude_latitude

IDENTITY: Affine6 = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
LEAST_COVER = 0.5
"""Labels that cover less of their image than this are refused."""
SAMPLES = 64
"""Places along either side at which it is asked whether labels cover an image."""
OF_ONE_SIZE = 0.02
"""By how much the scale of labels may differ along the two sides, for them to be of the whole image."""
WORLD = 20_037_508.35


def place_labels(own: Grid, grid: Grid, path: str, *, assume_crs: str | None, shift: tuple[float, float]) -> Grid:
    """The grid of a label raster in the terms of its image: moved by `shift`, with a CRS exactly where the image has one.

    `own` is what the file says. Labels that say nothing of their place lie on their image when they have its size, or one
    that is so many times smaller or larger along both sides. Raises `GridMismatch` for those of another size, and for labels
    that cover less than half of the image.
    """
    says = own.crs is not None or own.transform not in (IDENTITY, (1.0, 0.0, 0.0, 0.0, -1.0, 0.0))
    if not says or (grid.crs is None and grid.transform == IDENTITY):
        placed = _laid_over(own, grid, path)
    else:
        crs = own.crs or assume_crs or grid.crs
        placed = _turned(replace(own, crs=crs if grid.crs is not None else None), grid)
    dx, dy = map_offset(placed, shift)
    a, b, c, d, e, f = placed.transform
    placed = replace(placed, transform=(a, b, c + dx, d, e, f + dy))
    share = covered_share(placed, grid)
    if share < LEAST_COVER:
        raise GridMismatch(
            f"{path} covers {share:.0%} of its image{_in_crs(placed, grid)}: labels are laid on an image that they cover at "
            f"least half. {_remedy(placed, grid)}"
        )
    return placed


def _turned(labels: Grid, grid: Grid) -> Grid:
    """Labels in degrees moved by whole turns to their image, where that is in degrees too."""
    if labels.crs is None or grid.crs is None or not (is_degrees(labels.crs) and is_degrees(grid.crs)):
        return labels
    a, b, c, d, e, f = labels.transform
    return replace(labels, transform=(a, b, c + float(_turns_between(labels, _middle(grid))) * TURN, d, e, f))


def _middle(grid: Grid) -> float:
    return float(grid.to_map(grid.height / 2, grid.width / 2)[0])


def _turns_between(labels: Grid, longitude: ArrayLike) -> NDArray[np.float64]:
    """By how many whole turns labels in degrees, as they count, lie west of longitudes."""
    return np.round((np.asarray(longitude) - _middle(labels)) / TURN)


def warp_crs(labels: Grid, grid: Grid) -> str | None:
    """The CRS of labels for a warp onto a grid: degrees are told to count on around the labels' middle where they must.

    GDAL asks PROJ for longitudes from -180 to 180, and between degrees for those that the grid counts, and looks for them in
    the labels as they are. So it must where the labels reach beyond 180, and where a grid in degrees reaches beyond them.
    """
    if labels.crs is None or grid.crs is None or not is_degrees(labels.crs):
        return labels.crs
    (left, _, right, _), (west, _, east, _) = labels.bounds, grid.bounds
    inside = west >= left and east <= right if is_degrees(grid.crs) else left >= -HALF_TURN and right <= HALF_TURN
    if inside:
        return labels.crs
    with warnings.catch_warnings():
        # The short form loses names; what it keeps of the datum is what a raster needs.
        warnings.simplefilter("ignore", UserWarning)
        short = parse_crs(labels.crs).to_proj4()
    return f"{short.replace('+type=crs', '')} +lon_wrap={_middle(labels):.6f} +wktext"


def _laid_over(own: Grid, grid: Grid, path: str) -> Grid:
    """Labels without a place, spread over their image."""
    down, across = grid.height / own.height, grid.width / own.width
    same = (own.height, own.width) == (grid.height, grid.width)
    whole = max(down, 1 / down, across, 1 / across) >= 1.5 and abs(down / across - 1) <= OF_ONE_SIZE
    if not same and not whole:
        raise GridMismatch(
            f"{path} is {own.height} x {own.width} px and its image {grid.height} x {grid.width} px, and they do not "
            "both have a CRS to align them by: export the labels at the size of the image"
        )
    a, b, c, d, e, f = grid.transform
    return Grid(grid.crs, (a * across, b * down, c, d * across, e * down, f), own.height, own.width)


def ground_grid(grid: Grid, assume_crs: str | None) -> Grid:
    """A scene's grid, in the CRS assumed for it where it has none of its own but says where it lies."""
    unnamed = grid.crs is None and assume_crs is not None and grid.transform != IDENTITY
    return replace(grid, crs=assume_crs) if unnamed else grid


def covered_share(labels: Grid, grid: Grid) -> float:
    """The share of an image, from 0 to 1, that lies within the rectangle of a label raster, found at 64 x 64 places."""
    rows, cols = np.meshgrid(*((np.arange(SAMPLES) + 0.5) / SAMPLES * size for size in (grid.height, grid.width)))
    xs, ys = grid.to_map(rows.ravel(), cols.ravel())
    if labels.crs is not None and grid.crs is not None and not same_crs(labels.crs, grid.crs):
        try:
            xs, ys = Transformer.from_crs(grid.crs, labels.crs, always_xy=True).transform(xs, ys)
        except ProjError:
            return 0.0
    if labels.crs is not None and is_degrees(labels.crs):
        xs = xs - _turns_between(labels, xs) * TURN
    down, across = labels.to_pixel(xs, ys)
    inside = (down >= 0) & (down <= labels.height) & (across >= 0) & (across <= labels.width)
    return float(inside.mean())


def _in_crs(placed: Grid, grid: Grid) -> str:
    named, other = short_crs(placed.crs), short_crs(grid.crs)
    return "" if placed.crs is None else f" (it says {named}, the image {other})"


def _remedy(placed: Grid, grid: Grid) -> str:
    left, bottom, right, top = placed.bounds
    corners = np.array([[left, bottom], [(left + right) / 2, (bottom + top) / 2], [right, top]])
    likely = likely_crs(corners, placed.crs, grid)
    if likely is not None:
        return f"Its coordinates look like {likely}: if they are, set that (gdal_edit -a_srs {likely})"
    return "Check in a GIS which image they belong to and both CRSs, or cut the image to its labels (gdal_translate -projwin)"


def likely_crs(points: NDArray[np.float64], named: str | None, grid: Grid) -> str | None:
    """The CRS, other than the one `named`, in which most points (n, 2) would lie on an image; None when in none they do.

    Asked are the image's own, longitude and latitude, web mercator and the UTM zones around; and "latitude, longitude" in
    the wrong order.
    """
    if grid.crs is None or not len(points):
        return None
    best, most = None, 0.0
    for name in _candidates(grid):
        swapped = name == SWAPPED
        there = points[:, ::-1] if swapped else points
        crs = "EPSG:4326" if swapped else name
        if named is not None and same_crs(crs, named) and not swapped:
            continue
        share = _share_on(there, crs, grid)
        if share > most:
            best, most = name, share
    return best


SWAPPED = "EPSG:4326 with latitude and longitude swapped"


def _candidates(grid: Grid) -> list[str]:
    xs, ys = grid.to_map(grid.height / 2, grid.width / 2)
    lon, lat = to_longitude_latitude(str(grid.crs)).transform(float(xs), float(ys))
    names = [str(grid.crs), "EPSG:4326", "EPSG:3857"]
    if np.isfinite([lon, lat]).all():
        zone = int((lon + 180) // 6) % 60
        halves = (32600, 32700) if lat >= 0 else (32700, 32600)
        names += [f"EPSG:{half + (zone + step) % 60 + 1}" for half in halves for step in (0, -1, 1)]
    return [*names, SWAPPED]


def _share_on(points: NDArray[np.float64], crs: str, grid: Grid) -> float:
    """The share of points in a CRS that lie on an image."""
    if crs == "EPSG:4326" and (np.abs(points) > [180, 90]).any():
        return 0.0
    if np.abs(points).max() > WORLD:
        return 0.0
    try:
        xs, ys = Transformer.from_crs(crs, str(grid.crs), always_xy=True).transform(points[:, 0], points[:, 1])
    except ProjError:
        return 0.0
    with np.errstate(invalid="ignore"):
        rows, cols = grid.to_pixel(xs, ys)
        inside = (rows >= 0) & (rows <= grid.height) & (cols >= 0) & (cols <= grid.width)
    return float(inside.mean())


def short_crs(crs: str | None) -> str:
    """A CRS for a message: its code, or its first words."""
    if crs is None:
        return "no CRS"
    return crs if crs.startswith("EPSG:") else f"{crs[:40]}..."
