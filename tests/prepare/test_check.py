"""`check` on the published layouts, on made folders and on the real sets."""

import json
import shutil
import tomllib
from pathlib import Path

import numpy as np
import pytest
import shapely
from PIL import Image

from terraseg.core.dataset import Dataset
from terraseg.core.options import read_options
from terraseg.errors import BandMismatch, CrsMissing, EmptyDataset, NoOverlap, UnknownClass, UnreadableFile
from terraseg.pipeline.project import read_project
from terraseg.prepare.check import CheckResult, check_sources
from terraseg.prepare.dataset import read_dataset
from terraseg.prepare.fingerprint import measure_fingerprint
from terraseg.prepare.inspect import inspect_dataset
from terraseg.prepare.options import DataOptions
from terraseg.prepare.projectfile import project_text
from terraseg.prepare.split import split_dataset
from terraseg.prepare.survey import count_classes, survey_dataset
from tests.awkward import write_tiff
from tests.makers import make_grid, make_labels, make_pixels, make_raster

REAL = Path(__file__).parents[3] / "shared" / "data"
needs_data = pytest.mark.skipif(not REAL.exists(), reason="the shared real imagery is not there")


def checked(folder: Path, *, labels: list[Path] | None = None) -> tuple[CheckResult, Dataset]:
    """The result of a check, after its project file was written, read back and used."""
    found = check_sources([folder], labels or [], folder)
    assert not found.problems, found.problems
    text = project_text(found)
    (folder / "terraseg.toml").write_text(text)
    project = read_project(folder / "terraseg.toml")
    assert project.data == found.data
    return found, read_dataset(project.data, folder)


def write_geojson(path: Path, geometry: shapely.Geometry, **properties: object) -> Path:
    feature = {"type": "Feature", "geometry": json.loads(shapely.to_geojson(geometry)), "properties": properties}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    return path


def degrees_of(grid_box: tuple[float, float, float, float], crs: str) -> shapely.Geometry:
    from pyproj import Transformer

    transformer = Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
    west, south = transformer.transform(grid_box[0], grid_box[1])
    east, north = transformer.transform(grid_box[2], grid_box[3])
    return shapely.box(west, south, east, north)


def test_a_folder_of_images_and_masks(tmp_path: Path) -> None:
    for name in ("a", "b"):
        make_raster(tmp_path / "images" / f"{name}.tif")
        make_labels(tmp_path / "masks" / f"{name}.tif", values=(0, 1))
    found, dataset = checked(tmp_path)
    assert found.data.images == ("images/*.tif",)
    assert [c.name for c in found.data.classes] == ["background", "object"]
    assert all(scene.labels is not None and Path(scene.labels).stem == scene.name for scene in dataset.scenes)


def test_38_cloud_bands_in_folders_of_their_own(tmp_path: Path) -> None:
    grid = make_grid(32, 32, crs=None)
    for patch in (1, 2):
        name = f"patch_{patch}_1_by_2_LC08_L1TP_00{patch}"
        for band in ("red", "green", "blue", "nir"):
            make_raster(tmp_path / f"train_{band}/{band}_{name}.TIF", grid, bands=(band,), dtype="uint16")
        make_labels(tmp_path / f"train_gt/gt_{name}.TIF", grid, values=(0, 255))
    found, dataset = checked(tmp_path)
    assert found.layout == "38-Cloud"
    assert found.data.bands == ("red", "green", "blue", "nir")
    assert len(dataset.scenes) == 2
    assert len(dataset.scenes[0].imagery.paths) == 4
    assert len({scene.group for scene in dataset.scenes}) == 2
    assert [c.labels for c in found.data.classes] == [("0",), ("255",)]


def test_potsdam_colours_get_their_names_and_one_product_is_chosen(tmp_path: Path) -> None:
    grid = make_grid(32, 36)
    colors = [(255, 255, 255), (0, 0, 255), (0, 255, 255), (0, 255, 0), (255, 255, 0), (255, 0, 0)]
    pixels = np.repeat(np.array(colors, "uint8"), 6, axis=0).T[:, None, :].repeat(32, axis=1)
    for tile in ("2_10", "3_11"):
        for product, bands in (("RGB", 3), ("RGBIR", 4)):
            names = ("red", "green", "blue", "nir")[:bands]
            make_raster(tmp_path / f"{product}/top_potsdam_{tile}_{product}.tif", grid, bands=names)
        make_raster(tmp_path / f"Labels/top_potsdam_{tile}_label.tif", grid, pixels=pixels)
    found, dataset = checked(tmp_path)
    assert found.layout == "ISPRS Potsdam"
    assert [c.name for c in found.data.classes] == [
        "impervious surface",
        "building",
        "low vegetation",
        "tree",
        "car",
        "clutter",
    ]
    assert found.data.bands == ("red", "green", "blue", "nir")
    total = sum(c.sum(axis=(0, 1)) for c in count_classes(dataset).values())
    assert total.tolist() == [2 * 32 * 6] * 6


