"""Plots along the streets: where each blueprint finds room; the first comer stays."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from shapely import STRtree
from shapely.geometry import Polygon

from terraseg.town.plots import DRAWERS, Blueprint, Site, Style, draw_style, erect
from terraseg.town.vectors import Building, Street

GAP_M = 2.0
LANDMARK_REACH_M = 150.0
LANDMARKS = ("courtyard", "terrace", "l-shape")
MIX = {
    "main": {"terrace": 0.3, "courtyard": 0.14, "flats": 0.28, "hall": 0.1, "house": 0.1, "l-shape": 0.08},
    "side": {"house": 0.5, "l-shape": 0.17, "terrace": 0.21, "flats": 0.07, "courtyard": 0.05},
}


@dataclass(frozen=True)
class Unit:
    """A plot with its buildings: `hull` is the ground they need, `parcels` the gardens, `gravel` its drives and yards."""

    kind: str
    buildings: tuple[Building, ...]
    hull: Polygon
    parcels: tuple[Polygon, ...]
    gravel: tuple[Polygon, ...]


def settle(rng: np.random.Generator, streets: list[Street], *, scene: Polygon, reserved: Any) -> list[Unit]:
    """Plots with buildings on both sides of every street, clear of each other, of the streets and of `reserved`.

    One terrace, one courtyard and one L-shape are placed first, inside `scene` and as near its middle as they fit.
    """
    style = draw_style(rng)
    blocked = shapely.union(shapely.union_all([s.polygon for s in streets]).buffer(1.0), reserved)
    shapely.prepare(blocked)
    sites = [site for street in streets for site in _sites_within(street, LANDMARK_REACH_M)]
    first: list[Unit] = []
    for kind in LANDMARKS:
        sizes = [DRAWERS[kind](rng, style) for _ in range(4)]
        placed = (_landmark(blueprint, sites, scene, blocked, first) for blueprint in sizes)
        first += next((units for units in placed if units), [])
    crowd = [unit for street in streets for unit in _along(rng, street, style)]
    infill = [unit for street in streets for unit in _between(rng, street, style)]
    return _clear(first + crowd + infill, blocked)


def _landmark(blueprint: Blueprint, sites: list[Site], scene: Polygon, blocked: Any, taken: list[Unit]) -> list[Unit]:
    """The blueprint on the site nearest the origin where it fits; nothing when it fits nowhere."""
    inner = scene.buffer(-1.0)
    busy = shapely.union_all([u.hull for u in taken]).buffer(GAP_M)
    for site in sorted(sites, key=lambda s: s.x**2 + s.y**2):
        unit = _unit(blueprint, site)
        if inner.contains(unit.hull) and not blocked.intersects(unit.hull) and not busy.intersects(unit.hull):
            return [unit]
    return []


def _sites_within(street: Street, reach: float) -> Iterator[Site]:
    for at in np.arange(4.0, street.line.length, 8.0):
        for side in (1, -1):
            site = _site(street, float(at), side)
            if np.hypot(site.x, site.y) < reach:
                yield site


def _along(rng: np.random.Generator, street: Street, style: Style) -> Iterator[Unit]:
    """Plots in a row on either side, some left empty; neighbours often are of one kind."""
    kinds, shares = zip(*MIX[street.kind].items(), strict=True)
    for side in (1, -1):
        at, kind = float(rng.uniform(2, 8)), str(rng.choice(kinds, p=shares))
        while at < street.line.length - 6:
            if rng.random() < 0.45:
                kind = str(rng.choice(kinds, p=shares))
            blueprint = DRAWERS[kind](rng, style)
            if rng.random() > 0.05:
                yield _unit(blueprint, _site(street, at + blueprint.frontage_m / 2, side))
            at += blueprint.frontage_m


def _between(rng: np.random.Generator, street: Street, style: Style) -> Iterator[Unit]:
    """Houses at close stations on either side, to fill what the rows have left open."""
    for side in (1, -1):
        for at in np.arange(float(rng.uniform(6, 10)), street.line.length - 6, 7.0):
            if rng.random() < 0.75:
                yield _unit(DRAWERS["house"](rng, style), _site(street, float(at), side))


def _site(street: Street, at: float, side: int) -> Site:
    """The site at `at` metres along the street, on its edge, turned as the street is over some metres around."""
    behind, here, ahead = shapely.line_interpolate_point(
        street.line, np.clip([at - 8, at, at + 8], 0, street.line.length)
    )
    angle = float(np.arctan2(ahead.y - behind.y, ahead.x - behind.x))
    half = side * street.width_m / 2
    return Site(here.x - half * float(np.sin(angle)), here.y + half * float(np.cos(angle)), angle, side)


def _unit(blueprint: Blueprint, site: Site) -> Unit:
    buildings = tuple(erect(sketch, site) for sketch in blueprint.sketches)
    hull = shapely.convex_hull(shapely.union_all([b.polygon for b in buildings]))
    parcels = tuple(Polygon(site.place(ring)) for ring in blueprint.parcels)
    gravel = tuple(Polygon(site.place(ring)) for ring in blueprint.gravel)
    return Unit(blueprint.kind, buildings, hull, parcels, gravel)


def _clear(units: list[Unit], blocked: Any) -> list[Unit]:
    """The units that touch nothing blocked and no earlier unit that stays."""
    hulls = np.array([u.hull for u in units], dtype=object)
    if not len(hulls):
        return []
    stays = ~shapely.intersects(blocked, hulls)
    left, right = STRtree(hulls).query(hulls, predicate="dwithin", distance=GAP_M)
    order = np.lexsort((left, right))
    for earlier, later in zip(left[order], right[order], strict=True):
        if earlier < later and stays[earlier]:
            stays[later] = False
    return [unit for unit, keep in zip(units, stays, strict=True) if keep]
