"""What `check` says of a project: nothing against good data, and each fault with the way out."""

import json
import shutil
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
import shapely
from numpy.typing import NDArray

from terraseg.core.grid import Grid
from terraseg.core.options import read_options
from terraseg.prepare.check import check_sources
from terraseg.prepare.dataset import read_dataset
from terraseg.prepare.inspect import Inspection, inspect_dataset
from terraseg.prepare.options import ClassOption, DataOptions
from terraseg.store.imagery import write_raster
from tests.makers import UTM, copy_files, make_grid, make_raster

REAL = Path(__file__).parents[3] / "shared" / "data"
needs_data = pytest.mark.skipif(not REAL.exists(), reason="the shared real imagery is not there")
PATCH = 64


def inspected(options: DataOptions, root: Path, **how: object) -> Inspection:
    found = inspect_dataset(read_dataset(options, root), options.validation, patch=PATCH, align=bool(how.get("align")))
    json.dumps(found.to_json(), allow_nan=False)
    return found


def roofs(seed: int, grid: Grid) -> list[shapely.Geometry]:
    """Rectangles that lie apart, in the grid's CRS."""
    generator = np.random.default_rng(seed)
    shapes = []
    for row in range(10, grid.height - 50, 48):
        for col in range(10, grid.width - 50, 48):
            height, width = generator.integers(12, 36, 2)
            xs, ys = grid.to_map([row, row + height], [col, col + width])
            shapes.append(shapely.box(xs[0], ys[1], xs[1], ys[0]))
    return shapes


def write_polygons(path: Path, shapes: list[shapely.Geometry], crs: str = UTM, **columns: Sequence[object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    named = {"type": "name", "properties": {"name": f"urn:ogc:def:crs:EPSG::{crs.split(':')[1]}"}}
    features = [
        {
            "type": "Feature",
            "geometry": json.loads(shapely.to_geojson(shape)),
            "properties": {name: values[n] for name, values in columns.items()},
        }
        for n, shape in enumerate(shapes)
    ]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features, "crs": named}))


def picture_of(shapes: list[shapely.Geometry], grid: Grid, seed: int = 0) -> NDArray[np.uint8]:
    """Grey ground with bright roofs and noise, shape (3, height, width)."""
    xs, ys = grid.to_map(*(np.mgrid[0 : grid.height, 0 : grid.width] + 0.5))
    inside = shapely.contains_xy(shapely.union_all(shapes), xs, ys)
    noise = np.random.default_rng(seed).normal(0, 12, (3, grid.height, grid.width))
    return np.asarray(np.clip(100 + 60 * inside + noise, 1, 250), dtype=np.uint8)


GRID = make_grid(320, 400)
TABLE = {
    "images": ["images/*.tif"],
    "labels": ["labels/*.geojson"],
    "classes": [{"name": "land", "labels": [""]}, {"name": "roof", "labels": ["*"]}],
}


def town(root: Path, **changes: object) -> DataOptions:
    """A scene `a` with its roofs, written below `root`, and its options."""
    shapes = roofs(0, GRID)
    make_raster(root / "images/a.tif", GRID, pixels=picture_of(shapes, GRID))
    write_polygons(root / "labels/a.geojson", shapes)
    return read_options(DataOptions, TABLE | changes, "[data]")


def test_there_is_nothing_to_say_against_good_data(tmp_path: Path) -> None:
    found = inspected(town(tmp_path), tmp_path, align=True)
    assert found.problems == found.warnings == found.settings == ()
    assert [scene.role for scene in found.scenes] == ["train and validation"]
    assert found.scenes[0].class_shares[1] == pytest.approx(found.class_pixels[1] / (320 * 400))
    assert found.scenes[0].labelled_share == 1
    rows, cols = found.scenes[0].offset_px or (99, 99)
    assert abs(rows) <= 1
    assert abs(cols) <= 1
    assert found.train_pixels + found.validation_pixels <= 320 * 400
    assert 0 < found.near_pixels <= found.validation_pixels


