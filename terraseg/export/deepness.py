"""A model for Deepness, the QGIS plugin: an ONNX file that takes tiles as the plugin prepares them and describes itself.

Deepness (https://qgis-plugin-deepness.readthedocs.io, as of 0.6) cuts a layer into square tiles, divides the pixels by
255 whatever their type, subtracts `standardization_mean` and divides by `standardization_std`, takes class probabilities
with the channels first, and maps the likeliest class. What the user would have to type in is read from the file's metadata,
each value as JSON text.
"""

import json
import math
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, ValueInfoProto, compose, helper

from terraseg.core.modelspec import ModelSpec
from terraseg.errors import BandMismatch
from terraseg.export.ensemble import read_graph
from terraseg.graphs.model import INPUT, OUTPUT
from terraseg.graphs.sketch import Sketch
from terraseg.store.bundle import read_spec
from terraseg.store.rundir import replacing

LARGEST_BYTE = 255.0
"""By which the plugin divides pixels of any type."""
PIXEL_TYPES = ("uint8", "uint16", "int16")
"""What the plugin reads from a layer."""
TILES = "tiles"
"""The input's name: standardised tiles (batch, bands, size, size)."""


def write_deepness(folder: Path, out: Path) -> Path:
    """Writes the model of a folder for Deepness to `out`, an .onnx file, and gives its path; raises as `deepness_bytes`."""
    content = deepness_bytes(folder)
    with replacing(out) as temporary:
        temporary.write_bytes(content)
    return out


def deepness_bytes(folder: Path) -> bytes:
    """The content of an ONNX file for Deepness, of the model in a folder.

    Input `tiles` (batch, bands, size, size) in float32, standardised by the plugin; output `probabilities` (batch, classes,
    size, size). The size is the model's tile; the batch is free. The pixels' own numbers are restored inside, for 16 bit
    too, so that the probabilities are those of the model itself. Classes that overlap have an output each, "not NAME" and
    "NAME", since the plugin maps one class an output. Raises `BandMismatch` for pixels that the plugin does not read,
    `BrokenBundle` for a folder that is no whole bundle.
    """
    spec = read_spec(folder)
    _check_pixels(spec, folder)
    model = _restandardised(read_graph(folder), spec)
    helper.set_model_props(model, deepness_metadata(spec))
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))


def deepness_metadata(spec: ModelSpec) -> dict[str, str]:
    """The file's metadata: what Deepness reads, as JSON text by key.

    Channels are numbered in the legend's order, not by the ids of terraseg's maps. `resolution` is in centimetres and is
    left out where the model has none, `tiles_overlap` in percent, rounded up. The threshold 0 leaves every pixel to its
    likeliest class, as terraseg does.
    """
    mean, std = _standardisation(spec)
    values = {
        "model_type": "Segmentor",
        "class_names": [_names(part) for part in _parts(spec)] if spec.overlapping else _names(spec.legend.names),
        "resolution": None if spec.gsd_m is None else round(100 * spec.gsd_m, 6),
        "tiles_size": spec.tile,
        # The documentation says tiles_size, the plugin's code asks for tile_size.
        "tile_size": spec.tile,
        "tiles_overlap": math.ceil(100 * spec.overlap / spec.tile),
        "standardization_mean": mean.tolist(),
        "standardization_std": std.tolist(),
        "seg_thresh": 0,
        "seg_small_segment": 0,
    }
    return {key: json.dumps(value, ensure_ascii=False) for key, value in values.items() if value is not None}


def _check_pixels(spec: ModelSpec, folder: Path) -> None:
    if spec.indices is not None:
        raise BandMismatch(
            f"{folder} reads the indices {', '.join(spec.indices.names)}, which Deepness does not compute for it: map with "
            "`terraseg predict` and load its map"
        )
    if np.dtype(spec.dtype).name not in PIXEL_TYPES:
        known = ", ".join(PIXEL_TYPES)
        raise BandMismatch(
            f"{folder} is a model for {spec.dtype} pixels, and Deepness reads {known} only: map with `terraseg predict`, or "
            "train on imagery of 8 or 16 bit"
        )


def _standardisation(spec: ModelSpec) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and deviation of each band after the division by 255."""
    return np.array(spec.mean) / LARGEST_BYTE, np.array(spec.std) / LARGEST_BYTE


def _parts(spec: ModelSpec) -> list[tuple[str, str]]:
    return [(f"not {name}", name) for name in spec.legend.names]


def _names(names: tuple[str, ...]) -> dict[str, str]:
    return {str(channel): name for channel, name in enumerate(names)}


def _restandardised(member: ModelProto, spec: ModelSpec) -> ModelProto:
    """The model between standardised tiles and what the plugin expects of it, all sizes but the batch's fixed."""
    sketch = Sketch()
    sketch.nodes.append(helper.make_node("Identity", [_raw_pixels(sketch, spec)], [INPUT]))
    # Prefixed, a member's names cannot meet the sketch's; what it calls its image is now an inner value.
    inner = compose.add_prefix(member, "model_", rename_inputs=False).graph
    sketch.nodes.extend(inner.node)
    sketch.constants.update({tensor.name: tensor for tensor in inner.initializer})
    outputs = _outputs(sketch, f"model_{OUTPUT}", spec)
    tiles = _fixed(TILES, len(spec.bands), spec)
    graph = helper.make_graph(sketch.nodes, spec.network, [tiles], outputs, list(sketch.constants.values()))
    model: ModelProto = helper.make_model(
        graph, opset_imports=member.opset_import, ir_version=member.ir_version, producer_name="terraseg"
    )
    return model


def _raw_pixels(sketch: Sketch, spec: ModelSpec) -> str:
    """The pixels before the plugin's standardisation, whole numbers again, in float32."""
    shape = (1, len(spec.bands), 1, 1)
    mean, std = (sketch.constant(values.reshape(shape)) for values in _standardisation(spec))
    scaled = sketch.add("Add", sketch.add("Mul", TILES, std), mean)
    return sketch.add("Round", sketch.add("Mul", scaled, sketch.constant(LARGEST_BYTE)))


def _outputs(sketch: Sketch, probabilities: str, spec: ModelSpec) -> list[ValueInfoProto]:
    """One output with all classes, or one of two channels for each class that overlaps others."""
    if not spec.overlapping:
        sketch.nodes.append(helper.make_node("Identity", [probabilities], [OUTPUT]))
        return [_fixed(OUTPUT, len(spec.legend), spec)]
    count = len(spec.legend)
    planes = sketch.split("Split", probabilities, results=count, axis=1, num_outputs=count)
    outputs = []
    for index, plane in enumerate(planes):
        beside = sketch.add("Sub", sketch.constant(1.0), plane)
        name = f"{OUTPUT}_{index}"
        sketch.nodes.append(helper.make_node("Concat", [beside, plane], [name], axis=1))
        outputs.append(_fixed(name, 2, spec))
    return outputs


def _fixed(name: str, channels: int, spec: ModelSpec) -> ValueInfoProto:
    """A value (batch, channels, size, size) of the model's tile size: the plugin takes no free sizes."""
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", channels, spec.tile, spec.tile])
