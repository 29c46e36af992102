"""`terraseg lr-find` on a small scene."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from terraseg.cli.main import run
from terraseg.core.lrcurve import LrCurve
from terraseg.core.plan import Plan
from terraseg.store.rundir import read_json
from terraseg.train import hardware
from tests.makers import make_grid, make_raster

PROJECT = """
[data]
images = ["image.tif"]
labels = ["truth.tif"]
label_kind = "ids"
classes = [{ name = "field", labels = ["0"] }, { name = "roof", labels = ["1"] }]

[train]
network = "simple-unet"
steps = 4

[sample]
crop = 32
batch = 2

[map]
run = "runs/a"
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    # Networks this small are slower on several threads than on one.
    monkeypatch.setattr(hardware, "cores_available", lambda: 1)
    grid, random = make_grid(128, 128), np.random.default_rng(1)
    truth = np.kron(random.integers(0, 2, (16, 16)), np.ones((8, 8))).astype("uint8")
    pixels = np.clip(random.normal(80, 15, (3, 128, 128)) + 80 * truth, 0, 255).astype("uint8")
    make_raster(tmp_path / "image.tif", grid, pixels=pixels)
    make_raster(tmp_path / "truth.tif", grid, bands=["label"], pixels=truth[None])
    path = tmp_path / "terraseg.toml"
    path.write_text(PROJECT)
    return path


def test_it_writes_the_curve_and_its_figure_and_says_the_rate(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["lr-find", "--config", str(config)]) == 0
    folder = config.parent / "runs/a"
    captured = capsys.readouterr()
    assert captured.out.split() == [str(folder / "lr_find.json"), str(folder / "figures/lr_find.png")]
    curve = LrCurve.from_json(read_json(folder / "lr_find.json"))
    assert f"learning_rate = {curve.suggestion_valley:.2g}" in captured.err
    assert 1e-6 < curve.suggestion_valley < 1
    with Image.open(folder / "figures/lr_find.png") as picture:
        assert picture.format == "PNG"
    assert not (folder / "checkpoints").exists()
    assert not list(folder.rglob("*.part*"))


def test_a_second_call_takes_the_curve_that_is_there_until_the_settings_change(config: Path) -> None:
    curve = config.parent / "runs/a/lr_find.json"
    assert run(["lr-find", "--config", str(config)]) == 0
    made = curve.stat().st_mtime_ns
    assert run(["lr-find", "--config", str(config)]) == 0
    assert curve.stat().st_mtime_ns == made
    first = curve.read_text()
    assert run(["lr-find", "--config", str(config), "--set", "train.seed=7"]) == 0
    assert curve.read_text() != first


def test_training_takes_the_rate_that_was_found_and_is_not_searched_again(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["train", "--config", str(config), "--set", "train.learning_rate=find"]
    assert run(command) == 0
    folder = config.parent / "runs/a"
    curve = LrCurve.from_json(read_json(folder / "lr_find.json"))
    plan = Plan.from_json(read_json(folder / "plan.json"))
    assert plan.learning_rate == curve.suggestion_valley
    assert "range test" in plan.reasons["learning_rate"]
    made = (folder / "lr_find.json").stat().st_mtime_ns
    capsys.readouterr()
    assert run(command) == 0
    assert "the model is up to date" in capsys.readouterr().err
    assert (folder / "lr_find.json").stat().st_mtime_ns == made


def test_a_missing_project_file_is_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["lr-find", "--config", str(tmp_path / "none.toml")]) == 2
    assert "terraseg check" in capsys.readouterr().err
