"""Points to be labelled, from one file to the next and back."""

import sqlite3
import warnings
from contextlib import closing
from pathlib import Path

import numpy as np
import pyogrio
import pytest
import shapely

from terraseg.core.classes import LandClass, Legend
from terraseg.core.survey import UNLABELLED, UNSURE, SurveyPoints
from terraseg.errors import BadOption, UnknownClass, UnreadableFile
from terraseg.store.survey import CANNOT_TELL, read_survey, write_survey

LEGEND = Legend((LandClass(2, "Bare soil", "#C8A165"), LandClass(7, "water", "#0000FF")))


def points(crs: str | None = "EPSG:32645") -> SurveyPoints:
    place = np.arange(4.0)
    return SurveyPoints(
        330_000 + place, 3e6 + place, np.array([2, 7, 7, 2], np.int16), np.full(4, UNLABELLED, np.int16), crs
    )


@pytest.mark.parametrize("crs", ["EPSG:32645", None])
def test_what_was_written_is_read_with_the_labels_that_were_put_in(tmp_path: Path, crs: str | None) -> None:
    path = tmp_path / "sample.gpkg"
    with_crs = points(crs)
    write_survey(with_crs, path, about={"seed": 3})
    assert (read_survey(path, LEGEND).truth == UNLABELLED).all()
    rows = pyogrio.raw.read(path)
    rewritten = tmp_path / "labelled.gpkg"
    columns = dict(zip(rows[0]["fields"], rows[3], strict=True))
    columns["truth"] = np.array(["Bare soil", "water", CANNOT_TELL, None], dtype=object)
    _write(rewritten, rows[2], columns, crs)
    found = read_survey(rewritten, LEGEND)
    assert found.truth.tolist() == [2, 7, UNSURE, UNLABELLED]
    assert (found.stratum.tolist(), found.crs) == (with_crs.stratum.tolist(), crs)
    assert np.array_equal(found.x, with_crs.x)
    assert np.array_equal(found.y, with_crs.y)


def _write(path: Path, wkb: object, columns: dict[str, object], crs: str | None) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="'crs' was not provided")
        pyogrio.raw.write(
            path, geometry=wkb, field_data=list(columns.values()), fields=list(columns), geometry_type="Point", crs=crs
        )


def test_points_from_elsewhere_need_a_truth_by_name_or_id_alone(tmp_path: Path) -> None:
    path = tmp_path / "field trip.gpkg"
    wkb = shapely.to_wkb(shapely.points([1.0, 2.0, 3.0], [5.0, 5.0, 5.0]))
    _write(path, wkb, {"class_id": np.array([7, 2, 7])}, "EPSG:4326")
    found = read_survey(path, LEGEND)
    assert found.truth.tolist() == [7, 2, 7]
    assert (found.stratum == UNSURE).all()


def test_a_file_that_cannot_be_meant_says_why(tmp_path: Path) -> None:
    wkb = shapely.to_wkb(shapely.points([1.0], [5.0]))
    _write(tmp_path / "a.gpkg", wkb, {"truth": np.array(["lava"], dtype=object)}, "EPSG:4326")
    with pytest.raises(UnknownClass, match="'lava', which the map lacks"):
        read_survey(tmp_path / "a.gpkg", LEGEND)
    _write(tmp_path / "b.gpkg", wkb, {"height": np.array([3.0])}, "EPSG:4326")
    with pytest.raises(BadOption, match="no field 'truth'"):
        read_survey(tmp_path / "b.gpkg", LEGEND)
    with pytest.raises(UnreadableFile, match="does not exist"):
        read_survey(tmp_path / "c.gpkg", LEGEND)
    with pytest.raises(BadOption, match=r"ends in \.gpkg"):
        write_survey(points(), tmp_path / "d.geojson")


def test_the_style_stands_in_the_file_as_its_default(tmp_path: Path) -> None:
    path = tmp_path / "sample.gpkg"
    write_survey(points(), path, style="<qgis/>")
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT f_table_name, styleQML, useAsDefault FROM layer_styles").fetchall()
    assert rows == [("sample", "<qgis/>", 1)]
    assert not list(tmp_path.glob("*-wal"))
