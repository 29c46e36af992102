"""The model folder: `model.onnx`, `weights.safetensors` and `model.json`, written as one and checked as one."""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from terraseg.core.modelspec import ModelSpec
from terraseg.core.text import parse_json
from terraseg.errors import BrokenBundle, missing_extra

ONNX, WEIGHTS, SPEC = "model.onnx", "weights.safetensors", "model.json"
PARTS = (ONNX, WEIGHTS, SPEC)
INT8, INT8_REPORT = "model_int8.onnx", "model_int8.json"
"""What may lie beside the parts: the model in bytes and what is known of it (see `store.quantised`)."""
HASHES = "sha256"
"""The key of `model.json` that holds the hash of each other part."""

REMEDY = "pass the model folder of a finished run, runs/NAME/model, or train again"


def write_bundle(folder: Path, spec: ModelSpec, *, onnx: bytes, weights: Mapping[str, NDArray[Any]]) -> None:
    """Write the model folder in one move; an older bundle there is replaced.

    Everything is written to a sibling folder first, so that a kill at any moment leaves the old bundle, the new one, or for
    the instant between two renames none, but never a mixture. Raises `BrokenBundle` when `folder` holds anything that is
    no part of a bundle: it is not terraseg's to replace.
    """
    _refuse_strangers(folder)
    contents = {ONNX: onnx, WEIGHTS: _packed(weights)}
    hashes = {name: content_hash(content) for name, content in contents.items()}
    description = json.dumps({**spec.to_json(), HASHES: hashes}, indent=2, ensure_ascii=False, allow_nan=False)
    contents[SPEC] = f"{description}\n".encode()
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh, old = (folder.with_name(f".{folder.name}.{suffix}") for suffix in ("new", "old"))
    for leftover in (fresh, old):
        shutil.rmtree(leftover, ignore_errors=True)
    try:
        fresh.mkdir()
        for name, content in contents.items():
            _write_through(fresh / name, content)
        if folder.exists():
            folder.rename(old)
        fresh.rename(folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)


def copy_bundle(source: Path, folder: Path) -> None:
    """Write the bundle of `source` into another folder, as `write_bundle` does; raises what reading and writing raise."""
    write_bundle(folder, read_spec(source), onnx=onnx_path(source).read_bytes(), weights=read_weights(source))


def read_spec(folder: Path) -> ModelSpec:
    """What the model is; `BrokenBundle` when the folder is no bundle, misses a part or has an unreadable model.json."""
    _check_parts(folder)
    return ModelSpec.from_json({key: value for key, value in _description(folder).items() if key != HASHES})


def read_weights(folder: Path) -> dict[str, NDArray[Any]]:
    """The network's tensors by name; `BrokenBundle` when the file is not the one that the bundle was written with."""
    path = _checked_part(folder, WEIGHTS)
    try:
        from safetensors import SafetensorError
        from safetensors.numpy import load_file
    except ImportError as error:
        raise missing_extra("reading a network's weights", "train") from error
    try:
        return dict(load_file(path))
    except SafetensorError as error:
        raise BrokenBundle(f"{path} cannot be read ({error}): {REMEDY}") from error


def onnx_path(folder: Path) -> Path:
    """The path of `model.onnx`; `BrokenBundle` when the file is not the one that the bundle was written with."""
    return _checked_part(folder, ONNX)


def bundle_hash(folder: Path) -> str:
    """What identifies a model in reports and maps: the first 16 hexadecimal digits of its ONNX file's SHA-256."""
    return onnx_hash(folder)[:16]


def onnx_hash(folder: Path) -> str:
    """The SHA-256 of `model.onnx`; `BrokenBundle` when the file is not the one that the bundle was written with."""
    _checked_part(folder, ONNX)
    return str(_description(folder)[HASHES][ONNX])


def _refuse_strangers(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise BrokenBundle(f"{folder} is a file: pass a folder for the model")
    found = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    # A kill may have left the unfinished file of a model in bytes, or what an engine reads a graph from.
    known, left = (*PARTS, INT8, INT8_REPORT), tuple(f".{Path(name).stem}." for name in (ONNX, INT8))
    strangers = [name for name in found if name not in known and not name.startswith(left)]
    if strangers:
        raise BrokenBundle(
            f"{folder} holds {strangers[0]!r}, which is no part of a model: pass an empty or a new folder"
        )


def _check_parts(folder: Path) -> None:
    if not folder.is_dir():
        raise BrokenBundle(f"{folder} is no model folder: {REMEDY}")
    missing = [name for name in PARTS if not (folder / name).is_file()]
    if missing:
        raise BrokenBundle(f"{folder} has no {' and no '.join(missing)}, so it is no whole model: {REMEDY}")


def _description(folder: Path) -> dict[str, Any]:
    path = folder / SPEC
    try:
        value = parse_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BrokenBundle(f"{path} cannot be read ({error}): {REMEDY}") from error
    if not isinstance(value, dict):
        raise BrokenBundle(f"{path} holds no description of a model: {REMEDY}")
    return value


def _checked_part(folder: Path, name: str) -> Path:
    """The part's path, after its hash has been held against the one in `model.json`."""
    _check_parts(folder)
    hashes = _description(folder).get(HASHES)
    expected = hashes.get(name) if isinstance(hashes, dict) else None
    path = folder / name
    found = file_hash(path)
    if found != expected:
        wanted = str(expected)[:16]
        raise BrokenBundle(
            f"{path} has the SHA-256 {found[:16]}..., {SPEC} beside it says {wanted}...: the parts are of"
            f" different models or damaged; {REMEDY}"
        )
    return path


def file_hash(path: Path) -> str:
    """The SHA-256 of a file's content in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def content_hash(content: bytes) -> str:
    """The SHA-256 of bytes in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def _packed(weights: Mapping[str, NDArray[Any]]) -> bytes:
    try:
        from safetensors.numpy import save
    except ImportError as error:
        raise missing_extra("writing a network's weights", "train") from error
    # safetensors writes the buffer as it lies: a transposed view would come back scrambled.
    ordered = {name: np.array(array, order="C") for name, array in sorted(weights.items())}
    return bytes(save(ordered))


def _write_through(path: Path, content: bytes) -> None:
    """Write and wait for the disk: a rename may not overtake the bytes that it makes visible."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
