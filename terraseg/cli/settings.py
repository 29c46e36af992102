"""From flags to a project: the project file with what the command line sets on top."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from terraseg.pipeline.project import Project


def open_project(config: Path, overrides: list[str] | None, *, time_budget: str | None = None) -> "Project":
    """The project of a file with `--set` and `--time-budget` applied."""
    from terraseg.pipeline.project import read_project

    extra = [f'train.time_budget="{time_budget}"'] if time_budget else []
    return read_project(config, [*(overrides or []), *extra])
