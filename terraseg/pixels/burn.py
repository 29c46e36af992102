"""Polygons burnt on a pixel grid: a pixel belongs to a polygon when its centre does."""

from collections.abc import Iterable

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.features import rasterize
from shapely import STRtree, box, clip_by_rect, get_num_coordinates, is_empty

from terraseg.core.classes import VOID
from terraseg.core.grid import Grid
from terraseg.core.window import Window

MANY_VERTICES = 10_000
CLEAR = 0.05
"""Geometries are cut so far off a window, in its sides, that what is within keeps its edges."""


class BurnLayer:
    """Polygons with label bytes (see `Coding`), ready to be burnt window by window on the grid of one raster.

    `geometries` are in the grid's CRS. Where polygons overlap, the one with the higher byte wins, then the later one; where
    their classes are `overlapping` bit masks, the pixel gets the bits of all, and void wins over them. Pixels outside all
    polygons get `outside`, `VOID` where the ground beside is unlabelled.
    """

    def __init__(
        self,
        geometries: NDArray[np.object_],
        codes: NDArray[np.uint8],
        grid: Grid,
        *,
        outside: int = VOID,
        overlapping: bool = False,
    ) -> None:
        order = np.argsort(codes, kind="stable")
        self._geometries, self._codes = geometries[order], codes[order]
        self._tree = STRtree(self._geometries)
        self._grid, self._outside, self._overlapping = grid, outside, overlapping

    def burn(self, window: Window) -> NDArray[np.uint8]:
        """Label bytes (height, width) of a window."""
        part = self._grid.crop(window)
        hits = np.sort(self._tree.query(box(*part.bounds)))
        if hits.size == 0:
            return np.full((window.height, window.width), self._outside, dtype=np.uint8)
        geometries, codes = _near(self._geometries[hits], self._codes[hits], part)
        if not len(geometries):
            return np.full((window.height, window.width), self._outside, dtype=np.uint8)
        if not self._overlapping:
            return _rasterized(zip(geometries, codes.tolist(), strict=True), part, self._outside)
        masks, covered = np.zeros((2, window.height, window.width), dtype=np.uint8)
        for code in np.unique(codes).tolist():
            inside = _rasterized(((shape, 1) for shape in geometries[codes == code]), part, 0)
            covered |= inside
            masks |= inside * np.uint8(code)
        return np.where(covered, masks, np.uint8(self._outside))


def _near(
    geometries: NDArray[np.object_], codes: NDArray[np.uint8], grid: Grid
) -> tuple[NDArray[np.object_], NDArray[np.uint8]]:
    """Geometries (n,) and their codes, without what lies far from a grid of those that have very many vertices.

    They are handed to GDAL vertex by vertex, which takes longer than to draw them.
    """
    large = np.flatnonzero(get_num_coordinates(geometries) > MANY_VERTICES)
    if large.size:
        geometries, (left, bottom, right, top) = geometries.copy(), grid.bounds
        room = CLEAR * max(right - left, top - bottom)
        clipped = clip_by_rect(geometries[large], left - room, bottom - room, right + room, top + room)
        geometries[large] = clipped
        kept = ~is_empty(geometries)
        geometries, codes = geometries[kept], codes[kept]
    return geometries, codes


def _rasterized(shapes: Iterable[tuple[object, int]], grid: Grid, fill: int) -> NDArray[np.uint8]:
    burnt: NDArray[np.uint8] = rasterize(
        shapes, out_shape=(grid.height, grid.width), fill=fill, transform=Affine(*grid.transform), dtype="uint8"
    )
    return burnt