def test_inria_masks_of_0_and_255_are_one_class(tmp_path: Path) -> None:
    for name in ("austin1", "vienna2"):
        make_raster(tmp_path / f"train/images/{name}.tif")
        make_labels(tmp_path / f"train/gt/{name}.tif", values=(0, 255))
    make_raster(tmp_path / "test/images/bellingham1.tif")
    found, dataset = checked(tmp_path)
    assert found.layout == "Inria"
    assert [(c.id, c.labels) for c in found.data.classes] == [(0, ("0",)), (1, ("255",))]
    assert [scene.name for scene in dataset.scenes if scene.labels is None] == ["test_bellingham1"]


def test_arcgis_training_data_gives_its_class_names(tmp_path: Path) -> None:
    grid = make_grid(32, 32)
    for number in (0, 1):
        make_raster(tmp_path / f"images/00000000{number}.tif", grid)
        make_labels(tmp_path / f"labels/00000000{number}.tif", grid, values=(0, 3, 7))
    classes = [{"Value": 3, "Name": "Pool"}, {"Value": 7, "Name": "Lawn"}]
    (tmp_path / "esri_model_definition.emd").write_text(json.dumps({"Classes": classes}))
    (tmp_path / "map.txt").write_text("images/000000000.tif labels/000000000.tif\n")
    found, _ = checked(tmp_path)
    assert found.layout == "ArcGIS training data"
    assert [(c.id, c.name) for c in found.data.classes] == [(0, "class 0"), (3, "Pool"), (7, "Lawn")]


def test_polygons_in_degrees_over_imagery_in_metres(tmp_path: Path) -> None:
    grid = make_grid(100, 100, gsd=1.0)
    make_raster(tmp_path / "town.tif", grid)
    left, bottom, right, top = grid.bounds
    half = (left, bottom, (left + right) / 2, top)
    write_geojson(tmp_path / "town_buildings.geojson", degrees_of(half, grid.crs or ""))
    found, dataset = checked(tmp_path)
    assert [c.name for c in found.data.classes] == ["background", "building"]
    counts = count_classes(dataset)["town"].sum(axis=(0, 1))
    assert counts[1] / counts.sum() == pytest.approx(0.5, abs=0.02)