def test_moved_polygons_are_a_problem_and_the_offered_line_mends_them(tmp_path: Path) -> None:
    options = town(tmp_path)
    aside = [shapely.transform(shape, lambda p: p + np.array([8.0, 6.0])) for shape in roofs(0, GRID)]
    write_polygons(tmp_path / "labels/a.geojson", aside)
    found = inspected(options, tmp_path)
    assert len(found.problems) == 1
    assert "the labels of a lie beside what they show by 20 px (16 px right and 12 px up)" in found.problems[0]
    (line,) = found.settings
    assert line in found.problems[0]
    shift = tomllib.loads(line)["shift"]["a"]
    assert shift == pytest.approx([-8.0, -6.0], abs=0.6)
    mended = read_options(DataOptions, TABLE | {"shift": {"a": shift}}, "[data]")
    assert inspected(mended, tmp_path).problems == ()


def test_lines_that_check_offers_keep_what_the_project_shifts_already(tmp_path: Path) -> None:
    found = inspected(town(tmp_path, shift=[10.0, 0.0]), tmp_path)
    assert tomllib.loads(found.settings[0])["shift"]["a"] == pytest.approx([0.0, 0.0], abs=0.6)


def test_a_black_border_is_proposed_as_nodata_and_is_no_problem(tmp_path: Path) -> None:
    options = town(tmp_path)
    pixels = picture_of(roofs(0, GRID), GRID)
    pixels[:, :, :60] = 0
    make_raster(tmp_path / "images/a.tif", GRID, pixels=pixels)
    found = inspected(options, tmp_path)
    assert found.problems == ()
    (warning,) = [text for text in found.warnings if "border" in text]
    assert "15.0% of a is a border of 0 that no mask marks as empty: set nodata = 0" in warning
    assert not any("border" in text for text in inspected(replace(options, nodata=0.0), tmp_path).warnings)


def test_nodata_that_no_pixel_has_beside_a_border_is_wrong(tmp_path: Path) -> None:
    options = town(tmp_path)
    pixels = picture_of(roofs(0, GRID), GRID)
    pixels[:, :60] = 0
    make_raster(tmp_path / "images/a.tif", GRID, pixels=pixels, nodata=255)
    (problem,) = inspected(options, tmp_path).problems
    assert "the nodata that the file declares (255) is in none of its pixels: set nodata = 0" in problem


def test_nodata_that_is_ground_is_wrong(tmp_path: Path) -> None:
    (problem,) = inspected(town(tmp_path, nodata=100.0), tmp_path).problems
    assert "the nodata that the project file sets (100) is one of the values of the ground in a" in problem
    assert "gdal_edit -unsetnodata" in problem


@pytest.mark.parametrize(("crs", "looks"), [("EPSG:32636", UTM), ("EPSG:3857", UTM)])
def test_a_mislabelled_crs_is_recognised(tmp_path: Path, crs: str, looks: str) -> None:
    options = town(tmp_path)
    write_polygons(tmp_path / "labels/a.geojson", roofs(0, GRID), crs)
    problem = inspected(options, tmp_path).problems[0]
    assert f"their coordinates look like {looks}" in problem
    assert "ogr2ogr -a_srs" in problem


def test_label_files_are_looked_into(tmp_path: Path) -> None:
    options = town(tmp_path)
    whole = roofs(0, GRID)
    cross = shapely.Polygon([(0, 0), (4, 4), (4, 0), (0, 4)])
    cross = shapely.transform(cross, lambda p: p + np.array([500_100.0, 3_999_900.0]))
    line = shapely.LineString(shapely.get_coordinates(whole[0])[:2])
    top = shapely.transform(whole[1], lambda p: p + np.array([3.0, 0.0]))
    kinds = ["yes"] * len(whole) + ["yes", "yes", "shed"]
    write_polygons(tmp_path / "labels/a.geojson", [*whole, cross, line, top], kind=kinds)
    classes = [
        {"name": "land", "labels": [""]},
        {"name": "roof", "labels": ["yes"]},
        {"name": "shed", "labels": ["shed"]},
    ]
    found = inspected(replace(options, label_field="kind", classes=read_classes(classes)), tmp_path)
    (facts,) = found.labels
    assert (facts.repaired, facts.skipped, facts.overlaps) == (1, 1, 1)
    common = shapely.intersection(whole[1], top).area
    assert facts.overlap_m2 == pytest.approx(common, rel=2e-3)
    assert any("rings that cross" in note for note in found.notes)
    assert any("the class that comes later in the project file wins" in note for note in found.notes)
    assert found.problems == ()


