"""A model in bytes: post-training quantisation of a bundle's graph, in ONNX's QDQ form, which every engine reads.

Weights get a scale for each output channel, activations one for each tensor, set by the range of values on calibration
windows (Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference", CVPR
2018). Normalisation and the final softmax or sigmoid stay in 32 bit. Networks of depthwise convolutions lose most by it,
since a channel's range there differs widely from its neighbour's: layers that must not be quantised form islands.
"""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.quant_utils import add_pre_process_metadata

from terraseg.core.int8 import Int8Report
from terraseg.core.scorer import Scorer
from terraseg.errors import BadOption, BrokenBundle
from terraseg.graphs.model import INPUT
from terraseg.pixels.blend import to_host

PRODUCTS = ("Conv", "ConvTranspose", "MatMul", "Gemm")
PASSED_THROUGH = ("Concat", "Resize", "MaxPool")
"""Operators that bytes can run through, so that they need not become floats and bytes again."""
UPSAMPLING = ("Resize", "ConvTranspose")

Windows = Sequence[NDArray[Any]]
"""Raw pixels (bands, height, width) of one size, in the model's dtype."""


@dataclass(frozen=True)
class Islands:
    """Nodes that stay in 32 bit, and what they are in words; "" for none."""

    nodes: tuple[str, ...]
    words: str


class _Reader(CalibrationDataReader):  # type: ignore[misc]  # ships no types
    """The calibration windows one by one, as ONNX Runtime asks for them."""

    def __init__(self, windows: Windows) -> None:
        self._left = iter(windows)

    def get_next(self) -> dict[str, NDArray[Any]] | None:
        """The next window as a batch of one; None after the last."""
        window = next(self._left, None)
        return None if window is None else {INPUT: np.ascontiguousarray(window[None])}


def int8_graphs(path: Path, windows: Windows) -> Iterator[tuple[bytes, str]]:
    """Graphs in bytes of the model at `path`, from the fastest to the most careful, each with what of it stays in 32 bit.

    First everything is quantised; then the first and the last layer stay as they are; then depthwise and other grouped
    layers; then all before the first upsampling. Each is made when it is asked for, in seconds. Raises `BrokenBundle` for a
    file that is no graph, `BadOption` for one without convolutions and for no windows.
    """
    if not windows:
        raise BadOption("no window to calibrate a model in bytes on: pass imagery with valid pixels")
    model = _read(path)
    products = [node for node in model.graph.node if node.op_type in PRODUCTS]
    if not any(node.op_type in ("Conv", "ConvTranspose") for node in products):
        raise BadOption(f"{path} holds no convolution to count in bytes: use the precision 'exact' or 'fast'")
    for island in _islands(model, products):
        yield _quantised(model, windows, island), island.words


def measure_agreement(
    exact: Scorer, other: Scorer, windows: Windows, *, calibrated: int, floats: str = ""
) -> Int8Report:
    """How far a scorer maps what the exact one maps, on windows that had no part in its calibration.

    Where classes exclude each other a pixel agrees when its likeliest class is the same, where they overlap when all
    decisions at one half are.
    """
    equal = pixels = 0
    for window in windows:
        one, two = (_decided(scorer, window) for scorer in (exact, other))
        same = (one == two).all(axis=0)
        equal, pixels = equal + int(same.sum()), pixels + same.size
    return Int8Report(equal / max(1, pixels), calibrated, len(windows), pixels, floats)


def _decided(scorer: Scorer, window: NDArray[Any]) -> NDArray[Any]:
    scores = to_host(scorer.score(np.ascontiguousarray(window[None])))[0]
    decided: NDArray[Any] = scores >= 0.5 if scorer.spec.overlapping else scores.argmax(axis=0)[None]
    return decided


def _read(path: Path) -> ModelProto:
    try:
        model: ModelProto = onnx.load_from_string(path.read_bytes())
    except (OSError, DecodeError) as error:
        raise BrokenBundle(f"{path} cannot be read ({error}): export the model again") from error
    for number, node in enumerate(model.graph.node):
        # Islands are named by their nodes.
        node.name = node.name or f"{node.op_type}_{number}"
    # Shapes are inferred and batch normalisation is folded already; without this mark a warning asks for both.
    add_pre_process_metadata(model)
    return model


def _islands(model: ModelProto, products: Sequence[NodeProto]) -> Iterator[Islands]:
    names = [node.name for node in products]
    ends = {names[0], names[-1]}
    grouped = {node.name for node in products if any(a.name == "group" and a.i > 1 for a in node.attribute)}
    order = [node.name for node in model.graph.node]
    first_up = next((order.index(n.name) for n in model.graph.node if n.op_type in UPSAMPLING), 0)
    encoder = {name for name in names if order.index(name) < first_up}
    yield Islands((), "")
    yield Islands(tuple(sorted(ends)), "the first and the last layer")
    if grouped - ends:
        yield Islands(tuple(sorted(ends | grouped)), "the first, the last and all grouped layers")
    if encoder and set(names) - encoder - ends:
        yield Islands(tuple(sorted(ends | encoder)), "the encoder and the last layer")


def _quantised(model: ModelProto, windows: Windows, island: Islands) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "int8.onnx"
        copy = ModelProto()
        copy.CopyFrom(model)
        quantize_static(
            copy,
            str(out),
            _Reader(windows),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=[*PRODUCTS, *PASSED_THROUGH],
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=[*island.nodes, *_behind_products(model)],
            calibrate_method=CalibrationMethod.MinMax,
        )
        return out.read_bytes()


def _behind_products(model: ModelProto) -> list[str]:
    """Operators that bytes could run through, but with no product behind them: what spreads finished probabilities."""
    needed: set[str] = set()
    behind = []
    for node in reversed(model.graph.node):
        if node.op_type in PRODUCTS or needed.intersection(node.output):
            needed.update(node.input)
        elif node.op_type in PASSED_THROUGH:
            behind.append(node.name)
    return behind
