"""How much of each pixel a polygon covers, exactly."""

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from terraseg.core.window import Window


@dataclass(frozen=True, eq=False)
class Edges:
    """The edges of a polygon in pixel coordinates (x = column, y = row), the interior on the left of each; (n,) each."""

    x0: NDArray[np.float64]
    y0: NDArray[np.float64]
    x1: NDArray[np.float64]
    y1: NDArray[np.float64]

    def rows(self, chosen: NDArray[np.generic]) -> "Edges":
        """The edges that a mask or an index picks."""
        return Edges(self.x0[chosen], self.y0[chosen], self.x1[chosen], self.y1[chosen])

    def between(self, start: NDArray[np.float64], stop: NDArray[np.float64]) -> "Edges":
        """Of each edge the part between two shares of its way."""
        dx, dy = self.x1 - self.x0, self.y1 - self.y0
        return Edges(self.x0 + start * dx, self.y0 + start * dy, self.x0 + stop * dx, self.y0 + stop * dy)


def edges_of(polygon: shapely.Geometry) -> Edges:
    """The edges of a valid polygon or multipolygon in pixel coordinates."""
    rings = shapely.get_parts(shapely.get_rings(shapely.get_parts(shapely.orient_polygons(polygon))))
    points, ring = shapely.get_coordinates(rings, return_index=True)
    same = ring[1:] == ring[:-1]
    start, stop = points[:-1][same], points[1:][same]
    return Edges(start[:, 0], start[:, 1], stop[:, 0], stop[:, 1])


def coverage(edges: Edges, window: Window) -> NDArray[np.float64]:
    """The share of each pixel of a window that the polygon of these edges covers, (height, width) from 0 to 1.

    Exact but for rounding: each edge is cut at the pixels' sides, and every part adds the trapezoid between it and the right
    side of its pixel, and its height to all pixels further right (signed areas, as renderers of outline fonts add them up).
    Polygons that cover a window together have shares that add up to 1. Work and memory go with the edges' length in
    pixels inside the window.

    >>> square = edges_of(shapely.box(0.5, 0, 2, 1))
    >>> coverage(square, Window(0, 0, 1, 3)).tolist()
    [[0.5, 1.0, 0.0]]
    """
    parts = _cut(_clipped(edges, window))
    height, width = window.height, window.width
    row = np.clip(np.floor((parts.y0 + parts.y1) / 2).astype(np.int64), 0, height - 1)
    middle = (parts.x0 + parts.x1) / 2
    col = np.floor(middle).astype(np.int64)
    # Going down the screen with the interior on the left: what lies right of the edge is inside.
    rise = parts.y0 - parts.y1
    own = rise * (col + 1 - middle)
    place = row * (width + 2) + col
    size = height * (width + 2)
    steps = np.bincount(place, weights=own, minlength=size) + np.bincount(place + 1, weights=rise - own, minlength=size)
    shares = np.cumsum(steps.reshape(height, width + 2)[:, :width], axis=1)
    return np.asarray(np.clip(shares, 0.0, 1.0))


def _clipped(edges: Edges, window: Window) -> Edges:
    """What of the edges has a say in a window, in its own pixels: those left of it are moved to its left side."""
    height, width = window.height, window.width
    moved = Edges(edges.x0 - window.col, edges.y0 - window.row, edges.x1 - window.col, edges.y1 - window.row)
    meets = (np.minimum(moved.y0, moved.y1) < height) & (np.maximum(moved.y0, moved.y1) > 0)
    meets &= (moved.y0 != moved.y1) & (np.minimum(moved.x0, moved.x1) < width)
    moved = moved.rows(meets)
    dy = moved.y1 - moved.y0
    first, second = np.clip((0 - moved.y0) / dy, 0, 1), np.clip((height - moved.y0) / dy, 0, 1)
    moved = moved.between(np.minimum(first, second), np.maximum(first, second))
    dx = np.where(moved.x1 == moved.x0, 1.0, moved.x1 - moved.x0)
    left, right = np.clip((0 - moved.x0) / dx, 0, 1), np.clip((width - moved.x0) / dx, 0, 1)
    cuts = np.sort(np.stack([np.zeros_like(dx), left, right, np.ones_like(dx)]), axis=0)
    pieces = [moved.between(cuts[k], cuts[k + 1]) for k in range(3)]
    x0, y0, x1, y1 = (np.concatenate([getattr(piece, name) for piece in pieces]) for name in ("x0", "y0", "x1", "y1"))
    inside = ((x0 + x1) / 2 < width) & (y0 != y1)
    return Edges(np.clip(x0, 0, width), y0, np.clip(x1, 0, width), y1).rows(inside)


def _cut(edges: Edges) -> Edges:
    """The edges in parts of which each lies in one pixel."""
    number = len(edges.x0)
    at, owner = [np.zeros(number), np.ones(number)], [np.arange(number), np.arange(number)]
    for start, stop in ((edges.x0, edges.x1), (edges.y0, edges.y1)):
        low, high = np.minimum(start, stop), np.maximum(start, stop)
        first = np.floor(low).astype(np.int64) + 1
        count = np.maximum(0, np.ceil(high).astype(np.int64) - first)
        edge = np.repeat(np.arange(number), count)
        line = first[edge] + np.arange(len(edge)) - np.repeat(np.cumsum(count) - count, count)
        at.append((line - start[edge]) / (stop[edge] - start[edge]))
        owner.append(edge)
    share, edge = np.concatenate(at), np.concatenate(owner)
    order = np.lexsort((share, edge))
    share, edge = share[order], edge[order]
    same = edge[1:] == edge[:-1]
    return edges.rows(edge[:-1][same]).between(share[:-1][same], share[1:][same])
