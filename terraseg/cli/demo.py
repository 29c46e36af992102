"""terraseg demo"""

from pathlib import Path
from typing import Annotated

import typer

from terraseg.cli.flags import Fresh


def run(
    folder: Annotated[Path, typer.Argument(help="Where the towns and their maps go.")] = Path("demo"),
    time_budget: Annotated[str, typer.Option("--time-budget", help="How long to train.")] = "150s",
    fresh: Fresh = False,
) -> None:
    """Makes three towns to train on and one to map, and does all of it: model, map, polygons, statistics, scores, report."""
    import time

    from terraseg.cli.display import clock, print_files, watching
    from terraseg.cli.scoretables import print_evaluation
    from terraseg.cli.settings import open_project
    from terraseg.pipeline.demo import write_demo
    from terraseg.pipeline.map import map_project

    began = time.monotonic()
    project = open_project(write_demo(folder, time_budget=time_budget), None, time_budget=time_budget)
    with watching() as watch:
        result = map_project(project, watch=watch, fresh=fresh)
    if result.evaluation is not None:
        print_evaluation(result.evaluation)
    print(f"done in {clock(time.monotonic() - began)}; open the report in a browser and the GeoPackage in QGIS:")
    print_files([str(file) for file in (*result.maps, *result.polygons, *result.statistics, result.report)])
