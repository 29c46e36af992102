"""Where trees stand and how far their crowns reach: along streets, in gardens, in groups, on banks and in woods."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import STRtree
from shapely.geometry import Polygon

from terraseg.town.vectors import Building, Street, Tree

CORNERS = 22
PER_HECTARE = 46


@dataclass(frozen=True)
class Stand:
    """Candidate trees: positions (n, 2), crown radii (n,), and whether their crowns may grow into each other."""

    at: NDArray[np.float64]
    radius: NDArray[np.float64]
    close: bool


def plan_trees(
    rng: np.random.Generator,
    region: Polygon,
    *,
    streets: list[Street],
    buildings: list[Building],
    places: dict[str, Any],
) -> tuple[Tree, ...]:
    """Trees over `region`, the tallest last.

    `places` holds polygons: "woods" (close trees), "bank" (a belt along the river), "bare" (no tree: water, lots, fields).
    """
    stands = [_street_trees(rng, streets), _garden_trees(rng, region), _groups(rng, region)]
    stands += [_wood(rng, wood) for wood in places["woods"]] + [_belt(rng, places["bank"])]
    at, radius, close = _settled(stands)
    roofs = np.array([b.polygon for b in buildings], dtype=object)
    paved = np.array([s.line.buffer(s.width_m / 2 - 1.2) for s in streets], dtype=object)
    points = shapely.points(at)
    keep = shapely.intersects(region, points) & ~shapely.intersects(places["bare"], points)
    keep &= _far_from(points, roofs, np.maximum(0.8 * radius, radius - 1.0)) & _far_from(points, paved, 0.2 * radius)
    keep &= _spaced(points, radius, close)
    at, radius = at[keep], radius[keep]
    height = radius * rng.uniform(1.5, 2.6, len(radius)) + 1.5
    order = np.argsort(height, kind="stable")
    crowns = _crowns(rng, at[order], radius[order])
    rows = zip(at[order].tolist(), radius[order].tolist(), height[order].tolist(), crowns, strict=True)
    return tuple(Tree(x, y, r, h, crown) for (x, y), r, h, crown in rows)


def _settled(stands: list[Stand]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    return (
        np.concatenate([s.at for s in stands]),
        np.concatenate([s.radius for s in stands]),
        np.concatenate([np.full(len(s.at), s.close) for s in stands]),
    )


def _street_trees(rng: np.random.Generator, streets: list[Street]) -> Stand:
    """Rows along the main streets' edges and some of the side streets, with gaps."""
    found = [np.empty((0, 2))]
    for street in streets:
        if street.kind == "side" and rng.random() < 0.6:
            continue
        for side in (-1, 1):
            line = street.line.offset_curve(side * (street.width_m / 2 - 0.3))
            stations = np.arange(rng.uniform(2, 8), line.length, rng.uniform(8.5, 13))
            stations = stations[rng.random(len(stations)) > 0.3]
            found.append(shapely.get_coordinates(shapely.line_interpolate_point(line, stations)))
    at = np.concatenate(found)
    return Stand(at, rng.uniform(1.7, 3.0, len(at)), close=False)


def _garden_trees(rng: np.random.Generator, region: Polygon) -> Stand:
    left, bottom, right, top = region.bounds
    count = int(PER_HECTARE * region.area / 1e4)
    at = rng.uniform((left, bottom), (right, top), (count, 2))
    return Stand(at, 1.2 + 3.6 * rng.beta(1.6, 2.4, count), close=False)


def _groups(rng: np.random.Generator, region: Polygon) -> Stand:
    """Clumps of three to six trees whose crowns overlap."""
    left, bottom, right, top = region.bounds
    found = [np.empty((0, 2))]
    for _ in range(max(2, int(2.2 * region.area / 1e4))):
        center, count = rng.uniform((left, bottom), (right, top)), int(rng.integers(3, 7))
        found.append(center + rng.normal(0, 2.7, (count, 2)))
    at = np.concatenate(found)
    return Stand(at, rng.uniform(1.8, 3.6, len(at)), close=True)


def _wood(rng: np.random.Generator, wood: Polygon) -> Stand:
    left, bottom, right, top = wood.bounds
    step = 4.3
    xs, ys = np.meshgrid(np.arange(left, right + step, step), np.arange(bottom, top + step, step))
    xs[1::2] += step / 2
    at = np.column_stack([xs.ravel(), ys.ravel()]) + rng.uniform(-1.3, 1.3, (xs.size, 2))
    inside = shapely.contains_xy(wood, at[:, 0], at[:, 1]) & (rng.random(len(at)) > 0.06)
    return Stand(at[inside], rng.uniform(2.0, 3.9, int(inside.sum())), close=True)


def _belt(rng: np.random.Generator, bank: Any) -> Stand:
    """Trees on the outer edge of a river's banks."""
    edge = shapely.boundary(bank)
    at = shapely.get_coordinates(shapely.line_interpolate_point(edge, np.arange(0, edge.length, 6.5)))
    at = at[rng.random(len(at)) > 0.5] if len(at) else np.empty((0, 2))
    return Stand(at + rng.normal(0, 1.0, at.shape), rng.uniform(1.8, 3.6, len(at)), close=True)


def _far_from(points: Any, shapes: NDArray[np.object_], distance: NDArray[np.float64]) -> NDArray[np.bool_]:
    """True for points with no shape nearer than their own distance."""
    far = np.ones(len(points), dtype=bool)
    if len(shapes):
        near, _ = STRtree(shapes).query(points, predicate="dwithin", distance=distance)
        far[near] = False
    return far


def _spaced(points: Any, radius: NDArray[np.float64], close: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Trees that keep their distance from every earlier one that stays: crowns apart, or half grown together in stands."""
    stays = np.ones(len(points), dtype=bool)
    left, right = STRtree(points).query(points, predicate="dwithin", distance=2.3 * float(radius.max(initial=1.0)))
    order = np.lexsort((left, right))
    left, right = left[order], right[order]
    need = np.where(close[left] & close[right], 0.55, 1.1) * (radius[left] + radius[right])
    clash = (left < right) & (shapely.distance(points[left], points[right]) < need)
    for earlier, later in zip(left[clash], right[clash], strict=True):
        if stays[earlier]:
            stays[later] = False
    return stays


def _crowns(rng: np.random.Generator, at: NDArray[np.float64], radius: NDArray[np.float64]) -> NDArray[np.object_]:
    """Lobed outlines whose area is exactly that of a circle of the given radius."""
    turn = np.linspace(0, 2 * np.pi, CORNERS, endpoint=False)
    reach = np.ones((len(at), CORNERS))
    for lobes, size in ((2, 0.07), (3, 0.07), (5, 0.05)):
        reach += size * np.sin(lobes * turn + rng.uniform(0, 2 * np.pi, (len(at), 1)))
    wedge = 0.5 * np.sin(2 * np.pi / CORNERS) * (reach * np.roll(reach, -1, axis=1)).sum(axis=1)
    reach *= (radius * np.sqrt(np.pi / wedge))[:, None]
    x, y = at[:, :1] + reach * np.cos(turn), at[:, 1:] + reach * np.sin(turn)
    return np.asarray(shapely.polygons(np.stack([x, y], axis=2)), dtype=object)
