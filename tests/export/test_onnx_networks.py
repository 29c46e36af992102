"""Every network of segmentation-models-pytorch as a graph against torch, at sizes other than the export's."""

from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch

from terraseg.core.classes import PALETTE, LandClass, Legend
from terraseg.core.modelspec import ModelSpec
from terraseg.export.onnx import onnx_bytes
from terraseg.nets.build import build_network, network_stride, rebuild_network
from terraseg.nets.decoders import RECIPES
from terraseg.nets.scoring import Scoring

SIZES = ((2, 64, 64), (1, 37, 151), (3, 1, 1))
TINY = {"encoder": "test_resnet"}
CASES: dict[str, dict[str, Any]] = {
    **dict.fromkeys(RECIPES, TINY),
    "dpt": {"encoder": "test_vit", "width": 16},
    "unet-light": {"encoder": "test_mambaout", "decoder": "tiny"},
}
"""The last has maps from a quarter of the size on, channels last."""


@pytest.mark.parametrize("name", CASES)
def test_onnx_runtime_agrees_with_the_rebuilt_network_at_other_sizes(name: str) -> None:
    torch.manual_seed(0)
    options = CASES[name]
    legend = Legend(tuple(LandClass(k, f"class {k}", PALETTE[k]) for k in range(3)))
    bands, stride = ("blue", "green", "red", "nir"), network_stride(name, options)
    spec = ModelSpec(name, legend, bands, "uint8", (100.0,) * 4, (60.0,) * 4, 0.5, 64, 16, stride, options)
    network = build_network(name, bands=4, classes=3, options=options)
    with torch.no_grad():
        for _ in range(2):
            network(torch.randn(2, 4, 64, 64))
    weights = {key: t.numpy() for key, t in network.state_dict().items()}
    rebuilt = rebuild_network(spec, weights)
    session = onnxruntime.InferenceSession(onnx_bytes(rebuilt, spec), providers=["CPUExecutionProvider"])
    scoring = Scoring(network, spec).eval()
    for number, height, width in SIZES:
        pixels = np.random.default_rng(3).integers(0, 256, (number, 4, height, width), dtype=np.uint8)
        with torch.no_grad():
            expected = scoring(torch.from_numpy(pixels)).numpy()
        found = np.asarray(session.run(["probabilities"], {"image": pixels})[0])
        assert found.shape == (number, 3, height, width)
        np.testing.assert_allclose(found, expected, atol=1e-4, rtol=0)
