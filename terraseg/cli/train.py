"""terraseg train"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from terraseg.cli.flags import DEFAULT_CONFIG, Config, Epochs, Folds, Fresh, Overrides, Quality, Steps, TimeBudget

if TYPE_CHECKING:
    from terraseg.core.watch import Watch
    from terraseg.pipeline.project import Project


def run(
    config: Config = DEFAULT_CONFIG,
    overrides: Overrides = None,
    quality: Quality = None,
    time_budget: TimeBudget = None,
    epochs: Epochs = None,
    steps: Steps = None,
    folds: Folds = None,
    model: Annotated[
        str, typer.Option("--model", help="network, or forest: decision trees, in about a minute.")
    ] = "network",
    ensemble: Annotated[
        bool, typer.Option("--ensemble", help="Trains both, and averages them in a third model.")
    ] = False,
    show_batch: Annotated[
        bool, typer.Option("--show-batch", help="Draws augmented patches beside their masks, and trains nothing.")
    ] = False,
    cache_gb: Annotated[
        float | None,
        typer.Option(
            "--cache-gb", metavar="GB", help="Disk space for copies of the scenes; 0 reads the files themselves."
        ),
    ] = None,
    fresh: Fresh = False,
) -> None:
    """Trains a model by the plan and writes its bundle; an interrupted training goes on where it was.

    With --folds it trains that many networks, each judged on ground that the others learn from, and writes their scores;
    a time budget is shared evenly by them.
    """
    from terraseg.cli.display import print_files, watching
    from terraseg.cli.settings import open_project
    from terraseg.pipeline import steps as pipeline
    from terraseg.pipeline.baseline import Training, train_models
    from terraseg.pipeline.folds import train_folds
    from terraseg.train.world import leading

    wanted = Training(model, ensemble=ensemble, folds=folds)
    with leading(os.environ) as leads:
        if not leads:
            return
        settings = [*(overrides or []), *([] if cache_gb is None else [f"sample.cache_gb={cache_gb}"])]
        project = open_project(config, settings, quality=quality, time_budget=time_budget, epochs=epochs, steps=steps)
        with project.run.locked(), watching() as watch:
            if fresh:
                pipeline.forget_run(project)
            if show_batch:
                files = [_draw_batch(project, watch)]
            elif folds is not None:
                files = [train_folds(project, folds, watch)]
            else:
                files = train_models(project, wanted, watch)
    print_files([str(file) for file in files])


def _draw_batch(project: "Project", watch: "Watch") -> Path:
    """The picture of the first training patches, in the run's figures."""
    from terraseg.engines.choose import require_training
    from terraseg.pipeline import steps as pipeline

    require_training()
    from terraseg.train.showbatch import batch_picture, write_picture
    from terraseg.train.trained import Task

    dataset, facts = pipeline.prepare(project, watch)
    made = pipeline.plan(project, facts, watch)
    task = Task(dataset, facts, made, project.run, project.sample.cache_gb)
    return write_picture(batch_picture(task), project.run.figures / "batch.png")
