"""terraseg check"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from terraseg.cli.flags import DEFAULT_CONFIG, Overrides

if TYPE_CHECKING:
    from terraseg.pipeline.project import Project

WRONG = 2


def run(
    sources: Annotated[list[Path] | None, typer.Argument(help="Folders or files of imagery and labels.")] = None,
    labels: Annotated[
        list[Path] | None, typer.Option("--labels", help="Label files or folders, if names do not tell.")
    ] = None,
    config: Annotated[Path, typer.Option("--config", help="The project file to write, or to check.")] = DEFAULT_CONFIG,
    fresh: Annotated[bool, typer.Option("--fresh", help="Replaces a project file that is there already.")] = False,
    assume_crs: Annotated[
        str | None, typer.Option("--assume-crs", metavar="EPSG:N", help="The CRS of files that name none.")
    ] = None,
    align: Annotated[
        bool, typer.Option("--align", help="Measures how far labels lie beside what they show, and offers the setting.")
    ] = False,
    suspects: Annotated[
        Path | None,
        typer.Option("--suspects", metavar="MODEL", help="Maps where a model, or a run's, disagrees with the labels."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Prints all of it as JSON, and nothing else.")] = False,
    overrides: Overrides = None,
) -> int:
    """Looks through imagery and labels and writes a first project file; without arguments checks the one that is there.

    Finds the pairs, classes, reference systems, resolutions, bit depths and bands, looks at every scene, its nodata and its
    labels, and says what does not fit and how to mend it. Leaves with 2 when training would be wrong.
    """
    if sources and not _written(sources, labels or [], config, (fresh, assume_crs, as_json)):
        return WRONG
    from terraseg.cli.settings import open_project

    said = [*(overrides or []), *([f'data.assume_crs="{assume_crs}"'] if assume_crs is not None else [])]
    project = open_project(config, said)
    code = _inspected(project, align=align, as_json=as_json, files=not sources)
    if suspects is not None:
        _draw_suspects(project, suspects, as_json=as_json)
    if sources and not as_json:
        print(config)
    return code


def _written(sources: list[Path], labels: list[Path], config: Path, how: tuple[bool, str | None, bool]) -> bool:
    """Writes the project file of what lies in the sources; false where something there stops training."""
    from terraseg.cli.checktables import print_check
    from terraseg.errors import BadOption
    from terraseg.prepare.check import check_sources
    from terraseg.prepare.projectfile import project_text
    from terraseg.store.rundir import write_text

    fresh, assume_crs, as_json = how
    if config.exists() and not fresh:
        raise BadOption(f"{config} exists: pass --fresh to write it anew, another --config, or no folder to check it")
    found = check_sources(sources, labels, config.resolve().parent, assume_crs=assume_crs)
    if not as_json:
        print_check(found)
    elif found.problems:
        print(json.dumps({"problems": found.problems, "notes": found.notes}, indent=2, ensure_ascii=False))
    if found.problems:
        return False
    write_text(config, project_text(found))
    return True


def _inspected(project: "Project", *, align: bool, as_json: bool, files: bool) -> int:
    from terraseg.cli.checktables import print_inspection
    from terraseg.cli.display import watching
    from terraseg.pipeline.checking import check_project

    with watching() as watch:
        found = check_project(project, watch, align=align)
    if as_json:
        print(json.dumps(found.to_json(), indent=2, ensure_ascii=False))
    else:
        print_inspection(found, files=files)
    return WRONG if found.problems else 0


def _draw_suspects(project: "Project", model: Path, *, as_json: bool) -> None:
    from terraseg.cli.display import print_files, watching
    from terraseg.pipeline.suspects import draw_suspects

    with watching() as watch:
        files = draw_suspects(project, model, watch)
    if not as_json:
        print_files([str(file) for file in files])
