"""Polygons against a town's exact truth, against GDAL's speed, and on a vast map.

    python benchmarks/vectorize.py [--seeds 5] [--town 1024] [--side 2000] [--vast 0] [--only truth|speed|vast]

Truth: towns with known buildings, streets and trees, their labels taken as a perfect mask and once more with 5 % of the
pixels along borders flipped. Prints the error of each class's area, counts of buildings and trees with and without
splitting, object F1 at IoU 0.5, the width of streets, what regularisation saves and costs, and whether every coverage is
valid.

Speed: CPU time from a class map in memory to a finished GeoPackage, as a multiple of what rasterio.features.shapes takes
to trace alone; the aim at --side 6000, 70,000 regions, is 6. Then the same map in strips of other heights: the polygons have
to be the same byte by byte.

Vast: peak memory of a map of --vast pixels a side, tiled from one town; the aim at 40000 is 1 GB.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import shapely
from numpy.typing import NDArray
from rasterio.features import shapes
from scipy import ndimage

from terraseg.core.classes import PALETTE, LandClass, Legend
from terraseg.core.classreader import ClassArray
from terraseg.core.grid import Grid
from terraseg.core.polygons import PolygonTable
from terraseg.store.vector import write_polygons
from terraseg.town import make_town
from terraseg.town.town import Town
from terraseg.town.truth import burn
from terraseg.vectorize.centerlines import center_lines_of
from terraseg.vectorize.options import VectorizeOptions
from terraseg.vectorize.polygons import polygon_batches, polygons_of

REGIONS_PER_PIXEL = 70_000 / 6000**2
LEAST_M2 = 4.0
FLIPPED = 0.05
SPEED_AIM, MEMORY_AIM_MB = 6, 1024


def main() -> None:
    """Prints the figures that were asked for."""
    options = _arguments()
    if options.child is not None:
        print(json.dumps(_vast_child(options.child)))
        return
    if options.only in (None, "truth"):
        for flipped in (0.0, FLIPPED):
            print(f"truth: {options.seeds} towns of {options.town} px, {flipped:.0%} of border pixels flipped")
            report_truth([make_town(seed, options.town) for seed in range(options.seeds)], flipped)
    if options.only in (None, "speed"):
        report_speed(options.side)
    if options.only == "vast" or options.vast:
        report_vast(options.vast or 40_000)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Polygons: truth, speed, memory.")
    for name, default in (("seeds", 5), ("town", 1024), ("side", 2000), ("vast", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--only", choices=("truth", "speed", "vast"))
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


@dataclass(frozen=True, eq=False)
class Truth:
    """A town, a map of it, and the number of the topmost object at each pixel."""

    town: Town
    raster: ClassArray
    owner: NDArray[np.int32]


def truth_of(town: Town, flipped: float) -> Truth:
    """The town's labels as a map, some border pixels given the class of a neighbour."""
    labels = town.labels.copy()
    if flipped:
        rng = np.random.default_rng(0)
        shifted = [np.roll(town.labels, step, axis) for axis in (0, 1) for step in (-1, 1)]
        neighbour = np.choose(rng.integers(0, 4, labels.shape), shifted)
        flips = (neighbour != labels) & (rng.random(labels.shape) < flipped)
        labels[flips] = neighbour[flips]
    owner = burn(town.pile.shapes, np.arange(1, len(town.pile.shapes) + 1), grid=town.grid, dtype="int32")
    return Truth(town, ClassArray(town.grid, town.legend, labels), owner)


def report_truth(towns: list[Town], flipped: float) -> None:
    """Prints areas, counts, widths and what regularisation does, over all towns."""
    every = [truth_of(town, flipped) for town in towns]
    plain = [polygons_of(t.raster, options=VectorizeOptions(min_area_m2=LEAST_M2)) for t in every]
    _print_areas(every, plain)
    for name in ("building", "tree"):
        _print_counts(every, plain, name)
    _print_streets(every)
    _print_regular(every, plain)


