"""From a data set to its split: surveyed, parted, measured, drawn, and what to know of it said."""

from dataclasses import replace

from terraseg.core.dataset import Dataset
from terraseg.core.fingerprint import Fingerprint
from terraseg.core.split import SplitReport
from terraseg.core.watch import Watch
from terraseg.pipeline.project import Project
from terraseg.prepare.fingerprint import class_warnings, measure_fingerprint
from terraseg.prepare.split import PATCH, split_dataset
from terraseg.prepare.survey import Survey, survey_dataset
from terraseg.store.rundir import RunFolder, read_json, replacing, write_json

PICTURE = "split.png"


def survey_project(dataset: Dataset, watch: Watch) -> Survey:
    """The survey of a data set, with its progress shown."""
    return survey_dataset(dataset, lambda done, total: watch.progress(done, total, "scenes"))


def patch_side(project: Project) -> int:
    """The side of a training patch in pixels of the imagery: what the project sets, else the largest usual one."""
    sample = project.sample
    return PATCH if sample.crop is None else sample.crop * (sample.reduction or 1)


def split_project(project: Project, dataset: Dataset, watch: Watch) -> tuple[Dataset, Fingerprint]:
    """The split data set and its fingerprint; the split is drawn and written into the run folder, warnings are said."""
    survey = survey_project(dataset, watch)
    dataset, report = split_dataset(dataset, survey, project.data.validation, patch=patch_side(project))
    say_split(report, watch)
    facts = measure_fingerprint(dataset, survey)
    further = class_warnings(facts)
    write_split(project.run, dataset, facts, replace(report, warnings=(*report.warnings, *further)), survey)
    for warning in further:
        watch.say(f"warning: {warning}")
    return dataset, facts


def write_split(run: RunFolder, dataset: Dataset, facts: Fingerprint, report: SplitReport, survey: Survey) -> None:
    """The split as JSON and as a picture in the run folder."""
    from terraseg.report.splitmap import split_figure

    pictures = {name: sketch.grey for name, sketch in survey.sketches.items()}
    figure = split_figure(dataset, facts, report, pictures=pictures)
    with replacing(run.figures / PICTURE) as temporary:
        figure.savefig(temporary, dpi=150)
    write_json(run.split, report.to_json())


def say_split(report: SplitReport, watch: Watch) -> None:
    """How the split was made, and its warnings."""
    watch.say(report.how)
    for warning in report.warnings:
        watch.say(f"warning: {warning}")


def read_split(run: RunFolder) -> SplitReport:
    """The report of the split that a run folder keeps."""
    return SplitReport.from_json(read_json(run.split))
