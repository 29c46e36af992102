"""terraseg measure"""

from pathlib import Path
from typing import Annotated

import typer

from terraseg.cli.flags import DEFAULT_CONFIG, Config, Overrides


def run(
    product: Annotated[
        Path | None, typer.Argument(help="A class map or polygons; without it, the project's maps.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="The CSV file; the JSON file stands beside it.")] = None,
    config: Config = DEFAULT_CONFIG,
    overrides: Overrides = None,
) -> None:
    """Area and share of every class on the ground, and number and sizes of its objects, as CSV and JSON."""
    from terraseg.cli.display import print_files, watching

    if product is None:
        from terraseg.cli.settings import open_project
        from terraseg.pipeline import steps

        project = open_project(config, overrides)
        with project.run.locked(), watching() as watch:
            dataset, _ = steps.prepare(project, watch)
            maps = steps.predict(project, steps.scenes_to_map(project, dataset), watch)
            steps.vectorize(project, maps, watch)
            files = steps.measure(project, maps, watch)
        print_files([str(path) for path in files])
        return
    from terraseg.cli.tables import print_statistics
    from terraseg.measure.options import MeasureOptions
    from terraseg.pipeline.products import statistics_files

    table = out or product.with_suffix(".csv")
    outputs = [table, table.with_suffix(".json")]
    rows = statistics_files(product, outputs, MeasureOptions())
    print_statistics(rows)
    print_files([str(path) for path in outputs])
