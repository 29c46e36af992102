"""How much ground each class covers, and how many objects of what size it has."""

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from terraseg.core.classes import VOID
from terraseg.core.classreader import ClassRaster, check_known
from terraseg.core.polygons import PolygonTable, Unit
from terraseg.core.window import cut
from terraseg.errors import BadOption
from terraseg.measure.options import MeasureOptions, object_ids
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
class ObjectSizes:
    """The polygons of one class: how many, and their areas (square metres with a CRS, else pixels); None of no objects."""

    class_id: int
    count: int
    total: float
    mean: float | None
    median: float | None
    p10: float | None
    p90: float | None
    smallest: float | None
    largest: float | None


@dataclass(frozen=True)
class ClassStatistics:
    """One row of the statistics: what raster and polygons say about a class; None where neither was asked."""

    class_id: int
    class_name: str
    pixels: int | None
    area: float | None
    share: float | None
    objects: ObjectSizes | None


@dataclass(frozen=True)
class Statistics:
    """Figures by class in the legend's order; areas are ground areas in square metres, or pixels with `unit` "px".

    `observed` is the area of all pixels that are not nodata, the whole that shares are parts of; None without a raster.
    """

    unit: Unit
    observed: float | None
    classes: tuple[ClassStatistics, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self) | {"classes": [asdict(c) for c in self.classes]}

    @staticmethod
    def from_json(value: dict[str, Any]) -> "Statistics":
        """The inverse of `to_json`."""
        rows = (
            ClassStatistics(**c | {"objects": None if c["objects"] is None else ObjectSizes(**c["objects"])})
            for c in value["classes"]
        )
        return Statistics(value["unit"], value["observed"], tuple(rows))

    def rows(self) -> list[dict[str, Any]]:
        """One flat row a class, as a CSV file has them; area columns end in _m2 or _px, None where a figure is unknown."""
        unit = "m2" if self.unit == "m" else "px"
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
                    for name in ("total", "mean", "median", "p10", "p90", "smallest", "largest")
                },
            }
            for c in self.classes
        ]


def measure(
    *, raster: ClassRaster | None = None, table: PolygonTable | None = None, options: MeasureOptions | None = None
) -> Statistics:
    """The statistics of a map from its raster, its polygons, or both.

    Areas and shares come from the raster, object sizes from the polygons; without a raster a class's area is the sum of
    its polygons', and shares are unknown. Raises `BadOption` when there is neither, or when one has a CRS and the other
    has none.
    """
    if raster is not None:
        legend, crs = raster.legend, raster.grid.crs
    elif table is not None:
        legend, crs = table.legend, table.crs
    else:
        raise BadOption("there is nothing to measure: pass a class map, its polygons, or both")
    if table is not None and (table.crs is None) != (crs is None):
        raise BadOption("of the map and its polygons only one has a CRS: vectorize the map again and pass both")
    areas = {} if raster is None else {a.class_id: a for a in class_areas(raster)}
    objects = {} if table is None else {o.class_id: o for o in object_stats(table)}
    counted = object_ids(legend, options or MeasureOptions())
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
    observed = None if raster is None else math.fsum(a.area for a in areas.values())
    return Statistics("px" if crs is None else "m", observed, tuple(rows))


def class_areas(raster: ClassRaster, *, block: int = BLOCK) -> tuple[ClassArea, ...]:
    """Pixels, ground area and share of every class of the legend, in its order.

    Each pixel counts with its own ground area, which changes with latitude and projection; without a CRS it counts 1.
    Memory is one block of `block` x `block` pixels, and the result does not depend on it. Raises `UnknownClass` for an id
    that the legend lacks.
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
    ground = pixels.astype(np.float64) if areas is None else steps * areas.unit_m2
    check_known(raster.legend, np.flatnonzero(pixels[:VOID]))
    observed = ground[:VOID].sum()
    return tuple(
        ClassArea(i, int(pixels[i]), float(ground[i]), float(ground[i] / observed) if observed > 0 else 0.0)
        for i in raster.legend.ids
    )


def object_stats(table: PolygonTable) -> tuple[ObjectSizes, ...]:
    """Count and sizes of the polygons of every class of the legend, in its order."""
    return tuple(_sizes(i, table.area[table.class_id == i]) for i in table.legend.ids)


def _sizes(class_id: int, area: NDArray[np.float64]) -> ObjectSizes:
    if len(area) == 0:
        return ObjectSizes(class_id, 0, 0.0, None, None, None, None, None, None)
    p10, median, p90 = (float(q) for q in np.percentile(area, [10, 50, 90]))
    total = math.fsum(area)
    return ObjectSizes(
        class_id, len(area), total, total / len(area), median, p10, p90, float(area.min()), float(area.max())
    )
