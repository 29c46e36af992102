"""The plan of a town: from a random generator and a size to all its vectors, with no pixels involved."""

from typing import Any

import numpy as np
import shapely
from shapely.geometry import Polygon, box

from terraseg.town.furnish import plan_roofware, plan_traffic
from terraseg.town.greenery import plan_trees
from terraseg.town.ground import Ground, plan_ground, plan_open_land, plan_river
from terraseg.town.settle import Unit, settle
from terraseg.town.streets import bent_frame, clip_streets, plan_streets
from terraseg.town.vectors import Building, Layout, Patch, Street, Tree, polygon_parts

MARGIN_M = 40.0
"""How far the plan reaches beyond the scene, so that what stands outside casts its shadow and is cut by the edge."""


def plan_layout(seed: int, size_m: tuple[float, float]) -> Layout:
    """The layout of town `seed` around a scene of `size_m` (height, width), in metres from the scene's centre, y north."""
    height_m, width_m = size_m
    rng = np.random.default_rng((seed, 1))
    scene = box(-width_m / 2, -height_m / 2, width_m / 2, height_m / 2)
    region = scene.buffer(MARGIN_M, join_style="mitre")
    reach = float(np.hypot(width_m, height_m)) / 2 + 1.5 * MARGIN_M
    frame, angle = bent_frame(rng)
    river, bank = Polygon(), Polygon()
    if rng.random() < 0.5:
        river, bank = plan_river(rng, size_m, reach=reach, angle=angle)
    open_land = plan_open_land(rng, size_m, reach=reach)
    streets = clip_streets(plan_streets(rng, frame, reach=reach), region, barrier=shapely.union(bank, open_land))
    land = plan_ground(rng, streets, scene=scene, open_land=open_land, bank=bank, angle=angle)
    reserved = shapely.union_all([*land.reserved, bank, open_land])
    units = settle(rng, streets, scene=scene, reserved=reserved)
    units = [u for u in units if region.intersects(u.hull)]
    buildings = [b for unit in units for b in unit.buildings]
    water = [*land.water, *polygon_parts(shapely.intersection(river, region))]
    soil = _soil(rng, land, units, shapely.difference(shapely.intersection(bank, region), open_land), water)
    trees = _trees(rng, region, streets, buildings, (land, bank, water, units))
    return Layout(
        streets=tuple(streets),
        buildings=tuple(buildings),
        trees=trees,
        water=tuple(water),
        soil=tuple(soil),
        plots=land.green + tuple(_plots(rng, units)),
        traffic=plan_traffic(
            rng, streets, [*land.lots, *(g for u in units for g in u.gravel if u.kind != "courtyard")]
        ),
        roofware=plan_roofware(rng, buildings),
    )


def _soil(rng: np.random.Generator, land: Ground, units: list[Unit], bank: Any, water: list[Polygon]) -> list[Patch]:
    """Fields, lots and pond banks, then gravel drives and yards, then the river's bare margin."""
    drives = [Patch(g, "gravel", float(rng.uniform(0.8, 1.2))) for u in units for g in u.gravel]
    margin = []
    if not bank.is_empty:
        strips = shapely.intersection(shapely.union_all(water).buffer(float(rng.uniform(1.2, 3.0))), bank)
        margin = [Patch(p, "bank") for p in polygon_parts(strips)]
    return [*land.soil, *margin, *drives]


def _plots(rng: np.random.Generator, units: list[Unit]) -> list[Patch]:
    """Each parcel in its own green, hedges or fences around some of them."""
    patches = []
    for unit in units:
        material = str(rng.choice(["lawn", "garden", "dry lawn"], p=[0.5, 0.3, 0.2]))
        hedged = rng.random() < 0.55 or unit.kind == "terrace"
        for parcel in unit.parcels:
            if unit.kind == "terrace" and rng.random() < 0.5:
                material = str(rng.choice(["lawn", "garden", "dry lawn"]))
            if hedged:
                border = str(rng.choice(["hedge", "fence"]))
                patches.append(Patch(parcel, border, float(rng.uniform(0.8, 1.2)), float(rng.uniform(0.5, 1.6))))
                parcel = parcel.buffer(-0.35, join_style="mitre")
            patches.append(Patch(parcel, material, float(rng.uniform(0.85, 1.15))))
    return patches


def _trees(
    rng: np.random.Generator, region: Polygon, streets: list[Street], buildings: list[Building], around: tuple[Any, ...]
) -> tuple[Tree, ...]:
    land, bank, water, units = around
    fields = [p.polygon for p in (*land.soil, *land.green) if p.material in {"ploughed", "stubble", "meadow", "crop"}]
    drives = [g for u in units for g in u.gravel]
    bare = shapely.union_all([*fields, *drives, *land.lots, *(w.buffer(0.6) for w in water)])
    shapely.prepare(bare)
    places = {"woods": land.woods, "bank": bank, "bare": bare}
    return plan_trees(rng, region, streets=streets, buildings=buildings, places=places)
