"""Polygon files: what is written is read back, opens coloured in QGIS, and label files of all sorts are read."""

import json
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import geopandas
import numpy as np
import pyogrio
import pytest
import shapely
from pyproj import Geod

import terraseg.store.vector as vector
from terraseg.core.classes import LandClass, Legend
from terraseg.core.lines import LineTable
from terraseg.core.polygons import PolygonTable
from terraseg.errors import BadOption, MissingExtra, UnreadableFile
from terraseg.export.qgis import qml_for_polygons
from terraseg.store.features import list_fields, read_polygons
from terraseg.store.vector import read_polygon_batches, read_polygon_table, write_polygons

LEGEND = Legend(
    (LandClass(0, "background", "#000000"), LandClass(1, "house", "#123456"), LandClass(4, "Straße", "#0072B2"))
)
RING = shapely.box(330_000, 3_066_000, 330_050, 3_066_040).difference(
    shapely.box(330_010, 3_066_010, 330_020, 3_066_020)
)
SQUARE = shapely.box(330_050, 3_066_000, 330_060, 3_066_010)
BOW_TIE = shapely.Polygon([(0, 0), (2, 2), (2, 0), (0, 2)])


def make_table(crs: str | None = "EPSG:32645", *, rows: int = 2) -> PolygonTable:
    table = PolygonTable(
        geometry=shapely.orient_polygons(np.array([RING, SQUARE], dtype=object)),
        class_id=np.array([1, 4], dtype=np.uint8),
        area=np.array([1900.5, 100.25]),
        perimeter=np.array([220.125, 40.0]),
        confidence=np.array([0.75, np.nan]),
        legend=LEGEND,
        crs=crs,
    )
    return table.rows(np.arange(rows))


def assert_same(one: PolygonTable, other: PolygonTable) -> None:
    for name in ("class_id", "area", "perimeter", "confidence"):
        assert np.array_equal(getattr(one, name), getattr(other, name), equal_nan=name == "confidence"), name
    assert shapely.equals_exact(shapely.normalize(one.geometry), shapely.normalize(other.geometry), 0).all()


@pytest.mark.parametrize("suffix", [".gpkg", ".parquet"])
@pytest.mark.parametrize("crs", ["EPSG:32645", None, "+proj=longlat +R=3396190 +no_defs"])
@pytest.mark.parametrize("rows", [0, 2])
def test_a_table_comes_back_as_it_was(tmp_path: Path, suffix: str, crs: str | None, rows: int) -> None:
    path = tmp_path / f"map{suffix}"
    write_polygons(make_table(crs, rows=rows), path)
    back = read_polygon_table(path)
    assert_same(back, make_table(crs, rows=rows))
    assert back.legend == LEGEND
    assert (back.crs is None) == (crs is None)
    assert back.unit == ("px" if crs is None else "m")
    if crs == "EPSG:32645":
        assert back.crs == crs


