"""Files of points to be labelled: written with their style, read back with what was found."""

import json
import sqlite3
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import shapely
from numpy.typing import NDArray
from pyogrio.errors import DataLayerError, DataSourceError

from terraseg.core.classes import Legend
from terraseg.core.survey import UNLABELLED, UNSURE, SurveyPoints
from terraseg.errors import BadOption, UnknownClass, UnreadableFile, nearest
from terraseg.store.geopackage import add_default_style, remove_sidecars
from terraseg.store.network import vector_offline
from terraseg.store.rundir import replacing

CANNOT_TELL = "cannot tell"
"""What stands under `truth` where even a look does not say."""
TRUTH_FIELDS = ("truth", "reference", "label", "class_name", "class", "class_id")
"""Names under which the truth is looked for in a file from elsewhere, the first that is there."""
SAMPLE_TAG = "TERRASEG_SAMPLE"


def write_survey(
    points: SurveyPoints, path: Path | str, *, style: str | None = None, about: dict[str, Any] | None = None
) -> None:
    """A GeoPackage of points with the fields number, truth (a class name, empty until labelled), note and stratum.

    `style` is QML text in which QGIS opens it; `about`, plain JSON, stays with the layer. Raises `BadOption` for another
    suffix than .gpkg, and for a place that cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() != ".gpkg":
        raise BadOption(f"{path}: points to label are written as GeoPackage, pass a name that ends in .gpkg")
    try:
        with replacing(path) as temporary:
            try:
                _write_layer(points, temporary, path.stem, about or {})
                if style is not None:
                    add_default_style(temporary, path.stem, style)
            finally:
                remove_sidecars(temporary)
            remove_sidecars(path)
    except (DataSourceError, DataLayerError, OSError, sqlite3.Error) as error:
        raise BadOption(f"{path} cannot be written ({error}): check the folder and the free space") from error


def _write_layer(points: SurveyPoints, path: Path, layer: str, about: dict[str, Any]) -> None:
    nothing = np.full(len(points), None, dtype=object)
    columns = {
        "number": np.arange(1, len(points) + 1, dtype=np.int32),
        "truth": nothing,
        "note": nothing,
        "stratum": points.stratum,
    }
    with warnings.catch_warnings():
        # A map without a CRS has points and zones without one.
        warnings.filterwarnings("ignore", message="'crs' was not provided")
        pyogrio.raw.write(
            str(path),
            geometry=shapely.to_wkb(shapely.points(points.x, points.y)),
            field_data=list(columns.values()),
            fields=np.array(list(columns), dtype=object),
            geometry_type="Point",
            crs=points.crs,
            layer=layer,
            driver="GPKG",
            layer_metadata={SAMPLE_TAG: json.dumps(about, ensure_ascii=False)},
        )


def read_survey(path: Path | str, legend: Legend) -> SurveyPoints:
    """The points of a labelled sample: those that `write_survey` wrote, or any point layer with a class for each.

    The truth is a class name or a class id. Raises `UnreadableFile` for a file without points, `BadOption` when no field
    holds the truth, and `UnknownClass` for a truth that the legend lacks.
    """
    try:
        with vector_offline(path):
            layer = _point_layer(path)
            meta, _, wkb, data = pyogrio.raw.read(path, layer=layer, force_2d=True)
        geometry = np.asarray(shapely.from_wkb(wkb), dtype=object)
    except (DataSourceError, DataLayerError, shapely.errors.ShapelyError, OSError, ValueError) as error:
        reason = "it does not exist" if not Path(path).exists() else str(error).splitlines()[0]
        raise UnreadableFile(f"{path} cannot be read ({reason}): pass a file of labelled points") from error
    columns = dict(zip((str(name) for name in meta["fields"]), data, strict=True))
    field = next((name for name in TRUTH_FIELDS if name in columns), None)
    if field is None:
        raise BadOption(
            f"{path} has no field {TRUTH_FIELDS[0]!r} with the class of each point: {nearest('truth', columns)}"
        )
    there = shapely.get_type_id(geometry) == shapely.GeometryType.POINT
    geometry = geometry[there]
    stratum = columns.get("stratum", np.full(len(there), UNSURE))
    return SurveyPoints(
        x=shapely.get_x(geometry),
        y=shapely.get_y(geometry),
        stratum=np.asarray(stratum)[there].astype(np.int16),
        truth=_truth(columns[field][there], legend, path),
        crs=meta["crs"],
    )


def _point_layer(path: Path | str) -> str:
    for name, kind in pyogrio.list_layers(path):
        if kind is not None and "Point" in str(kind) and "Multi" not in str(kind):
            return str(name)
    raise ValueError("it has no layer of points")


def _truth(values: NDArray[Any], legend: Legend, path: Path | str) -> NDArray[np.int16]:
    known = {c.name.casefold(): c.id for c in legend.classes} | {CANNOT_TELL: UNSURE, "": UNLABELLED}
    by_id = {str(c.id): c.id for c in legend.classes}
    truth = np.empty(len(values), np.int16)
    for place, value in enumerate(values):
        text = "" if value is None or value != value else str(value).strip()
        text = text.removesuffix(".0") if isinstance(value, float | np.floating) else text
        found = known.get(text.casefold(), by_id.get(text))
        if found is None:
            raise UnknownClass(
                f"{path} gives a point the class {text!r}, which the map lacks: {nearest(text, [*legend.names, CANNOT_TELL])}"
            )
        truth[place] = found
    return truth
