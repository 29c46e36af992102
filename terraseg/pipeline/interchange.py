"""A model's folder as files for other programs: QGIS's Deepness, STAC catalogues, ArcGIS."""

import re
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

from terraseg.core.watch import SILENT, Watch
from terraseg.errors import BadOption, UnknownName, UnwritableFile, missing_extra, nearest
from terraseg.export.emd import write_arcgis
from terraseg.export.stac import write_stac
from terraseg.store.bundle import read_spec
from terraseg.store.rundir import system_reason

Writer = Callable[[Path, Path, str], tuple[Path, ...]]
"""Writes the model of a folder into another one, under a name; gives the files."""


def export_model(
    folder: Path, formats: Sequence[str], out: Path | None = None, *, name: str | None = None, watch: Watch = SILENT
) -> tuple[Path, ...]:
    """Writes a model for other programs and gives the files: `formats` are among "deepness", "stac" and "arcgis".

    They go into the folder `out`, by default `export` beside the model's, and are called `name`, by default like the run.
    Raises `UnknownName` for another format, `BadOption` for a name that is none, `BandMismatch` or `BadOption` for a model
    that a program cannot use, `MissingExtra` where "deepness" lacks its package, `UnwritableFile`, `BrokenBundle`.
    """
    for wanted in formats:
        if wanted not in WRITERS:
            raise UnknownName(f"there is no format {wanted!r} to export to: {nearest(wanted, WRITERS)}")
    read_spec(folder)
    called, target = _checked_name(name or _run_name(folder)), out or folder.resolve().parent / "export"
    if target.resolve() == folder.resolve():
        raise BadOption(f"{target} is the model's own folder, which holds nothing else: pass another --out")
    watch.step("export")
    files: list[Path] = []
    for wanted in formats:
        try:
            written = WRITERS[wanted](folder, target, called)
        except (OSError, UnwritableFile) as error:
            raise UnwritableFile(
                f"{target} cannot be written to ({system_reason(error)}): pass another --out"
            ) from error
        watch.say(f"{wanted}: wrote {', '.join(path.name for path in written)}")
        files += written
    return tuple(files)


def _run_name(folder: Path) -> str:
    """The name of the run for runs/NAME/model, else that of the folder."""
    whole = folder.resolve()
    return whole.parent.name if whole.name == "model" and whole.parent.name else whole.name


def _checked_name(name: str) -> str:
    if not re.fullmatch(r"\w[\w. -]*", name):
        raise BadOption(f"{name!r} cannot name an export: pass --name with letters, digits, '.', '_' and '-'")
    return name


def _deepness(folder: Path, out: Path, name: str) -> tuple[Path, ...]:
    if find_spec("onnx") is None:
        raise missing_extra("writing a model for Deepness", "int8")
    from terraseg.export.deepness import write_deepness

    return (write_deepness(folder, out / f"{name}_deepness.onnx"),)


def _stac(folder: Path, out: Path, name: str) -> tuple[Path, ...]:
    return (write_stac(folder, out / f"{name}.json", name=name),)


def _arcgis(folder: Path, out: Path, name: str) -> tuple[Path, ...]:
    return write_arcgis(folder, out / f"{name}_arcgis", name=name)


WRITERS: dict[str, Writer] = {"deepness": _deepness, "stac": _stac, "arcgis": _arcgis}
"""What writes each format, by its name."""
