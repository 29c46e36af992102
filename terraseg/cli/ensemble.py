"""terraseg ensemble"""

from pathlib import Path
from typing import Annotated

import typer


def run(
    models: Annotated[list[Path], typer.Argument(help="Model folders, such as runs/a/model runs/b/model.")],
    out: Annotated[Path, typer.Option("--out", help="The folder of the new model.")],
    weights: Annotated[
        list[float] | None, typer.Option("--weight", help="How much a model counts; repeat for each, in order.")
    ] = None,
) -> None:
    """Averages the class probabilities of several models in one new model, which predicts like any other."""
    from importlib.util import find_spec

    from terraseg.cli.display import print_files
    from terraseg.errors import missing_extra

    if find_spec("onnx") is None:
        raise missing_extra("averaging models", "train")
    from terraseg.export.ensemble import ensemble_bundle

    ensemble_bundle(models, out, weights=weights or None)
    print_files([str(out)])
