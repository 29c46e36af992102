"""terraseg predict"""

from pathlib import Path
from typing import Annotated

import typer

from terraseg.cli.flags import DEFAULT_CONFIG, Config, Engine, Overrides


def run(
    rasters: Annotated[list[str] | None, typer.Argument(help="Rasters; one file a band as scene_{band}.tif.")] = None,
    model: Annotated[Path | None, typer.Option("--model", help="A model's folder, such as runs/first/model.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="The map's file, or a folder for several.")] = None,
    confidence: Annotated[
        bool, typer.Option("--confidence", help="Also writes the probability of the chosen class.")
    ] = False,
    config: Config = DEFAULT_CONFIG,
    overrides: Overrides = None,
    engine: Engine = "auto",
) -> None:
    """Turns rasters into class maps with a model; without arguments maps the project's scenes."""
    from terraseg.cli.display import print_files, watching

    if not rasters:
        from terraseg.cli.settings import open_project
        from terraseg.pipeline import steps

        extra = ["predict.confidence=true"] if confidence else []
        project = open_project(config, [*(overrides or []), *extra])
        with project.run.locked(), watching() as watch:
            dataset, _ = steps.prepare(project, watch)
            maps = steps.predict(project, steps.scenes_to_map(project, dataset), watch, engine=engine)
        print_files([str(path) for path in maps])
        return
    from terraseg.pipeline.products import predict_files

    with watching() as watch:
        files = predict_files(rasters, model, out, _options(overrides, confidence), watch=watch, engine=engine)
    print_files([str(path) for path in files])


def _options(overrides: list[str] | None, confidence: bool) -> dict[str, object]:
    """The [predict] settings that the command line gives."""
    from terraseg.errors import BadOption
    from terraseg.pipeline.project import parse_override

    table: dict[str, object] = {"confidence": confidence} if confidence else {}
    for text in overrides or []:
        name, key, value = parse_override(text)
        if name != "predict":
            raise BadOption(f"--set {text!r}: predicting a raster takes only settings of [predict]")
        table[key] = value
    return table
