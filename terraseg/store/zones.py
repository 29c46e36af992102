"""Files of districts: read with their names, written with what was measured in them."""

import sqlite3
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import shapely
from numpy.typing import NDArray
from pyogrio.errors import DataLayerError, DataSourceError

from terraseg.core.polygons import VectorLabels
from terraseg.errors import BadOption, EmptyDataset
from terraseg.store.features import list_fields, read_polygons
from terraseg.store.geopackage import add_default_style, remove_sidecars
from terraseg.store.rundir import replacing

NAME_FIELDS = ("name", "district", "title", "label", "zone", "nam", "id", "code")
"""Attributes by which districts are called, the first that is there."""


def read_districts(path: Path | str, field: str | None = None) -> VectorLabels:
    """The polygons of a file with their names as values: from `field`, or the attribute that looks like a name.

    Raises `UnreadableFile`, `BadOption` for a field that the file lacks, `EmptyDataset` for a file without polygons.
    """
    if field is None:
        known = {name.casefold(): name for name in list_fields(path)}
        field = next((known[name] for name in NAME_FIELDS if name in known), None)
    districts = read_polygons(path, field=field)
    if len(districts.geometry) == 0:
        raise EmptyDataset(f"{path} holds no polygons: pass a file of districts")
    return districts


def write_zones(
    geometry: NDArray[np.object_],
    rows: Sequence[Mapping[str, Any]],
    path: Path,
    *,
    crs: str | None,
    style: str | None = None,
) -> None:
    """A GeoPackage of polygons (n,) with one flat row of attributes each; `style` is the QML text in which QGIS opens it.

    None becomes an empty field. Raises `BadOption` for a place that cannot be written.
    """
    try:
        with replacing(path) as temporary:
            try:
                _write_layer(geometry, rows, temporary, (path.stem, crs))
                if style is not None:
                    add_default_style(temporary, path.stem, style)
            finally:
                remove_sidecars(temporary)
            remove_sidecars(path)
    except (DataSourceError, DataLayerError, OSError, sqlite3.Error) as error:
        raise BadOption(f"{path} cannot be written ({error}): check the folder and the free space") from error


def _write_layer(
    geometry: NDArray[np.object_], rows: Sequence[Mapping[str, Any]], path: Path, layer: tuple[str, str | None]
) -> None:
    names = list(rows[0]) if rows else []
    columns = [_column([row[name] for row in rows]) for name in names]
    with warnings.catch_warnings():
        # A map without a CRS has points and zones without one.
        warnings.filterwarnings("ignore", message="'crs' was not provided")
        pyogrio.raw.write(
            str(path),
            geometry=shapely.to_wkb(geometry),
            field_data=[values for values, _ in columns],
            field_mask=[mask for _, mask in columns],
            fields=np.array(names, dtype=object),
            geometry_type="MultiPolygon",
            promote_to_multi=True,
            crs=layer[1],
            layer=layer[0],
            driver="GPKG",
        )


def _column(values: list[Any]) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """A column of one type with a mask of its empty fields."""
    empty = np.array([value is None for value in values], dtype=np.bool_)
    known = [value for value in values if value is not None]
    if known and all(isinstance(value, str) for value in known):
        return np.array(values, dtype=object), empty
    whole = bool(known) and all(isinstance(value, int) for value in known)
    filled = [0 if value is None else value for value in values]
    return np.array(filled, dtype=np.int64 if whole else np.float64), empty
