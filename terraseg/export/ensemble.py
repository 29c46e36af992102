"""Several models in one bundle, whose probabilities are averaged: a forest and a network, or several runs."""

import math
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError

from terraseg.core.joint import joined
from terraseg.core.modelspec import ModelSpec
from terraseg.errors import BadOption, BrokenBundle
from terraseg.graphs.average import averaged
from terraseg.store.bundle import bundle_hash, onnx_path, read_spec, write_bundle


def ensemble_bundle(folders: Sequence[Path], out: Path, *, weights: Sequence[float] | None = None) -> ModelSpec:
    """Writes the bundle of an ensemble of model folders to `out` and gives its description.

    `weights` say how much each member counts, by default all alike. Classes, bands and pixel type must be the same; tile
    and overlap are the members' largest, the stride is a multiple of all. The result is a bundle like any other, that needs
    none of its members. Raises `BadOption` for fewer than two members or unfit weights, `UnknownClass` and `BandMismatch`
    for members that do not fit together, `BrokenBundle` for one that is damaged.
    """
    if len(folders) < 2:
        raise BadOption(f"an ensemble of {len(folders)} model(s): name two or more model folders")
    if out.resolve() in {folder.resolve() for folder in folders}:
        raise BadOption(f"the ensemble would overwrite its member {out}: pass another --out")
    shares = _shares(weights, len(folders))
    specs = [read_spec(folder) for folder in folders]
    spec = _joint_spec(folders, specs, shares)
    members = [read_graph(folder) for folder in folders]
    arrays = {"shares": np.array(shares, dtype=np.float32)}
    write_bundle(out, spec, onnx=averaged(members, shares, spec), weights=arrays)
    return spec


def _shares(weights: Sequence[float] | None, count: int) -> list[float]:
    given = [1.0] * count if weights is None else list(weights)
    if len(given) != count or not all(math.isfinite(w) and w > 0 for w in given):
        written = ", ".join(f"{w:g}" for w in given)
        raise BadOption(f"the weights {written} for {count} models: pass one number above zero for each")
    return [weight / sum(given) for weight in given]


def _joint_spec(folders: Sequence[Path], specs: Sequence[ModelSpec], shares: Sequence[float]) -> ModelSpec:
    members = [
        {"network": spec.network, "share": share, "folder": folder.name, "hash": bundle_hash(folder)}
        for folder, spec, share in zip(folders, specs, shares, strict=True)
    ]
    versions = {"terraseg": version("terraseg"), "onnx": onnx.__version__}
    return replace(joined(folders, specs), provenance={"members": members, "versions": versions})


def read_graph(folder: Path) -> onnx.ModelProto:
    """The graph of a model folder; `BrokenBundle` where it cannot be read."""
    path = onnx_path(folder)
    try:
        model: onnx.ModelProto = onnx.load_from_string(path.read_bytes())
    except (OSError, DecodeError) as error:
        raise BrokenBundle(f"{path} cannot be read ({error}): export the model again") from error
    return model
