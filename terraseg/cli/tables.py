"""Tables on the screen: scenes, classes, statistics."""

from collections import Counter
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from terraseg.prepare.check import CheckResult

SHOWN_ROWS = 20


def console() -> Console:
    """Standard output; 120 columns wide when it is no terminal, so that a log keeps whole lines."""
    screen = Console(highlight=False)
    return screen if screen.is_terminal else Console(highlight=False, width=120)


def print_check(found: "CheckResult") -> None:
    """The scenes, the decisions and the problems that `check` found."""
    screen = console()
    screen.print(f"{len(found.rows)} scenes ({found.layout})", style="bold")
    table = Table(box=None, pad_edge=False)
    for column in ("image", "pixels", "bands", "type", "CRS", "m/px", "nodata", "labels"):
        table.add_column(column, overflow="fold")
    for row in found.rows[:SHOWN_ROWS]:
        f = row.facts
        nodata = "alpha" if f.has_alpha else "-" if f.nodata is None else f"{f.nodata:g}"
        gsd = "-" if f.grid.gsd_m is None else f"{f.grid.gsd_m:.3g}"
        crs = _short_crs(f.grid.crs)
        size = f"{f.grid.width} x {f.grid.height}"
        count = str(len(found.data.bands)) if "{band}" in row.name else str(len(f.bands))
        table.add_row(_place(row.name), size, count, f.dtype, crs, gsd, nodata, _place(row.label) or "-")
    screen.print(table)
    if len(found.rows) > SHOWN_ROWS:
        screen.print(f"and {len(found.rows) - SHOWN_ROWS} more")
    for c in found.data.classes:
        values = ", ".join(_value_text(v) for v in c.labels)
        screen.print(f"  class [bold]{c.name}[/] = {values}")
    for note in found.notes[:SHOWN_ROWS]:
        screen.print(f"note: {note}", markup=False)
    for problem in found.problems:
        screen.print(f"problem: {problem}", markup=False, style="bold red")


def _place(path: str) -> str:
    """The end of a path: enough of it to tell scenes apart."""
    return "/".join(PurePosixPath(path).parts[-3:])


def _value_text(value: str) -> str:
    return {"": "the ground outside every polygon", "*": "every polygon"}.get(value, value)


def _short_crs(crs: str | None) -> str:
    if crs is None:
        return "none"
    return crs if crs.startswith("EPSG:") else "own WKT"


def print_project(config: Path) -> int:
    """Checks a project file against its data and shows the classes and the split; the exit code."""
    from terraseg.pipeline.project import read_project
    from terraseg.pipeline.splitting import patch_side
    from terraseg.prepare.dataset import read_dataset
    from terraseg.prepare.split import split_dataset
    from terraseg.prepare.survey import survey_dataset

    project = read_project(config)
    dataset = read_dataset(project.data, project.root)
    survey = survey_dataset(dataset)
    dataset, report = split_dataset(dataset, survey, project.data.validation, patch=patch_side(project))
    kinds = sum(c.sum(axis=(0, 1)) for c in survey.counts.values())
    total = kinds[: len(dataset.legend)]
    labelled = kinds[-1] if dataset.coding.overlapping else total.sum()
    screen = console()
    screen.print("classes among the labelled pixels", style="bold")
    table = Table(box=None, pad_edge=False)
    for column in ("id", "class", "share", "pixels"):
        table.add_column(column, justify="right" if column != "class" else "left")
    for land_class, pixels in zip(dataset.legend.classes, total, strict=True):
        share = f"{pixels / max(1, labelled):.1%}"
        table.add_row(str(land_class.id), land_class.name, share, f"{int(pixels):,}")
    screen.print(table)
    roles = Counter("test" if s.is_test else "labelled" if s.labels else "unlabelled" for s in dataset.scenes)
    screen.print(", ".join(f"{count} {role}" for role, count in roles.items()) + f" scenes; {report.how}", markup=False)
    for warning in report.warnings:
        screen.print(f"warning: {warning}", markup=False)
    empty = [c.name for c, n in zip(dataset.legend.classes, total, strict=True) if n == 0]
    if empty:
        screen.print(
            f"problem: no pixel is labelled {', '.join(empty)}: remove the class or mend its labels", style="bold red"
        )
        return 2
    return 0


def print_statistics(rows: list[dict[str, Any]]) -> None:
    """The statistics of a map, a line a class."""
    table = Table(box=None, pad_edge=False)
    shown = [key for key in rows[0] if key != "class_id"][:8] if rows else []
    for key in shown:
        table.add_column(key, justify="left" if key == "class_name" else "right")
    for row in rows:
        table.add_row(
            *("-" if row[k] is None else f"{row[k]:,.4g}" if isinstance(row[k], float) else str(row[k]) for k in shown)
        )
    console().print(table)
