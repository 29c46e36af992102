"""Polygons burnt on a pixel grid: a pixel belongs to a polygon when its centre does."""

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.features import rasterize
from shapely import STRtree, box

from terraseg.core.classes import VOID
from terraseg.core.grid import Grid
from terraseg.core.window import Window


class BurnLayer:
    """Polygons with class indices, ready to be burnt window by window on the grid of one raster.

    `geometries` are in the grid's CRS. Where polygons overlap, the one with the higher class index wins, then the later
    one. Pixels outside all of them get `outside`: a class index, or `VOID` where the ground beside is unlabelled.
    """

    def __init__(
        self, geometries: NDArray[np.object_], indices: NDArray[np.uint8], grid: Grid, *, outside: int = VOID
    ) -> None:
        order = np.argsort(indices, kind="stable")
        self._geometries, self._indices = geometries[order], indices[order]
        self._tree = STRtree(self._geometries)
        self._grid, self._outside = grid, outside

    def burn(self, window: Window) -> NDArray[np.uint8]:
        """Class indices (height, width) of a window."""
        part = self._grid.crop(window)
        hits = np.sort(self._tree.query(box(*part.bounds)))
        if hits.size == 0:
            return np.full((window.height, window.width), self._outside, dtype=np.uint8)
        shapes = zip(self._geometries[hits], self._indices[hits].tolist(), strict=True)
        burnt: NDArray[np.uint8] = rasterize(
            shapes,
            out_shape=(window.height, window.width),
            fill=self._outside,
            transform=Affine(*part.transform),
            dtype="uint8",
        )
        return burnt
