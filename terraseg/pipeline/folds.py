"""Cross-validation: a model a fold, each judged on ground that it has not seen, and what all of them say together."""

import shutil
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

from terraseg.core.dataset import Dataset
from terraseg.core.fingerprint import Fingerprint
from terraseg.core.split import SplitReport
from terraseg.core.watch import Watch
from terraseg.evaluate.options import EvaluateOptions
from terraseg.pipeline import scoring, steps
from terraseg.pipeline.cleaning import clean
from terraseg.pipeline.ledger import Ledger, file_states, key_for
from terraseg.pipeline.project import Project
from terraseg.pipeline.splitting import patch_side, read_split, say_split, survey_project, write_split
from terraseg.plan.options import TrainOptions, seconds
from terraseg.plan.rules import QUALITY_S
from terraseg.prepare.dataset import read_dataset
from terraseg.prepare.fingerprint import class_warnings, measure_fingerprint
from terraseg.prepare.folds import fold_splits
from terraseg.store.rundir import RunFolder, read_json, write_json

if TYPE_CHECKING:
    from terraseg.evaluate.evaluate import Evaluation
    from terraseg.evaluate.scores import Scores

SCORES = "folds.json"


def train_folds(project: Project, folds: int, watch: Watch) -> Path:
    """The scores of a cross-validation in `folds/folds.json` of the run folder, with a trained model for each fold beside.

    A time budget, given or planned, is shared evenly by the folds; steps and epochs are each fold's own. Folds that are
    done are not done again, and one that was interrupted goes on. Each fold's best weights are chosen on the ground that
    then judges it, as in any training here, so the scores are a little kind.
    """
    prepared = prepare_folds(project, folds, watch)
    share = budget_share(project.train, folds)
    if share is not None:
        watch.say(f"each of the {folds} folds trains for {share:.0f} s, its share of the time budget")
        project = replace(project, train=replace(project.train, time_budget=f"{share:.3f}s"))
    evaluations: list[Evaluation] = []
    for number, (dataset, facts) in enumerate(prepared, start=1):
        own = fold_project(project, number)
        watch.step("folds")
        watch.say(f"fold {number} of {folds}: {sum(bool(s.validation) for s in dataset.scenes)} scenes judge")
        made = steps.plan(own, facts, watch)
        steps.train(own, dataset, facts, made, watch)
        # The next fold has other means, and so another cache.
        shutil.rmtree(own.run.cache, ignore_errors=True)
        judged = [scene for scene in dataset.scenes if scene.validation]
        clean(own, steps.predict(own, judged, watch), watch)
        found = scoring.evaluate(own, dataset, judged, watch)
        if found is not None:
            evaluations.append(found)
    summary = summarise([evaluation.total for evaluation in evaluations])
    path = project.run.folds / SCORES
    write_json(path, summary)
    watch.step("folds")
    for line in summary_lines(summary):
        watch.say(line)
    return path


def fold_project(project: Project, number: int) -> Project:
    """The project of one fold: its own run folder, scored on its validation windows."""
    run = project.run.folds.relative_to(project.root) / str(number)
    return replace(
        project,
        map=replace(project.map, run=str(run)),
        evaluate=EvaluateOptions("validation", project.evaluate.block),
    )


def budget_share(options: TrainOptions, folds: int) -> float | None:
    """The seconds that each fold may train; None when steps or epochs say how long."""
    if options.steps is not None or options.epochs is not None:
        return None
    return (seconds(options.time_budget) if options.time_budget else QUALITY_S[options.quality]) / folds


def prepare_folds(project: Project, folds: int, watch: Watch) -> list[tuple[Dataset, Fingerprint]]:
    """The data set of each fold with its fingerprint, from the run folders of the folds where nothing has changed."""
    watch.step("prepare")
    dataset = read_dataset(project.data, project.root)
    files = [p for scene in dataset.scenes for p in (*scene.imagery.paths, scene.labels or "") if p]
    key = key_for(asdict(project.data), patch_side(project), folds, file_states(files))
    runs = [fold_project(project, number).run for number in range(1, folds + 1)]
    if all(Ledger(run).is_fresh("prepare", key) for run in runs):
        watch.say("imagery and labels are unchanged")
        return [_as_before(run, dataset, watch) for run in runs]
    survey = survey_project(dataset, watch)
    splits = fold_splits(dataset, survey, folds, patch=patch_side(project))
    _forget_others(project.run, folds)
    prepared = []
    for number, (run, split) in enumerate(zip(runs, splits, strict=True), start=1):
        facts = measure_fingerprint(split, survey)
        report = SplitReport(f"fold {number} of {folds}", class_warnings(facts))
        write_split(run, split, facts, report, survey)
        say_split(report, watch)
        write_json(run.options, project.options_json())
        write_json(run.dataset, split.to_json())
        write_json(run.fingerprint, facts.to_json())
        Ledger(run).finish("prepare", key, [run.dataset, run.fingerprint, run.split])
        prepared.append((split, facts))
    return prepared


def _as_before(run: RunFolder, dataset: Dataset, watch: Watch) -> tuple[Dataset, Fingerprint]:
    """A fold as its run folder keeps it; the paths follow a project that has moved."""
    kept = {scene.name: scene for scene in Dataset.from_json(read_json(run.dataset)).scenes}
    scenes = tuple(replace(s, train=kept[s.name].train, validation=kept[s.name].validation) for s in dataset.scenes)
    say_split(read_split(run), watch)
    return replace(dataset, scenes=scenes), Fingerprint.from_json(read_json(run.fingerprint))


def _forget_others(run: RunFolder, folds: int) -> None:
    """Removes the folds of an earlier cross-validation that had more of them."""
    for path in run.folds.glob("*"):
        if path.name.isdigit() and int(path.name) > folds:
            shutil.rmtree(path)


def summarise(scores: Sequence["Scores"]) -> dict[str, Any]:
    """Plain JSON: the scores of each fold, their mean and spread (standard deviation over the folds), and all pixels pooled.

    A score that no fold defines is None; a spread needs two folds.
    """
    numbers = [_numbers(s) for s in scores]
    rows = [
        {"fold": n, "pixels": s.pixels, **of} for n, (s, of) in enumerate(zip(scores, numbers, strict=True), start=1)
    ]
    names = list(numbers[0]) if numbers else []
    columns = {name: [value for of in numbers if (value := of[name]) is not None] for name in names}
    pooled = scores[0] if scores else None
    for more in scores[1:]:
        pooled = more if pooled is None else pooled + more
    return {
        "folds": rows,
        "mean": {name: fmean(values) if values else None for name, values in columns.items()},
        "spread": {name: stdev(values) if len(values) > 1 else None for name, values in columns.items()},
        "pooled": None if pooled is None else {"pixels": pooled.pixels, **_numbers(pooled)},
    }


def _numbers(scores: "Scores") -> dict[str, float | None]:
    iou = {f"iou {c.land_class.name}": c.iou for c in scores.classes}
    return {"mean_iou": scores.mean_iou, "accuracy": scores.accuracy, **iou}


def summary_lines(summary: dict[str, Any]) -> list[str]:
    """The scores for reading: a line a fold, then the mean and spread of each score, in percent."""
    lines = [
        f"fold {row['fold']}: mean IoU {_percent(row['mean_iou'])}, accuracy {_percent(row['accuracy'])}"
        for row in summary["folds"]
    ]
    for name, mean in summary["mean"].items():
        spread = summary["spread"][name]
        lines.append(
            f"{name.replace('_', ' ')}: {_percent(mean)} ± {_percent(spread)} over {len(summary['folds'])} folds"
        )
    return lines


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"
