"""Polygons in files: those of maps, written and read back."""

import json
import sqlite3
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import shapely
from numpy.typing import NDArray
from pyogrio.errors import DataLayerError, DataSourceError
from pyproj import Transformer
from pyproj.exceptions import ProjError

from terraseg.core.classes import PALETTE, LandClass, Legend
from terraseg.core.lines import LineTable
from terraseg.core.polygons import PolygonTable
from terraseg.errors import BadOption, UnreadableFile, missing_extra, nearest
from terraseg.store.classmap import parsed_legend
from terraseg.store.features import polygon_layer, reason_of, translated_vector
from terraseg.store.geopackage import add_default_style, remove_sidecars
from terraseg.store.rundir import replacing

LEGEND_TAG = "TERRASEG_LEGEND"
READ_AT_ONCE = 50_000
"""Polygons that are read together."""
LINES = "_centerlines"
"""What the name of a layer of centre lines has after that of the polygons."""


def write_polygons(
    tables: PolygonTable | Iterable[PolygonTable],
    path: Path | str,
    *,
    style: str | None = None,
    lines: LineTable | None = None,
) -> int:
    """A GeoPackage, GeoJSON or GeoParquet file by the suffix, whole or not at all; the layer is named after the file.

    Columns: class_id, class_name, area_m2, perimeter_m (area_px, perimeter_px without a CRS), confidence, and the table's
    further attributes. Several tables, which have the same columns, become one layer; into a GeoPackage they are written
    one at a time, so that they need not be in memory together. `style` is QML text, kept in a GeoPackage as the style in
    which QGIS opens the layer. `lines` become a layer of their own, NAME_centerlines, in a GeoPackage, and else a file of
    that name beside it. GeoJSON follows RFC 7946, so it is in EPSG:4326 wherever the table has a CRS. Gives the number of
    polygons. Raises `BadOption` for another suffix or a place that cannot be written, `MissingExtra` for GeoParquet without
    geopandas.
    """
    path = Path(path)
    batches = iter((tables,) if isinstance(tables, PolygonTable) else tables)
    writer = _WRITERS.get(path.suffix.lower())
    if writer is None:
        why = "a Shapefile cuts column names and areas short" if path.suffix.lower() == ".shp" else "no such format"
        raise BadOption(f"{path} cannot be written ({why}): {nearest(path.suffix, _WRITERS)}")
    try:
        with replacing(path) as temporary:
            try:
                count = writer(batches, temporary, path.stem, style)
                if lines is not None and path.suffix.lower() == ".gpkg":
                    _write_lines(lines, temporary, layer=f"{path.stem}{LINES}", driver="GPKG", append=True)
            finally:
                remove_sidecars(temporary)
            remove_sidecars(path)
        if lines is not None and path.suffix.lower() != ".gpkg":
            write_lines(lines, path.with_name(f"{path.stem}{LINES}{path.suffix}"))
    except (DataSourceError, DataLayerError, OSError, sqlite3.Error) as error:
        raise BadOption(
            f"{path} cannot be written ({reason_of(error)}): check the folder, the free space and the CRS"
        ) from error
    return count


def write_lines(table: LineTable, path: Path) -> None:
    """Lines as GeoJSON or GeoParquet by the suffix, whole or not at all, with class_id, class_name, width_m and length_m."""
    with replacing(path) as temporary:
        if path.suffix.lower() == ".parquet":
            frame = _geopandas("writing GeoParquet").GeoDataFrame(
                table.columns(), geometry=table.geometry, crs=table.crs
            )
            frame.to_parquet(temporary)
        else:
            _write_lines(table, temporary, layer=path.stem, driver="GeoJSON", layer_options=_geojson_options(table.crs))


def _write_lines(table: LineTable, path: Path, **options: Any) -> None:
    columns = table.columns()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="'crs' was not provided")
        pyogrio.raw.write(
            str(path),
            geometry=shapely.to_wkb(table.geometry),
            field_data=list(columns.values()),
            fields=np.array(list(columns), dtype=object),
            geometry_type="LineString",
            crs=table.crs,
            **options,
        )


