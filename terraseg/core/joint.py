"""Several models whose probabilities are averaged: whether they fit together, and what they are as one."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from terraseg.core.modelspec import ENSEMBLE, ModelSpec
from terraseg.errors import BandMismatch, UnknownClass


def joined(folders: Sequence[Path], specs: Sequence[ModelSpec]) -> ModelSpec:
    """What models of the same classes and bands are together; `folders` name them in messages.

    Tile and overlap are the largest, the stride is a multiple of all; what the imagery looked like is the first one's. The
    provenance is empty. Raises `UnknownClass` and `BandMismatch` for models that cannot be averaged.
    """
    for folder, spec in zip(folders[1:], specs[1:], strict=True):
        _refuse_unlike(specs[0], spec, folders[0], folder)
    return replace(
        specs[0],
        network=ENSEMBLE,
        network_options={"members": [name for spec in specs for name in spec.members]},
        tile=max(spec.tile for spec in specs),
        overlap=max(spec.overlap for spec in specs),
        stride=math.lcm(*(spec.stride for spec in specs)),
        reduction=1,
        temperature=1.0,
        provenance={},
    )


def _refuse_unlike(first: ModelSpec, other: ModelSpec, where: Path, beside: Path) -> None:
    classes, others = ([(c.id, c.name) for c in spec.legend.classes] for spec in (first, other))
    if classes != others:
        one, two = (", ".join(f"{number} {name}" for number, name in pairs) for pairs in (classes, others))
        raise UnknownClass(
            f"{where} maps the classes {one}, and {beside} maps {two}: only models of the same classes, in one order, can be "
            "averaged; train both on one project"
        )
    if first.overlapping != other.overlapping:
        raise UnknownClass(
            f"the classes of {where if first.overlapping else beside} overlap and those of the other model exclude each other: "
            "their probabilities mean different things and cannot be averaged; train both on one project"
        )
    if _read_by(first) != _read_by(other):
        one, two = (_reading(spec) for spec in (first, other))
        raise BandMismatch(
            f"{where} reads {one}, and {beside} reads {two}: only models of the same bands and pixel type can be averaged; "
            "train both on one project"
        )


def _read_by(spec: ModelSpec) -> tuple[object, ...]:
    return spec.bands, spec.dtype, spec.indices, spec.stored


def _reading(spec: ModelSpec) -> str:
    computed = () if spec.indices is None else spec.indices.expressions
    formulas = "".join(f", {name} = {expression}" for name, expression in computed)
    return f"{', '.join(spec.sensed_bands)}{formulas} as {spec.sensed.dtype}{' as stored' if spec.stored else ''}"
