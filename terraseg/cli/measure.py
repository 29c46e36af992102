"""terraseg measure"""

from pathlib import Path
from typing import Annotated

import typer

from terraseg.cli.flags import DEFAULT_CONFIG, Config, Overrides


def run(
    class_map: Annotated[Path | None, typer.Argument(help="A class map; without it, the project's maps.")] = None,
    polygons: Annotated[Path | None, typer.Option("--polygons", help="Its polygons, if they lie elsewhere.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="The CSV file; the JSON file stands beside it.")] = None,
    config: Config = DEFAULT_CONFIG,
    overrides: Overrides = None,
) -> None:
    """Area and share of every class on the ground, and number and sizes of its objects, as CSV and JSON."""
    from terraseg.cli.display import print_files, watching

    if class_map is None:
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

    table = out or class_map.with_suffix(".csv")
    outputs = [table, table.with_suffix(".json")]
    rows = statistics_files(class_map, polygons or class_map.with_suffix(".gpkg"), outputs, MeasureOptions())
    print_statistics(rows)
    print_files([str(path) for path in outputs])
