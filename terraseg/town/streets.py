"""The street network: long streets, cross streets between them, all gently bent, and what stands in their way."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import LineString, Polygon

from terraseg.town.vectors import Street

Points = NDArray[np.float64]
Frame = Callable[[Points, Points], Points]

STEP_M = 5.0
SHORTEST_M = 32.0


def bent_frame(rng: np.random.Generator) -> tuple[Frame, float]:
    """A map from street coordinates (along, across) to the ground, turned and slightly warped; and its angle."""
    angle = np.radians(rng.uniform(9, 36) * rng.choice([-1, 1]) + 90 * rng.integers(2))
    waves = rng.uniform(-1, 1, (2, 3, 2)) * 2 * np.pi / rng.uniform(170, 420, (2, 3, 1))
    phases, heights = rng.uniform(0, 2 * np.pi, (2, 3)), rng.uniform(1.5, 5.0, (2, 3))

    def to_ground(along: Points, across: Points) -> Points:
        moved = [along.astype(np.float64), across.astype(np.float64)]
        for axis in range(2):
            for (fu, fv), phase, height in zip(waves[axis], phases[axis], heights[axis], strict=True):
                moved[axis] = moved[axis] + height * np.sin(fu * along + fv * across + phase)
        u, v = moved
        return np.column_stack([u * np.cos(angle) - v * np.sin(angle), u * np.sin(angle) + v * np.cos(angle)])

    return to_ground, float(angle)


def plan_streets(rng: np.random.Generator, frame: Frame, *, reach: float) -> list[Street]:
    """Streets over a disc of radius `reach` around the origin: every fourth long one is a main street."""
    rows = _rows(rng, reach)
    streets = [_street(frame, (-reach, v), (reach, v), width) for v, width in rows]
    previous: Points = np.empty(0)
    for (below, _), (above, _) in pairwise(rows):
        stations = _stations(rng, reach, previous)
        for u in stations:
            lean = rng.uniform(-9, 9)
            streets.append(_street(frame, (u, below), (u + lean, above), float(rng.uniform(6.4, 8.0))))
        previous = stations
    return streets


def _rows(rng: np.random.Generator, reach: float) -> list[tuple[float, float]]:
    """Position and width of the long streets, the main one near the origin."""
    start = float(rng.uniform(-16, 16))
    upward, downward = [start], [start]
    while upward[-1] < reach:
        upward.append(upward[-1] + float(rng.uniform(60, 74)))
    while downward[-1] > -reach:
        downward.append(downward[-1] - float(rng.uniform(60, 74)))
    positions = downward[:0:-1] + upward
    home = len(downward) - 1
    return [
        (v, float(rng.uniform(12.5, 15.0) if (k - home) % 4 == 0 else rng.uniform(6.8, 8.6)))
        for k, v in enumerate(positions)
    ]


def _stations(rng: np.random.Generator, reach: float, previous: Points) -> Points:
    """Where cross streets leave a row; about half of them go on where the last row's ended."""
    steps = rng.uniform(88, 145, 2 * int(reach / 80) + 4)
    middle = len(steps) // 2
    stations = np.cumsum(steps)
    stations += rng.uniform(-30, 30) - stations[middle]
    if len(previous):
        nearest = previous[np.abs(previous[:, None] - stations).argmin(axis=0)]
        stations = np.where((np.abs(nearest - stations) < 40) & (rng.random(len(stations)) < 0.6), nearest, stations)
    return stations[np.abs(stations) < reach]


def _street(frame: Frame, start: tuple[float, float], stop: tuple[float, float], width: float) -> Street:
    count = max(2, int(np.hypot(stop[0] - start[0], stop[1] - start[1]) / STEP_M))
    points = frame(np.linspace(start[0], stop[0], count), np.linspace(start[1], stop[1], count))
    return Street(LineString(points), width, "main" if width > 10 else "side")


def clip_streets(streets: list[Street], region: Polygon, *, barrier: Any) -> list[Street]:
    """The streets inside `region`; side streets end at `barrier`, main streets cross it."""
    kept = []
    for street in streets:
        line = shapely.intersection(street.line, region)
        if street.kind == "side":
            line = shapely.difference(line, barrier)
        pieces = shapely.get_parts(line)
        kept += [
            Street(p, street.width_m, street.kind)
            for p in pieces
            if p.geom_type == "LineString" and p.length >= SHORTEST_M
        ]
    return kept
