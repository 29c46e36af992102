"""terraseg report"""

from terraseg.cli.flags import DEFAULT_CONFIG, Config, Overrides


def run(config: Config = DEFAULT_CONFIG, overrides: Overrides = None) -> None:
    """Writes the report page of a project: one HTML file with maps, scores, statistics, plan and provenance."""
    from terraseg.cli.display import print_files, watching
    from terraseg.cli.settings import open_project
    from terraseg.pipeline import steps

    project = open_project(config, overrides)
    with project.run.locked(), watching() as watch:
        dataset, _ = steps.prepare(project, watch)
        page = steps.report(project, dataset, steps.scenes_to_map(project, dataset), watch)
    print_files([str(page)])
