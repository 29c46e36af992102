"""From flags to a project: the project file with what the command line sets on top."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from terraseg.pipeline.project import Project


def open_project(config: Path, overrides: list[str] | None, **train: str | int | None) -> "Project":
    """The project of a file with `--set` applied, and the flags in `train` over the [train] table."""
    from terraseg.pipeline.project import read_project

    extra = [f"train.{name}={value}" for name, value in train.items() if value is not None]
    return read_project(config, [*(overrides or []), *extra])


def engine_settings(**flags: str | None) -> list[str]:
    """The flags that say what runs a model, as settings of the [engine] table."""
    return [f"engine.{name}={value}" for name, value in flags.items() if value is not None]
