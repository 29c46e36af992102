"""The forest beside the network, and both averaged: trained, mapped, scored and said, on a small made town."""

import hashlib
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from terraseg.cli.main import run
from terraseg.core.window import Window
from terraseg.engines.onnx import open_onnx
from terraseg.evaluate.evaluate import Evaluation
from terraseg.pipeline import baseline, steps
from terraseg.pipeline.baseline import Training, train_models
from terraseg.pipeline.demo import write_town
from terraseg.pipeline.map import MapResult, map_project
from terraseg.pipeline.project import Project, read_project
from terraseg.prepare.check import check_sources
from terraseg.prepare.projectfile import project_text
from terraseg.store.bundle import read_spec
from terraseg.store.classmap import read_class_map
from terraseg.store.rundir import read_json
from terraseg.town import make_town

SETTINGS = """
[train]
network = "simple-unet"
steps = 3

[sample]
crop = 64
batch = 2

[forest]
pixels = 12000
trees = 8

[predict]
tile = 128
overlap = 32

[map]
run = "runs/a"
"""


class Heard:
    """A watch that remembers what was said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def step(self, title: str) -> None:
        self.lines.append(title)

    def say(self, text: str) -> None:
        self.lines.append(text)

    def progress(self, done: float, total: float, text: str = "") -> None:
        assert 0 <= done <= total, text


def write_project(folder: Path) -> Path:
    """Two small towns, one of them for testing."""
    for seed in (1, 2):
        write_town(
            make_town(seed, 256, gsd=0.6), folder / f"imagery/town_{seed}.tif", folder / f"labels/town_{seed}.gpkg"
        )
    text = project_text(check_sources([folder], [], folder)).split("[train]")[0]
    path = folder / "terraseg.toml"
    path.write_text(text.replace("# test = []", 'test = ["town_1"]') + SETTINGS)
    return path


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return read_project(write_project(tmp_path_factory.mktemp("towns")))


@pytest.fixture(scope="module")
def result(project: Project) -> MapResult:
    return map_project(project, engine="onnx")


def test_map_scores_a_forest_on_the_same_pixels_and_keeps_both(project: Project, result: MapResult) -> None:
    assert result.evaluation is not None
    assert result.evaluation.baseline is not None
    forest = result.evaluation.baseline.total
    assert forest.pixels == result.evaluation.total.pixels == 256 * 256
    assert Evaluation.from_json(read_json(project.run.scores)) == result.evaluation
    # Three steps teach a network nothing; colour alone tells much of a town.
    assert forest.mean_iou is not None
    assert forest.mean_iou > 0.2


def test_the_forest_is_a_bundle_that_predicts_by_the_plain_install(
    project: Project, result: MapResult, tmp_path: Path
) -> None:
    spec = read_spec(project.run.forest)
    assert (spec.network, spec.bands, spec.dtype) == ("forest", ("red", "green", "blue"), "uint8")
    assert spec.provenance["scenes"] == ["town_2"]
    image = project.root / "imagery/town_1.tif"
    code = f"""
import sys
for name in ("torch", "lightning", "timm", "sklearn", "onnx", "safetensors"):
    sys.modules[name] = None
from terraseg.cli.main import run
assert run(["predict", {str(image)!r}, "--model", {str(project.run.forest)!r}, "--out", "map.tif",
            "--set", "predict.tile=128", "--set", "predict.overlap=32"]) == 0
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, timeout=120)
    whole = Window(0, 0, 256, 256)
    with read_class_map(tmp_path / "map.tif") as found, read_class_map(project.run.baseline / "town_1.tif") as scored:
        np.testing.assert_array_equal(found.read(whole), scored.read(whole))


def test_the_report_says_whether_deep_learning_paid(result: MapResult) -> None:
    page = result.report.read_text(encoding="utf-8")
    assert "Did deep learning pay?" in page
    assert "points behind" in page


