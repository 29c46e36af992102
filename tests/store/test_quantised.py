"""A graph in bytes beside the bundle's own: believed only while it belongs to it."""

from pathlib import Path

import numpy as np
import pytest

from terraseg.core.classes import LandClass, Legend
from terraseg.core.int8 import Int8Report
from terraseg.core.modelspec import ModelSpec
from terraseg.errors import BrokenBundle, UnwritableFile
from terraseg.store.bundle import INT8, INT8_REPORT, read_spec, write_bundle
from terraseg.store.quantised import read_int8, write_int8

REPORT = Int8Report(0.995, 16, 8, 2_000_000, "the first and the last layer")


def make_bundle(folder: Path, onnx: bytes = b"exact") -> Path:
    legend = Legend((LandClass(0, "land", "#AA8844"), LandClass(1, "water", "#0000FF")))
    spec = ModelSpec("unet", legend, ("red",), "uint8", (90.0,), (50.0,), 0.5, 64, 16, 4)
    write_bundle(folder, spec, onnx=onnx, weights={"w": np.zeros(2, dtype=np.float32)})
    return folder


def test_what_is_written_is_read(tmp_path: Path) -> None:
    folder = make_bundle(tmp_path / "model")
    assert read_int8(folder) is None
    write_int8(folder, b"bytes", REPORT)
    found = read_int8(folder)
    assert found is not None
    assert (found.path.read_bytes(), found.report) == (b"bytes", REPORT)
    assert read_spec(folder).network == "unet", "the bundle itself is as it was"
    write_int8(folder, b"others", REPORT)
    again = read_int8(folder)
    assert again is not None
    assert again.path.read_bytes() == b"others"


def test_a_graph_of_another_model_or_half_a_graph_is_none(tmp_path: Path) -> None:
    folder = make_bundle(tmp_path / "model")
    write_int8(folder, b"bytes", REPORT)
    (folder / INT8).write_bytes(b"byte")
    assert read_int8(folder) is None
    write_int8(folder, b"bytes", REPORT)
    other = make_bundle(tmp_path / "other", onnx=b"other")
    for name in (INT8, INT8_REPORT):
        (other / name).write_bytes((folder / name).read_bytes())
    assert read_int8(other) is None
    (folder / INT8).unlink()
    assert read_int8(folder) is None


def test_a_bundle_that_is_written_anew_loses_it(tmp_path: Path) -> None:
    folder = make_bundle(tmp_path / "model")
    write_int8(folder, b"bytes", REPORT)
    (folder / f".{Path(INT8).stem}.123.part.onnx").write_bytes(b"left by a kill")
    make_bundle(folder, onnx=b"newer")
    assert read_int8(folder) is None
    assert sorted(path.name for path in folder.iterdir()) == ["model.json", "model.onnx", "weights.safetensors"]


def test_a_damaged_report_is_said(tmp_path: Path) -> None:
    folder = make_bundle(tmp_path / "model")
    write_int8(folder, b"bytes", REPORT)
    text = (folder / INT8_REPORT).read_text()
    for damaged in (text[:30], text.replace("judged", "jugded"), "[]"):
        (folder / INT8_REPORT).write_text(damaged)
        with pytest.raises(BrokenBundle):
            read_int8(folder)


def test_a_folder_that_cannot_be_written_to_is_said(tmp_path: Path) -> None:
    folder = make_bundle(tmp_path / "model")
    # A folder in the place of the file: refused for every user, root too.
    (folder / INT8).mkdir()
    with pytest.raises(UnwritableFile, match="cannot be written to"):
        write_int8(folder, b"bytes", REPORT)


def test_the_report_says_what_was_measured() -> None:
    assert REPORT.is_good
    assert not Int8Report(0.9899, 16, 8, 100).is_good
    assert "99.50% of 2.00 megapixels in 8 held-out windows, after calibration on 16 others" in REPORT.sentence
    assert REPORT.sentence.endswith("the first and the last layer still count in 32 bit")
    assert Int8Report.from_json(REPORT.to_json()) == REPORT
