"""The second graph of a model folder: the model in bytes, with the report of how far it agrees with the exact one."""

import json
from dataclasses import dataclass
from pathlib import Path

from terraseg.core.int8 import Int8Report
from terraseg.core.text import parse_json
from terraseg.errors import BrokenBundle, UnwritableFile
from terraseg.store.bundle import INT8, INT8_REPORT, content_hash, file_hash, onnx_hash
from terraseg.store.rundir import replacing, system_reason

OF, HASH, REPORT = "of", "sha256", "report"


@dataclass(frozen=True)
class Int8Model:
    """A graph in bytes, `model_int8.onnx`, and what is known of it."""

    path: Path
    report: Int8Report


def write_int8(folder: Path, onnx: bytes, report: Int8Report) -> Int8Model:
    """Keeps a graph in bytes beside the bundle's own; an older one there is replaced.

    The report is written last and names the hashes of both graphs, so that a kill between the two files leaves no pair that
    would be believed. Raises `BrokenBundle` as reading does, `UnwritableFile` for a folder that cannot be written to.
    """
    known = {OF: onnx_hash(folder), HASH: content_hash(onnx), REPORT: report.to_json()}
    try:
        with replacing(folder / INT8) as temporary:
            temporary.write_bytes(onnx)
        with replacing(folder / INT8_REPORT) as temporary:
            temporary.write_text(json.dumps(known, indent=2) + "\n", encoding="utf-8")
    except (OSError, UnwritableFile) as error:
        raise UnwritableFile(
            f"{folder} cannot be written to ({system_reason(error)}), and a model in bytes is kept beside the exact one: copy "
            "the model folder to where you may write"
        ) from error
    return Int8Model(folder / INT8, report)


def read_int8(folder: Path) -> Int8Model | None:
    """The bundle's graph in bytes; None where there is none that belongs to the exact graph as it is now."""
    try:
        known = parse_json((folder / INT8_REPORT).read_text(encoding="utf-8"))
        fits = known[OF] == onnx_hash(folder) and known[HASH] == file_hash(folder / INT8)
        return Int8Model(folder / INT8, Int8Report.from_json(known[REPORT])) if fits else None
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError) as error:
        raise BrokenBundle(
            f"{folder / INT8_REPORT} cannot be read ({error}): remove it, and `terraseg export --int8` writes it anew"
        ) from error
