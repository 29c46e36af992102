"""What makes streets and roofs look used: cars, lane markings, worn asphalt, chimneys, skylights, solar panels."""

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import LineString, Polygon

from terraseg.town.vectors import Building, Patch, Street, Wing

CAR_COLOURS = ("car white", "car silver", "car black", "car red", "car blue")
CAR_SHARES = (0.22, 0.32, 0.26, 0.09, 0.11)


def _oriented(x: float, y: float, angle: float, size: tuple[float, float]) -> Polygon:
    """A rectangle around (x, y) of size (length along the angle, width)."""
    half_l, half_w = size[0] / 2, size[1] / 2
    c, s = float(np.cos(angle)), float(np.sin(angle))
    corners = ((-half_l, -half_w), (half_l, -half_w), (half_l, half_w), (-half_l, half_w))
    return Polygon([(x + a * c - b * s, y + a * s + b * c) for a, b in corners])


def plan_traffic(rng: np.random.Generator, streets: list[Street], gravel: list[Polygon]) -> tuple[Patch, ...]:
    """Carriageways inside the footways, repairs, centre lines, and cars on streets, drives and yards."""
    ways = [s.line.buffer(s.width_m / 2 - _footway(s), cap_style="flat", join_style="mitre") for s in streets]
    patches = [Patch(way, "asphalt", float(rng.uniform(0.85, 1.2))) for way in ways]
    patches += [p for s in streets for p in _repairs(rng, s)]
    patches += [p for s in streets if s.kind == "main" for p in _dashes(s)]
    patches += [p for s in streets for p in _street_cars(rng, s)]
    patches += [p for yard in gravel if yard.area > 200 or rng.random() < 0.4 for p in _yard_cars(rng, yard)]
    return tuple(patches)


def _footway(street: Street) -> float:
    return 2.2 if street.kind == "main" else 0.8


