"""terraseg evaluate"""

from terraseg.cli.flags import DEFAULT_CONFIG, Config, Engine, Overrides


def run(config: Config = DEFAULT_CONFIG, overrides: Overrides = None, engine: Engine = "auto") -> None:
    """Scores the project's maps against its labels: confusion matrix, accuracy, IoU, F1, precision and recall by class.

    The test scenes are scored, or where there are none the validation windows. Maps that are missing or older than the
    model are predicted first.
    """
    from terraseg.cli.display import print_files, watching
    from terraseg.cli.settings import open_project
    from terraseg.cli.tables import print_evaluation
    from terraseg.errors import EmptyDataset
    from terraseg.pipeline import baseline, steps

    project = open_project(config, overrides)
    with project.run.locked(), watching() as watch:
        dataset, _ = steps.prepare(project, watch)
        scenes = steps.scenes_to_map(project, dataset)
        steps.predict(project, scenes, watch, engine=engine)
        compared = baseline.score_forest(project, dataset, scenes, watch)
        evaluation = steps.evaluate(project, dataset, scenes, watch, baseline=compared)
    if evaluation is None:
        raise EmptyDataset("none of the mapped scenes has labels: name labelled test scenes under [data]")
    print_evaluation(evaluation)
    print_files([str(project.run.scores)])
