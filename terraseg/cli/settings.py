"""From flags to a project: the project file with what the command line sets on top."""

import json
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


def split_setting(classes: list[str] | None) -> list[str]:
    """The classes of a --split flag as a setting of the [vectorize] table; none where there is no flag."""
    return [f"vectorize.split={json.dumps(names_in(classes))}"] if classes else []


def names_in(values: list[str] | None) -> tuple[str, ...]:
    """The names in a repeated flag, each of which may hold several with commas between them.

    >>> names_in(["building,tree", "road"])
    ('building', 'tree', 'road')
    """
    return tuple(name.strip() for value in values or () for name in value.split(",") if name.strip())