@pytest.mark.parametrize(("suffix", "rows"), [(".gpkg", 7), (".gpkg", 6), (".gpkg", 0), (".geojson", 7)])
def test_batches_together_are_the_table(tmp_path: Path, suffix: str, rows: int) -> None:
    path = tmp_path / f"map{suffix}"
    table = make_table()
    table = table.rows(np.arange(rows) % len(table))
    write_polygons(table, path)
    batches = list(read_polygon_batches(path, batch=3))
    assert len(batches) == (max(1, -(-rows // 3)) if suffix == ".gpkg" else 1)
    assert_same(PolygonTable.joined(batches), read_polygon_table(path))


def test_columns_and_layer_are_those_promised(tmp_path: Path) -> None:
    for crs, names in (("EPSG:32645", ("area_m2", "perimeter_m")), (None, ("area_px", "perimeter_px"))):
        write_polygons(make_table(crs), tmp_path / "town map.gpkg")
        info = pyogrio.read_info(tmp_path / "town map.gpkg")
        assert info["layer_name"] == "town map"
        assert info["fields"].tolist() == ["class_id", "class_name", *names, "confidence"]
        assert info["geometry_type"] == "Polygon"


def test_geojson_is_in_longitude_and_latitude_and_turns_to_the_right_hand(tmp_path: Path) -> None:
    path = tmp_path / "map.geojson"
    write_polygons(make_table(), path)
    document = json.loads(path.read_text(encoding="utf-8"))
    assert "crs" not in document
    first = document["features"][0]
    assert first["properties"] == {
        "class_id": 1, "class_name": "house", "area_m2": 1900.5, "perimeter_m": 220.125, "confidence": 0.75,
    }  # fmt: skip
    polygon = shapely.geometry.shape(first["geometry"])
    assert (polygon.centroid.x, polygon.centroid.y) == pytest.approx((85.28, 27.71), abs=0.02)
    assert abs(Geod(ellps="WGS84").geometry_area_perimeter(polygon)[0]) == pytest.approx(1900, rel=2e-3)
    assert polygon.exterior.is_ccw
    back = read_polygon_table(path)
    assert (back.crs, back.legend.ids, back.legend.names) == ("EPSG:4326", (1, 4), ("house", "Straße"))
    assert back.area.tolist() == [1900.5, 100.25]


def test_geojson_without_a_crs_keeps_its_coordinates(tmp_path: Path) -> None:
    write_polygons(make_table(None), tmp_path / "map.geojson")
    back = read_polygon_table(tmp_path / "map.geojson")
    assert_same(back, make_table(None))
    assert back.crs is None


def test_geojson_of_another_planet_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    table = make_table("+proj=eqc +R=3396190 +units=m +no_defs")
    with pytest.raises(BadOption, match="no way leads from the map's CRS"):
        write_polygons(table, tmp_path / "mars.geojson")
    assert list(tmp_path.iterdir()) == []


def test_qgis_finds_a_default_style_with_the_class_colours(tmp_path: Path) -> None:
    path = tmp_path / "map.gpkg"
    write_polygons(make_table(), path, style=qml_for_polygons(LEGEND))
    with closing(sqlite3.connect(path)) as connection:
        where = "f_table_schema='' AND f_table_name=? AND f_geometry_column=?"
        query = f"SELECT styleQML, useAsDefault FROM layer_styles WHERE {where}"
        ((qml, is_default),) = connection.execute(query, ("map", "geom")).fetchall()
        kind = connection.execute("SELECT data_type FROM gpkg_contents WHERE table_name='layer_styles'").fetchone()
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert is_default == 1
    assert kind == ("attributes",)
    root = ElementTree.fromstring(qml)
    labels = [c.get("label") for c in root.iter("category")]
    colors = [o.get("value") for o in root.iter("Option") if o.get("name") == "outline_color"]
    assert labels == ["background", "house", "Straße"]
    assert colors == ["0,0,0,255", "18,52,86,255", "0,114,178,255"]
    assert_same(read_polygon_table(path), make_table())


def test_a_new_file_takes_the_place_of_the_old_one_and_of_its_side_files(tmp_path: Path) -> None:
    path = tmp_path / "map.gpkg"
    write_polygons(make_table(), path, style=qml_for_polygons(LEGEND))
    (tmp_path / "map.gpkg-wal").write_bytes(b"left by a reader that was killed")
    write_polygons(make_table(rows=1), path)
    assert [p.name for p in tmp_path.iterdir()] == ["map.gpkg"]
    assert len(read_polygon_table(path)) == 1


def test_what_fails_leaves_the_old_file_and_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "map.gpkg"
    write_polygons(make_table(), path)
    before = path.read_bytes()

    def full_disk(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(vector, "add_default_style", full_disk)
    with pytest.raises(BadOption, match=r"map\.gpkg cannot be written \(database or disk is full\)"):
        write_polygons(make_table(rows=1), path, style="<qgis/>")
    assert [p.name for p in tmp_path.iterdir()] == ["map.gpkg"]
    assert path.read_bytes() == before


@pytest.mark.parametrize(("name", "reason"), [("map.shp", "Shapefile"), ("map.gpk", "did you mean '.gpkg'")])
def test_other_formats_are_refused_by_name(tmp_path: Path, name: str, reason: str) -> None:
    with pytest.raises(BadOption, match=reason):
        write_polygons(make_table(), tmp_path / name)


def test_geoparquet_without_its_extra_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "geopandas", None)
    with pytest.raises(MissingExtra, match=r"terraseg\[geo\]"):
        write_polygons(make_table(), tmp_path / "map.parquet")
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_other_polygons_is_no_table(tmp_path: Path) -> None:
    path = write_features(tmp_path / "labels.geojson", [(SQUARE, {"kind": "a"})])
    with pytest.raises(UnreadableFile, match="has no column class_id"):
        read_polygon_table(path)


Feature = tuple[shapely.Geometry | None, dict[str, object]]


def write_features(path: Path, features: list[Feature], **members: object) -> Path:
    rows = [
        {"type": "Feature", "properties": p, "geometry": None if g is None else shapely.geometry.mapping(g)}
        for g, p in features
    ]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": rows, **members}), encoding="utf-8")
    return path


def write_layer(path: Path, geometry: list[shapely.Geometry], *, layer: str, append: bool = False) -> None:
    data = [np.array([f"{layer} {k}" for k in range(len(geometry))], dtype=object)]
    pyogrio.raw.write(
        path, shapely.to_wkb(np.array(geometry)), data, np.array(["kind"], dtype=object),
        layer=layer, driver="GPKG", geometry_type=geometry[0].geom_type, crs="EPSG:32645", append=append,
    )  # fmt: skip


def test_label_values_come_as_text(tmp_path: Path) -> None:
    values: list[object] = [3, None, 7]
    features: list[Feature] = [
        (SQUARE, {"id": v, "share": 0.5, "name": n, "flat": b})
        for v, n, b in zip(values, ["a", None, "ü"], [True, False, True], strict=True)
    ]
    path = write_features(tmp_path / "labels.geojson", features)
    assert read_polygons(path, field="id").values.tolist() == ["3", "", "7"]
    assert read_polygons(path, field="name").values.tolist() == ["a", "", "ü"]
    assert read_polygons(path, field="share").values.tolist() == ["0.5"] * 3
    assert read_polygons(path, field="flat").values.tolist() == ["true", "false", "true"]
    assert read_polygons(path).values.tolist() == ["", "", ""]
    assert list_fields(path) == ("id", "share", "name", "flat")


def test_geojson_says_where_it_lies_or_is_in_longitude_and_latitude(tmp_path: Path) -> None:
    assert read_polygons(write_features(tmp_path / "a.geojson", [(BOW_TIE, {})])).crs == "EPSG:4326"
    old = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32645"}}
    assert read_polygons(write_features(tmp_path / "b.geojson", [(SQUARE, {})], crs=old)).crs == "EPSG:32645"


def test_points_and_lines_are_counted_and_crossed_rings_mended(tmp_path: Path) -> None:
    mixed = shapely.GeometryCollection([shapely.box(5, 5, 6, 6), shapely.Point(9, 9)])
    shapes = [shapely.Point(1, 1), BOW_TIE, None, shapely.LineString([(0, 0), (1, 1)]), mixed, shapely.box(3, 3, 4, 4)]
    path = write_features(tmp_path / "labels.geojson", [(g, {"k": str(n)}) for n, g in enumerate(shapes)])
    labels = read_polygons(path, field="k")
    assert (labels.skipped, labels.repaired) == (3, 1)
    assert labels.values.tolist() == ["1", "4", "5"]
    assert shapely.is_valid(labels.geometry).all()
    assert shapely.area(labels.geometry).tolist() == [2, 1, 1]


def test_heights_are_left_out_and_a_box_chooses(tmp_path: Path) -> None:
    high = shapely.force_3d(shapely.box(0, 0, 1, 1), 12.0)
    path = write_features(tmp_path / "labels.geojson", [(high, {"k": "a"}), (shapely.box(5, 5, 6, 6), {"k": "b"})])
    assert not shapely.has_z(read_polygons(path).geometry).any()
    assert read_polygons(path, field="k", bbox=(4, 4, 7, 7)).values.tolist() == ["b"]


def test_of_several_layers_the_first_with_polygons_is_read_and_the_others_named(tmp_path: Path) -> None:
    path = tmp_path / "labels.gpkg"
    write_layer(path, [shapely.Point(0, 0)], layer="trees")
    write_layer(path, [SQUARE], layer="houses", append=True)
    write_layer(path, [SQUARE, RING], layer="roads", append=True)
    labels = read_polygons(path, field="kind")
    assert (labels.values.tolist(), labels.layer, labels.unread) == (["houses 0"], "houses", ("roads",))


def test_a_file_of_points_has_no_polygons_and_says_how_many_features(tmp_path: Path) -> None:
    write_layer(tmp_path / "points.gpkg", [shapely.Point(0, 0), shapely.Point(1, 0)], layer="trees")
    labels = read_polygons(tmp_path / "points.gpkg")
    assert (len(labels.geometry), labels.skipped) == (0, 2)


def test_a_map_of_our_own_can_be_labels(tmp_path: Path) -> None:
    write_polygons(make_table(), tmp_path / "map.gpkg", style=qml_for_polygons(LEGEND))
    labels = read_polygons(tmp_path / "map.gpkg", field="class_id")
    assert (labels.values.tolist(), labels.unread) == (["1", "4"], ())


def test_an_unknown_field_names_the_nearest(tmp_path: Path) -> None:
    path = write_features(tmp_path / "labels.geojson", [(SQUARE, {"building": "yes", "name": "x"})])
    with pytest.raises(BadOption, match="no attribute 'bilding': did you mean 'building'"):
        read_polygons(path, field="bilding")


def cut_short(path: Path) -> None:
    write_polygons(make_table(), path.with_suffix(".gpkg"))
    path.with_suffix(".gpkg").write_bytes(path.with_suffix(".gpkg").read_bytes()[:5000])


def no_json(path: Path) -> None:
    path.write_text('{"type": "FeatureCollection", "features": [{"type"', encoding="utf-8")


@pytest.mark.parametrize(("name", "spoil"), [("labels.gpkg", cut_short), ("labels.geojson", no_json)])
@pytest.mark.parametrize("read", [read_polygons, list_fields, read_polygon_table])
def test_a_damaged_file_is_named(
    tmp_path: Path, name: str, spoil: Callable[[Path], None], read: Callable[[Path], object]
) -> None:
    spoil(tmp_path / name)
    with pytest.raises(UnreadableFile, match=rf"{name} cannot be read \("):
        read(tmp_path / name)


def test_a_missing_file_is_missing(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match=r"nowhere\.gpkg does not exist"):
        read_polygons(tmp_path / "nowhere.gpkg")


def test_geodata_of_a_damaged_parquet_is_unreadable(tmp_path: Path) -> None:
    (tmp_path / "map.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(UnreadableFile, match=r"map\.parquet cannot be read"):
        read_polygon_table(tmp_path / "map.parquet")


def test_a_shapefile_of_labels_is_read(tmp_path: Path) -> None:
    pyogrio.raw.write(
        tmp_path / "labels.shp", shapely.to_wkb(np.array([RING])), [np.array(["dach"], dtype=object)],
        np.array(["kind"], dtype=object), driver="ESRI Shapefile", geometry_type="Polygon", crs="EPSG:32645",
    )  # fmt: skip
    labels = read_polygons(tmp_path / "labels.shp", field="kind")
    assert (labels.values.tolist(), labels.crs) == (["dach"], "EPSG:32645")
    (tmp_path / "labels.prj").unlink()
    assert read_polygons(tmp_path / "labels.shp").crs is None


def test_tables_written_one_after_the_other_are_one_layer(tmp_path: Path) -> None:
    whole = make_table().rows(np.array([0, 1, 0]))
    parts = [whole.rows(np.array(rows)) for rows in ([0], [1, 2])]
    for name in ("map.gpkg", "map.geojson", "map.parquet"):
        assert write_polygons(iter(parts), tmp_path / name, style="<qgis/>") == 3
        assert len(read_polygon_table(tmp_path / name)) == 3
    assert_same(read_polygon_table(tmp_path / "map.gpkg"), whole)


def test_further_columns_are_written_and_read_back(tmp_path: Path) -> None:
    table = make_table(rows=2)
    columns = {"n_vertices": np.array([4, 5], np.int32), "length_m": np.array([7.5, np.nan])}
    write_polygons(replace(table, attributes=columns), tmp_path / "map.gpkg")
    back = read_polygon_table(tmp_path / "map.gpkg")
    assert list(back.attributes) == ["n_vertices", "length_m"]
    for name, values in columns.items():
        assert np.array_equal(back.attributes[name], values, equal_nan=True)


@pytest.mark.parametrize("name", ["map.gpkg", "map.geojson", "map.parquet"])
def test_lines_are_a_layer_in_a_geopackage_and_else_a_file(tmp_path: Path, name: str) -> None:
    table = make_table()
    line = np.array([shapely.LineString([(0, 0), (5, 5)])], dtype=object)
    street = LineTable(line, table.class_id[:1], np.array([6.5]), np.array([7.1]), table.legend, table.crs)
    write_polygons(table, tmp_path / name, lines=street)
    own = tmp_path / name if name.endswith("gpkg") else tmp_path / f"map_centerlines{Path(name).suffix}"
    if name.endswith("parquet"):
        frame = geopandas.read_parquet(own)
        found = dict(frame[["width_m", "length_m"]].iloc[0])
    else:
        meta, _, _, data = pyogrio.raw.read(own, layer="map_centerlines")
        found = {k: v[0] for k, v in zip(meta["fields"], data, strict=True)}
    assert (found["width_m"], found["length_m"]) == (6.5, 7.1)
    assert len(read_polygon_table(tmp_path / name)) == len(table)
