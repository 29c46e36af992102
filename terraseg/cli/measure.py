"""terraseg measure"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from terraseg.cli.flags import DEFAULT_CONFIG, Config, Overrides

if TYPE_CHECKING:
    from terraseg.measure.design import SampleOptions
    from terraseg.measure.options import MeasureOptions


def run(
    product: Annotated[
        Path | None, typer.Argument(help="A class map or polygons; without it, the project's maps.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="The CSV file; the other files stand beside it.")] = None,
    per: Annotated[
        str | None, typer.Option("--per", metavar="FILE|SIZE", help="By district of a polygon file, or by cell: 100m.")
    ] = None,
    sample: Annotated[
        Path | None,
        typer.Option("--sample", help="Labelled points: areas corrected for the map's errors, with intervals."),
    ] = None,
    truth: Annotated[
        Path | None, typer.Option("--truth", help="The same from a raster of true classes, or a run's scores.json.")
    ] = None,
    plan_sample: Annotated[
        str | None,
        typer.Option("--plan-sample", metavar="+-5%", help="Draws the points to label for that precision instead."),
    ] = None,
    expected: Annotated[
        float, typer.Option("--expected", help="How right the map is thought to be, for the plan.")
    ] = 0.7,
    least: Annotated[int, typer.Option("--least", help="Points for any class, for the plan.")] = 50,
    seed: Annotated[int, typer.Option("--seed", help="Which sample is drawn.")] = 0,
    config: Config = DEFAULT_CONFIG,
    overrides: Overrides = None,
) -> None:
    """Area and share of every class on the ground, its objects, and figures of buildings, streets and trees.

    Writes CSV and JSON, with --per a GeoPackage too. --plan-sample says how many points to label on each class and draws them
    for QGIS; --sample reads them back and gives areas with 95 % intervals.
    """
    from terraseg.errors import BadOption

    if product is None:
        if sample or truth or plan_sample:
            raise BadOption(
                "--sample, --truth and --plan-sample are about one map: name it, terraseg measure MAP.tif ..."
            )
        _measure_project(config, [*(overrides or []), *([] if per is None else [f"measure.per={per}"])])
    elif plan_sample is not None:
        from terraseg.measure.design import SampleOptions, parse_precision

        _draw(product, out, SampleOptions(parse_precision(plan_sample), expected, least=least, seed=seed))
    else:
        _measure_product(product, out, _options(overrides, per), (sample, truth))


def _measure_project(config: Path, overrides: list[str]) -> None:
    from terraseg.cli.display import print_files, watching
    from terraseg.cli.settings import open_project
    from terraseg.pipeline import steps
    from terraseg.pipeline.cleaning import clean

    project = open_project(config, overrides)
    with project.run.locked(), watching() as watch:
        dataset, _ = steps.prepare(project, watch)
        maps = clean(project, steps.predict(project, steps.scenes_to_map(project, dataset), watch), watch)
        steps.vectorize(project, maps, watch)
        files = steps.measure(project, maps, watch)
    print_files([str(path) for path in files])


def _options(overrides: list[str] | None, per: str | None) -> "MeasureOptions":
    """The settings of [measure] that the command line gives."""
    from terraseg.core.options import read_options
    from terraseg.errors import BadOption
    from terraseg.measure.options import MeasureOptions
    from terraseg.pipeline.project import parse_override

    table: dict[str, object] = {} if per is None else {"per": per}
    for text in overrides or []:
        name, key, value = parse_override(text)
        if name != "measure":
            raise BadOption(f"--set {text!r}: measuring a map takes only settings of [measure]")
        table[key] = value
    return read_options(MeasureOptions, table, "the command line")


def _measure_product(
    product: Path, out: Path | None, options: "MeasureOptions", reference: tuple[Path | None, Path | None]
) -> None:
    from terraseg.cli.display import print_files
    from terraseg.cli.measuretables import print_figures, print_honest
    from terraseg.cli.tables import print_statistics
    from terraseg.pipeline.measuring import Reference, measure_files

    measured = measure_files(product, out or product.with_suffix(".csv"), options, reference=Reference(*reference))
    print_statistics(measured.statistics.rows())
    print_figures(measured.statistics)
    if measured.honest is not None:
        print_honest(measured.honest, measured.notes)
    print_files([str(path) for path in measured.files])


def _draw(product: Path, out: Path | None, options: "SampleOptions") -> None:
    from terraseg.cli.display import print_files
    from terraseg.cli.measuretables import print_design
    from terraseg.pipeline.measuring import sample_file

    path = out or product.with_name(f"{product.stem}_sample.gpkg")
    design, drawn = sample_file(product, path, options)
    print_design(design, drawn, product, path)
    print_files([str(path)])