def read_classes(entries: Sequence[Mapping[str, object]]) -> tuple[ClassOption, ...]:
    return read_options(DataOptions, {"images": ["x"], "classes": entries}, "[data]").classes


def test_unknown_values_are_listed_with_the_nearest_before_anything_is_trained(tmp_path: Path) -> None:
    options = town(tmp_path)
    shapes = roofs(0, GRID)
    kinds = ["house"] * (len(shapes) - 3) + ["huose", "huose", "pool"]
    write_polygons(tmp_path / "labels/a.geojson", shapes, kind=kinds)
    classes = [{"name": "land", "labels": [""]}, {"name": "roof", "labels": ["house"]}]
    found = inspected(replace(options, label_field="kind", classes=read_classes(classes)), tmp_path)
    assert len(found.problems) == 1
    assert "'huose' (2 times, did you mean 'house'?); 'pool' (1 times)" in found.problems[0]


def test_an_empty_scene_is_a_true_negative_only_inside_the_extent(tmp_path: Path) -> None:
    options = town(tmp_path)
    beside = Grid(UTM, (0.5, 0.0, 500_400.0, 0.0, -0.5, 4_000_000.0), 320, 400)
    make_raster(tmp_path / "images/b.tif", beside)
    write_polygons(tmp_path / "labels/b.geojson", [])
    found = inspected(options, tmp_path)
    labelled = {scene.name: scene.labelled_share for scene in found.scenes}
    assert labelled == {"a": 1.0, "b": 0.0}
    assert any("b; if they are true negatives, say so by an extent" in text for text in found.warnings)
    write_polygons(tmp_path / "extent.geojson", [shapely.box(*GRID.bounds), shapely.box(*beside.bounds)])
    found = inspected(replace(options, extent="extent.geojson"), tmp_path)
    shares = {scene.name: scene.class_shares for scene in found.scenes}
    assert shares["b"] == (1.0, 0.0)
    assert found.problems == ()


def test_near_duplicates_and_leaks_are_counted(tmp_path: Path) -> None:
    options = town(tmp_path)
    shutil.copy(tmp_path / "images/a.tif", tmp_path / "images/b.tif")
    shutil.copy(tmp_path / "labels/a.geojson", tmp_path / "labels/b.geojson")
    found = inspected(replace(options, validation=("b",)), tmp_path)
    assert found.leak_pixels == found.near_pixels == 320 * 400
    assert any("1 pairs of scenes show nearly the same ground (a and b)" in text for text in found.warnings)
    assert found.problems == ()


def test_every_unreadable_scene_is_a_problem(tmp_path: Path) -> None:
    options = town(tmp_path)
    for name in ("b", "c"):
        make_raster(tmp_path / f"images/{name}.tif", GRID)
        shutil.copy(tmp_path / "labels/a.geojson", tmp_path / f"labels/{name}.geojson")
        path = tmp_path / f"images/{name}.tif"
        content = bytearray(path.read_bytes())
        content[20_000:300_000] = b"\xff" * 280_000
        path.write_bytes(content)
    found = inspected(options, tmp_path)
    assert sum("cannot be read" in text for text in found.problems) == 2
    assert [scene.name for scene in found.scenes if scene.labelled_share] == ["a"]


# Real scenes: nothing is said against them as they are, and each fault put into them is found.


def options_of(folder: Path) -> DataOptions:
    found = check_sources([folder], [], folder)
    assert not found.problems, found.problems
    return found.data


