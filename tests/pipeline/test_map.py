"""The whole way on a small made town: what comes out, what is redone, what a kill costs, and what bad input says."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from pyogrio.raw import read as read_layer

from terraseg.cli.main import run
from terraseg.core.window import Window
from terraseg.pipeline.demo import write_town
from terraseg.pipeline.map import MapResult, map_project
from terraseg.pipeline.project import Project, read_project
from terraseg.prepare.check import check_sources
from terraseg.prepare.projectfile import project_text
from terraseg.store.bundle import read_spec
from terraseg.store.classmap import read_class_map
from terraseg.store.rundir import read_json
from terraseg.town import make_town
from tests.makers import make_grid, make_raster

SETTINGS = """
[train]
network = "simple-unet"
steps = 8

[sample]
crop = 64
batch = 2

[forest]
pixels = 2000
trees = 4

[predict]
tile = 128
overlap = 32
confidence = true

[map]
run = "runs/a"
"""


def write_project(folder: Path) -> Path:
    """Two small towns, one of them for testing, and a project file that trains a few steps."""
    for seed in (1, 2):
        write_town(
            make_town(seed, 256, gsd=0.6), folder / f"imagery/town_{seed}.tif", folder / f"labels/town_{seed}.gpkg"
        )
    found = check_sources([folder], [], folder)
    text = project_text(found).split("[train]")[0].replace("# test = []", 'test = ["town_1"]')
    path = folder / "terraseg.toml"
    path.write_text(text + SETTINGS)
    return path


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return read_project(write_project(tmp_path_factory.mktemp("towns")))


@pytest.fixture(scope="module")
def result(project: Project) -> MapResult:
    return map_project(project, engine="onnx")


def test_every_product_comes_out(project: Project, result: MapResult) -> None:
    for path in (*result.maps, *result.polygons, *result.statistics, result.report):
        assert path.stat().st_size > 0, path
    assert {path.name for path in result.model.iterdir()} == {"model.onnx", "weights.safetensors", "model.json"}
    assert [path.name for path in result.maps] == ["town_1.tif"]


def test_the_map_lies_on_its_image_and_carries_the_classes(project: Project, result: MapResult) -> None:
    town = make_town(1, 256, gsd=0.6)
    with read_class_map(result.maps[0]) as class_map:
        assert class_map.grid == town.grid
        assert set(class_map.legend.names) == set(town.legend.names)
        ids = class_map.read(Window(0, 0, 256, 256))
    assert set(np.unique(ids)) <= set(class_map.legend.ids)
    with rasterio.open(result.maps[0]) as dataset:
        assert dataset.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert dataset.nodata == 255


def test_polygons_and_statistics_agree_with_the_map(project: Project, result: MapResult) -> None:
    meta, _, geometry, fields = read_layer(result.polygons[0], layer="town_1")
    columns = dict(zip(meta["fields"], fields, strict=True))
    assert {"class_id", "class_name", "area_m2", "perimeter_m", "confidence"} <= set(columns)
    assert len(geometry) == len(columns["class_id"])
    statistics = read_json(result.statistics[1])
    whole = 256 * 256 * 0.6**2
    assert sum(c["area_m2"] for c in statistics["classes"]) == pytest.approx(whole, rel=2e-3)
    assert sum(c["share"] for c in statistics["classes"]) == pytest.approx(1)
    assert columns["area_m2"].sum() == pytest.approx(whole, rel=0.02)


def test_scores_count_every_labelled_pixel_once(project: Project, result: MapResult) -> None:
    assert result.evaluation is not None
    assert result.evaluation.part == "test"
    assert result.evaluation.total.pixels == 256 * 256


def test_the_model_says_what_it_is(result: MapResult) -> None:
    spec = read_spec(result.model)
    assert (spec.network, spec.bands, spec.dtype) == ("simple-unet", ("red", "green", "blue"), "uint8")
    assert spec.provenance["steps"] == 8


def test_a_second_run_redoes_nothing(project: Project, result: MapResult) -> None:
    files = [p for p in project.run.root.rglob("*") if p.is_file() and p.name != ".lock"]
    before = {p: p.stat().st_mtime_ns for p in files}
    assert map_project(project, engine="onnx") == result
    assert {p: p.stat().st_mtime_ns for p in files} == before


def test_a_project_that_moves_as_a_whole_stays_up_to_date(project: Project, result: MapResult, tmp_path: Path) -> None:
    shutil.copytree(project.root, tmp_path / "moved")
    moved = read_project(tmp_path / "moved/terraseg.toml")
    files = [*(moved.run.root / "model").iterdir(), *(moved.run.root / "maps").iterdir()]
    before = {p: p.stat().st_mtime_ns for p in files}
    map_project(moved, engine="onnx")
    assert {p: p.stat().st_mtime_ns for p in files} == before
    assert str(project.root) not in moved.run.dataset.read_text()


def test_a_changed_setting_redoes_its_step_and_what_follows(project: Project, result: MapResult) -> None:
    model, polygons = result.model / "model.onnx", result.polygons[0]
    before = model.stat().st_mtime_ns, result.maps[0].stat().st_mtime_ns, polygons.stat().st_mtime_ns
    changed = read_project(project.root / "terraseg.toml", ["vectorize.min_area_m2=50"])
    map_project(changed, engine="onnx")
    after = model.stat().st_mtime_ns, result.maps[0].stat().st_mtime_ns, polygons.stat().st_mtime_ns
    assert before[:2] == after[:2]
    assert before[2] < after[2]
    map_project(project, engine="onnx")


def digests(root: Path) -> dict[str, str]:
    """Hashes of what must be the same bytes: weights, model and maps."""
    names = ["model/weights.safetensors", "model/model.onnx", "maps/town_1.tif", "maps/town_1_confidence.tif"]
    return {name: hashlib.sha256((root / name).read_bytes()).hexdigest() for name in names}


def test_killed_again_and_again_it_ends_with_the_same_bytes(tmp_path: Path) -> None:
    config = write_project(tmp_path)
    plain = read_project(config)
    map_project(plain, engine="onnx")
    command = [
        sys.executable,
        "-m",
        "terraseg",
        "map",
        "--engine",
        "onnx",
        "--config",
        str(config),
        "--set",
        "map.run=runs/b",
    ]
    killed = 0
    for wait in (4.0, 7.0, 9.0):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(wait)
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
            killed += 1
        process.wait()
    assert killed
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    assert digests(tmp_path / "runs/a") == digests(tmp_path / "runs/b")


def leave(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Exit code and last line on standard error of a command."""
    code = run(arguments)
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("terraseg: ")]
    return code, lines[-1] if lines else ""


