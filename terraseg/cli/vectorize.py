"""terraseg vectorize"""

from pathlib import Path
from typing import Annotated

import typer

from terraseg.cli.flags import DEFAULT_CONFIG, Config, Overrides
from terraseg.cli.settings import names_in

Names = list[str] | None


def run(
    class_map: Annotated[Path | None, typer.Argument(help="A class map; without it, the project's maps.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="The polygons' file: .gpkg, .geojson or .parquet.")] = None,
    min_area: Annotated[float | None, typer.Option("--min-area", help="Smallest region kept, in m2.")] = None,
    simplify: Annotated[
        float | None, typer.Option("--simplify", help="How far borders may move, in m; 0 keeps pixels.")
    ] = None,
    classes: Annotated[Names, typer.Option("--class", help="A class to keep; repeat for more.")] = None,
    split: Annotated[
        Names, typer.Option("--split", metavar="CLASS,...", help="Parts touching objects where they are narrow.")
    ] = None,
    split_by: Annotated[
        str | None, typer.Option("--split-by", metavar="distance|probability", help="Also part them along dips.")
    ] = None,
    regularize: Annotated[
        bool, typer.Option("--regularize", help="Buildings get right angles, round ones become circles.")
    ] = False,
    buildings: Annotated[Names, typer.Option("--buildings", metavar="CLASS,...", help="What is a building.")] = None,
    centerlines: Annotated[
        Names, typer.Option("--centerlines", metavar="CLASS,...", help="Also draws the middle of streets, with widths.")
    ] = None,
    crs: Annotated[str | None, typer.Option("--crs", help="CRS of the polygons; the map's unless said.")] = None,
    config: Config = DEFAULT_CONFIG,
    overrides: Overrides = None,
) -> None:
    """Turns a class map into polygons with class, ground area, perimeter and confidence, styled for QGIS.

    Neighbours share their borders, whatever the raster's size. Buildings get length, width, orientation and compactness
    besides; --split counts touching trees and buildings one by one.
    """
    given: dict[str, object] = {"min_area_m2": min_area, "simplify_m": simplify, "crs": crs}
    given |= {"classes": tuple(classes or ()), "split": names_in(split), "buildings": names_in(buildings)}
    given |= {"centerlines": names_in(centerlines), "regularize": regularize, "split_by": split_by}
    # Zero is a value that was given, and equal to False.
    table = {key: value for key, value in given.items() if value is not False and value not in (None, ())}
    if class_map is None:
        _vectorize_project(config, overrides, table)
        return
    _vectorize_file(class_map, out or class_map.with_suffix(".gpkg"), table)


def _vectorize_project(config: Path, overrides: list[str] | None, table: dict[str, object]) -> None:
    from dataclasses import asdict, replace

    from terraseg.cli.display import print_files, watching
    from terraseg.cli.settings import open_project
    from terraseg.core.options import read_options
    from terraseg.pipeline import steps
    from terraseg.pipeline.cleaning import clean
    from terraseg.vectorize.options import VectorizeOptions

    project = open_project(config, overrides)
    options = read_options(VectorizeOptions, asdict(project.vectorize) | table, "the command line")
    project = replace(project, vectorize=options)
    with project.run.locked(), watching() as watch:
        dataset, _ = steps.prepare(project, watch)
        maps = clean(project, steps.predict(project, steps.scenes_to_map(project, dataset), watch), watch)
        files = steps.vectorize(project, maps, watch)
    print_files([str(path) for path in files])


def _vectorize_file(class_map: Path, out: Path, table: dict[str, object]) -> None:
    from terraseg.cli.display import print_files
    from terraseg.core.options import read_options
    from terraseg.pipeline.products import polygons_file
    from terraseg.vectorize.options import VectorizeOptions

    polygons_file(class_map, out, read_options(VectorizeOptions, table, "the command line"))
    print_files([str(out)])
