"""terraseg plan"""

from terraseg.cli.flags import DEFAULT_CONFIG, Config, Overrides, TimeBudget


def run(config: Config = DEFAULT_CONFIG, overrides: Overrides = None, time_budget: TimeBudget = None) -> None:
    """Shows how training would be done on this machine, with the reason for every setting; trains nothing."""
    from terraseg.cli.display import print_files, watching
    from terraseg.cli.settings import open_project
    from terraseg.pipeline import steps

    project = open_project(config, overrides, time_budget=time_budget)
    with project.run.locked(), watching() as watch:
        _, facts = steps.prepare(project, watch)
        steps.plan(project, facts, watch)
    print_files([str(project.run.fingerprint), str(project.run.plan)])
