"""What `check` shows: what lies in folders, and what was found of a project."""

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from rich.table import Table

from terraseg.cli.tables import console

if TYPE_CHECKING:
    from rich.console import Console

    from terraseg.core.grid import Grid
    from terraseg.prepare.check import CheckResult
    from terraseg.prepare.inspect import Inspection, SceneCheck

SHOWN_ROWS = 20
SHOWN_CLASSES = 4


def print_check(found: "CheckResult") -> None:
    """The scenes, the decisions and the problems that `check` found."""
    screen = console()
    screen.print(f"{len(found.rows)} scenes ({found.layout})", style="bold")
    table = _files_table()
    for row in found.rows[:SHOWN_ROWS]:
        f = row.facts
        nodata = "alpha" if f.has_alpha else f.nodata
        count = len(found.data.bands) if "{band}" in row.name else len(f.bands)
        _add_file(table, row.name, f.grid, (count, f.dtype, nodata), row.label)
    _print_rows(table, len(found.rows), screen)
    for c in found.data.classes:
        values = ", ".join(_value_text(v) for v in c.labels)
        screen.print(f"  class [bold]{c.name}[/] = {values}")
    for note in found.notes[:SHOWN_ROWS]:
        screen.print(f"note: {note}", markup=False)
    for problem in found.problems:
        screen.print(f"problem: {problem}", markup=False, style="bold red")


def _files_table() -> Table:
    table = Table(box=None, pad_edge=False)
    for column in ("image", "pixels", "bands", "type", "CRS", "m/px", "nodata", "labels"):
        table.add_column(column, overflow="fold")
    return table


def _add_file(
    table: Table, image: str, grid: "Grid | SceneCheck", pixels: tuple[int, str, float | str | None], labels: str
) -> None:
    """A row of `_files_table`; `pixels` are the number of bands, the type and what means nodata."""
    count, dtype, nodata = pixels
    gsd = "-" if grid.gsd_m is None else f"{grid.gsd_m:.3g}"
    meant = "-" if nodata is None else nodata if isinstance(nodata, str) else f"{nodata:g}"
    size = f"{grid.width} x {grid.height}"
    table.add_row(_place(image), size, str(count), dtype, _short_crs(grid.crs), gsd, meant, _place(labels) or "-")


def _print_rows(table: Table, count: int, screen: "Console") -> None:
    screen.print(table)
    if count > SHOWN_ROWS:
        screen.print(f"and {count - SHOWN_ROWS} more")


def _place(path: str) -> str:
    """The end of a path: enough of it to tell scenes apart."""
    return "/".join(PurePosixPath(path).parts[-3:])


def _value_text(value: str) -> str:
    return {"": "the ground outside every polygon", "*": "every polygon"}.get(value, value)


def _short_crs(crs: str | None) -> str:
    if crs is None:
        return "none"
    return crs if crs.startswith("EPSG:") else "own WKT"


def print_inspection(found: "Inspection", *, files: bool) -> None:
    """The scenes with their parts and classes, the split, what is offered, and what is wrong with the data.

    With `files` first what the scenes' files hold, where `print_check` has not shown it.
    """
    screen = console()
    if files:
        table = _files_table()
        for scene in found.scenes[:SHOWN_ROWS]:
            pixels = len(scene.bands), scene.dtype, scene.nodata
            _add_file(table, scene.image, scene, pixels, scene.labels or "")
        _print_rows(table, len(found.scenes), screen)
    _print_scenes(found, screen)
    if found.class_pixels:
        _print_classes(found, screen)
    if found.split:
        screen.print(
            f"training will see {found.train_pixels / 1e6:,.3g} megapixels and be judged on "
            f"{found.validation_pixels / 1e6:,.3g}: {found.split}",
            markup=False,
        )
    for note in found.notes[:SHOWN_ROWS]:
        screen.print(f"note: {note}", markup=False)
    for warning in found.warnings:
        screen.print(f"warning: {warning}", markup=False)
    for setting in found.settings:
        screen.print(f"a setting for [data]: {setting}", markup=False, soft_wrap=True)
    for problem in found.problems:
        screen.print(f"problem: {problem}", markup=False, style="bold red")


def _print_scenes(found: "Inspection", screen: "Console") -> None:
    table = Table(box=None, pad_edge=False)
    resampled = any(scene.brought for scene in found.scenes)
    for column in (
        "scene",
        "part",
        "valid",
        "labelled",
        "offset px",
        *(["pixels"] if resampled else []),
        "largest classes",
    ):
        table.add_column(column, justify="right" if column in ("valid", "labelled", "offset px") else "left")
    for scene in found.scenes[:SHOWN_ROWS]:
        valid, labelled = (
            "-" if share is None else f"{share:.1%}" for share in (scene.valid_share, scene.labelled_share)
        )
        offset = "-" if scene.offset_px is None else f"{scene.offset_px[0]:+d}, {scene.offset_px[1]:+d}"
        size = [scene.brought or "as they are"] if resampled else []
        table.add_row(scene.name, scene.role, valid, labelled, offset, *size, _largest(scene, found.classes))
    _print_rows(table, len(found.scenes), screen)


def _largest(scene: "SceneCheck", classes: tuple[str, ...]) -> str:
    shares = sorted(zip(scene.class_shares, classes, strict=False), reverse=True)
    return ", ".join(f"{name} {share:.1%}" for share, name in shares[:SHOWN_CLASSES] if share > 0)


def _print_classes(found: "Inspection", screen: "Console") -> None:
    screen.print("classes among the labelled pixels", style="bold")
    table = Table(box=None, pad_edge=False)
    for column in ("class", "share", "pixels"):
        table.add_column(column, justify="right" if column != "class" else "left")
    total = max(1, sum(found.class_pixels))
    for name, pixels in zip(found.classes, found.class_pixels, strict=True):
        table.add_row(name, f"{pixels / total:.1%}", f"{pixels:,}")
    screen.print(table)
