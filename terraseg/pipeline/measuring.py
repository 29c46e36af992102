"""What is measured of a map, and the files that it goes into."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from terraseg.core.classes import Legend
from terraseg.core.classreader import ClassRaster, LayerRaster
from terraseg.core.grid import Grid
from terraseg.core.polygons import PolygonTable
from terraseg.core.survey import SurveyPoints
from terraseg.errors import BadOption, CrsMissing, GridMismatch, UnknownClass, UnreadableFile
from terraseg.evaluate.evaluate import Evaluation
from terraseg.export.qgis_sample import qml_for_sample
from terraseg.export.qgis_zones import qml_for_zones
from terraseg.measure.accuracy import HonestAreas, estimate_from_blocks, estimate_from_points
from terraseg.measure.cells import parse_cell, zones_of_cells
from terraseg.measure.design import SampleDesign, SampleOptions, plan_sample
from terraseg.measure.draw import count_blocks, count_points, draw_points
from terraseg.measure.options import MeasureOptions
from terraseg.measure.roles import roles_of
from terraseg.measure.stats import Statistics, class_areas, measure
from terraseg.measure.zones import Zones, zones_of_districts
from terraseg.pipeline.products import map_polygons
from terraseg.shapes.carry import carried_onto
from terraseg.store.classmap import ClassMapReader, read_class_map
from terraseg.store.layermap import LayerMapReader, is_layer_map, read_layer_map
from terraseg.store.rundir import read_json, write_csv, write_json
from terraseg.store.survey import CANNOT_TELL, read_survey, write_survey
from terraseg.store.vector import read_polygon_batches
from terraseg.store.zones import read_districts, write_zones
from terraseg.vectorize.options import VectorizeOptions

POLYGON_ENDINGS = frozenset({".gpkg", ".geojson", ".parquet"})


@dataclass(frozen=True)
class Reference:
    """What is known of the truth: a file of labelled points; or a raster of true classes on the map's grid, or scores.json."""

    sample: Path | None = None
    truth: Path | None = None

    def __post_init__(self) -> None:
        if self.sample is not None and self.truth is not None:
            raise BadOption(f"both {self.sample} and {self.truth} are given as the truth: pass --sample or --truth")


@dataclass(frozen=True)
class Measured:
    """The statistics of a product, the areas corrected by a reference where there was one, what to note, the files."""

    statistics: Statistics
    honest: HonestAreas | None
    notes: tuple[str, ...]
    files: tuple[Path, ...]


def statistics_files(product: Path, outputs: Sequence[Path], options: MeasureOptions) -> list[dict[str, Any]]:
    """Writes the statistics of a class map or its polygons as CSV and JSON; gives the rows, one a class."""
    return measure_files(product, outputs[0], options).statistics.rows()


def output_files(table: Path, options: MeasureOptions, reference: Reference | None = None) -> tuple[Path, ...]:
    """The files that a measurement writes, of which `table` is the first: NAME.csv, NAME.json, and what else is asked for."""
    files = [table, table.with_suffix(".json")]
    if options.per is not None:
        files += [table.with_name(f"{table.stem}_zones.gpkg"), table.with_name(f"{table.stem}_zones.csv")]
    if reference is not None and (reference.sample or reference.truth):
        files.append(table.with_name(f"{table.stem}_areas.csv"))
    return tuple(files)


def measure_files(
    product: Path, table: Path, options: MeasureOptions, *, reference: Reference | None = None
) -> Measured:
    """Measures a class map or its polygons and writes what comes out beside the CSV file `table`; see `output_files`.

    A map is measured with the polygons beside it (NAME.gpkg), which are traced for the purpose where there are none;
    polygons are measured with the map beside them (NAME.tif), and without one by themselves.
    """
    reference = reference or Reference()
    class_map, polygons = _pair(product)
    zones = honest = None
    notes: tuple[str, ...] = ()
    with ExitStack() as stack:
        raster: ClassMapReader | LayerMapReader | None = None
        if class_map is not None:
            raster = _opened(class_map)
            stack.enter_context(raster)
        overlapping = isinstance(raster, LayerMapReader)
        if raster is not None and options.per is not None:
            zones = find_zones(options, raster.grid)
        outlines = _outlines(class_map, polygons, options)
        statistics = measure(raster=raster, table=outlines, options=options, overlapping=overlapping, zones=zones)
        if reference != Reference():
            honest, notes = honest_areas(_exclusive(raster, product), statistics, reference)
    files = output_files(table, options, reference)
    _write(files, statistics, zones, honest)
    return Measured(statistics, honest, notes, files)


