"""Cross-validation on a small made town: what comes out, what a second call does, and what is said."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from terraseg.core.classes import LandClass, Legend
from terraseg.errors import BadOption
from terraseg.evaluate.scores import Scores
from terraseg.pipeline.demo import write_town
from terraseg.pipeline.folds import budget_share, summarise, summary_lines, train_folds
from terraseg.pipeline.project import Project, read_project
from terraseg.plan.options import TrainOptions
from terraseg.prepare.check import check_sources
from terraseg.prepare.projectfile import project_text
from terraseg.store.rundir import read_json
from terraseg.town import make_town
from tests.makers import TINY_RUN


class Lines:
    """A watcher that keeps what is said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def step(self, title: str) -> None:
        """Nothing."""

    def say(self, text: str) -> None:
        """Keeps the line."""
        self.said.append(text)

    def progress(self, done: float, total: float, text: str = "") -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    folder = tmp_path_factory.mktemp("folds")
    write_town(make_town(2, 256, gsd=0.6), folder / "imagery/town.tif", folder / "labels/town.gpkg")
    text = project_text(check_sources([folder], [], folder)).split("[train]")[0]
    (folder / "terraseg.toml").write_text(text + TINY_RUN)
    return read_project(folder / "terraseg.toml")


@pytest.fixture(scope="module")
def done(project: Project) -> tuple[dict[str, Any], list[str]]:
    watch = Lines()
    return read_json(train_folds(project, 2, watch)), watch.said


def test_each_fold_has_a_model_a_split_and_scores(project: Project, done: tuple[dict[str, Any], list[str]]) -> None:
    scores, said = done
    for number in (1, 2):
        fold = project.run.folds / str(number)
        for name in ("model/model.onnx", "figures/split.png", "split.json", "fingerprint.json", "scores.json"):
            assert (fold / name).stat().st_size > 0, name
        assert not (fold / "cache").exists()
    assert [row["fold"] for row in scores["folds"]] == [1, 2]
    assert scores["pooled"]["pixels"] == sum(row["pixels"] for row in scores["folds"]) == 256 * 256
    values = [row["accuracy"] for row in scores["folds"]]
    assert scores["mean"]["accuracy"] == pytest.approx(sum(values) / 2)
    assert scores["spread"]["accuracy"] == pytest.approx(abs(values[0] - values[1]) / 2**0.5)
    assert any(line.startswith("accuracy: ") and "±" in line for line in said)


def test_a_second_call_trains_nothing(project: Project, done: tuple[dict[str, Any], list[str]]) -> None:
    weights = [project.run.folds / f"{n}/model/weights.safetensors" for n in (1, 2)]
    before = [path.stat().st_mtime_ns for path in weights]
    watch = Lines()
    assert read_json(train_folds(project, 2, watch)) == done[0]
    assert [path.stat().st_mtime_ns for path in weights] == before
    assert watch.said.count("the model is up to date") == 2


def test_one_fold_is_refused(project: Project) -> None:
    with pytest.raises(BadOption, match="at least 2"):
        train_folds(replace(project, map=replace(project.map, run="runs/b")), 1, Lines())


def test_a_time_budget_is_shared_and_steps_are_not() -> None:
    assert budget_share(TrainOptions(time_budget="10m"), 5) == 120
    assert budget_share(TrainOptions(steps=7), 5) is None
    assert budget_share(TrainOptions(epochs=2), 5) is None
    default = budget_share(TrainOptions(), 5)
    assert default is not None
    assert default > 0


def test_a_class_that_a_fold_lacks_does_not_count_there() -> None:
    legend = Legend((LandClass(0, "a", "#000000"), LandClass(1, "b", "#FFFFFF")))
    summary = summarise([Scores(legend, ((8, 2), (0, 0))), Scores(legend, ((5, 0), (1, 4)))])
    assert summary["mean"]["accuracy"] == pytest.approx((0.8 + 0.9) / 2)
    assert summary["pooled"]["accuracy"] == pytest.approx(17 / 20)
    assert len(summary_lines(summary)) == 2 + len(summary["mean"])
    assert summarise([])["pooled"] is None


def test_paths_of_folds_lie_in_the_run_folder(project: Project, done: tuple[dict[str, Any], list[str]]) -> None:
    inside = sorted(path.name for path in Path(project.run.folds).iterdir())
    assert inside == ["1", "2", "folds.json"]