def _print_areas(every: list[Truth], plain: list[PolygonTable]) -> None:
    legend = every[0].town.legend
    errors = []
    for land in legend.classes:
        true = sum(t.town.class_areas_m2()[land.name] for t in every)
        found = sum(float(table.area[table.class_id == land.id].sum()) for table in plain)
        errors.append(f"{land.name} {found / true - 1:+.2%}")
    print(f"  area: {', '.join(errors)}")


def _print_counts(every: list[Truth], plain: list[PolygonTable], name: str) -> None:
    legend = every[0].town.legend
    identifier = legend.ids[legend.index_of(name)]
    split = [
        polygons_of(t.raster, options=VectorizeOptions(min_area_m2=LEAST_M2, split=(name,), classes=(name,)))
        for t in every
    ]
    true = [true_objects(t, identifier) for t in every]
    apart = [standing_apart(t, identifier) for t in every]
    scores = []
    for tables in (plain, split):
        found = [table.rows(table.class_id == identifier) for table in tables]
        right = sum(hits(f, t) for f, t in zip(found, true, strict=True))
        count, wanted = sum(map(len, found)), sum(map(len, true))
        alone = sum(hits(f, a) for f, a in zip(found, apart, strict=True)) / max(1, sum(map(len, apart)))
        scores.append(f"{count} ({count / wanted - 1:+.1%}), F1 {2 * right / (count + wanted):.3f}, apart {alone:.1%}")
    print(f"  {name}s, {sum(map(len, true))} seen: {scores[0]}; split: {scores[1]}")


def true_objects(truth: Truth, class_id: int) -> NDArray[np.object_]:
    """The visible part of each object of a class, by the pixels it owns, in map coordinates."""
    index = truth.town.legend.ids.index(class_id)
    visible = np.where(truth.town.labels == index, truth.owner, 0)
    return _polygons_by_number(visible, truth.town.grid)


def standing_apart(truth: Truth, class_id: int) -> NDArray[np.object_]:
    """The objects of a class that touch no other one."""
    index = truth.town.legend.ids.index(class_id)
    mask = truth.town.labels == index
    pieces, count = ndimage.label(mask)
    low, high = (ndimage.labeled_comprehension(truth.owner, pieces, range(1, count + 1), f, int, 0) for f in (min, max))
    alone = np.append(False, low == high)
    return _polygons_by_number(np.where(alone[pieces], truth.owner, 0), truth.town.grid)


def _polygons_by_number(numbers: NDArray[np.int32], grid: Grid) -> NDArray[np.object_]:
    found: dict[int, list[Any]] = {}
    transform = rasterio.Affine(*grid.transform)
    for geometry, value in shapes(numbers, mask=numbers > 0, transform=transform):
        found.setdefault(int(value), []).append(shapely.geometry.shape(geometry))
    whole = np.array([shapely.union_all(parts) for parts in found.values()], dtype=object)
    return whole[shapely.area(whole) >= LEAST_M2] if len(whole) else whole


def hits(table: PolygonTable, truth: NDArray[np.object_]) -> int:
    """How many true objects have a polygon with an IoU of at least one half."""
    if len(truth) == 0 or len(table) == 0:
        return 0
    one, two = shapely.STRtree(table.geometry).query(truth, predicate="intersects")
    shared = shapely.area(shapely.intersection(truth[one], table.geometry[two]))
    union = shapely.area(truth[one]) + shapely.area(table.geometry[two]) - shared
    return len(np.unique(one[shared >= union / 2]))