def _outlines(class_map: Path | None, polygons: Path | None, options: MeasureOptions) -> PolygonTable | None:
    """The polygons of a product, whole where they are buildings and as points inside them else.

    Only the shapes of buildings matter to what is measured, and those of a vast map do not fit into memory together.
    """
    if polygons is not None:
        tables = read_polygon_batches(polygons)
    elif class_map is not None:
        tables = iter([map_polygons(class_map, None, VectorizeOptions())])
    else:
        return None
    return PolygonTable.joined([_lean(table, options) for table in tables])


def _lean(table: PolygonTable, options: MeasureOptions) -> PolygonTable:
    buildings = [table.legend.ids[index] for index in roles_of(table.legend, options).buildings]
    points = ~np.isin(table.class_id, buildings)
    geometry = table.geometry.copy()
    geometry[points] = shapely.point_on_surface(geometry[points])
    return replace(table, geometry=geometry, attributes={})


def _pair(product: Path) -> tuple[Path | None, Path | None]:
    """The class map and the polygons of a product, None for what is not there."""
    if product.suffix.lower() in POLYGON_ENDINGS:
        class_map = product.with_suffix(".tif")
        return class_map if class_map.exists() else None, product
    beside = product.with_suffix(".gpkg")
    return product, beside if beside.exists() else None


def _opened(path: Path) -> ClassMapReader | LayerMapReader:
    return read_layer_map(path) if is_layer_map(path) else read_class_map(path)


def _exclusive(raster: ClassRaster | LayerRaster | None, product: Path) -> ClassRaster:
    """The map of classes that exclude each other, or why there is none."""
    if raster is None:
        raise BadOption(
            f"{product} has no class map beside it: the truth is held against the map, so pass the map itself"
        )
    if isinstance(raster, LayerMapReader):
        raise BadOption(
            f"the classes of {product} overlap, so its ground does not part into strata: map each class by itself to "
            "estimate its area"
        )
    return raster


def districts_file(options: MeasureOptions, root: Path) -> Path | None:
    """The file of districts that `options.per` names, seen from `root`; None where it asks for cells or for nothing."""
    if options.per is None or parse_cell(options.per) is not None:
        return None
    return root / options.per


def find_zones(options: MeasureOptions, grid: Grid) -> Zones:
    """The districts or the cells that `options.per` asks for, on a map."""
    per = options.per or ""
    cell = parse_cell(per)
    if cell is not None:
        return zones_of_cells(grid, *cell)
    return zones_of_districts(read_districts(per, options.per_field), grid, source=per)


def honest_areas(
    raster: ClassRaster, statistics: Statistics, reference: Reference
) -> tuple[HonestAreas, tuple[str, ...]]:
    """The areas of a map corrected by a reference, and what to say of them."""
    areas = np.array([c.area or 0.0 for c in statistics.classes])
    legend = raster.legend
    if reference.sample is not None:
        points = _placed(read_survey(reference.sample, legend), raster.grid, reference.sample)
        counts, notes = count_points(raster, points)
        return estimate_from_points(counts, areas, legend, unit=statistics.unit), notes
    if reference.truth is None:
        raise ValueError("there is no reference: pass a sample or a truth")
    if reference.truth.suffix.lower() == ".json":
        scenes = _confusions(reference.truth, legend)
        note = (
            f"{len(scenes)} scored scenes are taken as a random draw of ground like the map's: the intervals tell how these "
            "scenes differ among themselves, and are rough below ten of them"
        )
        return estimate_from_blocks(scenes, areas, legend, unit=statistics.unit), (note,)
    with read_class_map(reference.truth) as truth:
        if not truth.grid.same_place(raster.grid):
            raise GridMismatch(
                f"the truth {reference.truth} does not lie on the map's grid: warp it there (gdalwarp -r near -te -ts)"
            )
        _check_legend(truth.legend, legend, reference.truth)
        blocks = count_blocks(raster, truth, legend)
    note = (
        f"{len(blocks)} blocks with known truth are no random sample of the mapped ground unless they were drawn as one: the "
        "intervals tell how they differ among themselves, not how they differ from the rest of the map"
    )
    return estimate_from_blocks(blocks, areas, legend, unit=statistics.unit), (note,)


