"""Small whole bundles, made once."""

from pathlib import Path

import pytest
import torch
from torch import nn

from terraseg.core.classes import PALETTE, LandClass, Legend
from terraseg.core.modelspec import ModelSpec
from terraseg.export.onnx import onnx_bytes
from terraseg.nets.build import build_network
from terraseg.store.bundle import write_bundle

OPTIONS = {"depth": 3, "width": 8, "batch_norm": True}


def make_bundle(folder: Path, *, dtype: str, classes: int, outputs: int) -> Path:
    """A bundle of a small network with weights and batch statistics that are not initial."""
    torch.manual_seed(0)
    network = build_network("unet", bands=3, classes=outputs, options=OPTIONS)
    with torch.no_grad():
        for _ in range(5):
            network(2 * torch.randn(4, 3, 32, 32) + 1)
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight.uniform_(0.5, 1.5)
    legend = Legend(tuple(LandClass(k, f"class {k}", PALETTE[k]) for k in range(classes)))
    bands = ("red", "green", "blue")
    spec = ModelSpec("unet", legend, bands, dtype, (90.0,) * 3, (50.0,) * 3, 0.5, 64, 16, 4, OPTIONS)
    weights = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    write_bundle(folder, spec, onnx=onnx_bytes(network, spec), weights=weights)
    return folder


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three bands of uint8, four classes."""
    return make_bundle(tmp_path_factory.mktemp("bundles") / "model", dtype="uint8", classes=4, outputs=4)


@pytest.fixture(scope="session")
def binary_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three bands of uint16, two classes from one logit."""
    return make_bundle(tmp_path_factory.mktemp("bundles") / "binary", dtype="uint16", classes=2, outputs=1)
