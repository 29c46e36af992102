"""terraseg clean"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from terraseg.cli.flags import DEFAULT_CONFIG, Config, Overrides

if TYPE_CHECKING:
    from terraseg.clean.options import CleanOptions

BY_CLASS = "a number for all classes but the background, or CLASS=NUMBER; repeat for more."


def run(
    class_map: Annotated[Path | None, typer.Argument(help="A class map; without it, the project's maps.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="The cleaned map; NAME_clean.tif unless said.")] = None,
    threshold: Annotated[
        list[str] | None, typer.Option("--threshold", help=f"Least probability of a class: {BY_CLASS}")
    ] = None,
    below: Annotated[
        str, typer.Option("--below", help="What unsure pixels become: auto, background, next or void.")
    ] = "auto",
    smooth: Annotated[
        list[str] | None, typer.Option("--smooth", help=f"Radius of the majority around each pixel, in m: {BY_CLASS}")
    ] = None,
    min_hole: Annotated[
        list[str] | None, typer.Option("--min-hole", help=f"Smaller holes are filled, in m2: {BY_CLASS}")
    ] = None,
    min_area: Annotated[
        list[str] | None, typer.Option("--min-area", help=f"Smaller objects go to their neighbours, in m2: {BY_CLASS}")
    ] = None,
    config: Config = DEFAULT_CONFIG,
    overrides: Overrides = None,
) -> None:
    """Cleans a class map: unsure pixels, ragged borders, small holes and small objects, on a raster of any size.

    Probabilities are taken from NAME_confidence.tif or NAME_probabilities.tif beside the map. Without a map the project's
    maps are cleaned as its table [clean] says.
    """
    from terraseg.cli.display import print_files, watching

    if class_map is None:
        from terraseg.cli.settings import open_project
        from terraseg.pipeline import steps
        from terraseg.pipeline.cleaning import clean

        project = open_project(config, overrides)
        with project.run.locked(), watching() as watch:
            dataset, _ = steps.prepare(project, watch)
            maps = clean(project, steps.predict(project, steps.scenes_to_map(project, dataset), watch), watch)
        print_files([str(path) for path in maps])
        return
    from terraseg.pipeline.cleaning import clean_file

    given = {"threshold": threshold, "smooth_m": smooth, "min_hole_m2": min_hole, "min_area_m2": min_area}
    options = _options({key: values for key, values in given.items() if values}, below)
    summary = clean_file(class_map, out or class_map.with_name(f"{class_map.stem}_clean.tif"), options)
    print(f"{summary.changed:,} of {summary.observed:,} pixels changed")
    print_files([str(path) for path in summary.files])


def _options(given: dict[str, list[str]], below: str) -> "CleanOptions":
    """The settings of [clean] that the flags give; `BadOption` when they change nothing."""
    from terraseg.clean.options import CleanOptions
    from terraseg.core.options import read_options
    from terraseg.errors import BadOption

    table: dict[str, object] = {key: by_class(key, values) for key, values in given.items()}
    options = read_options(CleanOptions, table | {"below": below}, "the command line")
    if options.is_off:
        raise BadOption(
            "nothing is to be cleaned: pass --threshold, --smooth, --min-hole or --min-area, such as --min-area 10"
        )
    return options


def by_class(key: str, values: list[str]) -> float | dict[str, float]:
    """The number, or the numbers by class name, of a repeated flag; `BadOption` for anything else.

    >>> by_class("threshold", ["0.5"]), by_class("threshold", ["building=0.7", "tree=0.5"])
    (0.5, {'building': 0.7, 'tree': 0.5})
    """
    from terraseg.errors import BadOption

    numbers: dict[str, float] = {}
    for text in values:
        name, _, number = text.rpartition("=")
        try:
            numbers[name.strip()] = float(number)
        except ValueError as error:
            raise BadOption(f"{key}: {text!r} is no number and no CLASS=NUMBER: write 10 or building=10") from error
    if "" in numbers and len(numbers) > 1:
        raise BadOption(f"{key}: one number for all classes and others by class: write CLASS=NUMBER for each")
    return numbers.get("", numbers)
