"""terraseg export"""

from pathlib import Path
from typing import Annotated

import typer

from terraseg.cli.flags import Engine


def run(
    model: Annotated[Path, typer.Argument(help="A model's folder, such as runs/first/model.")],
    deepness: Annotated[
        bool, typer.Option("--deepness", help="Writes an ONNX file for QGIS's Deepness plugin.")
    ] = False,
    stac: Annotated[bool, typer.Option("--stac", help="Writes a STAC item that describes the model.")] = False,
    arcgis: Annotated[
        bool, typer.Option("--arcgis", help="Writes an Esri model definition (.emd) with what runs it.")
    ] = False,
    out: Annotated[Path | None, typer.Option("--out", help="The folder for these; export beside the model's.")] = None,
    name: Annotated[str | None, typer.Option("--name", help="What they are called; like the run.")] = None,
    int8: Annotated[
        list[str] | None,
        typer.Option(
            "--int8", metavar="IMAGES", help="Adds the model in bytes, calibrated on these rasters or folders."
        ),
    ] = None,
    engine: Engine = None,
    force: Annotated[
        bool,
        typer.Option("--force", help="Keeps it though it disagrees with the exact model on more than 1 % of pixels."),
    ] = False,
) -> None:
    """Writes a model for other programs; with --int8 adds to it a graph in bytes, the fastest on a processor."""
    from terraseg.cli.display import print_files, watching
    from terraseg.errors import BadOption

    asked = {"deepness": deepness, "stac": stac, "arcgis": arcgis}
    formats = [format_ for format_, wanted in asked.items() if wanted]
    if not formats and not int8:
        raise BadOption("nothing to export was named: pass --deepness, --stac or --arcgis, or --int8 with imagery")
    made: list[str] = []
    with watching() as watch:
        if formats:
            from terraseg.pipeline.interchange import export_model

            made += [str(path) for path in export_model(model, formats, out, name=name, watch=watch)]
        if int8:
            from terraseg.pipeline.rasters import export_int8

            made.append(str(export_int8(model, int8, engine=engine or "auto", force=force, watch=watch)))
    print_files(made)
