"""terraseg evaluate"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from terraseg.cli.flags import DEFAULT_CONFIG, Config, Engine, Overrides, Precision, Tta

if TYPE_CHECKING:
    from terraseg.pipeline.project import Project

Compare = Annotated[
    tuple[Path, Path] | None,
    typer.Option("--compare", metavar="A B", help="Compares two models instead: run folders, or folders of maps."),
]


def run(
    config: Config = DEFAULT_CONFIG,
    overrides: Overrides = None,
    engine: Engine = None,
    precision: Precision = None,
    tta: Tta = None,
    compare: Compare = None,
    split: Annotated[
        list[str] | None,
        typer.Option("--split", metavar="CLASS,...", help="Also scores objects with touching ones parted."),
    ] = None,
) -> None:
    """Scores the project's maps against its labels: pixels, outlines and objects by class, with confidence intervals.

    The test scenes are scored, or where there are none the validation windows. Maps that are missing or older than the
    model are predicted first. With --tta the labelled scenes are predicted without and with the further views of each tile,
    and both scores are shown with what the views cost. With --compare the maps of two models are held against the same
    labels, and a paired bootstrap over blocks of ground says whether their difference is more than noise. Classes that
    [vectorize] splits, or those of --split, get object scores without and with the splitting.
    """
    from terraseg.cli.display import print_files, watching
    from terraseg.cli.scoretables import print_evaluation, print_gain
    from terraseg.cli.settings import engine_settings, open_project, split_setting
    from terraseg.errors import EmptyDataset
    from terraseg.pipeline import baseline, scoring, steps
    from terraseg.pipeline.cleaning import clean
    from terraseg.pipeline.gain import measure_gain

    chosen = [*engine_settings(engine=engine, precision=precision), *split_setting(split)]
    # As a setting the views would count for the maps of the project as well.
    further = open_project(config, [*(overrides or []), *chosen, *engine_settings(tta=tta)]).engine
    project = open_project(config, [*(overrides or []), *chosen])
    if compare is not None:
        _compare(project, compare)
        return
    with project.run.locked(), watching() as watch:
        dataset, _ = steps.prepare(project, watch)
        scenes = steps.scenes_to_map(project, dataset)
        clean(project, steps.predict(project, scenes, watch), watch)
        compared = baseline.score_forest(project, dataset, scenes, watch)
        evaluation = scoring.evaluate(project, dataset, scenes, watch, baseline=compared)
        gain = None
        if tta is not None and evaluation is not None:
            gain = measure_gain(project, dataset, scenes, options=further, watch=watch)
    if evaluation is None:
        raise EmptyDataset("none of the mapped scenes has labels: name labelled test scenes under [data]")
    print_evaluation(evaluation)
    if gain is not None:
        print_gain(gain)
    print_files([str(project.run.scores)])


def _compare(project: "Project", folders: tuple[Path, Path]) -> None:
    from terraseg.cli.display import print_files, watching
    from terraseg.cli.scoretables import print_comparison
    from terraseg.pipeline import scoring

    with project.run.locked(), watching() as watch:
        comparison, out = scoring.compare_models(project, scoring.labelled_dataset(project), folders, watch)
    print_comparison(comparison)
    print_files([str(out)])
