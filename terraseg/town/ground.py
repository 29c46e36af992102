"""What lies between the streets: a river or ponds with their banks, woods, bare lots, and open land beyond the edge."""

from dataclasses import dataclass

import numpy as np
import shapely
from shapely.geometry import LineString, Polygon

from terraseg.town.vectors import Outline, Patch, Street, polygon_parts

HECTARE_M2 = 1e4


@dataclass(frozen=True)
class Ground:
    """Water, bare soil, coloured green, and where trees stand close (`woods`); `reserved` is kept free of buildings."""

    water: tuple[Polygon, ...]
    soil: tuple[Patch, ...]
    green: tuple[Patch, ...]
    woods: tuple[Polygon, ...]
    lots: tuple[Polygon, ...]
    reserved: tuple[Polygon, ...]


def _blob(rng: np.random.Generator, center: tuple[float, float], radius: float, rough: float = 0.16) -> Outline:
    """A closed curve around a centre that wanders by `rough` of its mean radius; 48 points."""
    turn = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    reach = np.ones(48)
    for k in range(2, 6):
        reach += rough / k * 1.6 * rng.uniform(-1, 1) * np.sin(k * turn + rng.uniform(0, 2 * np.pi))
    return np.column_stack([center[0] + radius * reach * np.cos(turn), center[1] + radius * reach * np.sin(turn)])


def plan_river(
    rng: np.random.Generator, size_m: tuple[float, float], *, reach: float, angle: float
) -> tuple[Polygon, Polygon]:
    """A river past the scene's middle, roughly along `angle`, and the river with its banks."""
    course = angle + rng.uniform(-0.25, 0.25)
    offset = rng.choice([-1, 1]) * rng.uniform(0.2, 0.34) * min(size_m)
    along = np.arange(-reach, reach + 4, 4.0)
    sway = rng.uniform(5, 11) * np.sin(along / rng.uniform(35, 60) + rng.uniform(0, 6)) + offset
    width = rng.uniform(9, 15) * (1 + 0.16 * np.sin(along / rng.uniform(13, 30) + rng.uniform(0, 6)))
    c, s = np.cos(course), np.sin(course)

    def curve(across: Outline) -> Outline:
        return np.column_stack([along * c - across * s, along * s + across * c])

    water = Polygon(np.vstack([curve(sway + width / 2), curve(sway - width / 2)[::-1]])).buffer(0)
    return water, LineString(curve(sway)).buffer(float(width.max()) / 2 + 5.0)


def plan_open_land(rng: np.random.Generator, size_m: tuple[float, float], *, reach: float) -> Polygon:
    """The country on one side of the town, its edge wavy; empty for a scene too small to have an edge."""
    if min(size_m) < 240:
        return Polygon()
    course, start = rng.uniform(0, 2 * np.pi), float(rng.uniform(0.2, 0.33)) * min(size_m)
    across = np.linspace(-reach, reach, 60)
    edge = start + 14 * np.sin(across / 55 + rng.uniform(0, 6)) + 7 * np.sin(across / 23 + rng.uniform(0, 6))
    u, v = np.append(edge, [2 * reach, 2 * reach]), np.append(across, [reach, -reach])
    c, s = np.cos(course), np.sin(course)
    return Polygon(np.column_stack([u * c - v * s, u * s + v * c]))


