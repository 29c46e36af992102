"""The ground area of each single pixel, which changes over a raster with latitude and with the projection."""

import numpy as np
from numpy.typing import NDArray

from terraseg.shapes.ground import Affine6, ellipsoid, parse_crs, to_longitude_latitude

FINE = 2**18
"""Pixel areas are whole multiples of this part of the central pixel's, so that their sums are exact in any order."""

MAX_SPACING = 64
SPACING_DEGREES = 0.25


def area_unit_m2(crs: str, transform: Affine6, row: float, col: float) -> float:
    """The step in which `pixel_areas` counts, in square metres: 1 / 2^18 of the pixel at (row, col).

    The sum of up to 2^35 pixel areas is exact in float64, hence the same for every way to cut the raster into blocks.
    """
    area = float(_density(crs, transform, np.array([row]), np.array([col]))[0, 0])
    return (area if area > 0 else 1.0) / FINE


class PixelAreas:
    """Ground areas of the pixels of one raster, in whole steps of `unit_m2`.

    The area element of the ellipsoid, |det J| M N cos(latitude) with the two radii of curvature M and N and the Jacobian
    J of the way from pixels to longitude and latitude, is worked out on a lattice that is fixed to the raster and
    interpolated linearly between its points; the lattice is as fine as 0.25 degrees or 64 pixels, whichever is less, which
    keeps the error under 1e-4 up to a latitude of 75 degrees. Pixels off the projection's domain have area 0.
    """

    def __init__(self, crs: str, transform: Affine6, height: int, width: int) -> None:
        self._crs, self._transform, self._shape = crs, transform, (height, width)
        self._spacing = _spacing(crs, transform, height, width)
        self.unit_m2 = area_unit_m2(crs, transform, height / 2, width / 2)

    def read(self, row: int, col: int, height: int, width: int) -> NDArray[np.float64]:
        """Areas (height, width) of a block of pixels, in steps of `unit_m2`, whole numbers."""
        step = self._spacing
        first_row, last_row = row // step, (row + height - 1) // step + 1
        first_col, last_col = col // step, (col + width - 1) // step + 1
        # Lattice points stand at pixel centres, so that with a spacing of 1 each pixel is its own point.
        rows = np.arange(first_row, last_row + 1, dtype=np.float64) * step + 0.5
        cols = np.arange(first_col, last_col + 1, dtype=np.float64) * step + 0.5
        # A point beyond the raster may lie beyond the pole or the projection too: it is taken from the last pixel.
        rows[:], cols[:] = np.minimum(rows, self._shape[0] - 0.5), np.minimum(cols, self._shape[1] - 0.5)
        lattice = _density(self._crs, self._transform, rows, cols) / self.unit_m2
        down = _between(np.arange(row, row + height, dtype=np.float64) + 0.5, rows)
        across = _between(np.arange(col, col + width, dtype=np.float64) + 0.5, cols)
        tall = lattice[down[0]] * (1 - down[1])[:, None] + lattice[down[0] + 1] * down[1][:, None]
        area = np.diff(tall, axis=1).take(across[0], axis=1)
        area *= across[1]
        area += tall.take(across[0], axis=1)
        return np.asarray(np.rint(area, out=area))


def _between(at: NDArray[np.float64], points: NDArray[np.float64]) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Index of the lattice point before each position, and the share of the way to the next one."""
    before = np.clip(np.searchsorted(points, at, side="right") - 1, 0, len(points) - 2)
    gap = points[before + 1] - points[before]
    share = np.divide(at - points[before], gap, out=np.zeros_like(at), where=gap > 0)
    return before, share


def _spacing(crs: str, transform: Affine6, height: int, width: int) -> int:
    lon, lat = _degrees(
        crs, transform, np.array([height / 2, height / 2 + 1, height / 2]), width / 2 + np.array([0, 0, 1])
    )
    steps = np.abs(np.concatenate([np.diff(lat[:2]), lat[2:] - lat[0], np.diff(lon[:2]), lon[2:] - lon[0]]))
    largest = float(np.max(np.where(np.isfinite(steps), steps, 0)))
    return int(np.clip(SPACING_DEGREES / largest if largest > 0 else MAX_SPACING, 1, MAX_SPACING))


def _degrees(
    crs: str, transform: Affine6, rows: NDArray[np.float64], cols: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    a, b, c, d, e, f = transform
    lon, lat = to_longitude_latitude(crs).transform(a * cols + b * rows + c, d * cols + e * rows + f)
    return np.asarray(lon), np.asarray(lat)


def _density(crs: str, transform: Affine6, rows: NDArray[np.float64], cols: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ground area in square metres of a pixel centred on each (row, col) of a lattice; shape (rows, cols)."""
    if parse_crs(crs).is_geographic:
        return _geographic_density(crs, transform, rows, cols)
    row, col = (part.ravel() for part in np.meshgrid(rows, cols, indexing="ij"))
    half = 0.5
    ends = [_degrees(crs, transform, row + i, col + j) for i, j in ((half, 0), (-half, 0), (0, half), (0, -half))]
    lon = [np.radians(end[0]) for end in ends]
    lat = [np.radians(end[1]) for end in ends]
    with np.errstate(invalid="ignore"):
        # The shorter way round, where a pixel lies across the date line.
        down = (np.remainder(lon[0] - lon[1] + np.pi, 2 * np.pi) - np.pi, lat[0] - lat[1])
        across = (np.remainder(lon[2] - lon[3] + np.pi, 2 * np.pi) - np.pi, lat[2] - lat[3])
        area = np.abs(down[0] * across[1] - down[1] * across[0]) * _element(crs, np.mean(lat, axis=0))
    return np.where(np.isfinite(area), area, 0.0).reshape(len(rows), len(cols))


def _geographic_density(
    crs: str, transform: Affine6, rows: NDArray[np.float64], cols: NDArray[np.float64]
) -> NDArray[np.float64]:
    """`_density` where the axes are degrees already and differences would only add rounding."""
    a, b, _, d, e, _ = transform
    row, col = (part.ravel() for part in np.meshgrid(rows, cols, indexing="ij"))
    _, lat = _degrees(crs, transform, row, col)
    area = abs(a * e - b * d) * np.radians(1.0) ** 2 * _element(crs, np.radians(lat))
    return np.asarray(np.maximum(area, 0.0).reshape(len(rows), len(cols)))


def _element(crs: str, lat: NDArray[np.float64]) -> NDArray[np.float64]:
    """Square metres to a square radian of longitude and latitude: M N cos(lat) on the ellipsoid (Snyder 1987, ch. 4)."""
    geod = ellipsoid(crs)
    squared = geod.es
    return np.asarray(geod.a**2 * (1 - squared) * np.cos(lat) / (1 - squared * np.sin(lat) ** 2) ** 2)
