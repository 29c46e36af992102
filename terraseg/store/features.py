"""Features of vector files as labels: polygons made whole, lines and points with their widths, attributes as text."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import shapely
from numpy.typing import NDArray
from pyogrio.errors import DataLayerError, DataSourceError

from terraseg.core.drawing import Width
from terraseg.core.polygons import VectorLabels
from terraseg.errors import BadOption, UnreadableFile, nearest
from terraseg.shapes.antimeridian import counting_on
from terraseg.shapes.carry import is_degrees
from terraseg.store.leads import is_file
from terraseg.store.network import vector_offline
from terraseg.store.opening import is_absent
from terraseg.store.vectorleads import is_tabular

Bounds = tuple[float, float, float, float]
MANY_VERTICES, LOOKED, MOST_MEETINGS = 50_000, 64, 2e8
"""Of outlines with more vertices, so many edges are looked at; GEOS takes some 10 s for so many meetings of two edges."""


def list_fields(path: Path | str) -> tuple[str, ...]:
    """The attributes of the layer that `read_polygons` reads, in the file's order."""
    with translated_vector(path):
        layer, _ = polygon_layer(path)
        return _fields(str(path), layer, _state(path))


def count_features(path: Path | str) -> int:
    """The number of features of the layer that `read_polygons` reads, whatever they are."""
    with translated_vector(path):
        layer, _ = polygon_layer(path)
        return int(pyogrio.read_info(path, layer=layer, force_feature_count=True)["features"])


def read_polygons(path: Path | str, *, field: str | None = None, bbox: Bounds | None = None) -> VectorLabels:
    """The polygons of a label file with one attribute as text, in the file's CRS.

    `bbox` (left, bottom, right, top) in the same CRS keeps what meets it. Of several layers the first with polygons is
    read. Whole numbers read without a decimal point, truth values as "true" and "false". GeoJSON is in EPSG:4326 unless it
    says otherwise (RFC 7946). Raises `UnreadableFile`, and `BadOption` for a field that the layer lacks.
    """
    return _kept(str(path), field, 0.0, bbox, _state(path))


def read_features(path: Path | str, *, field: str | None = None, width: Width = 0.0) -> VectorLabels:
    """The polygons of a label file as `read_polygons` gives them, and its lines and points where they have a width.

    `width` is one for all in metres, or the name of an attribute; features whose attribute is empty, no number or not above
    zero are counted with the skipped.
    """
    return _kept(str(path), field, width, None, _state(path))


# A step of the work opens the labels of a scene several times, and those of many scenes may stand in one file.
@lru_cache(maxsize=1)
def _kept(path: str, field: str | None, width: Width, bbox: Bounds | None, state: object) -> VectorLabels:  # noqa: ARG001
    """What `_read` gives, kept until another file is read; its arrays cannot be written."""
    found = _read(path, field, width, bbox)
    for array in (found.geometry, found.values, found.widths):
        if array is not None:
            array.flags.writeable = False
    return found


def _read(path: Path | str, field: str | None, width: Width, bbox: Bounds | None) -> VectorLabels:
    wanted = [name for name in (field, width) if isinstance(name, str)]
    with translated_vector(path):
        layer, unread = polygon_layer(path)
        known = _fields(str(path), layer, _state(path))
        for name in wanted:
            if name not in known:
                raise BadOption(f"{path} has no attribute {name!r}: {nearest(name, known)}")
        # GDAL loses the geometry that a table holds as text when that column is not asked for.
        columns = None if is_tabular(path) else list(dict.fromkeys(wanted))
        meta, _, wkb, data = pyogrio.raw.read(path, layer=layer, columns=columns, bbox=bbox, force_2d=True)
        # What GEOS cannot hold (a ring of two points) comes out as None and is counted with the skipped.
        geometry = np.asarray(shapely.from_wkb(wkb, on_invalid="ignore"), dtype=object)
    _refuse_tangled(geometry, path)
    by_name = dict(zip((str(name) for name in meta["fields"]), data, strict=True))
    values = np.full(len(geometry), "") if field is None else _as_text(by_name[field])
    widths = np.full(len(geometry), width) if not isinstance(width, str) else _as_metres(by_name[width])
    return _mended(geometry, values, widths, VectorLabels(geometry, values, meta["crs"], layer=layer, unread=unread))


def polygon_layer(path: Path | str) -> tuple[str, tuple[str, ...]]:
    """The first layer that may hold polygons, or else the first with geometry; and the other layers of polygons."""
    spatial = [(name, kind) for name, kind in _layers(str(path), _state(path)) if kind != "None"]
    if not spatial:
        raise UnreadableFile(f"{path} has no layer with geometry: pass a file of polygons")
    areal = [name for name, kind in spatial if not any(word in kind for word in ("Point", "Line", "Curve", "Circular"))]
    areal += [name for name, kind in spatial if "CurvePolygon" in kind]
    return (areal[0], tuple(areal[1:])) if areal else (spatial[0][0], ())


def _state(path: Path | str) -> object:
    """What changes with a file, to know again what was read of it; of what is no file something new each time."""
    if not is_file(path):
        return object()
    # Attributes of a Shapefile, and what SQLite has not yet moved into its file, stand beside it.
    beside = (*(Path(path).with_suffix(end) for end in (".dbf", ".prj", ".cpg")), Path(f"{path}-wal"))
    found = [file.stat() for file in (Path(path), *beside) if file.exists()]
    return tuple((status.st_mtime_ns, status.st_size) for status in found)


