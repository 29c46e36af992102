"""Labels that are not complete, not aligned or no polygons: extent, empty scenes, shift, buffer, width, unknown values."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import shapely
from numpy.typing import NDArray
from pyproj import Transformer

from terraseg.core.classes import VOID, LandClass, Legend
from terraseg.core.dataset import Dataset, Imagery, LabelRule, Scene
from terraseg.core.drawing import Drawing
from terraseg.core.grid import Grid
from terraseg.errors import CrsMissing, EmptyDataset, UnknownClass
from terraseg.store.labels import open_labels
from tests.makers import UTM, make_grid, make_labels

LEGEND = Legend((LandClass(0, "land", "#AA8844"), LandClass(1, "roof", "#FF0000")))
ROOFS = LabelRule("polygons", (("",), ("*",)))
GRID = make_grid(100, 100, gsd=1.0)
LEFT, TOP = 500_000.0, 4_000_000.0


def box(col: float, row: float, col_stop: float, row_stop: float) -> shapely.Geometry:
    """A rectangle of pixels of `GRID`, in its CRS."""
    return shapely.box(LEFT + col, TOP - row_stop, LEFT + col_stop, TOP - row)


def write(path: Path, *shapes: shapely.Geometry, crs: str | None = UTM, **columns: list[object]) -> Path:
    named = {"type": "name", "properties": {"name": f"urn:ogc:def:crs:EPSG::{crs.split(':')[1]}"}} if crs else None
    features = [
        {
            "type": "Feature",
            "geometry": json.loads(shapely.to_geojson(shape)),
            "properties": {name: values[n] for name, values in columns.items()},
        }
        for n, shape in enumerate(shapes)
    ]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features} | ({"crs": named} if named else {})))
    return path


def burnt(
    path: Path, rule: LabelRule = ROOFS, grid: Grid = GRID, shift: tuple[float, float] = (0.0, 0.0)
) -> NDArray[np.uint8]:
    scene = Scene("a", Imagery(("a.tif",), ("red",)), str(path), "a", grid, shift=shift)
    with open_labels(scene, Dataset((), LEGEND, rule, ("red",), "uint8")) as labels:
        return labels.read(grid.window)


def expected(*windows: tuple[int, int, int, int], rest: int = 0) -> NDArray[np.uint8]:
    """An array of `rest` with roofs in windows (row, col, row_stop, col_stop)."""
    array = np.full((100, 100), rest, np.uint8)
    for top, left, bottom, right in windows:
        array[top:bottom, left:right] = 1
    return array


def test_outside_the_extent_nothing_is_known(tmp_path: Path) -> None:
    path = write(tmp_path / "l.geojson", box(10, 10, 30, 30), box(60, 10, 80, 30))
    extent = write(tmp_path / "extent.geojson", box(0, 0, 50, 100))
    found = burnt(path, replace(ROOFS, drawing=Drawing(extent=(str(extent),))))
    assert (found[:, :50] == expected((10, 10, 30, 30))[:, :50]).all()
    assert (found[:, 50:] == VOID).all()


def test_the_extent_may_be_in_another_crs_and_in_several_files(tmp_path: Path) -> None:
    path = write(tmp_path / "l.geojson", box(10, 10, 30, 30))
    to_degrees = Transformer.from_crs(UTM, "EPSG:4326", always_xy=True)
    half = shapely.transform(box(0, 0, 50, 100), lambda p: np.column_stack(to_degrees.transform(p[:, 0], p[:, 1])))
    one = write(tmp_path / "one.geojson", half, crs="EPSG:4326")
    other = write(tmp_path / "other.geojson", box(70, 0, 100, 100))
    found = burnt(path, replace(ROOFS, drawing=Drawing(extent=(str(one), str(other)))))
    assert ((found == VOID).sum(axis=0) > 50).tolist() == [50 <= col < 70 for col in range(100)]


def test_an_extent_bounds_label_rasters_too(tmp_path: Path) -> None:
    path = make_labels(tmp_path / "l.tif", GRID, values=(0, 1))
    extent = write(tmp_path / "extent.geojson", box(0, 20, 100, 100))
    rule = LabelRule("ids", (("0",), ("1",)), drawing=Drawing(extent=(str(extent),)))
    found = burnt(path, rule)
    assert (found[:20] == VOID).all()
    assert (found[20:] == burnt(path, LabelRule("ids", (("0",), ("1",))))[20:]).all()


def test_a_scene_without_a_polygon_counts_only_where_the_extent_says_so(tmp_path: Path) -> None:
    elsewhere = write(tmp_path / "l.geojson", box(500, 500, 520, 520))
    none = write(tmp_path / "none.geojson")
    extent = write(tmp_path / "extent.geojson", box(0, 0, 100, 40))
    for path in (elsewhere, none):
        assert (burnt(path) == VOID).all()
        found = burnt(path, replace(ROOFS, drawing=Drawing(extent=(str(extent),))))
        assert (found[:40] == 0).all()
        assert (found[40:] == VOID).all()


def test_a_polygon_beside_a_rotated_scene_says_nothing_of_it(tmp_path: Path) -> None:
    """It lies in the rectangle around the scene, and touches no pixel."""
    turned = Grid(UTM, (0.7, 0.7, LEFT, 0.7, -0.7, TOP), 100, 100)
    beside, on = shapely.Point(LEFT + 5, TOP - 65).buffer(3), shapely.Point(LEFT + 70, TOP).buffer(3)
    assert shapely.box(*turned.bounds).contains(beside)
    assert (burnt(write(tmp_path / "beside.geojson", beside), grid=turned) == VOID).all()
    assert (burnt(write(tmp_path / "on.geojson", on), grid=turned) != VOID).all()


def test_an_extent_without_a_polygon_is_refused(tmp_path: Path) -> None:
    extent = write(tmp_path / "extent.geojson", shapely.Point(LEFT, TOP))
    with pytest.raises(EmptyDataset, match=r"extent\.geojson holds no polygon"):
        burnt(write(tmp_path / "l.geojson", box(1, 1, 2, 2)), replace(ROOFS, drawing=Drawing(extent=(str(extent),))))


def test_a_shift_moves_polygons_east_and_north(tmp_path: Path) -> None:
    path = write(tmp_path / "l.geojson", box(10, 40, 30, 60))
    assert (burnt(path, shift=(5.0, 20.0)) == expected((20, 15, 40, 35))).all()


@pytest.mark.parametrize("metres", [3.0, -4.0])
def test_a_buffer_grows_and_shrinks(tmp_path: Path, metres: float) -> None:
    path = write(tmp_path / "l.geojson", box(20, 20, 60, 60))
    found = burnt(path, replace(ROOFS, drawing=Drawing(buffer=metres)))
    side = 40 + 2 * metres
    corners = (4 - np.pi) * metres**2 if metres > 0 else 0
    assert found.sum() == pytest.approx(side**2 - corners, rel=0.01)
    assert found[40, round(19.5 - metres) + 1] == 1
    assert found[40, round(19.5 - metres) - 1] == 0


def test_a_buffer_that_eats_a_polygon_leaves_ground(tmp_path: Path) -> None:
    path = write(tmp_path / "l.geojson", box(20, 20, 24, 60), box(50, 50, 80, 80))
    found = burnt(path, replace(ROOFS, drawing=Drawing(buffer=-3.0)))
    assert (found == expected((53, 53, 77, 77))).all()


@pytest.mark.parametrize("crs", [UTM, "EPSG:4326"])
def test_lines_and_points_are_as_wide_as_said_in_any_crs(tmp_path: Path, crs: str) -> None:
    """A road 6 m wide is six pixels of a metre wide, where a pixel is a metre and where it is an angle."""
    grid = GRID
    if crs == "EPSG:4326":
        lon, lat = Transformer.from_crs(UTM, crs, always_xy=True).transform(LEFT, TOP)
        metre = 1 / 111_320
        grid = Grid(crs, (metre / np.cos(np.radians(lat)), 0.0, lon, 0.0, -metre, lat), 100, 100)
    xs, ys = grid.to_map([50, 50, 20], [-5, 105, 70])
    line, point = shapely.LineString([(xs[0], ys[0]), (xs[1], ys[1])]), shapely.Point(xs[2], ys[2])
    path = write(tmp_path / "l.geojson", line, point, crs=crs, width=[6.0, 20.0])
    found = burnt(path, replace(ROOFS, drawing=Drawing(width="width")), grid)
    assert found[40:60].sum(axis=0)[:50].tolist() == [6] * 50
    assert found[:40].sum() == pytest.approx(np.pi * 100, rel=0.05)
    with_one = burnt(path, replace(ROOFS, drawing=Drawing(width=4.0)), grid)
    assert with_one[40:60].sum(axis=0)[:50].tolist() == [4] * 50


def test_values_that_no_class_names_are_listed_with_the_nearest(tmp_path: Path) -> None:
    shapes = [box(k, k, k + 5, k + 5) for k in range(6)]
    path = write(tmp_path / "l.geojson", *shapes, kind=["house", "huose", "huose", "zzz", "House", "skip"])
    rule = LabelRule("polygons", (("",), ("house", "apartments")), ("skip",), "kind")
    with pytest.raises(UnknownClass) as caught:
        burnt(path, rule)
    text = str(caught.value)
    assert "'huose' (2 times, did you mean 'house'?); 'House' (1 times, did you mean 'house'?); 'zzz' (1 times)" in text
    assert "known: house, apartments" in text


def test_values_are_merged_into_classes_and_the_later_class_wins(tmp_path: Path) -> None:
    shapes = [box(0, 0, 60, 60), box(40, 40, 80, 80), box(70, 70, 100, 100)]
    path = write(tmp_path / "l.geojson", *shapes, kind=["yes", "meadow", "apartments"])
    rule = LabelRule("polygons", (("meadow",), ("yes", "apartments")), (), "kind")
    found = burnt(path, rule)
    assert (found[40:60, 40:60] == 1).all()
    assert (found[60:70, 60:70] == 0).all()
    assert (found[70:80, 70:80] == 1).all()
    assert found[5, 90] == VOID


def test_a_crs_is_assumed_for_scene_and_labels_that_name_none(tmp_path: Path) -> None:
    unnamed = Grid(None, GRID.transform, 100, 100)
    path = write(tmp_path / "l.geojson", box(10, 10, 30, 30))
    with pytest.raises(CrsMissing, match="set assume_crs under"):
        burnt(path, grid=unnamed)
    found = burnt(path, replace(ROOFS, drawing=Drawing(assume_crs=UTM)), unnamed)
    assert (found == expected((10, 10, 30, 30))).all()
    nowhere = make_grid(100, 100, crs=None)
    with pytest.raises(CrsMissing, match="cannot be placed"):
        burnt(path, replace(ROOFS, drawing=Drawing(assume_crs=UTM)), nowhere)


def test_how_labels_are_drawn_survives_json() -> None:
    drawing = Drawing(("e.gpkg",), UTM, 2.5, "width")
    rule = LabelRule("polygons", (("*",),), drawing=drawing)
    assert LabelRule.from_json(json.loads(json.dumps(rule.to_json()))) == rule
    assert "drawing" not in ROOFS.to_json()
    scene = Scene("a", Imagery(("a.tif",), ("red",)), "l", "a", GRID, shift=(1.0, -2.0))
    assert Scene.from_json(json.loads(json.dumps(scene.to_json()))) == scene
    dataset = Dataset((scene,), LEGEND, rule, ("red",), "uint8")
    assert dataset.files == ("a.tif", "l", "e.gpkg")
