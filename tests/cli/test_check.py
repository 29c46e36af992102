"""`terraseg check`: its exit codes, its JSON, what it writes into the project file."""

import json
import tomllib
from pathlib import Path

import numpy as np
import pytest
import shapely

from terraseg.cli.main import run
from terraseg.core.grid import Grid
from terraseg.pipeline.project import read_project
from tests.makers import UTM, make_grid, make_labels, make_pixels, make_raster


def folder_with_masks(root: Path) -> Path:
    make_raster(root / "images/a.tif")
    make_labels(root / "masks/a.tif")
    return root / "terraseg.toml"


def write_polygons(path: Path, *shapes: shapely.Geometry) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    named = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32637"}}
    features = [{"type": "Feature", "geometry": json.loads(shapely.to_geojson(s)), "properties": {}} for s in shapes]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features, "crs": named}))


def test_all_of_it_comes_as_json_and_nothing_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = folder_with_masks(tmp_path)
    assert run(["check", str(tmp_path), "--config", str(config), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["problems"] == []
    assert found["classes"] == ["background", "object"]
    assert found["class_pixels"] == [64 * 48, 64 * 48]
    assert [scene["name"] for scene in found["scenes"]] == ["a"]


def test_a_project_s_files_are_told_without_a_folder_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "short"
    config = folder_with_masks(root)
    make_raster(root / "images/a.tif", dtype="uint16", nodata=65535)
    rows = []
    for sources in ([str(root)], []):
        assert run(["check", *sources, "--config", str(config)]) == 0
        rows.append(next(line.split() for line in capsys.readouterr().out.splitlines() if "a.tif" in line))
    assert rows[0][1:-1] == rows[1][1:-1] == ["96", "x", "64", "3", "uint16", "EPSG:32637", "0.5", "65535"]
    assert run(["check", "--config", str(config), "--json"]) == 0
    (scene,) = json.loads(capsys.readouterr().out)["scenes"]
    assert (scene["bands"], scene["dtype"], scene["nodata"]) == (["red", "green", "blue"], "uint16", 65535)


def test_what_would_make_training_wrong_leaves_with_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = folder_with_masks(tmp_path)
    assert run(["check", str(tmp_path), "--config", str(config)]) == 0
    assert run(["check", "--config", str(config), "--set", "data.nodata=60"]) == 2
    assert "problem: the nodata that the project file sets (60)" in " ".join(capsys.readouterr().out.split())
    assert run(["check", "--config", str(config), "--set", "data.nodata=60", "--json"]) == 2
    assert len(json.loads(capsys.readouterr().out)["problems"]) == 1


def test_a_border_is_proposed_and_leaves_with_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = folder_with_masks(tmp_path)
    pixels = make_pixels(make_grid())
    pixels[:, :20] = 0
    make_raster(tmp_path / "images/a.tif", pixels=pixels)
    assert run(["check", str(tmp_path), "--config", str(config)]) == 0
    assert "set nodata = 0 under [data]" in " ".join(capsys.readouterr().out.split())
    assert "nodata" not in tomllib.loads(config.read_text())["data"]


def test_problems_of_a_folder_come_as_json_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_raster(tmp_path / "images/a.tif")
    assert run(["check", str(tmp_path), "--config", str(tmp_path / "terraseg.toml"), "--json"]) == 2
    assert "nothing to train on" in json.loads(capsys.readouterr().out)["problems"][0]


def test_a_crs_is_assumed_when_told_and_kept_in_the_project_file(tmp_path: Path) -> None:
    grid = make_grid(64, 96, gsd=1.0)
    make_raster(tmp_path / "images/a.tif", Grid(None, grid.transform, 64, 96))
    left, bottom, right, top = grid.bounds
    write_polygons(tmp_path / "labels/a_buildings.geojson", shapely.box(left, bottom, (left + right) / 2, top))
    config = tmp_path / "terraseg.toml"
    assert run(["check", str(tmp_path), "--config", str(config)]) == 2
    assert not config.exists()
    assert run(["check", str(tmp_path), "--config", str(config), "--assume-crs", UTM]) == 0
    assert read_project(config).data.assume_crs == UTM
    assert run(["check", "--config", str(config)]) == 0


def test_a_file_called_extent_bounds_the_labels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    grid = make_grid(64, 96, gsd=1.0)
    make_raster(tmp_path / "images/a.tif", grid)
    left, bottom, right, top = grid.bounds
    write_polygons(tmp_path / "labels/a_buildings.geojson", shapely.box(left + 5, bottom + 5, left + 20, bottom + 20))
    write_polygons(tmp_path / "labels/extent.geojson", shapely.box(left, bottom, (left + right) / 2, top))
    config = tmp_path / "terraseg.toml"
    assert run(["check", str(tmp_path), "--config", str(config)]) == 0
    assert read_project(config).data.extent == "labels/extent.geojson"
    capsys.readouterr()
    assert run(["check", "--config", str(config), "--json"]) == 0
    (scene,) = json.loads(capsys.readouterr().out)["scenes"]
    assert scene["labelled_share"] == pytest.approx(0.5)


def test_usual_settings_are_not_written(tmp_path: Path) -> None:
    config = folder_with_masks(tmp_path)
    assert run(["check", str(tmp_path), "--config", str(config)]) == 0
    written = tomllib.loads(config.read_text())["data"]
    assert not {"extent", "assume_crs", "shift", "buffer", "width"} & written.keys()


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("data.assume_crs=EPSG:0", "names no CRS"),
        ("data.extent=nowhere.gpkg", "no file is named by extent"),
        ("data.width=-1", "0 m wide or more"),
        ("data.shift={nobody = [1, 2]}", "names no scene"),
        ("data.shift=[1, 2, 3]", "shift"),
    ],
)
def test_settings_that_cannot_be_used_are_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], setting: str, words: str
) -> None:
    config = folder_with_masks(tmp_path)
    assert run(["check", str(tmp_path), "--config", str(config)]) == 0
    assert run(["check", "--config", str(config), "--set", setting]) == 2
    (line,) = capsys.readouterr().err.splitlines()[-1:]
    assert line.startswith("terraseg: ")
    assert words in line


