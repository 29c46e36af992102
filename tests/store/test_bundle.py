"""The model folder: round trips, replacement in one move, and the discovery of missing or mixed parts."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from terraseg.core.classes import PALETTE, LandClass, Legend
from terraseg.core.modelspec import ModelSpec
from terraseg.errors import BrokenBundle
from terraseg.store import bundle
from terraseg.store.bundle import bundle_hash, copy_bundle, onnx_path, read_spec, read_weights, write_bundle

SPEC = ModelSpec(
    "unet",
    Legend((LandClass(0, "sea", PALETTE[0]), LandClass(7, "Straße", PALETTE[1]))),
    ("red", "nir"),
    "uint16",
    (100.5, 2000.0),
    (0.1, 30.0),
    0.3,
    256,
    64,
    8,
    {"width": 4},
    {"steps": 10},
)


def make_weights() -> dict[str, NDArray[np.generic]]:
    generator = np.random.default_rng(0)
    return {
        "b.weight": generator.normal(size=(3, 2, 5)).astype("float32").transpose(2, 0, 1),
        "a.count": np.array(12, dtype="int64"),
        "c.empty": np.zeros((0, 4), dtype="float32"),
    }


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "runs" / "a" / "model"
    write_bundle(folder, SPEC, onnx=b"graph", weights=make_weights())
    return folder


def test_what_is_written_is_read(model: Path) -> None:
    assert read_spec(model) == SPEC
    assert onnx_path(model).read_bytes() == b"graph"
    read, written = read_weights(model), make_weights()
    assert read.keys() == written.keys()
    for name, array in written.items():
        assert read[name].dtype == array.dtype
        np.testing.assert_array_equal(read[name], array)
    assert sorted(p.name for p in model.iterdir()) == ["model.json", "model.onnx", "weights.safetensors"]


def test_the_hash_names_the_graph(model: Path, tmp_path: Path) -> None:
    assert bundle_hash(model) == hashlib.sha256(b"graph").hexdigest()[:16]
    write_bundle(tmp_path / "other", SPEC, onnx=b"another", weights={})
    assert bundle_hash(tmp_path / "other") != bundle_hash(model)


def test_writing_twice_gives_the_same_bytes(model: Path, tmp_path: Path) -> None:
    write_bundle(tmp_path / "again", SPEC, onnx=b"graph", weights=dict(reversed(make_weights().items())))
    for path in model.iterdir():
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes()


def test_a_copy_has_the_same_bytes(model: Path, tmp_path: Path) -> None:
    copy_bundle(model, tmp_path / "copy")
    assert {p.name: p.read_bytes() for p in (tmp_path / "copy").iterdir()} == {
        p.name: p.read_bytes() for p in model.iterdir()
    }


def test_an_older_bundle_is_replaced_and_nothing_is_left_beside(model: Path) -> None:
    write_bundle(model, SPEC, onnx=b"newer", weights={})
    assert onnx_path(model).read_bytes() == b"newer"
    assert read_weights(model) == {}
    assert [p.name for p in model.parent.iterdir()] == ["model"]


@pytest.mark.parametrize("part", ["model.onnx", "weights.safetensors", "model.json"])
def test_a_failure_at_any_part_keeps_the_old_bundle(model: Path, part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = bundle._write_through

    def full_disk(path: Path, content: bytes) -> None:
        if path.name == part:
            real(path, content[: len(content) // 2])
            raise OSError(28, "No space left on device")
        real(path, content)

    monkeypatch.setattr(bundle, "_write_through", full_disk)
    with pytest.raises(OSError, match="No space left"):
        write_bundle(model, SPEC, onnx=b"newer", weights={})
    assert onnx_path(model).read_bytes() == b"graph"
    assert read_weights(model).keys() == make_weights().keys()
    assert [p.name for p in model.parent.iterdir()] == ["model"]


def test_leftovers_of_a_kill_are_cleared(model: Path) -> None:
    for name in (".model.new", ".model.old"):
        (model.parent / name).mkdir()
        (model.parent / name / "model.onnx").write_bytes(b"half")
    write_bundle(model, SPEC, onnx=b"newer", weights={})
    assert [p.name for p in model.parent.iterdir()] == ["model"]


@pytest.mark.parametrize("part", ["model.onnx", "weights.safetensors", "model.json"])
def test_a_missing_part_is_named_with_the_remedy(model: Path, part: str) -> None:
    (model / part).unlink()
    for read in (read_spec, read_weights, onnx_path, bundle_hash):
        with pytest.raises(BrokenBundle, match=rf"no {part}.*runs/NAME/model"):
            read(model)


def test_a_folder_that_is_none_is_said_to_be_none(tmp_path: Path) -> None:
    with pytest.raises(BrokenBundle, match="is no model folder"):
        read_spec(tmp_path / "absent")


def test_parts_of_different_models_are_found_out(model: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    write_bundle(other, SPEC, onnx=b"other", weights={"b.weight": np.ones(3, dtype="float32")})
    for name in ("model.onnx", "weights.safetensors"):
        (model / name).write_bytes((other / name).read_bytes())
    for read in (read_weights, onnx_path, bundle_hash):
        with pytest.raises(BrokenBundle, match="different models or damaged"):
            read(model)


def test_a_truncated_graph_is_found_out(model: Path) -> None:
    (model / "model.onnx").write_bytes(b"gra")
    with pytest.raises(BrokenBundle, match="damaged"):
        onnx_path(model)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"format": 99}', '{"format": 1}'])
def test_a_damaged_description_is_refused(model: Path, text: str) -> None:
    (model / "model.json").write_text(text)
    with pytest.raises(BrokenBundle):
        read_spec(model)


def test_a_description_without_hashes_is_no_proof(model: Path) -> None:
    value = json.loads((model / "model.json").read_text(encoding="utf-8"))
    del value["sha256"]
    (model / "model.json").write_text(json.dumps(value))
    with pytest.raises(BrokenBundle, match="damaged"):
        onnx_path(model)


def test_a_folder_with_other_files_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis.docx").write_text("years of work")
    with pytest.raises(BrokenBundle, match=r"thesis\.docx"):
        write_bundle(tmp_path, SPEC, onnx=b"graph", weights={})
    assert (tmp_path / "thesis.docx").exists()
    with pytest.raises(BrokenBundle, match="is a file"):
        write_bundle(tmp_path / "thesis.docx", SPEC, onnx=b"graph", weights={})
