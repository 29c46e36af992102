"""The middle of long things such as streets, pixel by pixel, and how wide they are there."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from terraseg.core.classes import VOID
from terraseg.core.classreader import ClassRaster
from terraseg.pixels.margin import Surrounded, margin_pixels, surrounded
from terraseg.pixels.thinning import thinned

REACH_M = 30.0
"""Half the width of the widest street that is measured truly."""
COVER_M = 4.0
"""How far from the street on either side what hangs over its edge is taken away."""
HOLE_M2 = 12.0
"""Holes in a street up to this size are none."""
MARCH = 0.25
"""Steps, in pixels, in which a street's edge is looked for."""


@dataclass(frozen=True, eq=False)
class MiddlePoints:
    """Pixels in the middle of streets, in reading order of windows; all arrays have shape (n,).

    `row` and `col` are of the map. `radius` is the distance to the nearest edge, `width` from edge to edge across, NaN where
    an edge is hidden or lies beyond the map, `step` the length of street that a pixel stands for: in metres with a CRS.
    """

    row: NDArray[np.int64]
    col: NDArray[np.int64]
    radius: NDArray[np.float64]
    width: NDArray[np.float64]
    step: NDArray[np.float64]

    def rows(self, chosen: NDArray[np.generic]) -> "MiddlePoints":
        """The points that a mask or an index picks."""
        return MiddlePoints(*(getattr(self, name)[chosen] for name in ("row", "col", "radius", "width", "step")))

    def __len__(self) -> int:
        return len(self.row)


def middle_points(raster: ClassRaster, streets: Collection[int], over: Collection[int] = ()) -> MiddlePoints:
    """The middle of the classes `streets` with their widths; `over` are classes that hide them from above, crowns and cars.

    What hangs over a street is taken away where the street goes on around it, and a width that would end under it is left
    out. Memory is a window of the map and what the points take.
    """
    grid = raster.grid
    margin = margin_pixels(grid, REACH_M)
    found = [_points_of(part, streets, over) for part in surrounded(raster, margin)]
    joined = MiddlePoints(
        *(np.concatenate([getattr(f, name) for f in found]) for name in ("row", "col", "radius", "width", "step"))
    )
    inside = (joined.row >= 0) & (joined.row < grid.height) & (joined.col >= 0) & (joined.col < grid.width)
    return joined.rows(inside)


def _points_of(part: Surrounded, streets: Collection[int], over: Collection[int]) -> MiddlePoints:
    street = np.isin(part.ids, list(streets))
    if not street.any():
        none = np.zeros(0)
        return MiddlePoints(none.astype(np.int64), none.astype(np.int64), none, none, none)
    hidden = np.isin(part.ids, list(over))
    body = _uncovered(street, hidden, part.sampling)
    distance = _distance(body, part.sampling)
    row, col = np.nonzero(thinned(body))
    place = np.column_stack([row, col]).astype(np.float64) * np.array(part.sampling)
    along = _directions(place, distance[row, col] + 2 * max(part.sampling))
    unknown = hidden | (part.ids == VOID)
    width = _widths(body, unknown, (place, along), (part.sampling, distance[row, col]))
    core = part.in_core(row, col)
    return MiddlePoints(
        row=row[core] + part.row,
        col=col[core] + part.col,
        radius=distance[row, col][core],
        width=width[core],
        step=_steps(along, part.sampling)[core],
    )


def _uncovered(
    street: NDArray[np.bool_], hidden: NDArray[np.bool_], sampling: tuple[float, float]
) -> NDArray[np.bool_]:
    """The street with what hangs over it (a closing that adds hidden pixels only), its small holes filled."""
    body = street
    if hidden.any():
        near = ndimage.distance_transform_edt(~street, sampling=sampling) <= COVER_M
        closed = near if near.all() else ndimage.distance_transform_edt(near, sampling=sampling) > COVER_M
        body = street | (closed & hidden)
    holes, count = ndimage.label(~body)
    if count == 0:
        return body
    small = np.bincount(holes.ravel(), minlength=count + 1) * (sampling[0] * sampling[1]) <= HOLE_M2
    small[np.unique(np.concatenate([holes[0], holes[-1], holes[:, 0], holes[:, -1]]))] = False
    return np.asarray(body | small[holes])


def _distance(body: NDArray[np.bool_], sampling: tuple[float, float]) -> NDArray[np.float64]:
    if body.all():
        return np.full(body.shape, float(np.hypot(*body.shape) * max(sampling)))
    return np.asarray(ndimage.distance_transform_edt(body, sampling=sampling))


def _directions(place: NDArray[np.float64], reach: NDArray[np.float64]) -> NDArray[np.float64]:
    """Unit vectors (n, 2) along the line at each of its points: the main axis of the points within twice its `reach`."""
    near = cKDTree(place).query_ball_point(place, 2 * reach)
    count = np.fromiter(map(len, near), np.int64, len(place))
    owner, other = np.repeat(np.arange(len(place)), count), np.fromiter((i for part in near for i in part), np.int64)
    offset = place[other] - place[owner]
    moments = [
        np.bincount(owner, weights=one * two, minlength=len(place))
        for one, two in ((offset[:, 0], offset[:, 0]), (offset[:, 0], offset[:, 1]), (offset[:, 1], offset[:, 1]))
    ]
    angle = 0.5 * np.arctan2(2 * moments[1], moments[0] - moments[2])
    return np.column_stack([np.cos(angle), np.sin(angle)])


def _widths(
    body: NDArray[np.bool_],
    unknown: NDArray[np.bool_],
    line: tuple[NDArray[np.float64], NDArray[np.float64]],
    scale: tuple[tuple[float, float], NDArray[np.float64]],
) -> NDArray[np.float64]:
    """From edge to edge across the line at each point; NaN where one of them is not to be seen."""
    (place, along), (sampling, radius) = line, scale
    across = np.column_stack([-along[:, 1], along[:, 0]])
    step = MARCH * min(sampling)
    total = np.zeros(len(place))
    for side in (-1, 1):
        going, length = np.arange(len(place)), np.zeros(len(place))
        # A line off the middle, or a bend, may make one side longer than the other; more than thrice is no street's width.
        for number in range(1, int(3 * radius.max(initial=0) / step) + 8):
            at = place[going] + side * number * step * across[going]
            row, col = (np.floor(at[:, axis] / sampling[axis] + 0.5).astype(np.int64) for axis in (0, 1))
            beyond = (row < 0) | (row >= body.shape[0]) | (col < 0) | (col >= body.shape[1])
            beyond |= number * step > 3 * radius[going] + 2 * max(sampling)
            row, col = np.clip(row, 0, body.shape[0] - 1), np.clip(col, 0, body.shape[1] - 1)
            out = ~body[row, col]
            length[going[out]] = (number - 0.5) * step
            length[going[(out & unknown[row, col]) | beyond]] = np.nan
            going = going[~(out | beyond)]
            if len(going) == 0:
                break
        total += length
    return total


def _steps(along: NDArray[np.float64], sampling: tuple[float, float]) -> NDArray[np.float64]:
    """The length of line that a pixel stands for: a thin line has one in each row, or column, that it runs through."""
    with np.errstate(divide="ignore"):
        return np.asarray((np.array(sampling) / np.abs(along)).min(axis=1))
