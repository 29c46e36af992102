"""Labels that are probably wrong: pieces of ground where a model is sure of another class than the label."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from rasterio.features import shapes
from scipy import ndimage

from terraseg.core.classes import VOID
from terraseg.core.grid import Grid
from terraseg.core.window import Window

CONFIDENT = 0.8
"""A model is sure of a pixel when it gives its class this much."""
LEAST_PIXELS = 16
THICK = np.ones((3, 3), dtype=np.bool_)
"""Disagreements thinner than this lie along the borders of classes, where hands differ."""
STEPS = 254
"""The byte of a certainty of 1."""


@dataclass(frozen=True, eq=False)
class Suspect:
    """One piece of ground: its scene and window, the indices of its label and of the model's class, pixels and certainty.

    `mask` (height, width) is the piece within its window.
    """

    scene: str
    window: Window
    label: int
    mapped: int
    pixels: int
    certainty: float
    mask: NDArray[np.bool_]

    @property
    def score(self) -> float:
        """What it is ranked by: pixels, each by how sure the model is beyond `CONFIDENT`."""
        return self.pixels * (self.certainty - CONFIDENT + 0.05)


def suspects_in(
    scene: str, window: Window, truth: NDArray[np.uint8], mapped: NDArray[np.uint8], certainty: NDArray[np.uint8]
) -> Iterator[Suspect]:
    """The suspicious pieces of a window, from class indices and bytes of certainty (h, w); void counts nowhere.

    A piece is connected by its edges, of one label and one mapped class, at least `LEAST_PIXELS` large and 3 px thick.
    """
    known = (truth != VOID) & (mapped != VOID) & (certainty != VOID)
    sure = known & (truth != mapped) & (certainty >= CONFIDENT * STEPS)
    pairs = np.where(sure, truth.astype(np.int32) * (VOID + 1) + mapped, -1)
    for pair in np.unique(pairs[sure]).tolist():
        pieces, _ = ndimage.label(ndimage.binary_opening(pairs == pair, structure=THICK))
        for number, place in enumerate(ndimage.find_objects(pieces), start=1):
            mask = pieces[place] == number
            pixels = int(mask.sum())
            if pixels >= LEAST_PIXELS:
                rows, cols = place
                part = Window(window.row + rows.start, window.col + cols.start, *mask.shape)
                mean = float(certainty[place][mask].mean()) / STEPS
                yield Suspect(scene, part, pair // (VOID + 1), pair % (VOID + 1), pixels, mean, mask)


def outline(suspect: Suspect, grid: Grid) -> Any:
    """The piece as a shapely multipolygon: in the grid's CRS, or in pixels right and up (y = -row) where it has none."""
    a, b, c, d, e, f = grid.crop(suspect.window).transform
    if grid.crs is None:
        a, b, c, d, e, f = 1.0, 0.0, float(suspect.window.col), 0.0, -1.0, -float(suspect.window.row)
    rings = shapes(suspect.mask.astype(np.uint8), mask=suspect.mask, transform=Affine(a, b, c, d, e, f))
    parts = [shapely.Polygon(ring["coordinates"][0], ring["coordinates"][1:]) for ring, _ in rings]
    return shapely.MultiPolygon(parts)


def looked_upon(suspect: Suspect, grid: Grid, *, around: int = 48) -> Window:
    """The window of a picture of it: the piece with some ground around."""
    w = suspect.window
    grown = Window(w.row - around, w.col - around, w.height + 2 * around, w.width + 2 * around)
    return grown.intersection(grid.window)