def test_an_attribute_that_names_classes_is_found(tmp_path: Path) -> None:
    grid = make_grid(100, 100, gsd=1.0)
    make_raster(tmp_path / "town.tif", grid)
    shape = json.loads(shapely.to_geojson(degrees_of(grid.bounds, grid.crs or "")))
    kinds = ["house", "house", "shed", "shed"]
    features = [{"type": "Feature", "geometry": shape, "properties": {"class": kind}} for kind in kinds]
    (tmp_path / "town.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    found, _ = checked(tmp_path)
    assert found.data.label_field == "class"
    assert {c.name for c in found.data.classes} == {"house", "shed"}


def test_palette_and_rgb_masks_are_one_set(tmp_path: Path) -> None:
    grid = make_grid(30, 40, crs=None)
    indices = (np.arange(40) // 20).astype("uint8")[None].repeat(30, axis=0)
    palette = [200, 10, 10, 10, 10, 200] + [0] * 762
    for name in ("a", "b"):
        make_raster(tmp_path / f"images/{name}.tif", grid)
    (tmp_path / "masks").mkdir()
    indexed = Image.new("P", (40, 30))
    indexed.frombytes(indices.tobytes())
    indexed.putpalette(palette)
    indexed.save(tmp_path / "masks/a.png")
    indexed.convert("RGB").save(tmp_path / "masks/b.png")
    found, dataset = checked(tmp_path)
    assert found.data.label_kind == "colors"
    assert {c.labels[0] for c in found.data.classes} == {"#C80A0A", "#0A0AC8"}
    assert all((c.sum(axis=(0, 1)) == 600).all() for c in count_classes(dataset).values())


def test_labels_that_cover_none_of_the_scenes(tmp_path: Path) -> None:
    make_raster(tmp_path / "town.tif", make_grid())
    write_geojson(tmp_path / "town_buildings.geojson", shapely.box(0, 0, 1, 1))
    _, dataset = checked(tmp_path)
    with pytest.raises(NoOverlap, match=r"town_buildings.geojson covers none of its scenes \(town\)"):
        count_classes(dataset)


def test_a_label_value_that_no_class_stands_for(tmp_path: Path) -> None:
    make_raster(tmp_path / "images/a.tif")
    make_labels(tmp_path / "masks/a.tif", values=(0, 1))
    found, _ = checked(tmp_path)
    make_labels(tmp_path / "masks/a.tif", values=(0, 1, 9))
    with pytest.raises(UnknownClass, match="holds the value 9"):
        count_classes(read_dataset(found.data, tmp_path))


def test_mixed_band_counts_are_a_problem_with_both_scenes(tmp_path: Path) -> None:
    make_raster(tmp_path / "images/a.tif", bands=("red", "green", "blue", "nir"))
    make_raster(tmp_path / "images/b.tif")
    for name in ("a", "b"):
        make_labels(tmp_path / f"masks/{name}.tif")
    found = check_sources([tmp_path], [], tmp_path)
    assert any("images/b.tif has 3 bands and images/a.tif 4" in problem for problem in found.problems)


def test_mixed_bit_depths_are_refused(tmp_path: Path) -> None:
    make_raster(tmp_path / "images/a.tif")
    make_raster(tmp_path / "images/b.tif", dtype="uint16")
    for name in ("a", "b"):
        make_labels(tmp_path / f"masks/{name}.tif")
    found = check_sources([tmp_path], [], tmp_path)
    assert any("is uint8" in problem and "is uint16" in problem for problem in found.problems)
    with pytest.raises(BandMismatch, match="one model takes one pixel type"):
        read_dataset(found.data, tmp_path)


def test_a_truncated_image_is_reported_and_not_skipped(tmp_path: Path) -> None:
    make_raster(tmp_path / "images/a.tif")
    make_labels(tmp_path / "masks/a.tif")
    (tmp_path / "images/b.tif").write_bytes((tmp_path / "images/a.tif").read_bytes()[:40])
    found = check_sources([tmp_path], [], tmp_path)
    assert any("b.tif cannot be read" in problem for problem in found.problems)


def test_imagery_without_a_crs_and_polygons(tmp_path: Path) -> None:
    make_raster(tmp_path / "town.tif", make_grid(crs=None))
    write_geojson(tmp_path / "town_buildings.geojson", shapely.box(0, 0, 1, 1))
    found = check_sources([tmp_path], [], tmp_path)
    assert any("has no CRS" in problem and "gdal_edit" in problem for problem in found.problems)
    with pytest.raises(CrsMissing, match="has no CRS"):
        read_dataset(found.data, tmp_path)


def test_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(EmptyDataset, match="there is no imagery"):
        check_sources([tmp_path], [], tmp_path)


def test_imagery_without_labels_cannot_train(tmp_path: Path) -> None:
    make_raster(tmp_path / "a.tif")
    assert any("nothing to train on" in problem for problem in check_sources([tmp_path], [], tmp_path).problems)


def test_labels_saved_as_jpeg_are_recognised(tmp_path: Path) -> None:
    grid = make_grid(64, 64, crs=None)
    make_raster(tmp_path / "images/a.tif", grid)
    (tmp_path / "masks").mkdir()
    Image.fromarray(np.moveaxis(make_pixels(grid), 0, -1)).save(tmp_path / "masks/a.jpg")
    with pytest.raises(UnreadableFile, match="saved as JPEG"):
        check_sources([tmp_path], [], tmp_path)


def test_the_fingerprint_has_the_statistics_of_the_training_pixels(tmp_path: Path) -> None:
    grid = make_grid(120, 100)
    make_raster(tmp_path / "images/a.tif", grid)
    make_labels(tmp_path / "masks/a.tif", grid)
    _, dataset = checked(tmp_path)
    survey = survey_dataset(dataset)
    split, report = split_dataset(dataset, survey)
    facts = measure_fingerprint(split, survey)
    kept = np.zeros((grid.height, grid.width), bool)
    for window in split.scenes[0].train:
        kept[window.slices] = True
    pixels = make_pixels(grid).astype(float)[:, kept]
    assert [b.mean for b in facts.bands] == pytest.approx(pixels.mean(axis=1).tolist())
    assert [b.std for b in facts.bands] == pytest.approx(pixels.std(axis=1).tolist())
    assert facts.train_pixels + facts.validation_pixels == grid.height * grid.width - report.gap_px * 100
    assert facts.gsd_m == pytest.approx(0.5, rel=0.01)


def test_a_class_can_gather_several_label_values(tmp_path: Path) -> None:
    make_raster(tmp_path / "images/a.tif")
    make_labels(tmp_path / "masks/a.tif", values=(0, 1, 2, 9))
    table = {
        "images": ["images/*.tif"],
        "labels": ["masks/*.tif"],
        "classes": [{"name": "low", "labels": ["0", "1"]}, {"name": "high", "labels": ["2"], "id": 7}],
        "ignore": ["9"],
    }
    counts = count_classes(read_dataset(read_options(DataOptions, table, "[data]"), tmp_path))["a"].sum(axis=(0, 1))
    assert counts.tolist() == [64 * 48, 64 * 24]


def test_the_project_file_keeps_every_proposal(tmp_path: Path) -> None:
    make_raster(tmp_path / 'images/odd "name" [1].tif')
    make_labels(tmp_path / 'masks/odd "name" [1].tif')
    found, _ = checked(tmp_path)
    tables = tomllib.loads(project_text(found))
    assert read_options(DataOptions, tables["data"], "[data]") == found.data


@needs_data
def test_dubai_has_five_classes_and_its_list_of_classes_is_not_believed(tmp_path: Path) -> None:
    for tile in ("Tile 1", "Tile 2"):
        shutil.copytree(REAL / "dubai" / tile, tmp_path / tile)
    shutil.copy(REAL / "dubai/classes.json", tmp_path / "classes.json")
    found, dataset = checked(tmp_path)
    colors = {c.name: c.labels for c in found.data.classes}
    assert colors == {
        "building": ("#3C1098",),
        "land": ("#8429F6",),
        "road": ("#6EC1E4",),
        "vegetation": ("#FEDD3A",),
        "water": ("#E2A929",),
    }
    assert set(found.data.ignore) <= {"#9B9B9B", "#000000"}
    assert any("not used" in note for note in found.notes)
    assert len({scene.group for scene in dataset.scenes}) == 2


@needs_data
def test_building_sites_share_label_files_across_reference_systems() -> None:
    found = check_sources([REAL / "oam-buildings"], [], REAL)
    assert not found.problems
    dataset = read_dataset(found.data, REAL)
    assert len({scene.group for scene in dataset.scenes}) == 3
    for name, counts in count_classes(dataset).items():
        total = counts.sum(axis=(0, 1))
        assert 0.03 < total[1] / total.sum() < 0.4, name


@needs_data
def test_landsat_ids_keep_their_gap() -> None:
    found = check_sources([REAL / "clouds/landsat5"], [], REAL)
    assert [c.id for c in found.data.classes] == [0, 1, 3, 4]
    assert found.data.bands == ("blue", "green", "red", "nir", "swir16", "swir22")


def declared(path: Path, pixels: np.ndarray, nodata: float | None) -> None:
    path.parent.mkdir(exist_ok=True)
    write_tiff(path, pixels, make_grid(), nodata=nodata)


@pytest.mark.parametrize(
    ("values", "nodata", "classes", "ignored"),
    [
        ((1, 2, 200), 200, ["class 1", "class 2"], ("200",)),
        ((0, 1, 2), 0, ["class 1", "class 2"], ("0",)),
        ((0, 1, 255), 255, ["background", "object"], ("255",)),
        ((0, 1), 0, ["background", "object"], ()),
        ((0, 1, 2), 77, ["class 0", "class 1", "class 2"], ()),
        ((0, 1, 2), None, ["class 0", "class 1", "class 2"], ()),
    ],
)
def test_what_label_rasters_declare_as_nodata_is_no_class_where_others_are_left(
    tmp_path: Path, values: tuple[int, ...], nodata: float | None, classes: list[str], ignored: tuple[str, ...]
) -> None:
    make_raster(tmp_path / "images/a.tif")
    stripes = np.array(values, np.uint8)[np.arange(96) * len(values) // 96]
    declared(tmp_path / "masks/a.tif", np.broadcast_to(stripes, (1, 64, 96)), nodata)
    found, dataset = checked(tmp_path)
    assert [c.name for c in found.data.classes] == classes
    assert found.data.ignore == ignored
    said = [note for note in found.notes if "is declared as nodata" in note]
    assert len(said) == (nodata in values)
    notes = inspect_dataset(dataset, patch=32).notes
    assert any("as nodata, which is the class" in note for note in notes) == (nodata in values and not ignored)


def test_a_colour_that_labels_declare_as_nodata_is_no_class(tmp_path: Path) -> None:
    make_raster(tmp_path / "images/a.tif")
    colors = np.zeros((3, 64, 96), np.uint8)
    colors[:, :, 30:60] = np.array([255, 0, 0])[:, None, None]
    colors[:, :, 60:] = np.array([0, 0, 255])[:, None, None]
    declared(tmp_path / "masks/a.tif", colors, 0)
    found, _ = checked(tmp_path)
    assert found.data.ignore == ("#000000",)
    assert len(found.data.classes) == 2
