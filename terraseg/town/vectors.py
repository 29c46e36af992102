"""The things a town is made of, as vectors with exact attributes.

Coordinates are metres east and north: from the scene's centre while a town is planned, map coordinates once it stands.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import LineString, Polygon

T = TypeVar("T")

Outline = NDArray[np.float64]


@dataclass(frozen=True)
class Wing:
    """A rectangle under one ridge: centre, length along the ridge, width across it, and the ridge's angle from east."""

    x: float
    y: float
    length_m: float
    width_m: float
    angle: float


@dataclass(frozen=True)
class Building:
    """A footprint and what stands on it.

    `kind` is "house", "l-shape", "terrace", "courtyard", "flats", "hall" or "shed"; `roof` names its material and `form`
    is "gable", "hip" or "flat". Walls reach `eaves_m`; a pitched roof rises by `pitch` metres a metre above them.
    Neighbours in a terrace share their wall: the same vertices stand in both outlines.
    """

    polygon: Polygon
    kind: str
    roof: str
    form: str
    wings: tuple[Wing, ...]
    eaves_m: float
    pitch: float

    @property
    def area_m2(self) -> float:
        """Footprint in square metres, courtyards taken off."""
        return float(self.polygon.area)


@dataclass(frozen=True)
class Street:
    """A centre line and the full paved width, footways included; `kind` is "main" or "side"."""

    line: LineString
    width_m: float
    kind: str

    @cached_property
    def polygon(self) -> Polygon:
        """The paved surface: everything within half the width of the line, cut square at its ends."""
        return self.line.buffer(self.width_m / 2, cap_style="flat", join_style="mitre")


@dataclass(frozen=True)
class Tree:
    """A crown seen from above: `radius_m` is that of the circle of equal area, (x, y) the trunk."""

    x: float
    y: float
    radius_m: float
    height_m: float
    crown: Polygon


@dataclass(frozen=True)
class Patch:
    """Something to be seen that is no object of the truth: a plot's own green, a car, a lane marking, a chimney.

    `height_m` is above what it stands on. On a roof, `owner` is the building's place in the layout.
    """

    polygon: Polygon
    material: str
    tone: float = 1.0
    height_m: float = 0.0
    owner: int = -1


@dataclass(frozen=True)
class Layout:
    """All vectors of a town and of its surroundings. Trees stand in order of height, so the last one is on top.

    `plots`, `traffic` and `roofware` only change how the ground, the streets and the roofs look.
    """

    streets: tuple[Street, ...]
    buildings: tuple[Building, ...]
    trees: tuple[Tree, ...]
    water: tuple[Polygon, ...]
    soil: tuple[Patch, ...]
    plots: tuple[Patch, ...]
    traffic: tuple[Patch, ...]
    roofware: tuple[Patch, ...]


def shifted(layout: Layout, by: tuple[float, float]) -> Layout:
    """The same layout moved east and north; equal vertices stay equal."""
    dx, dy = by

    def move(shape: Any) -> Any:
        return shapely.transform(shape, lambda points: points + np.array([dx, dy]))

    def patches(values: tuple[Patch, ...]) -> tuple[Patch, ...]:
        return tuple(replace(p, polygon=move(p.polygon)) for p in values)

    def building(one: Building) -> Building:
        wings = tuple(replace(w, x=w.x + dx, y=w.y + dy) for w in one.wings)
        return replace(one, polygon=move(one.polygon), wings=wings)

    return Layout(
        streets=tuple(replace(s, line=move(s.line)) for s in layout.streets),
        buildings=tuple(building(b) for b in layout.buildings),
        trees=tuple(replace(t, x=t.x + dx, y=t.y + dy, crown=move(t.crown)) for t in layout.trees),
        water=tuple(move(w) for w in layout.water),
        soil=patches(layout.soil),
        plots=patches(layout.plots),
        traffic=patches(layout.traffic),
        roofware=patches(layout.roofware),
    )


def polygon_parts(shape: Any) -> list[Polygon]:
    """The polygons of any geometry, lines and points left out.

    >>> polygon_parts(shapely.Point(0, 0))
    []
    """
    return [
        part for part in shapely.get_parts(shape, return_index=False) if part.geom_type == "Polygon" and part.area > 0
    ]
