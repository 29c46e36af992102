"""What people ask of a map: buildings, streets and trees in figures."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from terraseg.core.classreader import ClassRaster, LayerRaster
from terraseg.core.polygons import PolygonTable, Unit
from terraseg.measure.crowns import Crowns, find_crowns
from terraseg.measure.options import MeasureOptions
from terraseg.measure.roles import Roles, roles_of, values_of
from terraseg.measure.sizes import Sizes, sizes_from_json, sizes_of
from terraseg.measure.spacing import nearest_gaps
from terraseg.measure.streets import Streets, find_streets
from terraseg.measure.zones import Zones
from terraseg.pixels.centreline import middle_points

COLUMNS = {
    "built_share": "built_share",
    "buildings": "buildings",
    "building_area": "mean_building_area_{area}",
    "building_gap": "median_building_gap_{length}",
    "street_width": "street_width_{length}",
    "street_length": "street_length_{length}",
    "trees": "trees",
    "crown_diameter": "median_crown_diameter_{length}",
}
"""The names of the figures in tables, with the unit of areas and of lengths."""


@dataclass(frozen=True)
class Figures:
    """Buildings, streets and trees of a map or a part of it; None for what it has no class for, or nothing of.

    `built_share` is the share of the observed ground that buildings cover, `building_area` the mean size of a building,
    `building_gap` the median distance from a building to the nearest other one, `street_width` the median width along all
    streets without junctions, `street_length` their length, `trees` the number of crowns and `crown_diameter` its median.
    """

    built_share: float | None
    buildings: int | None
    building_area: float | None
    building_gap: float | None
    street_width: float | None
    street_length: float | None
    trees: int | None
    crown_diameter: float | None

    def row(self, unit: Unit) -> dict[str, Any]:
        """The figures by the names of their columns."""
        units = {"area": "m2", "length": "m"} if unit == "m" else {"area": "px", "length": "px"}
        return {column.format(**units): getattr(self, name) for name, column in COLUMNS.items()}


@dataclass(frozen=True)
class Details:
    """How the figures of a whole map are distributed, and its street segments as (x, y, width, length); None as in `Figures`.

    A segment's place is a point in its middle, in map coordinates; its width is None where no edge of it is seen.
    """

    building_gaps: Sizes | None
    street_widths: Sizes | None
    crown_diameters: Sizes | None
    street_segments: tuple[tuple[float, float, float | None, float], ...]

    @staticmethod
    def from_json(value: dict[str, Any]) -> "Details":
        """What plain JSON of it says."""
        names = ("building_gaps", "street_widths", "crown_diameters")
        gaps, widths, diameters = (None if value[n] is None else sizes_from_json(value[n]) for n in names)
        segments = tuple((x, y, width, length) for x, y, width, length in value["street_segments"])
        return Details(gaps, widths, diameters, segments)


@dataclass(frozen=True, eq=False)
class Things:
    """Every building, street point and tree of a map, each with its place; None where the map has no class for them.

    `building_x`, `building_y`, `building_area` and `building_gap` have shape (n,).
    """

    roles: Roles
    building_x: NDArray[np.float64]
    building_y: NDArray[np.float64]
    building_area: NDArray[np.float64]
    building_gap: NDArray[np.float64]
    has_buildings: bool
    streets: Streets | None
    crowns: Crowns | None


def find_things(
    raster: ClassRaster | LayerRaster | None,
    table: PolygonTable | None,
    options: MeasureOptions,
    *,
    overlapping: bool = False,
) -> Things:
    """The things on a map: buildings from its polygons, streets and crowns from its pixels. One of both at least is given."""
    source = raster if raster is not None else table
    if source is None:
        raise ValueError("things are found on a map or its polygons: pass one")
    legend = source.legend
    roles = roles_of(legend, options)
    streets = crowns = None
    if raster is not None and roles.roads:
        # Where classes overlap, a street's pixels under a crown are the street's too, and nothing hides it.
        over = np.zeros(0, np.int64) if overlapping else values_of(roles.over_roads, legend, overlapping=False)
        own = values_of(roles.roads, legend, overlapping=overlapping)
        points = middle_points(raster, own.tolist(), sorted({*over.tolist()} - {*own.tolist()}))
        streets = find_streets(points, raster.grid)
    if raster is not None and roles.trees:
        values = values_of(roles.trees, legend, overlapping=overlapping)
        crowns = find_crowns(raster, values.tolist(), smallest=options.crown_m)
    has_buildings = table is not None and bool(roles.buildings)
    none = np.zeros(0)
    place = (none, none, none, none)
    if table is not None and has_buildings:
        own_rows = np.isin(table.class_id, [legend.ids[index] for index in roles.buildings])
        geometry = table.geometry[own_rows]
        inside = shapely.point_on_surface(geometry)
        gaps = nearest_gaps(geometry, table.crs)
        if table.crs is None and raster is not None:
            gaps = gaps / float(np.sqrt(np.prod(raster.grid.pixel_size)))
        place = (shapely.get_x(inside), shapely.get_y(inside), table.area[own_rows], gaps)
    return Things(roles, *place, has_buildings, streets, crowns)


def figures_of(things: Things, built: float | None, observed: float | None) -> Figures:
    """The figures of the whole map; `built` is the ground of its buildings."""
    every = slice(None)
    return _figures(things, (every, every, every), built, observed)


def figures_by_zone(
    things: Things, zones: Zones, built: NDArray[np.float64] | None, observed: NDArray[np.float64]
) -> tuple[Figures, ...]:
    """The figures of each zone. A building, a crown or a point of a street belongs to the zone that its middle lies in."""
    streets, crowns = things.streets, things.crowns
    members = (
        _by_zone(zones, things.building_x, things.building_y),
        None if streets is None else _by_zone(zones, streets.x, streets.y),
        None if crowns is None else _by_zone(zones, crowns.x, crowns.y),
    )
    nothing = np.zeros(0, np.int64)
    rows = []
    for zone in range(len(zones)):
        chosen = tuple(nothing if of is None else of(zone) for of in members)
        share = None if built is None else float(built[zone])
        rows.append(_figures(things, (chosen[0], chosen[1], chosen[2]), share, float(observed[zone])))
    return tuple(rows)


def _by_zone(zones: Zones, x: NDArray[np.float64], y: NDArray[np.float64]) -> Callable[[int], NDArray[np.int64]]:
    """The numbers of the points in a zone, by the zone's number."""
    point, zone = zones.of_points(x, y)
    order = np.argsort(zone, kind="stable")
    point, starts = point[order], np.searchsorted(zone[order], np.arange(len(zones) + 1))
    return lambda number: point[starts[number] : starts[number + 1]]