def test_a_model_on_another_band_count(result: MapResult, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    raster = make_raster(tmp_path / "four.tif", make_grid(), bands=("a", "b", "c", "d"))
    out = tmp_path / "map.tif"
    code, line = leave(["predict", str(raster), "--model", str(result.model), "--out", str(out)], capsys)
    assert code == 2
    assert "4 bands" in line
    assert not out.exists()
    assert [p.name for p in tmp_path.iterdir()] == ["four.tif"]


def test_a_model_on_another_bit_depth(result: MapResult, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    raster = make_raster(tmp_path / "deep.tif", make_grid(), dtype="uint16")
    code, line = leave(
        ["predict", str(raster), "--model", str(result.model), "--out", str(tmp_path / "map.tif")], capsys
    )
    assert code == 2
    assert "uint16" in line
    assert "uint8" in line
    assert [p.name for p in tmp_path.iterdir()] == ["deep.tif"]


def test_a_truncated_raster_leaves_nothing_behind(
    result: MapResult, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raster = make_raster(tmp_path / "cut.tif", make_grid(600, 600))
    raster.write_bytes(raster.read_bytes()[:300_000])
    code, line = leave(
        ["predict", str(raster), "--model", str(result.model), "--out", str(tmp_path / "map.tif")], capsys
    )
    assert code == 2
    assert "cut.tif cannot be read" in line
    assert [p.name for p in tmp_path.iterdir()] == ["cut.tif"]


def test_the_map_may_not_overwrite_its_image(
    result: MapResult, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raster = make_raster(tmp_path / "a.tif", make_grid())
    before = raster.read_bytes()
    code, line = leave(["predict", str(raster), "--model", str(result.model), "--out", str(raster)], capsys)
    assert code == 2
    assert "overwrite" in line
    assert raster.read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["map"], "terraseg.toml does not exist"),
        (["predict", "a.tif"], "--model"),
        (["predict", "a.tif", "--model", "nowhere"], "nowhere"),
        (["predict", "--foo"], "No such option"),
        (["predikt"], "No such command"),
        (["check", "nowhere"], "does not exist"),
        (["vectorize", "nowhere.tif"], "nowhere.tif"),
        (["measure", "nowhere.tif"], "nowhere.tif"),
    ],
)
def test_bad_usage_is_one_sentence_and_exit_code_2(
    arguments: list[str],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    code, line = leave(arguments, capsys)
    assert code == 2
    assert words in line
    assert list(tmp_path.iterdir()) == []


def test_single_steps_on_files_work_without_a_project(result: MapResult, tmp_path: Path) -> None:
    town = make_town(2, 256, gsd=0.6)
    write_town(town, tmp_path / "scene.tif", tmp_path / "unused.gpkg")
    out = tmp_path / "map.tif"
    assert (
        run(["predict", str(tmp_path / "scene.tif"), "--model", str(result.model), "--out", str(out), "--confidence"])
        == 0
    )
    assert run(["vectorize", str(out), "--out", str(tmp_path / "p.geojson"), "--class", "building"]) == 0
    assert run(["measure", str(out)]) == 0
    features = json.loads((tmp_path / "p.geojson").read_text())["features"]
    assert {f["properties"]["class_name"] for f in features} <= {"building"}
    assert (tmp_path / "map.csv").exists()


def test_a_plain_install_maps_without_torch(result: MapResult, tmp_path: Path) -> None:
    """With torch out of reach, everything but training works, and training says what to install."""
    write_town(make_town(2, 256, gsd=0.6), tmp_path / "scene.tif", tmp_path / "unused.gpkg")
    code = f"""
import sys
for name in ("torch", "lightning", "timm", "openvino", "torchvision"):
    sys.modules[name] = None
from terraseg.cli.main import run
assert run(["predict", "scene.tif", "--model", {str(result.model)!r}, "--out", "map.tif", "--engine", "onnx"]) == 0
assert run(["vectorize", "map.tif"]) == 0
assert run(["measure", "map.tif"]) == 0
assert run(["check", "scene.tif", "--labels", "unused.gpkg"]) in (0, 2)
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, timeout=120)
    assert (tmp_path / "map.json").exists()


def test_options_of_a_run_are_kept_with_it(project: Project, result: MapResult) -> None:
    kept: dict[str, Any] = read_json(project.run.options)
    assert kept["train"]["steps"] == 8
    assert kept["data"]["test"] == ["town_1"]
