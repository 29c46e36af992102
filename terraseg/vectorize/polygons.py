"""From a class raster to tables of polygons: the room's main functions."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace

import numpy as np
import shapely
from numpy.typing import NDArray

from terraseg.core.classes import Legend
from terraseg.core.classreader import ByteRaster, ClassRaster
from terraseg.core.grid import Grid
from terraseg.core.polygons import PolygonTable
from terraseg.errors import BadOption
from terraseg.pixels.merge import DROPPED, Merged, merge_small
from terraseg.pixels.regions import Borders, Regions, Wanted, find_regions
from terraseg.pixels.split import FULL_CONFIDENCE, Neck, Parts, split_parts
from terraseg.shapes.assemble import Outlines, batches_of, outlines_of
from terraseg.shapes.assemble import polygons_of as assembled
from terraseg.shapes.footprint import footprint_columns
from terraseg.shapes.ground import ground_sizes, to_degrees
from terraseg.shapes.regularize import Partition, regularize
from terraseg.store.scratch import scratch_array
from terraseg.vectorize.options import VectorizeOptions, building_ids, chosen_ids, named_ids
from terraseg.vectorize.reproject import reprojection
from terraseg.vectorize.tenths import start_tenths
from terraseg.vectorize.trace import Traced, Tracing, trace_regions

BUILDING_NECK, CROWN_NECK = 0.6, 0.95
"""Where objects part, as a share of their width: walls run straight on, crowns are round and narrow wherever two meet."""

BATCH = 200_000
"""Vertices of the polygons built at once, unless the caller says otherwise: about 60 MB."""


def polygons_of(
    raster: ClassRaster,
    *,
    confidence: ByteRaster | None = None,
    options: VectorizeOptions | None = None,
    strip_rows: int | None = None,
) -> PolygonTable:
    """All polygons of a class map in one table; see `polygon_batches`."""
    batches = polygon_batches(raster, confidence=confidence, options=options, strip_rows=strip_rows)
    return PolygonTable.joined(list(batches))


def polygon_batches(
    raster: ClassRaster,
    *,
    confidence: ByteRaster | None = None,
    options: VectorizeOptions | None = None,
    strip_rows: int | None = None,
    batch: int = BATCH,
) -> Iterator[PolygonTable]:
    """The polygons of a class map in map coordinates, with class, ground size and confidence; at least one table.

    All classes are traced and simplified together, so that an outline does not depend on which classes are asked for;
    then the chosen ones are kept, in the order of their first pixels. Where they are all chosen they cover the map once
    and share their vertices. A polygon that reaches off the Earth, as on a full disk seen from space, gets the area of its
    pixels on the ground and no perimeter (NaN). The confidence is the mean, and `confidence_p10` the tenth percentile,
    over the polygon's pixels before its border was simplified. Nothing depends on `strip_rows`, the number of rows held
    in memory, nor on `batch`, the number of vertices worked on at once.
    """
    options = options or VectorizeOptions()
    wanted = chosen_ids(raster.legend, options)
    project = reprojection(raster.grid, options.crs)
    with ExitStack() as stack:
        map_ = _traced(raster, confidence, options, (stack, strip_rows))
    numbers = np.flatnonzero(np.isin(map_.merged.class_id, wanted))
    for chosen in batches_of(map_.outlines, numbers, batch) if len(numbers) else [numbers]:
        yield project(_table(raster, map_, chosen, options))


@dataclass(frozen=True, eq=False)
class _Map:
    """All that is known of a map once it was read: regions, what became of them, their outlines and confidences."""

    regions: Regions
    merged: Merged
    outlines: Outlines
    mean: NDArray[np.float64]
    tenth: NDArray[np.float64] | None


def _traced(
    raster: ClassRaster, confidence: ByteRaster | None, options: VectorizeOptions, how: tuple[ExitStack, int | None]
) -> _Map:
    stack, strip_rows = how
    apart = named_ids(raster.legend, options.split)
    parts = _parts(raster, confidence, options, stack) if apart else None
    small = np.full(256, options.min_area_m2)
    wanted = Wanted(confidence=confidence, parts=parts, small=small, strip_rows=strip_rows)
    regions = find_regions(raster, wanted)
    merged = merge_small(
        regions.class_id, regions.area, regions.borders, min_area=small / regions.area_unit, apart=apart
    )
    # Borders are many and not needed any more.
    regions = replace(regions, borders=Borders.joined([]))
    counts = _summed(merged, regions.confidence_counts).astype(np.int64)
    tenths = None if confidence is None else start_tenths(confidence, counts)
    buildings = np.isin(merged.class_id, building_ids(raster.legend, options) if options.regularize else ())
    tolerance = tolerance_pixels(raster.grid, options.simplify_m)
    tracing = Tracing(tolerance, buildings if options.regularize else None, tenths)
    traced = trace_regions(raster, regions, merged, wanted=wanted, tracing=tracing)
    mean = np.full(len(merged.class_id), np.nan)
    total = counts.sum(axis=1) * FULL_CONFIDENCE
    np.divide(_summed(merged, regions.confidence_sum), total, out=mean, where=total > 0)
    return _Map(
        regions=regions,
        merged=merged,
        outlines=_outlines(traced, buildings, options.regularize_iou),
        mean=mean,
        tenth=None if tenths is None else tenths.values() / FULL_CONFIDENCE,
    )


def _parts(raster: ClassRaster, confidence: ByteRaster | None, options: VectorizeOptions, stack: ExitStack) -> Parts:
    """The objects of the classes that are split, in a scratch file for as long as the stack is open."""
    sure = _sure(confidence, options)
    numbers = stack.enter_context(scratch_array((raster.grid.height, raster.grid.width), np.int32))
    return split_parts(raster, necks_of(raster.legend, options), numbers, confidence=sure)


def necks_of(legend: Legend, options: VectorizeOptions) -> tuple[Neck, ...]:
    """Where the objects of the classes to be split part, by map id; `UnknownName` for a class that is not in the legend."""
    buildings = building_ids(legend, options)
    return tuple(Neck(i, BUILDING_NECK if i in buildings else CROWN_NECK) for i in named_ids(legend, options.split))


def _sure(confidence: ByteRaster | None, options: VectorizeOptions) -> ByteRaster | None:
    """The confidence by which touching objects are parted besides their shapes."""
    if not options.needs_confidence:
        return None
    if confidence is None:
        raise BadOption(
            'split_by = "probability" needs the confidence of the map, which is not there: predict with --confidence, or '
            'split by "distance"'
        )
    return confidence


def _outlines(traced: Traced, buildings: NDArray[np.bool_], least_iou: float) -> Outlines:
    arcs = traced.arcs
    if buildings.any():
        partition = Partition(traced.arcs, traced.nodes, traced.raw, traced.raw_of)
        arcs = regularize(partition, chosen=buildings, least_iou=least_iou)
    return outlines_of(arcs, traced.nodes)


def _table(raster: ClassRaster, map_: _Map, chosen: NDArray[np.integer], options: VectorizeOptions) -> PolygonTable:
    outlines = assembled(map_.outlines, chosen)
    crs = raster.grid.crs
    geometry = to_map(outlines, raster.grid)
    area, perimeter = _sizes(outlines, geometry, crs)
    unknown = np.isnan(area)
    if unknown.any():
        pixels = _summed(map_.merged, map_.regions.area) * map_.regions.area_unit
        area[unknown] = pixels[chosen][unknown]
    class_id = map_.merged.class_id[chosen]
    attributes = {} if map_.tenth is None else {"confidence_p10": map_.tenth[chosen]}
    is_building = np.isin(class_id, building_ids(raster.legend, options)) & np.isfinite(perimeter)
    shapes = geometry if crs is not None else outlines
    if building_ids(raster.legend, options):
        attributes |= _building_columns(shapes, crs, is_building, (area, perimeter))
    # Each ring repeats its first vertex at its end.
    rings = shapely.get_num_interior_rings(shapes) + 1
    attributes["n_vertices"] = (shapely.get_num_coordinates(shapes) - rings).astype(np.int32)
    return PolygonTable(geometry, class_id, area, perimeter, map_.mean[chosen], raster.legend, crs, attributes)


def _building_columns(
    shapes: NDArray[np.object_],
    crs: str | None,
    is_building: NDArray[np.bool_],
    sizes: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> dict[str, NDArray[np.float64]]:
    """The columns of buildings, NaN in the rows of everything else."""
    area, perimeter = sizes
    own = footprint_columns(shapes[is_building], crs, area=area[is_building], perimeter=perimeter[is_building])
    columns = {}
    for name, values in own.items():
        columns[name] = np.full(len(shapes), np.nan)
        columns[name][is_building] = values
    return columns


def tolerance_pixels(grid: Grid, simplify_m: float | None) -> float:
    """The simplification tolerance in pixels: one unless metres are given; without a CRS metres count as pixels."""
    if simplify_m is None:
        return 1.0
    gsd_m = grid.gsd_m
    return simplify_m if gsd_m is None else simplify_m / gsd_m


def to_map(outlines: NDArray[np.object_], grid: Grid) -> NDArray[np.object_]:
    """Polygons from pixel to map coordinates; outer rings turn counter-clockwise there, as simple features ask."""

    def project(points: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.column_stack(grid.to_map(points[:, 1], points[:, 0]))

    return np.asarray(shapely.orient_polygons(shapely.transform(outlines, project)), dtype=object)


def _sizes(
    outlines: NDArray[np.object_], geometry: NDArray[np.object_], crs: str | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Areas and perimeters; NaN for polygons that reach beyond what the projection shows of the Earth."""
    if crs is None:
        return shapely.area(outlines), shapely.length(outlines)
    area, perimeter = np.full(len(geometry), np.nan), np.full(len(geometry), np.nan)
    degrees = to_degrees(geometry, crs)
    on_earth = np.isfinite(shapely.bounds(degrees)).all(axis=1)
    area[on_earth], perimeter[on_earth] = ground_sizes(degrees[on_earth], crs)
    return area, perimeter


def _summed(merged: Merged, values: NDArray[np.generic]) -> NDArray[np.float64]:
    """Sums over the old regions of each merged one, along the first axis."""
    kept = merged.owner != DROPPED
    sums = np.zeros((len(merged.class_id), *values.shape[1:]))
    np.add.at(sums, merged.owner[kept], values[kept])
    return sums
