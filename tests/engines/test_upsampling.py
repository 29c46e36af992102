"""Convolutions joined with the upsampling before them, against the graph as it was and against plain sums."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

openvino = pytest.importorskip("openvino")

from openvino import opset13  # noqa: E402  # only where it is installed

from terraseg.core.classes import PALETTE, LandClass, Legend  # noqa: E402
from terraseg.core.modelspec import ModelSpec  # noqa: E402
from terraseg.engines.onnx import open_onnx  # noqa: E402
from terraseg.engines.openvino import open_openvino, read_graph  # noqa: E402
from terraseg.engines.upsampling import join_upsampling, transposed_kernel  # noqa: E402
from terraseg.export.onnx import onnx_bytes  # noqa: E402
from terraseg.nets.build import build_network  # noqa: E402
from terraseg.store.bundle import onnx_path, write_bundle  # noqa: E402

RANDOM = np.random.default_rng(5)


def light_bundle(folder: Path, reduction: int = 1) -> Path:
    torch.manual_seed(0)
    options = {"encoder": "resnet18"}
    network = build_network("unet-light", bands=3, classes=4, options=options)
    legend = Legend(tuple(LandClass(k, f"class {k}", PALETTE[k]) for k in range(4)))
    facts = (("red", "green", "blue"), "uint8", (90.0,) * 3, (50.0,) * 3, 0.5, 128, 32, 32 * reduction, options)
    spec = ModelSpec("unet-light", legend, *facts, reduction=reduction)
    weights = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    write_bundle(folder, spec, onnx=onnx_bytes(network, spec), weights=weights)
    return folder


def doubled(small: Any, nearest: str = "floor") -> Any:
    sizes = opset13.constant(np.array([2 * side for side in small.get_output_shape(0)[2:]]))
    how = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": nearest}
    return opset13.interpolate(small, sizes, "nearest", "sizes", axes=opset13.constant(np.array([2, 3])), **how)


def made(image: NDArray[np.float32], kernel: NDArray[np.float32], nearest: str = "floor") -> Any:
    source = opset13.parameter(list(image.shape), np.float32)
    ends = [1, 1]
    out = opset13.convolution(doubled(source, nearest), opset13.constant(kernel), ends, ends, ends, ends)
    return openvino.Model([out], [source], "made")


def ran(graph: Any, image: NDArray[np.float32]) -> NDArray[np.float32]:
    exact = {"INFERENCE_PRECISION_HINT": "f32"}
    return np.asarray(openvino.Core().compile_model(graph, "CPU", exact)([image])[0])


@pytest.mark.parametrize("shape", [(1, 2, 5, 7), (2, 3, 1, 1), (1, 1, 2, 9)])
def test_a_transposed_convolution_gives_the_sums_over_the_doubled_image(shape: tuple[int, ...]) -> None:
    image = RANDOM.standard_normal(shape, dtype=np.float32)
    kernel = RANDOM.standard_normal((4, shape[1], 3, 3), dtype=np.float32)
    twice = torch.from_numpy(image.repeat(2, axis=2).repeat(2, axis=3))
    expected = F.conv2d(twice, torch.from_numpy(kernel), padding=1).numpy()
    whole = torch.from_numpy(transposed_kernel(kernel))
    np.testing.assert_allclose(
        F.conv_transpose2d(torch.from_numpy(image), whole, stride=2, padding=1).numpy(), expected, atol=1e-5
    )
    graph = made(image, kernel)
    assert join_upsampling(graph) == 1
    assert "Interpolate" not in {node.get_type_name() for node in graph.get_ops()}
    np.testing.assert_allclose(ran(graph, image), expected, atol=1e-5)


def test_pixels_that_are_repeated_otherwise_stay_as_they_are() -> None:
    image, kernel = np.ones((1, 1, 4, 4), np.float32), np.ones((1, 1, 3, 3), np.float32)
    assert join_upsampling(made(image, kernel, "ceil")) == 0


@pytest.mark.parametrize("reduction", [1, 2])
def test_a_decoder_is_joined_throughout_and_scores_as_before(tmp_path: Path, reduction: int) -> None:
    bundle = light_bundle(tmp_path / "model", reduction)
    graph = read_graph(openvino.Core(), onnx_path(bundle))
    graph.reshape([1, 3, 64 * reduction, 96 * reduction])
    assert join_upsampling(graph) == 5, "a U-Net on a stride of 32 doubles its image five times"
    scorer, reference = open_openvino(bundle, threads=1), open_onnx(bundle, threads=1)
    for height, width in ((64 * reduction, 96 * reduction), (37, 51), (1, 1)):
        pixels = RANDOM.integers(0, 255, (1, 3, height, width)).astype(np.uint8)
        np.testing.assert_allclose(scorer.score(pixels), reference.score(pixels), atol=1e-5, rtol=0)


def test_scores_given_earlier_are_not_written_over(tmp_path: Path) -> None:
    scorer = open_openvino(light_bundle(tmp_path / "model"), threads=1)
    first = scorer.score(np.zeros((1, 3, 32, 32), dtype=np.uint8))
    kept = first.copy()
    assert not np.array_equal(scorer.score(np.full((1, 3, 32, 32), 200, dtype=np.uint8)), kept)
    np.testing.assert_array_equal(first, kept)