def _columns(table: PolygonTable) -> dict[str, NDArray[Any]]:
    return {
        "class_id": table.class_id,
        "class_name": table.class_name,
        table.area_column: table.area,
        table.perimeter_column: table.perimeter,
        "confidence": table.confidence,
        **table.attributes,
    }


def _legend_text(legend: Legend) -> str:
    return json.dumps(legend.to_json(), ensure_ascii=False)


def _write_geopackage(tables: Iterator[PolygonTable], path: Path, layer: str, style: str | None) -> int:
    count = 0
    for number, table in enumerate(tables):
        metadata = {} if number else {"layer_metadata": {LEGEND_TAG: _legend_text(table.legend)}}
        _write_layer(table, path, layer=layer, driver="GPKG", append=number > 0, **metadata)
        count += len(table)
    if style is not None:
        add_default_style(path, layer, style)
    return count


def _write_geojson(tables: Iterator[PolygonTable], path: Path, layer: str, style: str | None) -> int:  # noqa: ARG001
    table = PolygonTable.joined(list(tables))
    _write_layer(table, path, layer=layer, driver="GeoJSON", layer_options=_geojson_options(table.crs))
    return len(table)


def _geojson_options(crs: str | None) -> dict[str, str]:
    if crs is not None:
        _check_way_to_wgs84(crs)
    # Nine decimals are 0.1 mm: with the usual seven a border of a very fine map could cross itself.
    return {"RFC7946": "NO" if crs is None else "YES", "COORDINATE_PRECISION": "9"}


def _check_way_to_wgs84(crs: str) -> None:
    try:
        Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
    except ProjError as error:
        raise BadOption(
            "GeoJSON is in longitude and latitude of WGS 84, to which no way leads from the map's CRS "
            f"{crs[:80]}: write .gpkg or .parquet"
        ) from error


def _write_layer(table: PolygonTable, path: Path, **options: Any) -> None:
    columns = _columns(table)
    with warnings.catch_warnings():
        # A map without a CRS gives polygons without one; the column names say so.
        warnings.filterwarnings("ignore", message="'crs' was not provided")
        pyogrio.raw.write(
            str(path),
            geometry=shapely.to_wkb(table.geometry),
            field_data=list(columns.values()),
            fields=np.array(list(columns), dtype=object),
            geometry_type="Polygon" if _all_single(table.geometry) else "MultiPolygon",
            promote_to_multi=not _all_single(table.geometry),
            crs=table.crs,
            **options,
        )


def _all_single(geometry: NDArray[np.object_]) -> bool:
    return bool((shapely.get_type_id(geometry) == shapely.GeometryType.POLYGON).all())


def _write_geoparquet(tables: Iterator[PolygonTable], path: Path, layer: str, style: str | None) -> int:  # noqa: ARG001
    table = PolygonTable.joined(list(tables))
    geopandas = _geopandas("writing GeoParquet")
    frame = geopandas.GeoDataFrame(_columns(table), geometry=table.geometry, crs=table.crs)
    frame.attrs[LEGEND_TAG] = table.legend.to_json()
    frame.to_parquet(path)
    return len(table)


def _geopandas(feature: str) -> Any:
    """The geopandas module; `MissingExtra` without it, or without what it needs for GeoParquet."""
    try:
        import geopandas
        import pyarrow  # noqa: F401  # geopandas finds out only when it writes
    except ImportError as error:
        raise missing_extra(feature, "geo") from error
    return geopandas


_WRITERS: dict[str, Callable[[Iterator[PolygonTable], Path, str, str | None], int]] = {
    ".gpkg": _write_geopackage,
    ".geojson": _write_geojson,
    ".json": _write_geojson,
    ".parquet": _write_geoparquet,
}


def read_polygon_table(path: Path | str) -> PolygonTable:
    """The polygons that `write_polygons` wrote. A GeoJSON keeps no legend colours: its classes get those of the palette."""
    path = Path(path)
    return _table_of(path, _read_geoparquet(path) if path.suffix == ".parquet" else _read_layer(path))


