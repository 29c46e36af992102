"""`terraseg measure` from the command line: cells, a plan, and the sample read back."""

from pathlib import Path

import numpy as np
import pytest

from terraseg.cli.main import run
from terraseg.core.classes import LandClass, Legend
from terraseg.core.grid import Grid
from terraseg.store.classmap import write_class_map

LEGEND = Legend((LandClass(0, "background", "#000000"), LandClass(3, "building", "#D55E00")))


@pytest.fixture
def class_map(tmp_path: Path) -> Path:
    ids = np.zeros((120, 160), np.uint8)
    ids[20:60, 20:60] = ids[80:100, 90:130] = 3
    path = tmp_path / "map.tif"
    write_class_map(path, ids, Grid("EPSG:32645", (0.5, 0, 330_000, 0, -0.5, 3_066_000), 120, 160), LEGEND)
    return path


def test_cells_are_measured_and_named(class_map: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["measure", str(class_map), "--per", "30m"]) == 0
    said = capsys.readouterr().out
    assert "buildings 2" in said
    assert "map_zones.gpkg" in said
    assert (class_map.parent / "map_zones.csv").exists()


def test_a_plan_names_the_next_step_and_an_unlabelled_sample_is_refused(
    class_map: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["measure", str(class_map), "--plan-sample", "+-10%", "--least", "20", "--expected", "0.8"]) == 0
    assert "--sample" in capsys.readouterr().out
    sample = class_map.with_name("map_sample.gpkg")
    assert sample.exists()
    assert run(["measure", str(class_map), "--sample", str(sample)]) == 2
    assert "none of the points is labelled" in capsys.readouterr().err


def test_what_cannot_be_meant_is_refused(class_map: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["measure", str(class_map), "--plan-sample", "five"]) == 2
    assert run(["measure", "--plan-sample", "5%"]) == 2
    assert run(["measure", str(class_map), "--set", "train.steps=5"]) == 2
    assert run(["measure", str(class_map), "--per", "no_such.gpkg"]) == 2
    assert "does not exist" in capsys.readouterr().err
