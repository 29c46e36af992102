"""The pixel grid of a raster: where on the ground each pixel lies."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray

from terraseg.core.window import Window
from terraseg.shapes.ground import Affine6, pixel_size_m, same_crs

SIDE_POINTS = 128
"""Points on each side of the border of a grid."""


@dataclass(frozen=True)
class Grid:
    """CRS, affine transform and size of a raster.

    `crs` is a WKT or "EPSG:n" string, or None when the raster has none. `transform` is (a, b, c, d, e, f) with
    x = a col + b row + c and y = d col + e row + f, where pixel (0, 0) has its outer corner at col = row = 0.
    """

    crs: str | None
    transform: Affine6
    height: int
    width: int

    def __post_init__(self) -> None:
        if self.height <= 0 or self.width <= 0:
            raise ValueError(f"a grid of {self.height} x {self.width} pixels: both sizes must be positive")
        a, b, _, d, e, _ = self.transform
        if not np.isfinite(self.transform).all() or a * e - b * d == 0:
            raise ValueError(f"the transform {self.transform} folds the grid to a line: it has no inverse")

    @property
    def window(self) -> Window:
        """All pixels."""
        return Window(0, 0, self.height, self.width)

    @property
    def pixel_size(self) -> tuple[float, float]:
        """Pixel (height, width) in units of the CRS."""
        a, b, _, d, e, _ = self.transform
        return float(np.hypot(b, e)), float(np.hypot(a, d))

    @property
    def pixel_size_m(self) -> tuple[float, float] | None:
        """Pixel (height, width) in metres on the ground at the raster's centre; None without a CRS.

        None too where the centre is nowhere on the ground, in space beside the disc of a planet for example.
        """
        if self.crs is None:
            return None
        sides = pixel_size_m(self.crs, self.transform, self.height / 2, self.width / 2)
        return sides if 0 < sides[0] < np.inf and 0 < sides[1] < np.inf else None

    @property
    def gsd_m(self) -> float | None:
        """Ground sample distance: the geometric mean of the pixel's two sides in metres; None without a CRS."""
        sides = self.pixel_size_m
        return None if sides is None else float(np.sqrt(sides[0] * sides[1]))

    def to_map(self, rows: ArrayLike, cols: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Map coordinates (x, y) of pixel positions; add 0.5 to a pixel's index for its centre."""
        a, b, c, d, e, f = self.transform
        row, col = np.asarray(rows, dtype=np.float64), np.asarray(cols, dtype=np.float64)
        return a * col + b * row + c, d * col + e * row + f

    def to_pixel(self, xs: ArrayLike, ys: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Pixel positions (row, col) of map coordinates: the inverse of `to_map`."""
        a, b, c, d, e, f = self.transform
        x, y = np.asarray(xs, dtype=np.float64) - c, np.asarray(ys, dtype=np.float64) - f
        determinant = a * e - b * d
        return (a * y - d * x) / determinant, (e * x - b * y) / determinant

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """Map coordinates of the surrounding rectangle as (left, bottom, right, top), for any rotation."""
        xs, ys = self.to_map([0, 0, self.height, self.height], [0, self.width, 0, self.width])
        return float(xs.min()), float(ys.min()), float(xs.max()), float(ys.max())

    @property
    def outline(self) -> shapely.Polygon:
        """The border in map coordinates, with `SIDE_POINTS` points a side, for other CRSs to bend."""
        side, zero = np.arange(SIDE_POINTS) / SIDE_POINTS, np.zeros(SIDE_POINTS)
        rows = np.concatenate([zero, side, zero + 1, 1 - side]) * self.height
        cols = np.concatenate([side, zero + 1, 1 - side, zero]) * self.width
        return shapely.Polygon(np.column_stack(self.to_map(rows, cols)))

    def crop(self, window: Window) -> "Grid":
        """The grid of a window, which may reach beyond this one."""
        xs, ys = self.to_map(window.row, window.col)
        a, b, _, d, e, _ = self.transform
        return Grid(self.crs, (a, b, float(xs), d, e, float(ys)), window.height, window.width)

    def reduced(self, rows: Fraction | int, cols: Fraction | int) -> "Grid":
        """The grid in pixels of `rows` times the height and `cols` times the width.

        A remainder below and to the right is left out. Raises `ValueError` where not one pixel is left.
        """
        a, b, c, d, e, f = self.transform
        down, across = float(rows), float(cols)
        size = self.window.reduced(rows, cols)
        return Grid(self.crs, (a * across, b * down, c, d * across, e * down, f), size.height, size.width)

    def same_place(self, other: "Grid", tolerance: float = 0.01) -> bool:
        """True when both have one size, one CRS and corners that agree to `tolerance` of a pixel."""
        if (self.height, self.width) != (other.height, other.width) or not same_crs(self.crs, other.crs):
            return False
        rows, cols = other.to_pixel(*self.to_map([0, 0, self.height], [0, self.width, 0]))
        off = np.abs([rows - [0, 0, self.height], cols - [0, self.width, 0]])
        return bool(off.max() <= tolerance)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {"crs": self.crs, "transform": list(self.transform), "height": self.height, "width": self.width}

    @staticmethod
    def from_json(value: dict[str, Any]) -> "Grid":
        """The inverse of `to_json`."""
        a, b, c, d, e, f = value["transform"]
        return Grid(value["crs"], (a, b, c, d, e, f), value["height"], value["width"])
