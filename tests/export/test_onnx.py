"""The exported graph against torch, on trained weights, at sizes it has not seen."""

import json
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from terraseg.core.classes import PALETTE, LandClass, Legend
from terraseg.core.modelspec import ModelSpec
from terraseg.errors import BandMismatch, BrokenBundle
from terraseg.export.onnx import onnx_bytes
from terraseg.nets.build import build_network, network_stride
from terraseg.nets.losses import build_loss
from terraseg.nets.scoring import Scoring

SIZES = ((1, 37, 51), (2, 256, 256), (1, 64, 96), (3, 1, 1), (1, 130, 7))
NETWORKS: dict[str, dict[str, Any]] = {
    "simple-unet": {},
    "unet": {"width": 8},
    "unet-light": {"encoder": "mobilenetv2_050"},
    "unet-resnet": {"encoder": "resnet18"},
    "dynamic-unet": {"encoder": "mobilenetv2_050"},
    "residual-unet": {"width": 4},
}


def make_spec(
    name: str, options: dict[str, Any], *, classes: int = 3, dtype: str = "uint8", bands: int = 4
) -> ModelSpec:
    legend = Legend(tuple(LandClass(k, f"class {k}", PALETTE[k]) for k in range(classes)))
    mean = tuple(100.0 + 5 * band for band in range(bands))
    names = tuple(f"band {band}" for band in range(bands))
    stride = network_stride(name, options)
    return ModelSpec(name, legend, names, dtype, mean, (60.0,) * bands, 0.5, 256, 64, stride, options)


