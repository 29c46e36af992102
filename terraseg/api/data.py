"""Prepared data: a project's scenes with their split and their facts, and a look at what training sees of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from terraseg.api.notebook import watcher
from terraseg.api.picture import Picture, whole
from terraseg.api.settings import with_settings, without_clock
from terraseg.core.dataset import Dataset
from terraseg.core.fingerprint import Fingerprint
from terraseg.core.watch import SILENT, Watch
from terraseg.errors import EmptyDataset
from terraseg.pipeline import steps
from terraseg.pipeline.project import Project, project_from, read_project
from terraseg.prepare.check import check_sources

NOTEBOOK = "notebook"
"""The folder inside a project's run in which a notebook trains, so that the project's own model stays as it is."""

Paths = str | Path | Sequence[str | Path]


@dataclass(frozen=True, repr=False)
class Data:
    """A prepared data set: the project, its scenes with their split, and their facts."""

    project: Project
    dataset: Dataset
    fingerprint: Fingerprint

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names by index."""
        return self.dataset.legend.names

    def show_batch(self, rows: int = 4, **settings: Any) -> Picture:
        """The first patches of a training as the network gets them, augmented, each beside its mask, three pairs a row.

        `settings` are those of training: `augment=()` shows plain patches, `crop=256` larger ones, `seed=1` others.
        """
        from terraseg.train.showbatch import batch_picture
        from terraseg.train.trained import Task

        run = self.project.run
        with run.locked():
            plan = steps.plan(without_clock(with_settings(self.project, settings)), self.fingerprint, SILENT)
            return whole(batch_picture(Task(self.dataset, self.fingerprint, plan, run), rows=rows))

    def __repr__(self) -> str:
        facts, scenes = self.fingerprint, len(self.dataset.scenes)
        sizes = (
            f"{facts.train_pixels / 1e6:.2g} megapixels to train on, {facts.validation_pixels / 1e6:.2g} to validate"
        )
        return f"Data of {scenes} scene{'s' if scenes > 1 else ''}, {sizes}; classes: {', '.join(self.classes)}"


def prepare_data(
    project: str | Path | None = None,
    *,
    images: Paths | None = None,
    labels: Paths | None = None,
    run: str | Path = "runs/notebook",
    watch: Watch | None = None,
) -> Data:
    """The data of a project file, or of folders of imagery and labels, checked, split and measured.

    What is trained on them lies in `run`; with a project file in the folder `notebook` of the project's own run. `watch`
    hears of the progress; by default a notebook shows it and a script does not. Raises what `terraseg check` would say,
    as errors.
    """
    if project is not None:
        opened = read_project(Path(project))
        trains_in = f"{opened.map.run}/{NOTEBOOK}"
    elif images is not None:
        opened = _project_of(_paths(images), _paths(labels), str(run))
        trains_in = opened.map.run
    else:
        raise EmptyDataset("there is nothing to prepare: pass a project file, or images= and labels=")
    with opened.run.locked():
        dataset, facts = steps.prepare(opened, watcher(watch))
    return Data(replace(opened, map=replace(opened.map, run=trains_in)), dataset, facts)


def _project_of(images: list[Path], labels: list[Path], run: str) -> Project:
    found = check_sources(images, labels, Path())
    if found.problems:
        raise EmptyDataset(found.problems[0])
    plain = project_from({"data": {"images": ["*"]}, "map": {"run": run}}, Path())
    return replace(plain, data=found.data)


def _paths(value: Paths | None) -> list[Path]:
    if value is None:
        return []
    return [Path(value)] if isinstance(value, str | Path) else [Path(v) for v in value]
