"""How much ground each class covers, and how many objects of what size it has."""

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from terraseg.core.classes import VOID, Legend
from terraseg.core.classreader import ClassRaster, LayerRaster, check_known
from terraseg.core.coding import Coding
from terraseg.core.polygons import PolygonTable, Unit
from terraseg.core.window import cut
from terraseg.errors import BadOption
from terraseg.measure.figures import Details, Figures, details_of, figures_of, find_things
from terraseg.measure.options import MeasureOptions, object_ids
from terraseg.measure.sizes import SIZE_COLUMNS, Sizes, object_stats, sizes_from_json
from terraseg.measure.zones import Zones
from terraseg.measure.zonestats import ZoneStatistics, column_names, zone_statistics
from terraseg.shapes.pixelarea import PixelAreas

BLOCK = 1024
"""Side of the blocks, in pixels, in which a raster is read."""


@dataclass(frozen=True)
class ClassArea:
    """One class in a raster: its pixels, its ground area, and its share of the ground that is not nodata.

    `area` is in square metres with a CRS, else in pixels.
    """

    class_id: int
    pixels: int
    area: float
    share: float


@dataclass(frozen=True)
class ClassStatistics:
    """One row of the statistics: what raster and polygons say about a class; None where neither was asked."""

    class_id: int
    class_name: str
    pixels: int | None
    area: float | None
    share: float | None
    objects: Sizes | None


@dataclass(frozen=True)
class Statistics:
    """Figures by class in the legend's order; areas are ground areas in square metres, or pixels with `unit` "px".

    `observed` is the area of all pixels that are not nodata, the whole that shares are parts of; None without a raster.
    `figures` and `details` tell of buildings, streets and trees, None where they were not asked for; `zones` of the parts that
    were asked for.
    """

    unit: Unit
    observed: float | None
    classes: tuple[ClassStatistics, ...]
    figures: Figures | None = None
    details: Details | None = None
    zones: tuple[ZoneStatistics, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)

    @staticmethod
    def from_json(value: dict[str, Any]) -> "Statistics":
        """The inverse of `to_json`."""
        rows = (
            ClassStatistics(**c | {"objects": None if c["objects"] is None else sizes_from_json(c["objects"])})
            for c in value["classes"]
        )
        figures, details = value.get("figures"), value.get("details")
        return Statistics(
            value["unit"],
            value["observed"],
            tuple(rows),
            None if figures is None else Figures(**figures),
            None if details is None else Details.from_json(details),
            tuple(ZoneStatistics.from_json(zone) for zone in value.get("zones", ())),
        )

    def rows(self) -> list[dict[str, Any]]:
        """One flat row a class, as a CSV file has them; area columns end in _m2 or _px, None where a figure is unknown."""
        unit = self.area_unit
        return [
            {
                "class_id": c.class_id,
                "class_name": c.class_name,
                "pixels": c.pixels,
                f"area_{unit}": c.area,
                "share": c.share,
                "objects": None if c.objects is None else c.objects.count,
                **{
                    f"{name}_area_{unit}": None if c.objects is None else getattr(c.objects, name)
                    for name in SIZE_COLUMNS
                },
            }
            for c in self.classes
        ]

    @property
    def area_unit(self) -> str:
        """How columns of areas end: "m2" or "px"."""
        return "m2" if self.unit == "m" else "px"

    def zone_rows(self) -> list[dict[str, Any]]:
        """One flat row a zone; see `ZoneStatistics.row`."""
        names = column_names([c.class_name for c in self.classes])
        return [zone.row(names, self.unit) for zone in self.zones]