def make_scene(seed: int, n: int, size: int, bands: int = 4) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Blobs of three brightnesses and their classes."""
    generator = np.random.default_rng(seed)
    coarse = generator.integers(0, 3, (n, size // 8, size // 8))
    labels = coarse.repeat(8, 1).repeat(8, 2)
    noise = generator.normal(0, 20, (n, bands, size, size))
    return np.clip(40 + 80 * labels[:, None] + noise, 0, 255).astype("uint8"), labels


def trained(spec: ModelSpec, *, outputs: int, steps: int = 24) -> nn.Module:
    """The network after a few dozen steps, so that weights and batch statistics are no initial ones."""
    torch.manual_seed(0)
    network = build_network(spec.network, bands=len(spec.bands), classes=outputs, options=spec.network_options)
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3)
    loss = build_loss("ce")
    mean, std = (torch.tensor(v).view(1, -1, 1, 1) for v in (spec.mean, spec.std))
    for step in range(steps):
        pixels, labels = make_scene(step, 2, 64, len(spec.bands))
        targets = torch.from_numpy(labels).clamp(max=len(spec.legend) - 1)
        optimizer.zero_grad()
        value = loss(network((torch.from_numpy(pixels).float() - mean) / std), targets)
        value.backward()  # type: ignore[no-untyped-call]  # torch's method has no types
        optimizer.step()
    return network


def run(graph: bytes, pixels: NDArray[Any]) -> NDArray[np.float32]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    result = session.run(["probabilities"], {"image": pixels})[0]
    assert isinstance(result, np.ndarray)
    return result


def torch_scores(network: nn.Module, spec: ModelSpec, pixels: NDArray[Any]) -> NDArray[np.float32]:
    scoring = Scoring(network, spec).eval()
    with torch.no_grad():
        return np.asarray(scoring(torch.from_numpy(pixels)).numpy())


@pytest.mark.parametrize("name", NETWORKS)
def test_onnx_runtime_agrees_with_torch_on_trained_weights(name: str) -> None:
    spec = make_spec(name, NETWORKS[name])
    network = trained(spec, outputs=3)
    graph = onnx_bytes(network, spec)
    assert network.training, "the export leaves the network's mode alone"
    for number, height, width in SIZES:
        pixels, _ = make_scene(99, number, 256)
        pixels = np.ascontiguousarray(pixels[:, :, :height, :width])
        found = run(graph, pixels)
        assert found.shape == (number, 3, height, width)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, torch_scores(network, spec, pixels), atol=1e-4, rtol=0)
        np.testing.assert_allclose(found.sum(1), 1, atol=1e-5)


SMALL = {"depth": 2, "width": 4}


@pytest.mark.parametrize("reduction", [2, 3])
def test_a_reduced_model_scores_means_and_spreads_their_probabilities(reduction: int) -> None:
    spec = make_spec("unet", SMALL)
    spec = replace(spec, reduction=reduction, stride=spec.stride * reduction)
    network = trained(spec, outputs=3, steps=10)
    graph = onnx_bytes(network, spec)
    for number, height, width in SIZES:
        pixels = np.ascontiguousarray(make_scene(7, number, 256)[0][:, :, :height, :width])
        found = run(graph, pixels)
        assert found.shape == (number, 3, height, width)
        np.testing.assert_allclose(found, torch_scores(network, spec, pixels), atol=1e-4, rtol=0)
        np.testing.assert_allclose(found.sum(1), 1, atol=1e-5)
    flat = np.repeat(np.repeat(make_scene(8, 1, 16)[0], reduction, axis=2), reduction, axis=3)
    coarse = torch_scores(network, replace(spec, reduction=1), flat[:, :, ::reduction, ::reduction])
    middle = run(graph, flat)[:, :, reduction // 2 :: reduction, reduction // 2 :: reduction]
    if reduction % 2:
        np.testing.assert_allclose(middle, coarse, atol=1e-4, rtol=0)


@pytest.mark.parametrize("dtype", ["uint16", "int16", "float32", "float64"])
def test_raw_pixels_of_any_type_are_cast_inside(dtype: str) -> None:
    spec = make_spec("unet", SMALL, dtype=dtype)
    network = build_network("unet", bands=4, classes=3, options=SMALL)
    graph = onnx_bytes(network, spec)
    # Beyond a signed 16 bit, where a wrong cast would show.
    high = 60_000 if dtype == "uint16" else 30_000
    pixels = np.random.default_rng(0).integers(0, high, (1, 4, 21, 34)).astype(dtype)
    np.testing.assert_allclose(run(graph, pixels), torch_scores(network, spec, pixels), atol=1e-4, rtol=0)


def test_nan_and_infinity_count_as_the_band_s_mean() -> None:
    spec = make_spec("unet", SMALL, dtype="float32")
    network = build_network("unet", bands=4, classes=3, options=SMALL)
    graph = onnx_bytes(network, spec)
    pixels = np.random.default_rng(0).uniform(0, 255, (2, 4, 30, 30)).astype("float32")
    filled = pixels.copy()
    for band, value in enumerate((np.nan, np.inf, -np.inf, np.nan)):
        pixels[:, band, 3 * band : 3 * band + 5, 4:9] = value
        filled[:, band, 3 * band : 3 * band + 5, 4:9] = spec.mean[band]
    np.testing.assert_allclose(run(graph, pixels), run(graph, filled), atol=1e-6)
    np.testing.assert_allclose(torch_scores(network, spec, pixels), run(graph, filled), atol=1e-4)


def test_one_logit_gives_both_of_two_classes() -> None:
    spec = make_spec("unet", SMALL, classes=2)
    network = trained(spec, outputs=1, steps=10)
    pixels, _ = make_scene(5, 1, 64)
    found = run(onnx_bytes(network, spec), pixels)
    mean, std = (torch.tensor(v).view(1, -1, 1, 1) for v in (spec.mean, spec.std))
    with torch.no_grad():
        p = torch.sigmoid(network.eval()((torch.from_numpy(pixels).float() - mean) / std))
    np.testing.assert_allclose(found, torch.cat([1 - p, p], 1).numpy(), atol=1e-5)


def test_the_file_is_checked_described_and_self_contained() -> None:
    spec = make_spec("unet", SMALL)
    graph = onnx_bytes(build_network("unet", bands=4, classes=3, options=SMALL), spec)
    model = onnx.load_from_string(graph)
    onnx.checker.check_model(model, full_check=True)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    assert ModelSpec.from_json(json.loads(metadata["terraseg"])) == spec
    assert not any(tensor.external_data for tensor in model.graph.initializer)
    shapes = [
        [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim]
        for v in (*model.graph.input, *model.graph.output)
    ]
    assert shapes == [["batch", 4, "height", "width"], ["batch", 3, "height", "width"]]
    assert b"site-packages" not in graph, "no path of the exporting machine stays inside"


def test_the_same_weights_give_the_same_bytes_in_any_memory_format() -> None:
    spec = make_spec("unet", SMALL)
    network = build_network("unet", bands=4, classes=3, options=SMALL)
    graphs = [onnx_bytes(network, spec), onnx_bytes(network.eval().to(memory_format=torch.channels_last), spec)]
    assert all(a == b for a, b in pairwise(graphs))
    assert not network.training


def test_a_legend_of_another_length_is_refused() -> None:
    with pytest.raises(BrokenBundle, match="a network of 2 classes with a legend of 3"):
        onnx_bytes(build_network("unet", bands=4, classes=2, options=SMALL), make_spec("unet", SMALL))


def test_a_pixel_type_that_graphs_lack_is_refused() -> None:
    spec = make_spec("unet", SMALL, dtype="complex64")
    with pytest.raises(BandMismatch, match="complex64"):
        onnx_bytes(build_network("unet", bands=4, classes=3, options=SMALL), spec)
