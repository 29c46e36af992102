"""The scoring step of a project with its figures, and two folders of maps side by side, by the command too."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageColor

from terraseg.cli.main import run
from terraseg.cli.scoretables import print_evaluation
from terraseg.core.dataset import Dataset
from terraseg.core.watch import SILENT
from terraseg.errors import EmptyDataset, UnreadableFile
from terraseg.pipeline.project import Project, read_project
from terraseg.pipeline.scoring import compare_models, evaluate
from terraseg.prepare.dataset import read_dataset
from terraseg.store.classmap import write_class_map
from terraseg.store.rundir import read_json
from tests.makers import make_grid, make_labels, make_raster

GRID = make_grid(96, 128)
TOML = """
[data]
images = ["images/*.tif"]
labels = ["labels/*.tif"]
test = ["north", "south"]
[[data.classes]]
id = 0
name = "land"
labels = ["0"]
color = "#998877"
[[data.classes]]
id = 1
name = "water"
labels = ["1"]
color = "#2244FF"
[evaluate]
interval_side = 16
worst = 3
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    for name in ("north", "south", "west"):
        make_raster(tmp_path / f"images/{name}.tif", GRID)
        make_labels(tmp_path / f"labels/{name}.tif", GRID)
    (tmp_path / "terraseg.toml").write_text(TOML, encoding="utf-8")
    return read_project(tmp_path / "terraseg.toml")


def maps(project: Project, dataset: Dataset, folder: Path, *, share: float, seed: int) -> Path:
    """Maps of the test scenes with so many wrong pixels, and the certainty of a map that knows."""
    random = np.random.default_rng(seed)
    truth = np.broadcast_to(np.arange(GRID.width) * 2 // GRID.width, (GRID.height, GRID.width))
    for scene in dataset.scenes:
        if scene.is_test:
            ids = np.where(random.random(truth.shape) < share, 1 - truth, truth)
            sure = np.full(truth.shape, round(254 * (1 - share)), dtype=np.uint8)
            write_class_map(folder / f"{scene.name}.tif", ids, GRID, dataset.legend, confidence=sure)
    return folder


def test_scores_come_with_figures_and_the_worst_places(project: Project) -> None:
    dataset = read_dataset(project.data, project.root)
    maps(project, dataset, project.run.maps, share=0.1, seed=0)
    scenes = [scene for scene in dataset.scenes if scene.is_test]
    found = evaluate(project, dataset, scenes, SILENT)
    assert found is not None
    assert found.intervals is not None
    assert found.intervals.accuracy is not None
    assert found.intervals.accuracy.low < 0.9 < found.intervals.accuracy.high
    assert found.reliability is not None
    assert found.reliability.ece is not None
    assert found.reliability.ece < 0.02
    folder = project.run.figures
    assert {path.name for path in folder.iterdir()} == {"reliability.png", "object_f1.png", "worst"}
    pictures = sorted((folder / "worst").iterdir())
    assert len(pictures) == len(found.worst) == 2
    first = found.worst[0]
    assert pictures[0].name == f"01_{first.scene}_row{first.window.row}_col{first.window.col}.png"
    with Image.open(pictures[0]) as picture:
        assert picture.size == (3 * 256 + 12, 192)
        # Land lies left of the middle, and the truth stands in the middle of the picture.
        assert picture.convert("RGB").getpixel((256 + 6 + 40, 96)) == ImageColor.getrgb("#998877")
        assert picture.convert("RGB").getpixel((256 + 6 + 216, 96)) == ImageColor.getrgb("#2244FF")
    value = read_json(project.run.scores)
    assert {"part", "total", "scenes", "intervals", "worst"} <= value.keys()
    assert evaluate(project, dataset, scenes, SILENT) == found


def test_what_splitting_brings_is_scored_and_shown(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    dataset = read_dataset(project.data, project.root)
    maps(project, dataset, project.run.maps, share=0.0, seed=0)
    for scene in dataset.scenes:
        # The true water is half of the scene; the map shows land with two ponds that a channel joins.
        ids = np.zeros((GRID.height, GRID.width), dtype=np.uint8)
        ids[:, 64:] = ids[30:60, 2:62] = 1
        ids[30:60, 30:34] = ids[:, 62:64] = 0
        ids[44:47, 30:34] = 1
        write_class_map(project.run.maps / f"{scene.name}.tif", ids, GRID, dataset.legend)
    scenes = [scene for scene in dataset.scenes if scene.is_test]
    plain = evaluate(project, dataset, scenes, SILENT)
    assert plain is not None
    assert all(shape.split is None for shape in plain.shapes)
    wanted = replace(project, vectorize=replace(project.vectorize, split=("water",)))
    found = evaluate(wanted, dataset, scenes, SILENT)
    assert found is not None
    _, water = found.shapes
    assert water.objects == plain.shapes[1].objects
    assert water.objects is not None
    assert water.split is not None
    assert (water.objects.truth, water.objects.mapped, water.split.mapped) == (2, 4, 6)
    value = read_json(project.run.scores)["total"]["shapes"]
    assert [shape["split"] is None for shape in value] == [True, False]
    assert value[1]["split"]["f1"] == 0.5
    print_evaluation(found)
    said = capsys.readouterr().out
    assert "water, as mapped" in said
    assert "water, split" in said


def test_folders_of_maps_are_compared(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    dataset = read_dataset(project.data, project.root)
    root = project.root
    good, bad = maps(project, dataset, root / "good", share=0.05, seed=1), root / "old"
    maps(project, dataset, bad / "maps", share=0.2, seed=2)
    found, out = compare_models(project, dataset, (bad, good), SILENT)
    assert (found.one, found.two) == ("old", "good")
    assert all(row.is_real for row in found.rows)
    assert read_json(out)["sentence"] == found.sentence
    assert run(["evaluate", "--config", str(root / "terraseg.toml"), "--compare", str(bad), str(good)]) == 0
    said = capsys.readouterr().out
    assert "good is" in said
    assert "more than noise" in said
    assert [path.name for path in project.run.root.iterdir() if path.suffix] == ["comparison.json"]


def test_what_cannot_be_compared_is_said(project: Project) -> None:
    dataset = read_dataset(project.data, project.root)
    good = maps(project, dataset, project.root / "good", share=0.05, seed=1)
    empty = project.root / "empty"
    empty.mkdir()
    with pytest.raises(UnreadableFile, match="holds no map of a labelled scene"):
        compare_models(project, dataset, (good, empty), SILENT)
    (good / "north.tif").rename(empty / "north.tif")
    with pytest.raises(EmptyDataset, match="map the same labelled scenes"):
        compare_models(project, dataset, (good, empty), SILENT)
