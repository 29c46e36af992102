"""terraseg predict"""

from pathlib import Path
from typing import Annotated

import typer

from terraseg.cli.flags import DEFAULT_CONFIG, Config, Engine, Fresh, Overrides, Precision, Tta


def run(
    rasters: Annotated[
        list[str] | None,
        typer.Argument(help="Rasters, folders, patterns, addresses, STAC items; one file a band as scene_{band}.tif."),
    ] = None,
    model: Annotated[
        list[Path] | None,
        typer.Option("--model", help="A model's folder, such as runs/first/model; of several the mean is mapped."),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="The map's file, or a folder for several.")] = None,
    confidence: Annotated[
        bool, typer.Option("--confidence", help="Also writes the probability of the chosen class.")
    ] = False,
    uncertainty: Annotated[bool, typer.Option("--uncertainty", help="Also writes the entropy of the classes.")] = False,
    probabilities: Annotated[
        str | None, typer.Option("--probabilities", help="uint8 or float16: also writes those of all classes.")
    ] = None,
    max_ram: Annotated[
        str | None, typer.Option("--max-ram", metavar="SIZE", help="The most memory to take in all: 2G, 600M.")
    ] = None,
    exact: Annotated[
        bool, typer.Option("--exact", help="The map is what one pass over the whole raster would give.")
    ] = False,
    shard: Annotated[
        str | None, typer.Option("--shard", metavar="I/N", help="Does the i-th of n parts; the last one makes the map.")
    ] = None,
    fresh: Fresh = False,
    aoi: Annotated[str | None, typer.Option("--aoi", help="Polygons: the map holds nothing outside them.")] = None,
    resample: Annotated[
        str | None, typer.Option("--resample", help="auto, or off: predicts pixels of another size as they are.")
    ] = None,
    fit: Annotated[
        str | None, typer.Option("--fit", help="strict, warn or off: what becomes of values that do not fit the model.")
    ] = None,
    config: Config = DEFAULT_CONFIG,
    overrides: Overrides = None,
    engine: Engine = None,
    precision: Precision = None,
    tta: Tta = None,
) -> None:
    """Turns rasters into class maps with a model; without arguments maps the project's scenes."""
    from terraseg.cli.display import print_files, watching
    from terraseg.errors import BadOption

    made = {
        "confidence": confidence or None,
        "uncertainty": uncertainty or None,
        "probabilities": probabilities,
        "max_ram": max_ram,
        "exact": exact or None,
    }
    runs = {"engine": engine, "precision": precision, "tta": tta}
    if not rasters:
        from terraseg.cli.settings import engine_settings, open_project
        from terraseg.pipeline import steps

        if shard is not None:
            raise BadOption(f"--shard {shard} shares out rasters that are named: pass them, with --model")
        extra = [f"predict.{name}={_toml(value)}" for name, value in made.items() if value is not None]
        given = {"aoi": aoi and str(Path(aoi).resolve()), "resample": resample, "fit": fit}
        extra += [f"input.{name}={value}" for name, value in given.items() if value is not None]
        project = open_project(config, [*(overrides or []), *extra, *engine_settings(**runs)])
        with project.run.locked(), watching() as watch:
            dataset, _ = steps.prepare(project, watch)
            maps = steps.predict(project, steps.scenes_to_map(project, dataset), watch, fresh=fresh)
        print_files([str(path) for path in maps])
        return
    from terraseg.pipeline.rasters import Course, predict_files

    with watching() as watch:
        settings = _options(overrides, **made, **runs, aoi=aoi, resample=resample, fit=fit)
        done = predict_files(rasters, model or [], out, settings, watch=watch, course=Course(fresh, shard))
    print_files([str(path) for path in done.files])
    done.check()


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