def plan_ground(
    rng: np.random.Generator, streets: list[Street], *, scene: Polygon, open_land: Polygon, bank: Polygon, angle: float
) -> Ground:
    """Ponds, woods and lots (along `angle`) between the streets, fields over the open land, all clear of the `bank`."""
    roads = shapely.union_all([s.polygon for s in streets])
    hectares = scene.area / HECTARE_M2
    count = max(1, round(hectares / 9))
    town = shapely.difference(scene, open_land)
    roads = shapely.union(roads, bank)
    taken = roads
    places: dict[str, list[Polygon]] = {"pond": [], "wood": [], "lot": []}
    for kind, low, high in (("pond", 8, 17), ("wood", 12, 24), ("lot", 9, 17)):
        for _ in range(count):
            radius = min(float(rng.uniform(low, high)), 0.12 * float(np.sqrt(scene.area)))
            center = _roomy(rng, town, taken, radius)
            rough = 0.34 if kind == "wood" else 0.42
            ring = _lot(rng, center, radius, angle) if kind == "lot" else _blob(rng, center, radius, rough)
            shape = Polygon(ring).buffer(0)
            places[kind] += polygon_parts(shapely.difference(shape, roads.buffer(2.5)))
            taken = shapely.union(taken, shape.buffer(4.0))
    fields = _fields(rng, open_land, roads)
    banks = tuple(Patch(p.buffer(float(rng.uniform(1, 2.5))), "bank") for p in places["pond"])
    lots = tuple(Patch(p, str(rng.choice(["gravel", "earth"])), float(rng.uniform(0.9, 1.12))) for p in places["lot"])
    parks = [p.buffer(9.0) for p in places["pond"]]
    return Ground(
        water=tuple(places["pond"]),
        soil=banks + lots + tuple(p for p in fields if p.material in {"ploughed", "stubble"}),
        green=tuple(Patch(p, "lawn") for p in parks) + tuple(p for p in fields if p.material in {"meadow", "crop"}),
        woods=tuple(places["wood"]) + tuple(p.polygon for p in fields if p.material == "forest floor"),
        lots=tuple(places["lot"]),
        reserved=tuple(parks + places["wood"] + places["lot"]),
    )


def _lot(rng: np.random.Generator, center: tuple[float, float], radius: float, angle: float) -> Outline:
    """A rectangle, its sides nearly parallel to the streets."""
    half = radius * rng.uniform((0.9, 0.6), (1.2, 0.95))
    corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * half
    turn = angle + rng.normal(0, 0.03)
    c, s = np.cos(turn), np.sin(turn)
    return np.column_stack([center[0] + corners @ (c, -s), center[1] + corners @ (s, c)])


def _roomy(rng: np.random.Generator, town: Polygon, taken: Polygon, radius: float) -> tuple[float, float]:
    """A point of the town with `radius` metres to everything taken, or the best of 60 draws."""
    left, bottom, right, top = town.bounds
    points = shapely.points(rng.uniform((left, bottom), (right, top), (60, 2)))
    room = np.minimum(shapely.distance(points, taken), shapely.distance(points, shapely.boundary(town)) + radius * 0.3)
    room = np.where(shapely.contains(town, points), room, -1)
    wide = np.flatnonzero(room > radius)
    best = points[wide[0] if len(wide) else int(room.argmax())]
    return float(best.x), float(best.y)


def _fields(rng: np.random.Generator, open_land: Polygon, roads: Polygon) -> list[Patch]:
    """Strips of field across the open land, each with its crop; every one lies clear of the roads."""
    if open_land.is_empty:
        return []
    left, bottom, right, top = open_land.bounds
    reach, course = max(right - left, top - bottom), rng.uniform(0, np.pi)
    c, s = np.cos(course), np.sin(course)
    x, y = open_land.centroid.coords[0]
    free = shapely.difference(open_land, roads.buffer(3.0))
    crops, shares = ("ploughed", "stubble", "meadow", "crop", "forest floor"), (0.2, 0.14, 0.3, 0.2, 0.16)
    fields, at = [], -reach
    while at < reach:
        width = float(rng.uniform(28, 80))
        strip = np.array([(at, -2 * reach), (at + width, -2 * reach), (at + width, 2 * reach), (at, 2 * reach)])
        ring = np.column_stack([x + strip[:, 0] * c - strip[:, 1] * s, y + strip[:, 0] * s + strip[:, 1] * c])
        crop, tone = str(rng.choice(crops, p=shares)), float(rng.uniform(0.85, 1.15))
        fields += [
            Patch(p, crop, tone) for p in polygon_parts(shapely.intersection(Polygon(ring), free)) if p.area > 60
        ]
        at += width
    return fields
