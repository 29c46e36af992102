"""Several models in one bundle, whose probabilities are averaged: a forest and a network, or several runs."""

import math
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError

from terraseg.core.modelspec import ENSEMBLE, ModelSpec
from terraseg.errors import BadOption, BandMismatch, BrokenBundle, UnknownClass
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
    for folder, spec in zip(folders[1:], specs[1:], strict=True):
        _refuse_unlike(specs[0], spec, folders[0], folder)
    spec = _joint_spec(folders, specs, shares)
    members = [_read_graph(folder) for folder in folders]
    arrays = {"shares": np.array(shares, dtype=np.float32)}
    write_bundle(out, spec, onnx=averaged(members, shares, spec), weights=arrays)
    return spec


def _shares(weights: Sequence[float] | None, count: int) -> list[float]:
    given = [1.0] * count if weights is None else list(weights)
    if len(given) != count or not all(math.isfinite(w) and w > 0 for w in given):
        written = ", ".join(f"{w:g}" for w in given)
        raise BadOption(f"the weights {written} for {count} models: pass one number above zero for each")
    return [weight / sum(given) for weight in given]


def _refuse_unlike(first: ModelSpec, other: ModelSpec, where: Path, beside: Path) -> None:
    classes, others = ([(c.id, c.name) for c in spec.legend.classes] for spec in (first, other))
    if classes != others:
        one, two = (", ".join(f"{number} {name}" for number, name in pairs) for pairs in (classes, others))
        raise UnknownClass(
            f"{where} maps the classes {one}, and {beside} maps {two}: only models of the same classes, in one order, can be "
            "averaged; train both on one project"
        )
    if (first.bands, first.dtype) != (other.bands, other.dtype):
        one, two = (f"{', '.join(spec.bands)} as {spec.dtype}" for spec in (first, other))
        raise BandMismatch(
            f"{where} reads {one}, and {beside} reads {two}: only models of the same bands and pixel type can be averaged; "
            "train both on one project"
        )


def _joint_spec(folders: Sequence[Path], specs: Sequence[ModelSpec], shares: Sequence[float]) -> ModelSpec:
    members = [
        {"network": spec.network, "share": share, "folder": folder.name, "hash": bundle_hash(folder)}
        for folder, spec, share in zip(folders, specs, shares, strict=True)
    ]
    return replace(
        specs[0],
        network=ENSEMBLE,
        network_options={"members": [name for spec in specs for name in spec.members]},
        tile=max(spec.tile for spec in specs),
        overlap=max(spec.overlap for spec in specs),
        stride=math.lcm(*(spec.stride for spec in specs)),
        reduction=1,
        provenance={"members": members, "versions": {"terraseg": version("terraseg"), "onnx": onnx.__version__}},
    )


def _read_graph(folder: Path) -> onnx.ModelProto:
    path = onnx_path(folder)
    try:
        model: onnx.ModelProto = onnx.load_from_string(path.read_bytes())
    except (OSError, DecodeError) as error:
        raise BrokenBundle(f"{path} cannot be read ({error}): export the model again") from error
    return model