def _confusions(path: Path, legend: Legend) -> NDArray[np.int64]:
    """The confusion of each scene in a run's scores.json, (scenes, K, K) in the legend's order, map in rows."""
    try:
        found = Evaluation.from_json(read_json(path))
    except (KeyError, TypeError, ValueError) as error:
        raise UnreadableFile(f"{path} holds no scores ({error}): pass the scores.json that evaluate wrote") from error
    if found.total.overlapping:
        raise BadOption(f"the classes scored in {path} overlap, so the map's ground does not part into strata")
    _check_legend(found.total.legend, legend, path)
    place = [legend.ids.index(identifier) for identifier in found.total.legend.ids]
    counts = np.zeros((len(found.scenes), len(legend), len(legend)), dtype=np.int64)
    for scene, matrix in zip(found.scenes, counts, strict=True):
        matrix[np.ix_(place, place)] = np.array(scene.scores.confusion).T
    if np.count_nonzero(counts.any(axis=(1, 2))) < 2:
        raise BadOption(
            f"{path} has scores of one scene, which say nothing of how scenes differ: pass the scene's labels as --truth, "
            "which are taken block by block"
        )
    return counts


def _check_legend(found: Legend, legend: Legend, path: Path) -> None:
    strange = sorted(set(found.ids) - set(legend.ids))
    if strange:
        raise UnknownClass(
            f"{path} holds the class id {strange[0]}, which the map lacks (ids {legend.ids}): write the truth with the map's "
            "ids, and nodata where it is unknown"
        )


def _placed(points: SurveyPoints, grid: Grid, path: Path) -> SurveyPoints:
    """The points in the map's CRS."""
    if points.crs is None and grid.crs is None:
        return points
    if points.crs is None or grid.crs is None:
        raise CrsMissing(f"of the map and {path} only one has a CRS, so the points cannot be placed: set it for both")
    found = np.asarray(shapely.points(points.x, points.y), dtype=object)
    there = carried_onto(found, points.crs, grid.crs, grid.bounds, gsd_m=grid.gsd_m)
    return SurveyPoints(shapely.get_x(there), shapely.get_y(there), points.stratum, points.truth, grid.crs)


def _write(files: Sequence[Path], statistics: Statistics, zones: Zones | None, honest: HonestAreas | None) -> None:
    rows, by_zone = statistics.rows(), statistics.zone_rows()
    write_csv(files[0], rows)
    value: dict[str, Any] = {"unit": statistics.unit, "observed": statistics.observed, "classes": rows}
    plain = statistics.to_json()
    value["distributions"] = {c["class_name"]: c["objects"] for c in plain["classes"] if c["objects"] is not None}
    value |= {"figures": None if statistics.figures is None else statistics.figures.row(statistics.unit)}
    value |= {"details": plain["details"]}
    if zones is not None:
        value["zones"] = by_zone
        _write_zone_files(files[2], files[3], statistics, zones)
    if honest is not None:
        value["honest"] = honest.to_json()
        write_csv(files[-1], honest.rows())
    write_json(files[1], value)


def _write_zone_files(package: Path, table: Path, statistics: Statistics, zones: Zones) -> None:
    rows = statistics.zone_rows()
    places = {str(name): place for place, name in enumerate(zones.names)}
    kept = np.array([places[zone.name] for zone in statistics.zones], dtype=np.int64)
    write_csv(table, rows)
    write_zones(zones.geometry[kept], rows, package, crs=zones.crs, style=_zone_style(rows, statistics))


def _zone_style(rows: Sequence[dict[str, Any]], statistics: Statistics) -> str | None:
    """Shades by the share built on, or without buildings by the share that differs most between zones."""
    shares = {name: [row[name] for row in rows if row[name] is not None] for name in (rows[0] if rows else {})}
    shares = {name: values for name, values in shares.items() if name.endswith("_share") and values}
    if not shares:
        return None
    built = statistics.figures is not None and statistics.figures.built_share is not None and "built_share" in shares
    field = "built_share" if built else max(shares, key=lambda name: float(np.std(shares[name])))
    top = max(0.05, float(np.ceil(20 * max(shares[field])) / 20))
    return qml_for_zones(field, np.linspace(0, top, 6).round(4).tolist(), percent=True)


def sample_file(class_map: Path, out: Path, options: SampleOptions) -> tuple[SampleDesign, int]:
    """Plans and draws a sample of a map, and writes its points to be labelled; gives the plan and how many were drawn."""
    with _opened(class_map) as opened:
        raster = _exclusive(opened, class_map)
        found = class_areas(raster)
        areas, pixels = (np.array([getattr(c, name) for c in found]) for name in ("area", "pixels"))
        design = plan_sample(areas, pixels, raster.legend, options)
        points = draw_points(raster, design)
        about = {"map": class_map.name, **design.to_json()}
        write_survey(points, out, style=qml_for_sample(raster.legend, unsure=CANNOT_TELL), about=about)
    return design, len(points)
