"""Flags that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

Config = Annotated[Path, typer.Option("--config", help="The project file.", show_default=True)]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="TABLE.KEY=VALUE", help="Overrides one setting of the project file."),
]
Fresh = Annotated[bool, typer.Option("--fresh", help="Starts over instead of going on where the last run stopped.")]
Engine = Annotated[
    str | None, typer.Option("--engine", help="onnx, openvino, torch, or auto: the fastest that is installed.")
]
Precision = Annotated[
    str | None,
    typer.Option(
        "--precision", help="exact: 32 bit; fast: 16 bit where the machine has them; int8: bytes, calibrated."
    ),
]
Tta = Annotated[
    str | None,
    typer.Option("--tta", help="flips, d4 or d4+scales: averages so many views of each tile (4, 8, 24)."),
]
TimeBudget = Annotated[
    str | None,
    typer.Option("--time-budget", metavar="DURATION", help="Trains for that long on this machine: 90s, 8m, 1h."),
]
Epochs = Annotated[int | None, typer.Option("--epochs", help="Trains for so many rounds over the training pixels.")]
Steps = Annotated[int | None, typer.Option("--steps", help="Trains for so many optimizer steps.")]
Quality = Annotated[
    str | None,
    typer.Option("--quality", help="fast, balanced or best: how long and how large, where nothing else says."),
]
Folds = Annotated[
    int | None,
    typer.Option("--folds", help="Cross-validates over so many parts of the ground instead: a model for each."),
]
DEFAULT_CONFIG = Path("terraseg.toml")
