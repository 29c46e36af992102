"""terraseg lr-find"""

from terraseg.cli.flags import DEFAULT_CONFIG, Config, Overrides


def run(config: Config = DEFAULT_CONFIG, overrides: Overrides = None) -> None:
    """Finds a learning rate by a range test: a hundred steps at rising rates, whose weights are thrown away."""
    from terraseg.cli.display import print_files, watching
    from terraseg.cli.settings import open_project
    from terraseg.pipeline import steps

    project = open_project(config, overrides)
    with project.run.locked(), watching() as watch:
        dataset, facts = steps.prepare(project, watch)
        made = steps.plan(project, facts, watch)
        steps.find_rate(project, dataset, facts, made, watch)
    print_files([str(project.run.lr_find), str(project.run.figures / "lr_find.png")])