def _print_streets(every: list[Truth]) -> None:
    errors, length, true_length = [], 0.0, 0.0
    for truth in every:
        table = center_lines_of(truth.raster, VectorizeOptions(centerlines=("road",)))
        lines = np.array([street.line for street in truth.town.streets], dtype=object)
        middle = shapely.line_interpolate_point(table.geometry, 0.5, normalized=True)
        near = shapely.STRtree(lines).nearest(middle)
        width = np.array([street.width_m for street in truth.town.streets])[near]
        clear = (table.length > 2 * width) & ~np.isnan(table.width)
        errors += (np.abs(table.width - width) / width)[clear].tolist()
        length += float(table.length.sum())
        true_length += float(shapely.length(shapely.intersection(lines, shapely.box(*truth.town.grid.bounds))).sum())
    within = np.mean(np.array(errors) <= 0.05)
    print(f"  streets: width off by {np.median(errors):.1%} (median), {within:.1%} of {len(errors)} lines within 5 %; "
          f"length {length / true_length - 1:+.1%}")  # fmt: skip


def _print_regular(every: list[Truth], plain: list[PolygonTable]) -> None:
    legend = every[0].town.legend
    building = legend.ids[legend.index_of("building")]
    figures, valid = {}, []
    for least in (0.95, 0.85):
        options = VectorizeOptions(min_area_m2=LEAST_M2, regularize=True, regularize_iou=least)
        regular = [polygons_of(t.raster, options=options) for t in every]
        figures[least] = [table.rows(table.class_id == building) for table in regular]
        valid += regular
    raw = [polygons_of(t.raster, options=VectorizeOptions(min_area_m2=LEAST_M2, simplify_m=0)) for t in every]
    traced = [table.rows(table.class_id == building) for table in raw]
    simple = [table.rows(table.class_id == building) for table in plain]
    base = sum(int(t.attributes["n_vertices"].sum()) for t in traced)
    truth_iou = _mean_truth_iou(every, traced)
    for name, tables in (("simplified", simple), *((f"regularised from IoU {k}", v) for k, v in figures.items())):
        vertices = sum(int(t.attributes["n_vertices"].sum()) for t in tables)
        pairs = [_ious(t.geometry, r.geometry) for t, r in zip(tables, traced, strict=True)]
        print(f"  {name}: {1 - vertices / base:.1%} of {base} vertices saved, IoU with the raw outlines "
              f"{np.concatenate(pairs).mean():.3f}, with the true buildings {_mean_truth_iou(every, tables):.3f} "
              f"(raw: {truth_iou:.3f})")  # fmt: skip
    coverages = [*raw, *plain, *valid]
    count = sum(bool(shapely.coverage_is_valid(t.geometry) and shapely.is_valid(t.geometry).all()) for t in coverages)
    print(f"  valid coverages: {count} of {len(coverages)} (traced, simplified, regularised)")


def _mean_truth_iou(every: list[Truth], tables: list[PolygonTable]) -> float:
    """Mean IoU of polygons with the visible part of the built-up ground that they lie on."""
    values = []
    for truth, table in zip(every, tables, strict=True):
        pieces, classes = truth.town.pieces
        index = truth.town.legend.index_of("building")
        built = shapely.get_parts(shapely.union_all(pieces[classes == index]))
        near = shapely.STRtree(built).nearest(shapely.point_on_surface(table.geometry))
        values.append(_ious(table.geometry, built[near]))
    return float(np.concatenate(values).mean())


def _ious(one: NDArray[np.object_], two: NDArray[np.object_]) -> NDArray[np.float64]:
    shared = shapely.area(shapely.intersection(one, two))
    return np.asarray(shared / (shapely.area(one) + shapely.area(two) - shared))


