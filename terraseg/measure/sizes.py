"""How sizes are distributed: count, mean, percentiles and a histogram."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from terraseg.core.polygons import PolygonTable

PERCENTILES = (5, 10, 25, 50, 75, 90, 95)


@dataclass(frozen=True)
class Histogram:
    """How many values lie between one edge (n + 1) and the next: at or above the lower, below the upper; `counts` (n,).

    Edges are of the series 1, 2, 5, 10, so that histograms of two maps can be laid on each other.
    """

    edges: tuple[float, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True)
class Sizes:
    """How many values there are, their sum and distribution; None where there are none."""

    count: int
    total: float
    mean: float | None
    median: float | None
    p5: float | None
    p10: float | None
    p25: float | None
    p75: float | None
    p90: float | None
    p95: float | None
    smallest: float | None
    largest: float | None
    histogram: Histogram


@dataclass(frozen=True)
class ObjectSizes(Sizes):
    """The polygons of one class: how many, and their areas (square metres with a CRS, else pixels); None of no objects."""

    class_id: int


SIZE_COLUMNS = ("total", "mean", "median", "p10", "p90", "smallest", "largest", "p5", "p25", "p75", "p95")
"""The figures of `Sizes` in the order of tables, the count left out."""


def sizes_of(values: NDArray[np.float64]) -> Sizes:
    """The distribution of values (n,) from 0 up, by numpy's linear percentiles.

    >>> sizes_of(np.array([1.0, 2.0, 9.0])).median, sizes_of(np.zeros(0)).mean
    (2.0, None)
    """
    if len(values) == 0:
        return Sizes(0, 0.0, *(None,) * 10, histogram_of(values))
    p5, p10, p25, median, p75, p90, p95 = (float(q) for q in np.percentile(values, PERCENTILES))
    total = math.fsum(values)
    ends = (float(values.min()), float(values.max()))
    return Sizes(
        len(values), total, total / len(values), median, p5, p10, p25, p75, p90, p95, *ends, histogram_of(values)
    )


def histogram_of(values: NDArray[np.float64]) -> Histogram:
    """The histogram of values from 0 up, over the edges that they need.

    >>> histogram_of(np.array([3.0, 4.0, 12.0]))
    Histogram(edges=(2.0, 5.0, 10.0, 20.0), counts=(2, 0, 1))
    """
    if len(values) == 0:
        return Histogram((), ())
    above = values[values > 0]
    low, high = (float(above.min()), float(above.max())) if len(above) else (1.0, 1.0)
    decades = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 2)
    series = np.array([float(f"{step}e{decade}") for decade in decades for step in (1, 2, 5)])
    first = int(np.searchsorted(series, low, side="right")) - 1
    last = int(np.searchsorted(series, high, side="right"))
    edges = series[first : last + 1]
    if len(above) < len(values):
        edges = np.concatenate([[0.0], edges])
    place = np.searchsorted(edges, values, side="right") - 1
    counts = np.bincount(place, minlength=len(edges) - 1)
    return Histogram(tuple(edges.tolist()), tuple(counts.tolist()))


def object_stats(table: PolygonTable) -> tuple[ObjectSizes, ...]:
    """Count and sizes of the polygons of every class of the legend, in its order."""
    return tuple(object_sizes(i, table.area[table.class_id == i]) for i in table.legend.ids)


def object_sizes(class_id: int, area: NDArray[np.float64]) -> ObjectSizes:
    """The distribution of the areas of one class's objects."""
    found = sizes_of(area)
    return ObjectSizes(**{name: getattr(found, name) for name in Sizes.__dataclass_fields__}, class_id=class_id)


def sizes_from_json(value: dict[str, Any]) -> Sizes:
    """What plain JSON of sizes says, of objects or of anything."""
    bars = value["histogram"]
    histogram = Histogram(tuple(bars["edges"]), tuple(bars["counts"]))
    kind = ObjectSizes if "class_id" in value else Sizes
    return kind(**value | {"histogram": histogram})
