"""terraseg predict"""

from pathlib import Path
from typing import Annotated

import typer

from terraseg.cli.flags import DEFAULT_CONFIG, Config, Engine, Fresh, Overrides, Precision, Tta

Rasters = Annotated[
    list[str] | None,
    typer.Argument(help="Rasters, folders, patterns, addresses, STAC items; one file a band as scene_{band}.tif."),
]
Models = Annotated[
    list[Path] | None,
    typer.Option("--model", help="A model's folder, such as runs/first/model; of several the mean is mapped."),
]
Out = Annotated[Path | None, typer.Option("--out", help="The map's file, or a folder for several.")]
Confidence = Annotated[bool, typer.Option("--confidence", help="Also writes the probability of the chosen class.")]
Uncertainty = Annotated[bool, typer.Option("--uncertainty", help="Also writes the entropy of the classes.")]
Probabilities = Annotated[
    str | None, typer.Option("--probabilities", help="uint8 or float16: also writes those of all classes.")
]
MaxRam = Annotated[
    str | None, typer.Option("--max-ram", metavar="SIZE", help="The most memory to take in all: 2G, 600M.")
]
Exact = Annotated[bool, typer.Option("--exact", help="The map is what one pass over the whole raster would give.")]
Shard = Annotated[
    str | None, typer.Option("--shard", metavar="I/N", help="Does the i-th of n parts; the last one makes the map.")
]
Cluster = Annotated[
    str | None,
    typer.Option(
        "--cluster", metavar="ADDRESS", help="A dask scheduler that shares out the work, tcp://host:8786, or local."
    ),
]
Aoi = Annotated[str | None, typer.Option("--aoi", help="Polygons: the map holds nothing outside them.")]
Resample = Annotated[
    str | None, typer.Option("--resample", help="auto, or off: predicts pixels of another size as they are.")
]
Fit = Annotated[
    str | None, typer.Option("--fit", help="strict, warn or off: what becomes of values that do not fit the model.")
]


def run(
    rasters: Rasters = None,
    model: Models = None,
    out: Out = None,
    confidence: Confidence = False,
    uncertainty: Uncertainty = False,
    probabilities: Probabilities = None,
    max_ram: MaxRam = None,
    exact: Exact = False,
    shard: Shard = None,
    cluster: Cluster = None,
    fresh: Fresh = False,
    aoi: Aoi = None,
    resample: Resample = None,
    fit: Fit = None,
    config: Config = DEFAULT_CONFIG,
    overrides: Overrides = None,
    engine: Engine = None,
    precision: Precision = None,
    tta: Tta = None,
) -> None:
    """Turns rasters into class maps with a model; without arguments maps the project's scenes."""
    from terraseg.errors import BadOption

    made: dict[str, object] = {
        "confidence": confidence or None,
        "uncertainty": uncertainty or None,
        "probabilities": probabilities,
        "max_ram": max_ram,
        "exact": exact or None,
    }
    given: dict[str, object] = {"aoi": aoi, "resample": resample, "fit": fit}
    runs = {"engine": engine, "precision": precision, "tta": tta}
    for flag, value in (("--shard", shard), ("--cluster", cluster)):
        if value is not None and not rasters:
            raise BadOption(f"{flag} {value} shares out rasters that are named: pass them, with --model")
    if rasters:
        settings = _options(overrides, **made, **runs, **given)
        _predict_named(rasters, model or [], out, settings, (fresh, shard, cluster))
    else:
        _predict_project(config, overrides, {"predict": made, "input": given}, runs, fresh=fresh)


def _predict_named(
    rasters: list[str],
    models: list[Path],
    out: Path | None,
    settings: dict[str, object],
    course: tuple[bool, str | None, str | None],
) -> None:
    """Maps rasters that are named; `course` holds --fresh, --shard and --cluster."""
    from terraseg.cli.display import print_files, watching
    from terraseg.errors import BadOption

    fresh, shard, cluster = course
    if cluster is not None and shard is not None:
        raise BadOption(
            f"--shard {shard} and --cluster do not go together: the cluster makes shards itself, leave it out"
        )
    with watching() as watch:
        if cluster is None:
            from terraseg.pipeline.rasters import Course, predict_files

            done = predict_files(rasters, models, out, settings, watch=watch, course=Course(fresh, shard))
        else:
            from terraseg.pipeline.cluster import Cluster, predict_on_cluster

            where = Cluster(cluster, fresh)
            done = predict_on_cluster(rasters, models, out, settings, cluster=where, watch=watch)
    print_files([str(path) for path in done.files])
    done.check()


def _predict_project(
    config: Path,
    overrides: list[str] | None,
    tables: dict[str, dict[str, object]],
    runs: dict[str, str | None],
    *,
    fresh: bool,
) -> None:
    """Maps the scenes of a project."""
    from terraseg.cli.display import print_files, watching
    from terraseg.cli.settings import engine_settings, open_project
    from terraseg.pipeline import steps

    if tables["input"]["aoi"]:
        tables["input"]["aoi"] = str(Path(str(tables["input"]["aoi"])).resolve())
    extra = [
        f"{table}.{name}={_toml(value)}"
        for table, settings in tables.items()
        for name, value in settings.items()
        if value is not None
    ]
    project = open_project(config, [*(overrides or []), *extra, *engine_settings(**runs)])
    with project.run.locked(), watching() as watch:
        dataset, _ = steps.prepare(project, watch)
        maps = steps.predict(project, steps.scenes_to_map(project, dataset, watch), watch, fresh=fresh)
    print_files([str(path) for path in maps])


def _toml(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _options(overrides: list[str] | None, **flags: object) -> dict[str, object]:
    """The settings of [predict], [input] and [engine] that the command line gives."""
    from terraseg.errors import BadOption
    from terraseg.pipeline.project import parse_override

    table: dict[str, object] = {name: value for name, value in flags.items() if value is not None}
    for text in overrides or []:
        name, key, value = parse_override(text)
        if name not in ("predict", "input", "engine"):
            raise BadOption(
                f"--set {text!r}: predicting a raster takes only settings of [predict], [input] and [engine]"
            )
        table[key] = value
    return table
