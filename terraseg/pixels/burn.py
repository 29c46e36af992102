"""Polygons burnt on a pixel grid: a pixel belongs to a polygon when its centre does."""

from collections.abc import Iterable

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.features import rasterize
from shapely import STRtree, box

from terraseg.core.classes import VOID
from terraseg.core.grid import Grid
from terraseg.core.window import Window


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
        geometries, codes = self._geometries[hits], self._codes[hits]
        if not self._overlapping:
            return _rasterized(zip(geometries, codes.tolist(), strict=True), part, self._outside)
        masks, covered = np.zeros((2, window.height, window.width), dtype=np.uint8)
        for code in np.unique(codes).tolist():
            inside = _rasterized(((shape, 1) for shape in geometries[codes == code]), part, 0)
            covered |= inside
            masks |= inside * np.uint8(code)
        return np.where(covered, masks, np.uint8(self._outside))


def _rasterized(shapes: Iterable[tuple[object, int]], grid: Grid, fill: int) -> NDArray[np.uint8]:
    burnt: NDArray[np.uint8] = rasterize(
        shapes, out_shape=(grid.height, grid.width), fill=fill, transform=Affine(*grid.transform), dtype="uint8"
    )
    return burnt
