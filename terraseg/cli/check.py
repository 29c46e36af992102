"""terraseg check"""

from pathlib import Path
from typing import Annotated

import typer

from terraseg.cli.flags import DEFAULT_CONFIG


def run(
    sources: Annotated[list[Path] | None, typer.Argument(help="Folders or files of imagery and labels.")] = None,
    labels: Annotated[
        list[Path] | None, typer.Option("--labels", help="Label files or folders, if names do not tell.")
    ] = None,
    config: Annotated[Path, typer.Option("--config", help="The project file to write, or to check.")] = DEFAULT_CONFIG,
    fresh: Annotated[bool, typer.Option("--fresh", help="Replaces a project file that is there already.")] = False,
) -> int:
    """Looks through imagery and labels and writes a first project file; without arguments checks the one that is there.

    Finds the pairs, classes, reference systems, resolutions, bit depths and bands, and says what does not fit and how to mend
    it. Leaves with 2 when training would not be possible.
    """
    from terraseg.cli.tables import print_check, print_project
    from terraseg.errors import BadOption

    if not sources:
        return print_project(config)
    from terraseg.prepare.check import check_sources
    from terraseg.prepare.projectfile import project_text
    from terraseg.store.rundir import write_text

    if config.exists() and not fresh:
        raise BadOption(f"{config} exists: pass --fresh to write it anew, another --config, or no folder to check it")
    found = check_sources(sources, labels or [], config.resolve().parent)
    print_check(found)
    if found.problems:
        return 2
    write_text(config, project_text(found))
    code = print_project(config)
    print(config)
    return code