def test_a_second_run_redoes_nothing_and_a_changed_forest_only_itself(project: Project, result: MapResult) -> None:
    model, maps, forest = result.model / "model.onnx", result.maps[0], project.run.forest / "model.onnx"
    files = [model, maps, forest, project.run.scores, project.run.baseline / "town_1.tif"]
    before = [path.stat().st_mtime_ns for path in files]
    assert map_project(project, engine="onnx") == result
    assert [path.stat().st_mtime_ns for path in files] == before
    map_project(replace(project, forest=replace(project.forest, trees=3)), engine="onnx")
    after = [path.stat().st_mtime_ns for path in files]
    assert before[:2] == after[:2]
    assert all(old < new for old, new in zip(before[2:], after[2:], strict=True))
    map_project(project, engine="onnx")


def test_a_forest_trained_again_has_the_same_bytes(project: Project, result: MapResult) -> None:
    def digest() -> str:
        return hashlib.sha256((project.run.forest / "model.onnx").read_bytes()).hexdigest()

    first = digest()
    (project.run.forest / "model.onnx").unlink()
    map_project(project, engine="onnx")
    assert digest() == first


def test_without_the_wish_there_is_no_forest(project: Project, result: MapResult) -> None:
    alone = replace(project, map=replace(project.map, run="runs/alone", baseline=False))
    evaluation = map_project(alone, engine="onnx").evaluation
    assert evaluation is not None
    assert evaluation.baseline is None
    assert "baseline" not in read_json(alone.run.scores)
    assert not alone.run.forest.exists()
    assert "Did deep learning pay?" not in alone.run.report.read_text(encoding="utf-8")


def test_without_scikit_learn_the_map_is_made_all_the_same(
    project: Project, result: MapResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = Heard()
    monkeypatch.setattr(baseline, "find_spec", lambda _: None)
    assert not baseline.is_wanted(project, steps.scenes_to_map(project, steps.prepare(project, heard)[0]), heard)
    assert "pip install 'terraseg[train]'" in heard.lines[-1]


def test_train_averages_forest_and_network(project: Project, result: MapResult) -> None:
    files = train_models(project, Training(ensemble=True), Heard())
    assert project.run.ensemble in files
    pixels = make_town(1, 256, gsd=0.6).pixels[None, :, :90, :100]
    one, two, both = (
        open_onnx(folder, threads=1).score(pixels)
        for folder in (project.run.forest, project.run.model, project.run.ensemble)
    )
    np.testing.assert_allclose(both, (one + two) / 2, atol=1e-5)
    heard = Heard()
    train_models(project, Training(ensemble=True), heard)
    assert {"the model is up to date", "the forest is up to date", "the ensemble is up to date"} <= set(heard.lines)


def test_the_forest_alone_trains_no_network(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    config = str(project.root / "terraseg.toml")
    assert run(["train", "--config", config, "--model", "forest", "--set", "map.run=runs/trees"]) == 0
    folder = project.root / "runs/trees"
    assert capsys.readouterr().out.split() == [str(folder / "forest")]
    assert not (folder / "model").exists()


def test_the_ensemble_command_averages_any_models(project: Project, result: MapResult, tmp_path: Path) -> None:
    members = [str(project.run.forest), str(project.run.model)]
    assert run(["ensemble", *members, "--out", str(tmp_path / "both"), "--weight", "1", "--weight", "3"]) == 0
    spec = read_spec(tmp_path / "both")
    assert spec.members == ("forest", "simple-unet")
    assert [member["share"] for member in spec.provenance["members"]] == [0.25, 0.75]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "--model", "forrest"], "did you mean 'forest'"),
        (["train", "--folds", "3", "--ensemble"], "--folds 3 cross-validates networks"),
        (["ensemble", "nowhere", "neither", "--out", "out"], "nowhere is no model folder"),
        (["ensemble", "nowhere", "--out", "out"], "an ensemble of 1 model"),
    ],
)
def test_bad_usage_is_one_sentence(
    arguments: list[str],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(arguments) == 2
    assert words in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
