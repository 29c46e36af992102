"""terraseg vectorize"""

from pathlib import Path
from typing import Annotated

import typer

from terraseg.cli.flags import DEFAULT_CONFIG, Config, Overrides


def run(
    class_map: Annotated[Path | None, typer.Argument(help="A class map; without it, the project's maps.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="The polygons' file: .gpkg, .geojson or .parquet.")] = None,
    min_area: Annotated[float | None, typer.Option("--min-area", help="Smallest region kept, in m2.")] = None,
    simplify: Annotated[
        float | None, typer.Option("--simplify", help="How far borders may move, in m; 0 keeps pixels.")
    ] = None,
    classes: Annotated[list[str] | None, typer.Option("--class", help="A class to keep; repeat for more.")] = None,
    config: Config = DEFAULT_CONFIG,
    overrides: Overrides = None,
) -> None:
    """Turns a class map into polygons with class, ground area, perimeter and confidence, styled for QGIS."""
    from terraseg.cli.display import print_files, watching

    if class_map is None:
        from terraseg.cli.settings import open_project
        from terraseg.pipeline import steps

        project = open_project(config, overrides)
        with project.run.locked(), watching() as watch:
            dataset, _ = steps.prepare(project, watch)
            maps = steps.predict(project, steps.scenes_to_map(project, dataset), watch)
            files = steps.vectorize(project, maps, watch)
        print_files([str(path) for path in files])
        return
    from terraseg.core.options import read_options
    from terraseg.pipeline.products import polygons_file
    from terraseg.vectorize.options import VectorizeOptions

    given = {"min_area_m2": min_area, "simplify_m": simplify, "classes": tuple(classes or ()) or None}
    table = {key: value for key, value in given.items() if value is not None}
    path = out or class_map.with_suffix(".gpkg")
    polygons_file(class_map, path, read_options(VectorizeOptions, table, "the command line"))
    print_files([str(path)])