def _stations(line: LineString, at: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Positions (n, 2) and directions (n,) along a line."""
    here = shapely.get_coordinates(shapely.line_interpolate_point(line, at))
    ahead = shapely.get_coordinates(shapely.line_interpolate_point(line, np.minimum(at + 2, line.length)))
    behind = shapely.get_coordinates(shapely.line_interpolate_point(line, np.maximum(at - 2, 0)))
    return here, np.arctan2(ahead[:, 1] - behind[:, 1], ahead[:, 0] - behind[:, 0])


def _dashes(street: Street) -> list[Patch]:
    """Lane markings: 3 m of line, 4.5 m of gap."""
    here, angle = _stations(street.line, np.arange(5.0, street.line.length - 5, 7.5))
    return [
        Patch(_oriented(x, y, a, (3.0, 0.3)), "marking")
        for (x, y), a in zip(here.tolist(), angle.tolist(), strict=True)
    ]


def _repairs(rng: np.random.Generator, street: Street) -> list[Patch]:
    """Darker or lighter rectangles where the asphalt was mended."""
    count = int(rng.poisson(street.line.length / 45))
    here, angle = _stations(street.line, rng.uniform(0, street.line.length, count))
    patches = []
    for (x, y), a in zip(here.tolist(), angle.tolist(), strict=True):
        off = float(rng.uniform(-1, 1)) * (street.width_m / 2 - _footway(street) - 1.2)
        size = (float(rng.uniform(1.5, 14)), float(rng.uniform(0.8, 2.2)))
        place = (x - off * float(np.sin(a)), y + off * float(np.cos(a)))
        patches.append(Patch(_oriented(*place, a, size), "asphalt", float(rng.choice([0.72, 0.8, 1.22]))))
    return patches


def _car(rng: np.random.Generator, x: float, y: float, angle: float) -> list[Patch]:
    """Body, the raised roof, and the windscreen."""
    colour = str(rng.choice(CAR_COLOURS, p=CAR_SHARES))
    size = (float(rng.uniform(3.9, 4.7)), float(rng.uniform(1.7, 1.9)))
    return [
        Patch(_oriented(x, y, angle, size), colour, height_m=0.9),
        Patch(_oriented(x, y, angle, (2.2, 1.5)), colour, height_m=1.5),
        Patch(
            _oriented(x + 0.85 * float(np.cos(angle)), y + 0.85 * float(np.sin(angle)), angle, (0.75, 1.4)),
            "glass",
            1.4,
            1.2,
        ),
    ]


def _street_cars(rng: np.random.Generator, street: Street) -> list[Patch]:
    """Parked cars along the kerbs and, on main streets, a few on the move."""
    patches = []
    for side in (-1, 1):
        for lane, share in ((street.width_m / 2 - _footway(street) - 1.1, 0.13), (1.6, 0.06)):
            if lane < 2 and street.kind == "side":
                continue
            at = np.arange(8.0, street.line.length - 8, 6.5)
            at = at[rng.random(len(at)) < share]
            here, angle = _stations(street.line, at)
            for (x, y), a in zip(here.tolist(), angle.tolist(), strict=True):
                off, turn = side * lane, a + float(rng.normal(0, 0.02))
                patches += _car(rng, x - off * float(np.sin(a)), y + off * float(np.cos(a)), turn)
    return patches


def _yard_cars(rng: np.random.Generator, yard: Polygon) -> list[Patch]:
    """On a rectangle of gravel: one car along a drive, two rows of parked cars across a lot."""
    corners = shapely.get_coordinates(yard)
    sides = np.diff(corners[:3], axis=0)
    lengths = np.hypot(sides[:, 0], sides[:, 1])
    if lengths.min() < 2.4 or lengths.max() < 5.5 or len(corners) != 5:
        return []
    dx, dy = sides[int(lengths.argmax())] / lengths.max()
    x, y, angle = yard.centroid.x, yard.centroid.y, float(np.arctan2(dy, dx))
    if lengths.min() < 10:
        return _car(rng, x, y, angle)
    patches = []
    for row in (-1, 1):
        off = row * (lengths.min() / 2 - 3.2)
        for at in np.arange(3.0 - lengths.max() / 2, lengths.max() / 2 - 2.9, 2.8):
            if rng.random() < 0.5:
                patches += _car(rng, float(x + at * dx - off * dy), float(y + at * dy + off * dx), angle + np.pi / 2)
    return patches


def plan_roofware(rng: np.random.Generator, buildings: list[Building]) -> tuple[Patch, ...]:
    """Small things on roofs: machines and a lower deck within the parapet on flat ones, chimneys and panels on others."""
    patches: list[Patch] = []
    for owner, building in enumerate(buildings):
        patches += _flat(rng, building, owner) if building.form == "flat" else _pitched(rng, building, owner)
    return tuple(patches)


def _on_wing(wing: Wing, along: float, across: float, size: tuple[float, float]) -> Polygon:
    c, s = float(np.cos(wing.angle)), float(np.sin(wing.angle))
    return _oriented(wing.x + along * c - across * s, wing.y + along * s + across * c, wing.angle, size)


def _flat(rng: np.random.Generator, building: Building, owner: int) -> list[Patch]:
    wing, patches = building.wings[0], []
    deck = building.polygon.buffer(-0.45, join_style="mitre")
    if building.kind != "shed" and not deck.is_empty:
        patches.append(Patch(deck, building.roof, float(rng.uniform(0.82, 0.95)), -0.4, owner))
        for _ in range(int(rng.integers(1, 6))):
            along = float(rng.uniform(-0.4, 0.4)) * wing.length_m
            across = float(rng.uniform(-0.3, 0.3)) * wing.width_m
            size = (float(rng.uniform(0.9, 3.2)), float(rng.uniform(0.9, 2.4)))
            kind = str(rng.choice(["metal", "glass", "grey concrete"]))
            patches.append(Patch(_on_wing(wing, along, across, size), kind, 1.0, float(rng.uniform(0.4, 1.6)), owner))
    return patches


def _pitched(rng: np.random.Generator, building: Building, owner: int) -> list[Patch]:
    wing, patches = building.wings[0], []
    if building.kind == "hall":
        return []
    if building.kind == "terrace":
        along, size = wing.length_m / 2 - 0.15, (0.3, wing.width_m)
        patches.append(Patch(_on_wing(wing, along, 0.0, size), "footway", 1.0, 0.3, owner))
    for _ in range(int(rng.integers(0, 3))):
        along = float(rng.uniform(-0.4, 0.4)) * wing.length_m
        patches.append(
            Patch(_on_wing(wing, along, float(rng.uniform(-0.8, 0.8)), (0.8, 0.7)), "brick", 1.0, 1.0, owner)
        )
    side = float(rng.choice([-1, 1])) * wing.width_m / 4
    if rng.random() < 0.2:
        size = (min(wing.length_m * 0.6, float(rng.uniform(3, 6.5))), wing.width_m * 0.3)
        patches.append(Patch(_on_wing(wing, float(rng.uniform(-1, 1)), side, size), "panel", 1.0, 0.1, owner))
    elif rng.random() < 0.4:
        along = float(rng.uniform(-0.3, 0.3)) * wing.length_m
        patches.append(Patch(_on_wing(wing, along, side, (0.9, 1.2)), "glass", 1.5, 0.1, owner))
    return patches
