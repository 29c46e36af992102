"""terraseg train"""

from terraseg.cli.flags import DEFAULT_CONFIG, Config, Fresh, Overrides, TimeBudget


def run(
    config: Config = DEFAULT_CONFIG, overrides: Overrides = None, time_budget: TimeBudget = None, fresh: Fresh = False
) -> None:
    """Trains a model by the plan and writes its bundle; an interrupted training goes on where it was."""
    from terraseg.cli.display import print_files, watching
    from terraseg.cli.settings import open_project
    from terraseg.pipeline import steps

    project = open_project(config, overrides, time_budget=time_budget)
    with project.run.locked(), watching() as watch:
        if fresh:
            steps.forget_run(project)
        dataset, facts = steps.prepare(project, watch)
        made = steps.plan(project, facts, watch)
        model = steps.train(project, dataset, facts, made, watch)
    print_files([str(model), str(project.run.progress)])