def test_suspects_need_a_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = folder_with_masks(tmp_path)
    assert run(["check", str(tmp_path), "--config", str(config)]) == 0
    assert run(["check", "--config", str(config), "--suspects", str(tmp_path)]) == 2
    assert "is neither a model's folder nor a run with one" in capsys.readouterr().err


def test_align_says_that_labels_lie_well(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    grid = make_grid(320, 320)
    generator = np.random.default_rng(0)
    ids = generator.integers(0, 2, (20, 20)).astype(np.uint8).repeat(16, axis=0).repeat(16, axis=1)
    pixels = (80 + 60 * ids + generator.normal(0, 8, (3, 320, 320))).astype(np.uint8)
    make_raster(tmp_path / "images/a.tif", grid, pixels=pixels)
    make_raster(tmp_path / "masks/a.tif", grid, bands=("label",), pixels=ids[None])
    config = tmp_path / "terraseg.toml"
    assert run(["check", str(tmp_path), "--config", str(config), "--align"]) == 0
    assert "lie on what they show" in " ".join(capsys.readouterr().out.split())
    moved = np.roll(ids, (2, 5), (0, 1))
    make_raster(tmp_path / "masks/a.tif", grid, bands=("label",), pixels=moved[None])
    assert run(["check", "--config", str(config), "--align"]) == 0
    (line,) = [text for text in capsys.readouterr().out.splitlines() if text.startswith("a setting for [data]: ")]
    shift = tomllib.loads(line.removeprefix("a setting for [data]: "))["shift"]["a"]
    assert shift == pytest.approx([-2.5, 1.0], abs=0.6)
