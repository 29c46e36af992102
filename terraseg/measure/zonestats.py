"""What is in each district or cell of a map."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from terraseg.core.classes import VOID, Legend
from terraseg.core.classreader import ClassRaster, LayerRaster
from terraseg.core.polygons import PolygonTable, Unit
from terraseg.measure.figures import Figures, Things, figures_by_zone
from terraseg.measure.zones import Zones, ground_by_zone


@dataclass(frozen=True)
class ZoneStatistics:
    """One district or cell: its whole ground, the part of it that was observed, and what is there.

    `areas` holds the ground of each class, in the legend's order; `objects` and `mean_sizes` how many objects of it have
    their middle in the zone and their mean area, None for classes that are not counted, and for a mean of nothing.
    """

    name: str
    area: float
    observed: float
    areas: tuple[float, ...]
    objects: tuple[int | None, ...]
    mean_sizes: tuple[float | None, ...]
    figures: Figures | None

    def row(self, names: Sequence[str], unit: Unit) -> dict[str, Any]:
        """One flat row: the zone's ground, the area and the share of each class, its objects and the figures.

        `names` begin the columns of each class; area columns end in _m2 or _px.
        """
        area = "m2" if unit == "m" else "px"
        row: dict[str, Any] = {"zone": self.name, f"area_{area}": self.area, f"observed_{area}": self.observed}
        for place, name in enumerate(names):
            row[f"{name}_{area}"] = self.areas[place]
            row[f"{name}_share"] = self.areas[place] / self.observed if self.observed > 0 else None
        for place, name in enumerate(names):
            if self.objects[place] is not None:
                row |= {f"{name}_objects": self.objects[place], f"{name}_mean_{area}": self.mean_sizes[place]}
        return row if self.figures is None else row | self.figures.row(unit)

    @staticmethod
    def from_json(value: dict[str, Any]) -> "ZoneStatistics":
        """What plain JSON of a zone says."""
        figures = None if value["figures"] is None else Figures(**value["figures"])
        listed = {name: tuple(value[name]) for name in ("areas", "objects", "mean_sizes")}
        return ZoneStatistics(**value | listed | {"figures": figures})


def zone_statistics(
    zones: Zones,
    raster: ClassRaster | LayerRaster,
    found: tuple[PolygonTable | None, Things | None],
    counted_ids: frozenset[int],
    *,
    overlapping: bool = False,
) -> tuple[ZoneStatistics, ...]:
    """The zones that hold observed ground, with what polygons and `found` things say of them.

    Objects, of the classes `counted_ids`, belong to the zone that their middle lies in.
    """
    table, things = found
    legend = raster.legend
    ground, observed = ground_by_zone(raster, zones, overlapping=overlapping)
    counts, means = _objects_by_zone(zones, table, legend)
    figures: tuple[Figures | None, ...] = (None,) * len(zones)
    if things is not None:
        built = ground[:, list(things.roles.buildings)].sum(axis=1) if things.roles.buildings else None
        figures = figures_by_zone(things, zones, built, observed)
    counted = [land.id in counted_ids for land in legend.classes]
    rows = []
    for zone in np.flatnonzero(observed > 0):
        objects = tuple(int(n) if c else None for n, c in zip(counts[zone], counted, strict=True))
        sizes = tuple(float(m) if c and not np.isnan(m) else None for m, c in zip(means[zone], counted, strict=True))
        size = (float(zones.area[zone]), float(observed[zone]))
        areas = tuple(ground[zone].tolist())
        rows.append(ZoneStatistics(str(zones.names[zone]), *size, areas, objects, sizes, figures[zone]))
    return tuple(rows)


def _objects_by_zone(
    zones: Zones, table: PolygonTable | None, legend: Legend
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """How many objects of each class have their middle in each zone, and their mean area, NaN of none; (zones, K)."""
    shape = (len(zones), len(legend))
    if table is None or len(table) == 0:
        return np.zeros(shape, np.int64), np.full(shape, np.nan)
    middle = shapely.point_on_surface(table.geometry)
    thing, zone = zones.of_points(shapely.get_x(middle), shapely.get_y(middle))
    index = np.zeros(VOID + 1, np.int64)
    index[list(legend.ids)] = np.arange(len(legend))
    code = zone * len(legend) + index[table.class_id[thing]]
    counts = np.bincount(code, minlength=shape[0] * shape[1])
    sums = np.bincount(code, weights=table.area[thing], minlength=shape[0] * shape[1])
    means = np.divide(sums, counts, out=np.full(len(sums), np.nan), where=counts > 0)
    return counts.reshape(shape), means.reshape(shape)


def column_names(names: Sequence[str]) -> list[str]:
    """Class names as the beginnings of column names, each its own.

    >>> column_names(["Bare soil", "bare-soil", "Straße"])
    ['bare_soil', 'bare_soil_2', 'straße']
    """
    made: list[str] = []
    for name in names:
        plain = re.sub(r"\W+", "_", name.casefold() if name.isascii() else name.lower()).strip("_") or "class"
        taken = sum(1 for other in made if other == plain or re.fullmatch(rf"{re.escape(plain)}_\d+", other))
        made.append(f"{plain}_{taken + 1}" if taken else plain)
    return made