# Asking a GeoJSON for its layers or attributes reads all of it, and several steps ask.
@lru_cache(maxsize=64)
def _layers(path: str, state: object) -> tuple[tuple[str, str], ...]:  # noqa: ARG001  # part of the cache's key
    """The layers of a file with their kinds of geometry."""
    return tuple((str(name), str(kind)) for name, kind in pyogrio.list_layers(path))


@lru_cache(maxsize=64)
def _fields(path: str, layer: str, state: object) -> tuple[str, ...]:  # noqa: ARG001  # part of the cache's key
    """The attributes of a layer."""
    return tuple(str(name) for name in pyogrio.read_info(path, layer=layer)["fields"])


def _as_text(values: NDArray[Any]) -> NDArray[np.str_]:
    def text(value: Any) -> str:
        if value is None or value != value:  # NaN and NaT are null
            return ""
        if isinstance(value, bool | np.bool_):
            return str(bool(value)).lower()
        if isinstance(value, float | np.floating) and float(value).is_integer():
            return str(int(value))
        return str(value)

    return np.array([text(value) for value in values], dtype=np.str_)


def _as_metres(values: NDArray[Any]) -> NDArray[np.float64]:
    """Widths as numbers; 0 for what is none. OpenStreetMap writes "6", "6.5 m" and "6,5" under one name."""

    def metres(value: Any) -> float:
        try:
            number = float(str(value).strip().removesuffix("m").strip().replace(",", "."))
        except ValueError:
            return 0.0
        return number if np.isfinite(number) and number > 0 else 0.0

    return np.array([metres(value) for value in values], dtype=np.float64)


def _mended(
    geometry: NDArray[np.object_], values: NDArray[np.str_], widths: NDArray[np.float64], labels: VectorLabels
) -> VectorLabels:
    """The features that have ground, polygons made valid; the others counted."""
    if labels.crs is not None and is_degrees(labels.crs):
        # Before rings are looked at: one that jumps at 180 degrees seems to cross itself.
        geometry = counting_on(geometry)
    mixed = shapely.get_type_id(geometry) == shapely.GeometryType.GEOMETRYCOLLECTION
    crossed = ~shapely.is_valid(geometry) & ~shapely.is_missing(geometry)
    geometry = geometry.copy()
    geometry[crossed] = shapely.make_valid(geometry[crossed])
    for place in np.flatnonzero(mixed | crossed):
        part = _polygonal_part(geometry[place])
        # A line that crosses itself is valid; one that is not has no length, and make_valid gave what is left of it.
        geometry[place] = part if not shapely.is_empty(part) else geometry[place]
    dimension = shapely.get_dimensions(geometry)
    there = ~shapely.is_empty(geometry) & np.isfinite(shapely.bounds(geometry)).all(axis=1)
    collection = shapely.get_type_id(geometry) == shapely.GeometryType.GEOMETRYCOLLECTION
    areal = (dimension == 2) & there & ~collection
    thin = (dimension < 2) & there & (widths > 0)
    kept = areal | thin
    return VectorLabels(
        geometry=geometry[kept],
        values=values[kept],
        crs=labels.crs,
        skipped=int((~kept).sum()),
        repaired=int((crossed & areal).sum()),
        layer=labels.layer,
        unread=labels.unread,
        widths=np.where(areal, np.nan, widths)[kept],
    )


def _refuse_tangled(geometry: NDArray[np.object_], path: Path | str) -> None:
    """Raises `UnreadableFile` for an outline of very many vertices whose edges lie over each other again and again.

    To find where they cross would take hours; a border drawn by hand or traced by a program has a few neighbours an edge.
    """
    for shape in geometry[shapely.get_num_coordinates(geometry) > MANY_VERTICES]:
        points = shapely.get_coordinates(shape)
        low, high = np.minimum(points[:-1], points[1:]), np.maximum(points[:-1], points[1:])
        looked = np.linspace(0, len(low) - 1, LOOKED).astype(np.int64)
        met = sum(int(((low <= high[k]) & (high >= low[k])).all(axis=1).sum()) for k in looked)
        if met / LOOKED * len(low) / 2 > MOST_MEETINGS:
            raise UnreadableFile(
                f"{path} has an outline of {len(points):,} vertices that runs over itself {met // LOOKED:,} times at every edge, "
                "which is the border of nothing: draw it again, or smooth it first (ogr2ogr -simplify)"
            )


def _polygonal_part(geometry: Any) -> Any:
    parts = shapely.get_parts(geometry)
    while (shapely.get_type_id(parts) > shapely.GeometryType.POLYGON).any():
        parts = shapely.get_parts(parts)
    parts = parts[shapely.get_type_id(parts) == shapely.GeometryType.POLYGON]
    return parts[0] if len(parts) == 1 else shapely.union_all(parts)


@contextmanager
def translated_vector(path: Path | str) -> Iterator[None]:
    """Library errors on reading `path`, raised as `UnreadableFile` with one sentence; it leads to no other machine."""
    try:
        with vector_offline(path):
            yield
    except (DataSourceError, DataLayerError, shapely.errors.ShapelyError, OSError, ValueError) as error:
        if not str(path).startswith("/vsi") and "://" not in str(path) and is_absent(path):
            raise UnreadableFile(f"{path} does not exist: check the path, or the pattern that names it") from error
        raise UnreadableFile(
            f"{path} cannot be read ({reason_of(error)}): the file is damaged, cut short or holds no polygons; "
            "export it again, as GeoPackage or GeoJSON"
        ) from error


def reason_of(error: Exception) -> str:
    """The first line of what a library says."""
    return (str(error).splitlines() or [type(error).__name__])[0].removesuffix(".")