BUILDINGS = ("oam-buildings/scenes/catanduanes_0.tif", "oam-buildings/labels/catanduanes_buildings.geojson")
SETS = {
    "buildings": BUILDINGS,
    "landsat5": ("clouds/landsat5/*",),
    "38-cloud": ("clouds/38-cloud/*.TIF",),
    "dubai": ("dubai/Tile 1/*/image_part_00[12].*", "dubai/Tile 3/*/image_part_00[12].*"),
}


@needs_data
@pytest.mark.parametrize("name", list(SETS))
def test_real_scenes_raise_no_false_alarm(tmp_path: Path, name: str) -> None:
    folder = copy_files(REAL, tmp_path, *SETS[name])
    found = inspected(options_of(folder), folder)
    assert found.problems == ()
    assert not any("border" in text or "nodata" in text for text in found.warnings)


@needs_data
@pytest.mark.parametrize("name", ["buildings", "landsat5", "38-cloud", "dubai"])
def test_real_labels_shifted_by_20_px_are_found(tmp_path: Path, name: str) -> None:
    folder = copy_files(REAL, tmp_path, *SETS[name])
    options = options_of(folder)
    metres = 0.0722 if name == "buildings" else 1.0
    found = inspected(replace(options, shift=(12 * metres, -16 * metres)), folder)
    assert len(found.problems) == 1
    assert "by 20 px" in found.problems[0] or "by 21 px" in found.problems[0] or "by 19 px" in found.problems[0]
    assert "shift = {" in found.problems[0]


def spoil_middle_value(path: Path, out: Path) -> None:
    with rasterio.open(path) as source:
        pixels, bands = source.read([1, 2, 3]), ["red", "green", "blue"]
        t = source.transform
        grid = Grid("EPSG:3857", (t.a, t.b, t.c, t.d, t.e, t.f), source.height, source.width)
    write_raster(out, pixels, grid, bands, nodata=float(np.median(pixels)))


@needs_data
def test_wrong_nodata_of_a_real_scene_is_found(tmp_path: Path) -> None:
    folder = copy_files(REAL, tmp_path, BUILDINGS[1])
    out = tmp_path / BUILDINGS[0]
    spoil_middle_value(REAL / BUILDINGS[0], out)
    (problem,) = inspected(options_of(folder), folder).problems
    assert "is one of the values of the ground" in problem


@needs_data
def test_a_mislabelled_crs_of_real_labels_is_found(tmp_path: Path) -> None:
    folder = copy_files(REAL, tmp_path, *BUILDINGS)
    options = options_of(folder)
    labels = tmp_path / BUILDINGS[1]
    text = json.loads(labels.read_text())
    labels.unlink()
    text["crs"] = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32651"}}
    labels.write_text(json.dumps(text))
    problem = inspected(options, folder).problems[0]
    assert "their coordinates look like EPSG:4326" in problem


def test_scenes_of_other_pixel_sizes_are_told_what_becomes_of_them(tmp_path: Path) -> None:
    options = town(tmp_path)
    for name, gsd in (("b", 0.31), ("c", 1.3), ("d", 0.52), ("e", 0.5), ("f", 0.5), ("g", 6.0)):
        grid = make_grid(240, 240, gsd=gsd)
        make_raster(tmp_path / f"images/{name}.tif", grid, pixels=picture_of(roofs(0, grid), grid))
    found = inspected(options, tmp_path)
    assert [scene.brought for scene in found.scenes[:4]] == [
        "",
        "averaged 0.31 -> 0.5 m",
        "enlarged 2.6 times (1.3 -> 0.5 m)",
        "",
    ]
    notes = " ".join(found.notes)
    assert "one ground sample distance, 0.5 m, that of the middle scene: b averaged 0.31 -> 0.5 m, c enlarged" in notes
    assert "pixels that differ from 0.5 m by up to 4% are trained on as they are" in notes
    assert any(warning.startswith("g: more than 8 times coarser") for warning in found.warnings)
