"""A trained network as one ONNX file: raw pixels in, class probabilities out, at any batch and image size."""

import json
from copy import deepcopy

import numpy as np
import onnx
import torch
from torch import nn
from torch.export import Dim

from terraseg.core.modelspec import ModelSpec
from terraseg.errors import BandMismatch, BrokenBundle
from terraseg.nets.scoring import Scoring

OPSET = 18
INPUT, OUTPUT = "image", "probabilities"
METADATA_KEY = "terraseg"
AXES = ("batch", "height", "width")

TORCH_DTYPES: dict[str, torch.dtype] = {
    "uint8": torch.uint8,
    "int8": torch.int8,
    "uint16": torch.uint16,
    "int16": torch.int16,
    "uint32": torch.uint32,
    "int32": torch.int32,
    "float16": torch.float16,
    "float32": torch.float32,
    "float64": torch.float64,
}
"""Pixel types that a graph takes as they are on disk; inside it counts in float32."""


def onnx_bytes(network: nn.Module, spec: ModelSpec) -> bytes:
    """The content of `model.onnx`: cast, fill, normalise, network and softmax or sigmoid in one graph, its weights inside.

    Input `image` (batch, bands, height, width) in the spec's dtype, output `probabilities` (batch, classes, height, width)
    in float32; batch, height and width are free, from one pixel on. The metadata hold `model.json`'s content as a JSON
    string under "terraseg". The network itself is left as it is, whatever its mode and device. The same weights give the
    same bytes. Raises `BrokenBundle` when network and spec disagree on the classes, `BandMismatch` for another dtype.
    """
    scoring = Scoring(deepcopy(network).float().cpu(), spec).eval().to(memory_format=torch.contiguous_format)
    dtype = _input_dtype(spec)
    _check_classes(scoring, spec, dtype)
    height, width = 3 * spec.stride + 5, 2 * spec.stride + 9
    example = torch.zeros(2, len(spec.bands), height, width, dtype=dtype)
    # Named sizes would make torch prove its every assumption for all of them, which it cannot; sizes are tested instead.
    free = dict.fromkeys((0, 2, 3), Dim.DYNAMIC)
    with torch.no_grad():
        program = torch.onnx.export(
            scoring,
            (example,),
            input_names=[INPUT],
            output_names=[OUTPUT],
            opset_version=OPSET,
            dynamic_shapes=(free,),
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    model = _described(program.model_proto, spec)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))


def _input_dtype(spec: ModelSpec) -> torch.dtype:
    name = np.dtype(spec.dtype).name
    if name not in TORCH_DTYPES:
        known = ", ".join(TORCH_DTYPES)
        raise BandMismatch(f"a model for {spec.dtype} pixels cannot be exported: convert the imagery to one of {known}")
    return TORCH_DTYPES[name]


def _check_classes(scoring: Scoring, spec: ModelSpec, dtype: torch.dtype) -> None:
    with torch.no_grad():
        found = scoring(torch.zeros(1, len(spec.bands), spec.stride, spec.stride, dtype=dtype)).shape[1]
    if found != len(spec.legend):
        raise BrokenBundle(f"a network of {found} classes with a legend of {len(spec.legend)}: build it for the legend")


def _described(model: onnx.ModelProto, spec: ModelSpec) -> onnx.ModelProto:
    """The model with its spec in the metadata, plain names for its free sizes, and without the exporter's stack traces."""
    graph = model.graph
    for part in (graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        part.ClearField("doc_string")
        part.ClearField("metadata_props")
    # The exporter's inner shapes are long expressions of the sizes; every reader infers them anyway.
    graph.ClearField("value_info")
    for value in (*graph.input, *graph.output):
        for axis, name in zip((0, 2, 3), AXES, strict=True):
            value.type.tensor_type.shape.dim[axis].dim_param = name
    model.producer_name, graph.name = "terraseg", spec.network
    model.ClearField("producer_version")
    onnx.helper.set_model_props(model, {METADATA_KEY: json.dumps(spec.to_json())})
    return model
