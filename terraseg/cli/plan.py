"""terraseg plan"""

from typing import Annotated

import typer

from terraseg.cli.flags import DEFAULT_CONFIG, Config, Epochs, Overrides, Quality, Steps, TimeBudget


def run(
    config: Config = DEFAULT_CONFIG,
    overrides: Overrides = None,
    quality: Quality = None,
    time_budget: TimeBudget = None,
    epochs: Epochs = None,
    steps: Steps = None,
    explain: Annotated[
        bool,
        typer.Option("--explain", help="Shows the facts of data and machine too, and how to set each line otherwise."),
    ] = False,
) -> None:
    """Shows how training would be done on this machine, with the reason for every setting; trains nothing."""
    from terraseg.cli.display import print_files, watching
    from terraseg.cli.plantable import print_facts, print_plan
    from terraseg.cli.settings import open_project
    from terraseg.pipeline import steps as pipeline

    project = open_project(config, overrides, quality=quality, time_budget=time_budget, epochs=epochs, steps=steps)
    with project.run.locked(), watching() as watch:
        _, facts = pipeline.prepare(project, watch)
        made, machine = pipeline.plan_on_machine(project, facts, watch)
    if explain:
        print_facts(facts, machine)
    print_plan(made, overridable=explain)
    print_files([str(project.run.fingerprint), str(project.run.plan)])
