"""The whole way in one call: from a project file to model, maps, polygons, statistics, scores and report."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from terraseg.core.watch import SILENT, Watch
from terraseg.pipeline import baseline, scoring, steps
from terraseg.pipeline.cleaning import clean
from terraseg.pipeline.project import Project

if TYPE_CHECKING:
    from terraseg.evaluate.evaluate import Evaluation


@dataclass(frozen=True)
class MapResult:
    """What came out: the model's folder, the files by kind, and the scores where there was truth."""

    model: Path
    maps: tuple[Path, ...]
    polygons: tuple[Path, ...]
    statistics: tuple[Path, ...]
    report: Path
    evaluation: "Evaluation | None"


def map_project(
    project: Project, *, watch: Watch = SILENT, fresh: bool = False, engine: str | None = None
) -> MapResult:
    """Runs every step of a project in order and redoes only what is stale; `fresh` starts over.

    `engine` takes the place of the one in the project file.

    A second call goes on where a killed one stopped. Raises `StaleRun` while another process works in the run folder.
    """
    with project.run.locked():
        if fresh:
            steps.forget_run(project)
        dataset, facts = steps.prepare(project, watch)
        made = steps.plan(project, facts, watch)
        model = steps.train(project, dataset, facts, made, watch)
        scenes = steps.scenes_to_map(project, dataset, watch)
        if baseline.is_wanted(project, scenes, watch):
            baseline.train_forest(project, dataset, facts, made, watch)
        maps = clean(project, steps.predict(project, scenes, watch, engine=engine), watch)
        polygons = steps.vectorize(project, maps, watch)
        statistics = steps.measure(project, maps, watch)
        compared = baseline.score_forest(project, dataset, scenes, watch)
        evaluation = scoring.evaluate(project, dataset, scenes, watch, baseline=compared)
        page = steps.report(project, dataset, scenes, watch)
    return MapResult(model, tuple(maps), tuple(polygons), tuple(statistics), page, evaluation)
