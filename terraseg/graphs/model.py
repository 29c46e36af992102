"""What every model.onnx has in common: names, pixels made ready at its door, probabilities at its end, a description."""

import json
from collections.abc import Iterable

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper

from terraseg.core.modelspec import ModelSpec
from terraseg.errors import BandMismatch
from terraseg.graphs.sketch import Sketch

OPSET = 18
IR_VERSION = 10
TREES, TREES_OPSET = "ai.onnx.ml", 3
"""The operator set that holds decision trees; ONNX Runtime has it, OpenVINO does not."""
INPUT, OUTPUT = "image", "probabilities"
METADATA_KEY = "terraseg"
AXES = ("batch", "height", "width")
PIXEL_TYPES = frozenset(
    {"uint8", "int8", "uint16", "int16", "uint32", "int32", "float16", "float32", "float64"}
)  # fmt: skip
"""Pixel types that a graph takes as they are on disk; inside it counts in float32."""


def normalised(sketch: Sketch, spec: ModelSpec) -> str:
    """(raw - mean) / std of the graph's input in float32; pixels that are not finite count as their band's mean."""
    shape = (1, len(spec.bands), 1, 1)
    raw = sketch.add("Cast", INPUT, to=TensorProto.FLOAT)
    shifted = sketch.add("Sub", raw, sketch.constant(np.reshape(spec.mean, shape)))
    scaled = sketch.add("Div", shifted, sketch.constant(np.reshape(spec.std, shape)))
    if np.dtype(spec.dtype).kind != "f":
        return scaled
    strange = sketch.add("Or", sketch.add("IsNaN", scaled), sketch.add("IsInf", scaled))
    return sketch.add("Where", strange, sketch.constant(0.0), scaled)


def reduced(sketch: Sketch, images: str, factor: int) -> str:
    """Means of squares of `factor` x `factor` pixels; a square that the edge cuts is the mean of what there is of it."""
    if factor == 1:
        return images
    return sketch.add("AveragePool", images, kernel_shape=[factor] * 2, strides=[factor] * 2, ceil_mode=1)


def restored(sketch: Sketch, maps: str, factor: int) -> str:
    """Maps of reduced pixels at the size of the graph's input, bilinear between the centres of the squares."""
    if factor == 1:
        return maps
    scales = sketch.constant((1.0, 1.0, factor, factor))
    spread = sketch.add("Resize", maps, "", scales, mode="linear", coordinate_transformation_mode="half_pixel")
    size = sketch.add("Shape", INPUT, start=2)
    return sketch.add("Slice", spread, sketch.sizes(0, 0), size, sketch.sizes(2, 3))


def finished_model(sketch: Sketch, result: str, spec: ModelSpec) -> bytes:
    """The content of `model.onnx` of a sketch whose probabilities are called `result`.

    Input `image` (batch, bands, height, width) in the spec's dtype, output `probabilities` (batch, classes, height, width)
    in float32; batch, height and width are free. The metadata hold `model.json`'s content as a JSON string under
    "terraseg". Equal sketches give equal bytes. Raises `BandMismatch` for a dtype that graphs do not take.
    """
    nodes = [*sketch.nodes, helper.make_node("Identity", [result], [OUTPUT])]
    output = free_size(OUTPUT, TensorProto.FLOAT, len(spec.legend))
    model = assembled(nodes, sketch.constants.values(), spec, output)
    helper.set_model_props(model, {METADATA_KEY: json.dumps(spec.to_json())})
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))


def assembled(
    nodes: Iterable[NodeProto], constants: Iterable[TensorProto], spec: ModelSpec, output: ValueInfoProto
) -> ModelProto:
    """A model from the spec's raw pixels to one output."""
    name = np.dtype(spec.dtype).name
    if name not in PIXEL_TYPES:
        known = ", ".join(sorted(PIXEL_TYPES))
        raise BandMismatch(f"a model for {spec.dtype} pixels cannot be written: convert the imagery to one of {known}")
    image = free_size(INPUT, helper.np_dtype_to_tensor_dtype(np.dtype(name)), len(spec.bands))
    graph = helper.make_graph(list(nodes), spec.network, [image], [output], list(constants))
    sets = [helper.make_opsetid("", OPSET), helper.make_opsetid(TREES, TREES_OPSET)]
    model: ModelProto = helper.make_model(graph, opset_imports=sets, ir_version=IR_VERSION, producer_name="terraseg")
    return model


def free_size(name: str, kind: int, channels: int) -> ValueInfoProto:
    """A value (batch, channels, height, width) of which all but the channels is free."""
    batch, height, width = AXES
    return helper.make_tensor_value_info(name, kind, [batch, channels, height, width])
