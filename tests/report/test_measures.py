"""What the measuring and scoring stages write is what the report reads."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from terraseg.errors import UnreadableFile
from terraseg.evaluate.compare import compare_maps
from terraseg.evaluate.evaluate import evaluate_scenes
from terraseg.evaluate.options import EvaluateOptions
from terraseg.evaluate.parted import Splitting
from terraseg.measure.accuracy import estimate_from_points
from terraseg.measure.options import MeasureOptions
from terraseg.pipeline.measuring import measure_files
from terraseg.pixels.split import Neck
from terraseg.report.accuracy import accuracy_section
from terraseg.report.build import build_report
from terraseg.report.content import ReportContent
from terraseg.report.measures import read_measures
from terraseg.report.scorefile import read_accuracy, read_comparison
from terraseg.store.classmap import write_class_map
from terraseg.store.rundir import RunFolder, read_json, write_json


@pytest.fixture(scope="module")
def measured(finished: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Statistics of the northern scene, by cell, with areas corrected by a sample."""
    folder = tmp_path_factory.mktemp("measured")
    ids, legend = finished.maps["north"], finished.dataset.legend
    write_class_map(folder / "map.tif", ids, finished.dataset.scenes[0].grid, legend)
    measure_files(folder / "map.tif", folder / "map.csv", MeasureOptions(per="20m", buildings=("land",)))
    counts = np.array([[40, 5, 5], [0, 50, 0], [10, 0, 40]])
    areas = np.array([0.25 * (ids == c.id).sum() for c in legend.classes])
    honest = estimate_from_points(counts, areas, legend).to_json()
    write_json(folder / "map.json", {**read_json(folder / "map.json"), "honest": honest})
    return folder / "map.json"


def test_measures_are_those_of_the_statistics(finished: Any, measured: Path) -> None:
    found = read_measures(measured, "north", finished.dataset.legend)
    value = read_json(measured)
    assert found is not None
    assert found.zones is not None
    assert found.estimated is not None
    assert dict(found.figures)["buildings"] == value["figures"]["buildings"]
    assert [zone for zone, _ in found.zones.rows] == [str(zone["zone"]) for zone in value["zones"]]
    assert [c.area.value for c in found.estimated.classes] == [c["area"]["value"] for c in value["honest"]["classes"]]
    land = next(d for d in found.distributions if d.name == "Areas of land")
    assert sum(land.counts) == next(c["objects"] for c in value["classes"] if c["class_name"] == "land")
    assert (land.unit, land.color) == ("m2", "#AA8844")


def test_statistics_that_cannot_be_read_are_refused(finished: Any, tmp_path: Path) -> None:
    legend = finished.dataset.legend
    assert read_measures(tmp_path / "none.json", "x", legend) is None
    write_json(tmp_path / "old.json", {"unit": "m", "classes": []})
    assert read_measures(tmp_path / "old.json", "x", legend) is None
    write_json(tmp_path / "odd.json", {"unit": "m", "honest": {"classes": [3]}})
    with pytest.raises(UnreadableFile, match="run terraseg measure again"):
        read_measures(tmp_path / "odd.json", "x", legend)


def test_objects_and_curves_are_those_of_the_scores(finished: Any) -> None:
    accuracy = read_accuracy(finished.run.scores, finished.dataset)
    assert accuracy is not None
    shapes = {s["name"]: s["objects"] for s in read_json(finished.run.scores)["total"]["shapes"]}
    for line in accuracy.objects:
        told = shapes[line.land_class.name]
        assert (line.truth, line.mapped, line.f1) == (told["truth"], told["mapped"], told["f1"])
        assert sum(truth for _, truth, _ in line.sizes) == line.truth
        assert dict(line.curve)[0.5] == line.f1


def test_objects_of_a_class_that_is_split_have_two_rows(finished: Any, tmp_path: Path) -> None:
    legend, scene = finished.dataset.legend, finished.dataset.scenes[0]
    split = Splitting((Neck(legend.ids[-1], 0.95),))
    pairs = [(scene, finished.scenes[0].map_path)]
    options = EvaluateOptions(part="all")
    value = evaluate_scenes(pairs, finished.dataset, options=options, split=split).to_json()
    write_json(tmp_path / "scores.json", value)
    accuracy = read_accuracy(tmp_path / "scores.json", finished.dataset)
    assert accuracy is not None
    told = value["total"]["shapes"][-1]["split"]
    lines = {line.land_class.name: line.split for line in accuracy.objects}
    assert lines[legend.names[-1]] == (told["mapped"], told["precision"], told["recall"], told["f1"])
    assert sum(each is not None for each in lines.values()) == 1
    page = str(accuracy_section(ReportContent("x", "y", legend, accuracy=accuracy)))
    assert page.count(", split") == 1
    assert "touching objects of the map are parted" in page


def test_a_page_shows_all_that_was_found(finished: Any, measured: Path, tmp_path: Path) -> None:
    """Corrected areas, things, parts, objects, reliability, worst places and another model each have their place."""
    run = RunFolder(tmp_path)
    bare = replace(finished.scenes[0], map_path=run.maps / "north.tif")
    write_class_map(bare.map_path, finished.maps["north"], finished.dataset.scenes[0].grid, finished.dataset.legend)
    bare.map_path.with_suffix(".json").write_bytes(measured.read_bytes())
    pairs = [(finished.dataset.scenes[0], bare.map_path)]
    value = evaluate_scenes(pairs, finished.dataset, options=EvaluateOptions(part="all", interval_side=40)).to_json()
    value["total"]["reliability"] = {"ece": 0.125, "pixels": [0, 8], "right": [0, 7], "confidence": [0, 8 * 190]}
    write_json(run.scores, value)
    (run.figures / "worst").mkdir(parents=True)
    for number in range(len(value["worst"])):
        Image.fromarray(np.zeros((30, 100, 3), np.uint8)).save(run.figures / "worst" / f"{number + 1:02}.png")
    trio = [(finished.dataset.scenes[0], bare.map_path, finished.scenes[0].map_path)]
    write_json(run.root / "comparison.json", compare_maps(trio, finished.dataset, names=("a", "b")).to_json())
    text = build_report(run, finished.dataset, [bare]).read_text(encoding="utf-8").replace("\xa0", " ")
    for shown in (
        "Areas with the map’s errors taken out",
        "Mean building area",
        "Areas of land",
        "Part by part",
        "F1 of objects",
        "Calibration error 12.5 %",
        "Recall by size of object",
        "Where the map is worst",
        "Two models side by side",
        "Olofsson et al.",
    ):
        assert shown in text, shown
    assert text.count("Image, truth and map of north") == len(value["worst"]) > 0


def test_two_models_side_by_side_are_read(finished: Any, tmp_path: Path) -> None:
    scene, path = finished.dataset.scenes[0], finished.scenes[0].map_path
    write_json(tmp_path / "c.json", compare_maps([(scene, path, path)], finished.dataset, names=("a", "b")).to_json())
    found = read_comparison(tmp_path / "c.json")
    assert found is not None
    assert (found.one, found.two) == ("a", "b")
    assert [row.gain for row in found.rows[:2]] == [0.0, 0.0]
    assert not any(row.is_real for row in found.rows)
    assert read_comparison(tmp_path / "none.json") is None
