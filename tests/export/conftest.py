"""Small whole bundles of every kind that is exported."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from terraseg.core.classes import PALETTE, LandClass, Legend
from terraseg.core.modelspec import ModelSpec
from terraseg.export.onnx import onnx_bytes
from terraseg.nets.build import build_network
from terraseg.store.bundle import onnx_path, read_spec, read_weights, write_bundle

OPTIONS = {"depth": 2, "width": 4, "batch_norm": True}
LEGEND = Legend(tuple(LandClass(i, n, PALETTE[i]) for i, n in ((0, "bare soil"), (3, "Häuser"), (4, "road"))))
"""Ids with a gap, and a name that is no plain word."""

MakeBundle = Callable[..., Path]


def make_bundle(folder: Path, *, outputs: int | None = None, seed: int = 0, **changes: Any) -> Path:
    """A bundle of a small network with batch statistics that are not initial; `changes` are to its spec."""
    torch.manual_seed(seed)
    fields: dict[str, Any] = {
        "legend": LEGEND,
        "bands": ("red", "green", "blue"),
        "dtype": "uint8",
        "mean": (90.25, 101.5, 77.0),
        "std": (50.5, 31.0, 64.0),
        "gsd_m": 0.25,
        "tile": 64,
        "overlap": 16,
        "stride": 4,
        **changes,
    }
    spec = ModelSpec("unet", network_options=OPTIONS, **fields)
    network = build_network("unet", bands=len(spec.bands), classes=outputs or len(spec.legend), options=OPTIONS)
    with torch.no_grad():
        for _ in range(5):
            network(2 * torch.randn(4, len(spec.bands), 32, 32) + 1)
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight.uniform_(0.5, 1.5)
        last = [module for module in network.modules() if isinstance(module, nn.Conv2d)][-1]
        logits = network.eval()(2 * torch.randn(4, len(spec.bands), 32, 32) + 1)
        # Every class wins somewhere.
        assert last.bias is not None
        last.bias -= logits.mean(dim=(0, 2, 3))
        for parameter in (last.weight, last.bias):
            parameter *= 2 / logits.std()
    weights = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    write_bundle(folder, spec, onnx=onnx_bytes(network, spec), weights=weights)
    return folder


@pytest.fixture(scope="session")
def new_bundle() -> MakeBundle:
    """Writes a bundle of the kind that is asked for."""
    return make_bundle


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three bands of uint8, three classes."""
    return make_bundle(tmp_path_factory.mktemp("bundles") / "model")


@pytest.fixture(scope="session")
def overlapping_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes that may overlap."""
    return make_bundle(tmp_path_factory.mktemp("bundles") / "overlapping", overlapping=True)


@pytest.fixture(scope="session")
def second_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same bands and classes with other weights and another scaling."""
    folder = tmp_path_factory.mktemp("bundles") / "second"
    return make_bundle(folder, seed=3, mean=(10.0,) * 3, std=(90.0, 80.0, 70.0))


@pytest.fixture(scope="session")
def deep_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three bands of uint16."""
    folder = tmp_path_factory.mktemp("bundles") / "deep"
    return make_bundle(folder, dtype="uint16", mean=(21_000.5, 30_000.0, 45_678.9), std=(9_000.0, 5_000.5, 12_000.0))


@pytest.fixture(scope="session")
def respecified() -> MakeBundle:
    """Writes a bundle again whose description differs from what its graph is: for what is decided by the description."""

    def write(folder: Path, of: Path, **changes: Any) -> Path:
        spec = replace(read_spec(of), **changes)
        write_bundle(folder, spec, onnx=onnx_path(of).read_bytes(), weights=read_weights(of))
        return folder

    return write