def report_speed(side: int) -> None:
    """Prints CPU times on a map of random blobs with about 70,000 regions to 36 million pixels."""
    ids = blobs(side)
    raster = ClassArray(Grid("EPSG:32637", (0.5, 0, 500_000, 0, -0.5, 4e6), side, side), _legend(4), ids)
    start = time.process_time()
    count = sum(1 for _ in shapes(ids))
    alone = time.process_time() - start
    print(f"speed: {side} x {side} px, {count} regions, rasterio.features.shapes {alone:.2f} CPU s")
    with tempfile.TemporaryDirectory() as folder:
        for name, options in (
            ("as it is", VectorizeOptions(min_area_m2=0)),
            ("small regions handed over", VectorizeOptions()),
            ("regularised", VectorizeOptions(regularize=True, buildings=("c1",))),
        ):
            start = time.process_time()
            write_polygons(polygon_batches(raster, options=options), Path(folder) / "map.gpkg")
            spent = time.process_time() - start
            print(f"  {name}: {spent:.2f} CPU s to the GeoPackage, {spent / alone:.1f} times (aim {SPEED_AIM})")
    report_strips(raster)


def report_strips(raster: ClassArray) -> None:
    """Prints whether the polygons are the same whatever the height of the strips in which the map is read."""
    part = replace(raster, grid=replace(raster.grid, height=1000, width=1000), ids=raster.ids[:1000, :1000])
    options = VectorizeOptions(regularize=True, buildings=("c1",), split=("c2",))
    found = {
        rows: hash(tuple(shapely.to_wkb(polygons_of(part, options=options, strip_rows=rows).geometry).tolist()))
        for rows in (1000, 512, 100, 17)
    }
    same = len(set(found.values())) == 1
    print(f"  strips of {', '.join(map(str, found))} rows: polygons {'the same' if same else 'DIFFER'}")


def blobs(side: int) -> NDArray[np.uint8]:
    """Classes 0 to 3 in blobs, about as many as the aim speaks of."""
    rng = np.random.default_rng(0)
    fields = [ndimage.gaussian_filter(rng.standard_normal((side, side), dtype=np.float32), 6.8) for _ in range(4)]
    return np.asarray(np.argmax(fields, axis=0), dtype=np.uint8)


def _legend(count: int) -> Legend:
    return Legend(tuple(LandClass(i, f"c{i}", PALETTE[i]) for i in range(count)))


def report_vast(side: int) -> None:
    """Prints peak memory and time of a map from disk to a GeoPackage, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        _write_vast(Path(folder) / "vast.tif", side)
        command = [sys.executable, __file__, "--child", str(Path(folder) / "vast.tif")]
        # The command line bounds GDAL's cache in the same way.
        bounded = {**os.environ, "GDAL_CACHEMAX": "128"}
        found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True, env=bounded).stdout)
    print(
        f"vast: {side} x {side} px, {found['polygons']} polygons: peak {found['peak_mb']:.0f} MB, of which "
        f"{found['start_mb']:.0f} MB for the libraries (aim {MEMORY_AIM_MB} MB), {found['cpu_s']:.0f} CPU s"
    )


def _write_vast(path: Path, side: int) -> None:
    """A class map that repeats one town, block row by block row."""
    town = make_town(1, 2048)
    shape = {"height": side, "width": side, "count": 1, "dtype": "uint8", "nodata": 255}
    place = {"crs": "EPSG:32637", "transform": rasterio.Affine(0.3, 0, 500_000, 0, -0.3, 4e6)}
    row = np.tile(town.labels, (1, -(-side // 2048)))[:, :side]
    tiled = {"tiled": True, "blockxsize": 512, "blockysize": 512, "compress": "deflate"}
    with rasterio.open(path, "w", driver="GTiff", **shape, **place, **tiled) as dataset:
        for top in range(0, side, 2048):
            rows = min(2048, side - top)
            dataset.write(row[None, :rows], window=rasterio.windows.Window(0, top, side, rows))


def _vast_child(path: Path) -> dict[str, float]:
    from terraseg.pipeline.products import polygons_file
    from terraseg.predict.memory import peak_memory_mb

    start, begun = peak_memory_mb(), time.process_time()
    count = polygons_file(path, path.with_suffix(".gpkg"), VectorizeOptions())
    return {
        "polygons": count,
        "start_mb": start,
        "peak_mb": peak_memory_mb(),
        "cpu_s": time.process_time() - begun,
    }


if __name__ == "__main__":
    main()