def measure(
    *,
    raster: ClassRaster | LayerRaster | None = None,
    table: PolygonTable | None = None,
    options: MeasureOptions | None = None,
    overlapping: bool = False,
    zones: Zones | None = None,
) -> Statistics:
    """The statistics of a map from its raster, its polygons, or both.

    Areas and shares come from the raster, object sizes from the polygons; without a raster a class's area is the sum of
    its polygons', and shares are unknown. With `overlapping` the raster is one of overlapping classes, whose shares may add
    up to more than 1. `zones` need the raster. Raises `BadOption` when there is neither, or when one has a CRS and the other
    has none.
    """
    options = options or MeasureOptions()
    if raster is not None:
        legend, crs = raster.legend, raster.grid.crs
    elif table is not None:
        legend, crs = table.legend, table.crs
    else:
        raise BadOption("there is nothing to measure: pass a class map, its polygons, or both")
    if table is not None and (table.crs is None) != (crs is None):
        raise BadOption("of the map and its polygons only one has a CRS: vectorize the map again and pass both")
    if zones is not None and raster is None:
        raise BadOption(
            "figures by district or cell are counted on the map: pass the class map, or put it beside its polygons"
        )
    ground = None if raster is None else ground_by_value(raster)
    areas = {} if ground is None else {a.class_id: a for a in _class_areas(ground, legend, overlapping)}
    rows = _class_rows(legend, areas, table, object_ids(legend, options))
    observed = None if ground is None else math.fsum(ground.area[:VOID])
    unit: Unit = "px" if crs is None else "m"
    things = find_things(raster, table, options, overlapping=overlapping) if options.figures else None
    by_zone: tuple[ZoneStatistics, ...] = ()
    if zones is not None and raster is not None:
        counted = object_ids(legend, options) if table is not None else frozenset[int]()
        by_zone = zone_statistics(zones, raster, (table, things), counted, overlapping=overlapping)
    if things is None:
        return Statistics(unit, observed, rows, zones=by_zone)
    built = [areas[legend.ids[index]].area for index in things.roles.buildings if areas]
    figures = figures_of(things, math.fsum(built) if built else None, observed)
    return Statistics(unit, observed, rows, figures, details_of(things), by_zone)


def _class_rows(
    legend: Legend, areas: dict[int, ClassArea], table: PolygonTable | None, counted: frozenset[int]
) -> tuple[ClassStatistics, ...]:
    objects = {} if table is None else {o.class_id: o for o in object_stats(table)}
    rows = []
    for land in legend.classes:
        area, sizes = areas.get(land.id), objects.get(land.id)
        rows.append(
            ClassStatistics(
                class_id=land.id,
                class_name=land.name,
                pixels=None if area is None else area.pixels,
                area=area.area if area is not None else None if sizes is None else sizes.total,
                share=None if area is None else area.share,
                objects=sizes if land.id in counted else None,
            )
        )
    return tuple(rows)


def class_areas(
    raster: ClassRaster | LayerRaster, *, block: int = BLOCK, overlapping: bool = False
) -> tuple[ClassArea, ...]:
    """Pixels, ground area and share of every class of the legend, in its order.

    Memory is one block of `block` x `block` pixels, and the result does not depend on it. Raises `UnknownClass` for an id
    that the legend lacks.
    """
    return _class_areas(ground_by_value(raster, block=block), raster.legend, overlapping)


@dataclass(frozen=True, eq=False)
class Ground:
    """How many `pixels` a map has of each value from 0 to 255, and their ground `area` in m2 or pixels; shape (256,)."""

    pixels: NDArray[np.int64]
    area: NDArray[np.float64]


def ground_by_value(raster: ClassRaster | LayerRaster, *, block: int = BLOCK) -> Ground:
    """The ground under each value of a raster.

    Each pixel counts with its own ground area, which changes with latitude and projection; without a CRS it counts 1.
    """
    grid = raster.grid
    areas = None if grid.crs is None else PixelAreas(grid.crs, grid.transform, grid.height, grid.width)
    pixels, steps = np.zeros(VOID + 1, np.int64), np.zeros(VOID + 1)
    for window in cut(grid.window, block, block):
        ids = raster.read(window).ravel()
        pixels += np.bincount(ids, minlength=VOID + 1)
        if areas is not None:
            weights = areas.read(window.row, window.col, window.height, window.width).ravel()
            steps += np.bincount(ids, weights=weights, minlength=VOID + 1)
    return Ground(pixels, pixels.astype(np.float64) if areas is None else steps * areas.unit_m2)


def _class_areas(ground: Ground, legend: Legend, overlapping: bool) -> tuple[ClassArea, ...]:
    if overlapping:
        members = Coding(len(legend), overlapping=True).members()[: len(legend)]
    else:
        check_known(legend, np.flatnonzero(ground.pixels[:VOID]))
        members = np.arange(VOID + 1) == np.array(legend.ids).reshape(-1, 1)
    observed = ground.area[:VOID].sum()
    rows = []
    for land, of_class in zip(legend.classes, members, strict=True):
        area = float(ground.area[of_class].sum())
        share = float(area / observed) if observed > 0 else 0.0
        rows.append(ClassArea(land.id, int(ground.pixels[of_class].sum()), area, share))
    return tuple(rows)
