"""Reading what a run folder holds, and what it holds not."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from terraseg.core.classes import LandClass, Legend
from terraseg.core.modelspec import ModelSpec
from terraseg.errors import UnreadableFile
from terraseg.report import sources
from terraseg.report.content import ProgressRow, StatisticsTable
from terraseg.report.scorefile import read_accuracy
from terraseg.store.bundle import bundle_hash, write_bundle
from terraseg.store.rundir import write_json, write_text


def test_progress_keeps_order_and_drops_what_is_no_number(tmp_path: Path) -> None:
    path = tmp_path / "progress.csv"
    write_text(path, "step,seconds,train_loss,mean_iou,else\n20,4,nan,0.5,x\n10,2,1.5,,y\n,9,1,1,z\n")
    rows = sources.read_progress(path)
    assert rows == (ProgressRow(10, 2, train_loss=1.5), ProgressRow(20, 4, mean_iou=0.5))
    assert sources.read_progress(tmp_path / "absent.csv") == ()


@pytest.mark.parametrize("value", [{}, {"part": "all", "total": {}, "scenes": []}, [], {"part": "all", "scenes": [1]}])
def test_scores_of_another_shape_are_refused(tmp_path: Path, value: Any) -> None:
    write_json(tmp_path / "scores.json", value)
    with pytest.raises(UnreadableFile, match="does not hold scores"):
        read_accuracy(tmp_path / "scores.json", None)


def test_a_plan_of_another_shape_is_refused(tmp_path: Path) -> None:
    write_json(tmp_path / "plan.json", {"network": "unet"})
    with pytest.raises(UnreadableFile, match="does not hold a plan"):
        sources.read_plan(tmp_path / "plan.json")


def test_statistics_take_every_measure_and_flatten_groups(tmp_path: Path) -> None:
    rows = [
        {"class_id": 1, "class_name": "a", "area_m2": 5.0, "sizes": {"mean": 2.5, "histogram": [1, 2]}, "never": None},
        {"class_id": 2, "class_name": "b", "area_m2": None, "note": "few"},
    ]
    write_json(tmp_path / "s.json", {"classes": rows})
    table = sources.read_statistics(tmp_path / "s.json", "s")
    assert table == StatisticsTable(
        "s", ("area_m2", "sizes_mean", "note"), (("a", (5.0, 2.5, None)), ("b", (None, None, "few")))
    )


@pytest.mark.parametrize("value", [[], {"rows": []}, {"classes": [1]}, {"classes": []}])
def test_statistics_of_another_shape_give_no_table(tmp_path: Path, value: Any) -> None:
    write_json(tmp_path / "s.json", value)
    assert sources.read_statistics(tmp_path / "s.json", "s") is None


def test_areas_and_objects_add_up_over_scenes() -> None:
    one = StatisticsTable("one", ("area_m2", "objects"), (("a", (30.0, 2)), ("b", (10.0, None))))
    two = StatisticsTable("two", ("area_m2", "objects"), (("a", (20.0, 3)), ("c", (40.0, 1))))
    total = sources.total_statistics([one, two])
    assert total is not None
    assert total.columns == ("area_m2", "share", "objects")
    assert dict(total.rows) == {"a": (50.0, 0.5, 5.0), "b": (10.0, 0.1, None), "c": (40.0, 0.4, 1.0)}
    assert sources.total_statistics([one]) is None


def test_provenance_names_the_model_by_its_hash(tmp_path: Path) -> None:
    legend = Legend((LandClass(0, "a", "#112233"),))
    spec = ModelSpec(
        "unet",
        legend,
        ("red",),
        "uint8",
        (1.0,),
        (1.0,),
        0.5,
        64,
        8,
        32,
        {"depth": 4},
        {"seed": 3, "scenes": ["x", "y"]},
    )
    write_bundle(tmp_path / "model", spec, onnx=b"graph", weights={"w": np.zeros(1, np.float32)})
    groups = {group.title: dict(group.facts) for group in sources.read_provenance(tmp_path / "model")}
    assert bundle_hash(tmp_path / "model") in groups["Model"].values()
    assert groups["Training"] == {"Seed": "3", "Scenes": "x, y"}
    assert "numpy" in groups["Versions that wrote this report"]


def test_a_damaged_model_is_said_and_does_not_stop_the_report(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    groups = sources.read_provenance(tmp_path / "model")
    assert groups[0].facts[0][0] == "Not readable"
    assert [group.title for group in sources.read_provenance(tmp_path / "none")] == ["Versions that wrote this report"]
