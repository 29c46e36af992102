"""The borders of regions as arcs, strip by strip, already simplified."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from terraseg.core.classreader import ClassRaster
from terraseg.pixels.merge import Merged, merge_small
from terraseg.pixels.pieces import Strip, strip_pieces
from terraseg.pixels.regions import Regions, Wanted, find_regions
from terraseg.shapes.arcs import OUTSIDE, Arcs, OpenArcs, trace_strip
from terraseg.shapes.assemble import node_numbers, outlines_of, polygons_of
from terraseg.shapes.simplify import CornerIndex, may_lose_spare, simplify_arcs
from terraseg.vectorize.tenths import Tenths


@dataclass(frozen=True, eq=False)
class Traced:
    """The arcs of a map in the order of their first corners, and their nodes as numbers (first, last).

    `raw` are the arcs around the regions that were asked for in full, as traced; `raw_of` gives their numbers among
    `arcs`.
    """

    arcs: Arcs
    nodes: tuple[NDArray[np.integer], NDArray[np.integer]]
    raw: Arcs
    raw_of: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Tracing:
    """How borders are traced: simplified to a `tolerance` in pixels.

    Arcs of the regions marked in `in_full` (regions,) are kept as traced besides. `tenths` counts confidences on the way,
    since the raster is read anyway.
    """

    tolerance: float
    in_full: NDArray[np.bool_] | None = None
    tenths: Tenths | None = None


def trace_map(
    raster: ClassRaster, *, min_area: float = 0.0, tolerance: float = 0.0, strip_rows: int | None = None
) -> tuple[NDArray[np.object_], NDArray[np.uint8]]:
    """The map as a coverage of polygons in pixel coordinates (x = column, y = row), and their class ids.

    Every pixel that is not nodata lies in one polygon; pixels of one class hang together over their sides, not over
    corners; holes are kept, and neighbours share their vertices. Regions smaller than `min_area` (square metres on the
    ground, or pixels without a CRS) are merged as `merge_small` says, and borders simplified as `simplify_arcs` says. The
    polygons are in the order of their first pixels, and do not depend on `strip_rows`, the number of rows held in memory.
    """
    wanted = Wanted(strip_rows=strip_rows)
    regions = find_regions(raster, wanted)
    merged = merge_small(regions.class_id, regions.area, regions.borders, min_area=min_area / regions.area_unit)
    traced = trace_regions(raster, regions, merged, wanted=wanted, tracing=Tracing(tolerance))
    numbers = np.arange(len(merged.class_id))
    return polygons_of(outlines_of(traced.arcs, traced.nodes), numbers), merged.class_id


@dataclass(eq=False)
class _Found:
    """Arcs as they become whole, those with one vertex to spare, and the first and last corner of each, which stay."""

    simple: list[Arcs]
    spare: list[NDArray[np.bool_]]
    raw: list[Arcs]
    raw_of: list[NDArray[np.int64]]
    count: int = 0


def trace_regions(
    raster: ClassRaster,
    regions: Regions,
    merged: Merged,
    *,
    wanted: Wanted,
    tracing: Tracing,
) -> Traced:
    """The borders of the merged regions in pixel coordinates; `wanted` is what the regions were found with."""
    tenths, in_full = tracing.tenths, tracing.in_full
    found = _Found([], [], [], [])
    width = raster.grid.width
    open_arcs = OpenArcs.start(width)
    corners = CornerIndex(np.zeros(0, np.int64), width + 1)
    lattice = np.uint16 if max(raster.grid.height, width) < 2**16 else np.int32
    for strip, numbers in _numbered(raster, regions, merged, wanted):
        if strip is not None and tenths is not None:
            tenths.count(strip.window, numbers)
        whole, open_arcs, new = trace_strip(open_arcs, numbers)
        corners = corners.with_corners(new)
        _keep(found, whole, simplify_arcs(whole, corners, tolerance=tracing.tolerance), in_full, np.dtype(lattice))
        corners = corners.below(int(open_arcs.arcs.y.min(initial=open_arcs.top)))
    return _in_order(found)


def _numbered(
    raster: ClassRaster, regions: Regions, merged: Merged, wanted: Wanted
) -> Iterator[tuple[Strip | None, NDArray[np.int32]]]:
    """Each strip with the region number of its pixels, `OUTSIDE` for nodata, and at last a row of nothing."""
    owner = np.concatenate([[OUTSIDE], merged.owner[regions.piece_region]]).astype(np.int32)
    before = 0
    for strip in strip_pieces(raster, regions.strip_rows, parts=wanted.parts):
        yield strip, owner[np.where(strip.pieces > 0, strip.pieces + before, 0)]
        before += int(strip.pieces.max(initial=0))
    yield None, np.full((1, raster.grid.width), OUTSIDE, dtype=np.int32)


def _keep(
    found: _Found,
    whole: Arcs,
    simplified: tuple[Arcs, NDArray[np.bool_]],
    in_full: NDArray[np.bool_] | None,
    lattice: "np.dtype[np.uint16 | np.int32]",
) -> None:
    simple, spare = simplified
    found.simple.append(_as(simple, lattice))
    found.spare.append(spare)
    if in_full is not None:
        is_asked = np.append(in_full, False)
        chosen = np.flatnonzero(is_asked[whole.right] | is_asked[whole.left])
        found.raw.append(_as(whole.rows(chosen), lattice))
        found.raw_of.append(chosen + found.count)
    found.count += len(whole)


def _as(arcs: Arcs, lattice: "np.dtype[np.uint16 | np.int32]") -> Arcs:
    return arcs.with_vertices(arcs.x.astype(lattice), arcs.y.astype(lattice), np.diff(arcs.offsets))


def _in_order(found: _Found) -> Traced:
    arcs = Arcs.joined(found.simple)
    found.simple.clear()
    spare = np.concatenate([np.zeros(0, np.bool_), *found.spare])
    order = arcs.order()
    first, last = node_numbers(arcs)
    arcs = arcs.rows(order, short=may_lose_spare(arcs, spare, (first, last)))
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    raw, raw_of = Arcs.joined(found.raw), place[np.concatenate([np.zeros(0, np.int64), *found.raw_of])]
    found.raw.clear()
    by_place = np.argsort(raw_of)
    return Traced(arcs, (first[order], last[order]), raw.rows(by_place), raw_of[by_place])