def read_polygon_batches(path: Path | str, *, batch: int = READ_AT_ONCE) -> Iterator[PolygonTable]:
    """The same, of a GeoPackage so many polygons at a time, of other files all at once; at least one table."""
    path = Path(path)
    if path.suffix.lower() != ".gpkg":
        yield read_polygon_table(path)
        return
    first, more = 0, True
    while more:
        table = _table_of(path, _read_layer(path, skip_features=first, max_features=batch))
        more = len(table) == batch
        first += batch
        if len(table) or first == batch:
            yield table


def _table_of(path: Path, read: tuple[dict[str, NDArray[Any]], NDArray[np.object_], str | None, Any]) -> PolygonTable:
    columns, geometry, crs, legend_text = read
    in_pixels = "area_px" in columns
    names = ("area_px", "perimeter_px") if in_pixels else ("area_m2", "perimeter_m")
    lacking = [n for n in ("class_id", "class_name", *names, "confidence") if n not in columns]
    if lacking:
        raise UnreadableFile(f"{path} has no column {lacking[0]}: pass a file that terraseg vectorize wrote")
    sizes = np.stack([columns[name].astype(np.float64) for name in names]) if len(geometry) else np.zeros((2, 0))
    if not (np.isfinite(sizes).all() and np.isfinite(shapely.bounds(geometry)).all()):
        raise UnreadableFile(f"{path} holds a polygon without a finite size or place: it is damaged; write it again")
    class_id = columns["class_id"].astype(np.uint8)
    legend = _legend_of(class_id, columns["class_name"]) if legend_text is None else Legend.from_json(legend_text)
    return PolygonTable(
        geometry=geometry,
        class_id=class_id,
        area=columns[names[0]].astype(np.float64),
        perimeter=columns[names[1]].astype(np.float64),
        confidence=columns["confidence"].astype(np.float64),
        legend=legend,
        crs=None if in_pixels else crs,
        attributes={
            name: values
            for name, values in columns.items()
            if name not in ("class_id", "class_name", *names, "confidence") and values.dtype.kind in "iuf"
        },
    )


def _read_layer(path: Path, **part: int) -> tuple[dict[str, NDArray[Any]], NDArray[np.object_], str | None, Any]:
    with translated_vector(path):
        layer, _ = polygon_layer(path)
        legend = (pyogrio.read_info(path, layer=layer)["layer_metadata"] or {}).get(LEGEND_TAG)
        meta, _, wkb, data = pyogrio.raw.read(path, layer=layer, **part)
        geometry = shapely.from_wkb(wkb)
    columns = dict(zip(meta["fields"], data, strict=True))
    known = None if legend is None else parsed_legend(legend, path).to_json()
    return columns, np.asarray(geometry, dtype=object), meta["crs"], known


def _read_geoparquet(path: Path) -> tuple[dict[str, NDArray[Any]], NDArray[np.object_], str | None, Any]:
    try:
        import geopandas
        import pyarrow
    except ImportError as error:
        raise missing_extra("reading GeoParquet", "geo") from error
    try:
        frame = geopandas.read_parquet(path)
    except (OSError, ValueError, pyarrow.ArrowException) as error:
        raise UnreadableFile(f"{path} cannot be read ({reason_of(error)}): pass a whole GeoParquet file") from error
    columns = {str(name): frame[name].to_numpy() for name in frame.columns if name != frame.geometry.name}
    crs = None if frame.crs is None else frame.crs.to_string()
    return columns, frame.geometry.to_numpy(), crs, frame.attrs.get(LEGEND_TAG)


def _legend_of(class_id: NDArray[np.uint8], class_name: NDArray[np.object_]) -> Legend:
    ids, first = np.unique(class_id, return_index=True)
    return Legend(
        tuple(
            LandClass(int(i), str(class_name[k]), PALETTE[place % len(PALETTE)])
            for place, (i, k) in enumerate(zip(ids, first, strict=True))
        )
    )