Chosen = NDArray[np.int64] | slice
"""Numbers of things, or all of them."""


def _figures(
    things: Things, chosen: tuple[Chosen, Chosen, Chosen], built: float | None, observed: float | None
) -> Figures:
    houses, points, trees = chosen
    area, gap = things.building_area[houses], things.building_gap[houses]
    gap = gap[~np.isnan(gap)]
    width = length = diameter = number = None
    if things.streets is not None:
        step = things.streets.step[points]
        width = things.streets.median_width(points) if len(step) else None
        length = float(step.sum())
    if things.crowns is not None:
        found = things.crowns.diameter[trees]
        number, diameter = len(found), float(np.median(found)) if len(found) else None
    return Figures(
        built_share=None if built is None or not observed else built / observed,
        buildings=len(area) if things.has_buildings else None,
        building_area=float(area.mean()) if len(area) else None,
        building_gap=float(np.median(gap)) if len(gap) else None,
        street_width=width,
        street_length=length,
        trees=number,
        crown_diameter=diameter,
    )


def details_of(things: Things) -> Details:
    """The distributions behind the figures of the whole map."""
    gap, streets, crowns = things.building_gap, things.streets, things.crowns
    widths = None
    if streets is not None:
        known = streets.segment_width[~np.isnan(streets.segment_width)]
        widths = sizes_of(known)
    return Details(
        building_gaps=sizes_of(gap[~np.isnan(gap)]) if things.has_buildings else None,
        street_widths=widths,
        crown_diameters=None if crowns is None else sizes_of(crowns.diameter),
        street_segments=() if streets is None else _segments(streets),
    )


def _segments(streets: Streets) -> tuple[tuple[float, float, float | None, float], ...]:
    count = len(streets.segment_width)
    order = np.argsort(streets.segment, kind="stable")
    starts = np.searchsorted(streets.segment[order], np.arange(count + 1))
    rows = []
    for number in range(count):
        own = order[starts[number] : starts[number + 1]]
        # Of the segment's points the one nearest to their mean: on the street where a bend's mean is not.
        x, y = streets.x[own], streets.y[own]
        middle = own[np.argmin((x - x.mean()) ** 2 + (y - y.mean()) ** 2)]
        width = float(streets.segment_width[number])
        known = None if np.isnan(width) else width
        rows.append((float(streets.x[middle]), float(streets.y[middle]), known, float(streets.segment_length[number])))
    return tuple(rows)
