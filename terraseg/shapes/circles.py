"""Round outlines: which they are, and the circles they become; and closed outlines compared as polygons."""

import numpy as np
import shapely
from numpy.typing import NDArray

from terraseg.shapes.chains import offsets_of
from terraseg.shapes.straight import Samples

ROUND_PX, ROUND_SHARE = 0.4, 0.01
"""An outline is round when it leaves the circle of equal area by no more on average: pixels, and a share of the radius."""

LEAST_RADIUS_PX = 4.0
"""Smaller circles cannot be told from squares."""

SAGITTA_PX = 0.1
"""How far a circle's polygon may leave the circle."""


def circles_of(
    samples: Samples, raw: NDArray[np.object_]
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Which rings are round; and the centre (n, 2) and radius (n,) of the circle of each ring's area."""
    counts = np.diff(samples.offsets)
    area = shapely.area(raw)
    radius = np.sqrt(np.maximum(area, 0) / np.pi)
    centre = shapely.get_coordinates(shapely.centroid(raw)).reshape(-1, 2)
    distance = np.hypot(samples.x - np.repeat(centre[:, 0], counts), samples.y - np.repeat(centre[:, 1], counts))
    off = np.sqrt(summed((distance - np.repeat(radius, counts)) ** 2, samples.offsets) / np.maximum(counts, 1))
    # A square leaves the circle of its area by a ninth of the radius on average.
    limit = np.minimum(ROUND_PX + ROUND_SHARE * radius, 0.08 * radius)
    return np.flatnonzero((off < limit) & (radius >= LEAST_RADIUS_PX)), centre, radius


def _corner_counts(radius: NDArray[np.float64]) -> NDArray[np.int64]:
    corners = np.pi / np.arccos(1 - SAGITTA_PX / np.maximum(radius, LEAST_RADIUS_PX))
    return 4 * np.ceil(corners / 4).astype(np.int64)


def round_corners(
    centre: NDArray[np.float64], radius: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Corners of regular polygons with the areas of the circles, clockwise on a screen, and how many each has."""
    counts = _corner_counts(radius)
    which = np.repeat(np.arange(len(counts)), counts)
    angle = 2 * np.pi * (np.arange(len(which)) - offsets_of(counts)[which] + 1) / counts[which]
    # n / 2 sin(2 pi / n) times the outer radius squared is a regular polygon's area.
    outer = radius * np.sqrt(np.pi / (counts / 2 * np.sin(2 * np.pi / np.maximum(counts, 1))))
    return centre[which, 0] + outer[which] * np.cos(angle), centre[which, 1] + outer[which] * np.sin(angle), counts


def round_polygons(centre: NDArray[np.float64], radius: NDArray[np.float64]) -> NDArray[np.object_]:
    """Regular polygons with the areas of the circles."""
    x, y, counts = round_corners(centre, radius)
    return ring_polygons(x, y, offsets_of(counts), np.ones(len(counts), dtype=np.bool_))


def summed(values: NDArray[np.float64], offsets: NDArray[np.int64]) -> NDArray[np.float64]:
    """The sum of each row of a ragged array."""
    ring = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    return np.bincount(ring, weights=values, minlength=len(offsets) - 1).astype(np.float64)


def ring_polygons(
    x: NDArray[np.float64], y: NDArray[np.float64], offsets: NDArray[np.int64], chosen: NDArray[np.bool_]
) -> NDArray[np.object_]:
    """The chosen rings as polygons without holes; None for the others."""
    out = np.full(len(chosen), None, dtype=object)
    rows = np.flatnonzero(chosen)
    if len(rows) == 0:
        return out
    ring = np.repeat(np.arange(len(chosen)), np.diff(offsets))
    kept = chosen[ring]
    lines = shapely.linearrings(np.column_stack([x[kept], y[kept]]), indices=(np.cumsum(chosen) - 1)[ring[kept]])
    out[rows] = shapely.polygons(lines)
    return out


def overlaps(one: NDArray[np.object_], two: NDArray[np.object_]) -> NDArray[np.float64]:
    """Intersection over union of pairs of polygons; 0 where one is missing or not valid."""
    overlap = np.zeros(len(one))
    fit = shapely.is_valid(one) & shapely.is_valid(two)
    shared = shapely.area(shapely.intersection(one[fit], two[fit]))
    overlap[fit] = shared / (shapely.area(one[fit]) + shapely.area(two[fit]) - shared)
    return overlap
