"""A model as a STAC item, so that it can be catalogued and found beside the imagery it is for.

STAC 1.1 (https://stacspec.org) with the Machine Learning Model extension 1.5 (https://github.com/stac-extensions/mlm), whose
words these are, and the file extension 2.1 for sizes and checksums.
"""

import os
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import shapely
from pyproj import Transformer
from pyproj.exceptions import ProjError

from terraseg import __version__
from terraseg.core.dataset import Dataset, Scene
from terraseg.core.modelspec import ENSEMBLE, FOREST, ModelSpec
from terraseg.store.bundle import SPEC, WEIGHTS, file_hash, onnx_path, read_spec
from terraseg.store.rundir import RunFolder, read_json, write_json

STAC_VERSION = "1.1.0"
MLM = "https://stac-extensions.github.io/mlm/v1.5.0/schema.json"
FILE = "https://stac-extensions.github.io/file/v2.1.0/schema.json"

ARCHITECTURES = {
    **dict.fromkeys(("simple-unet", "unet", "unet-light", "unet-resnet", "dynamic-unet", "residual-unet"), "U-Net"),
    "unetplusplus": "U-Net++",
    "manet": "MA-Net",
    "linknet": "LinkNet",
    "fpn": "FPN",
    "pspnet": "PSPNet",
    "deeplabv3": "DeepLabV3",
    "deeplabv3plus": "DeepLabV3+",
    "pan": "PAN",
    "upernet": "UPerNet",
    "segformer": "SegFormer",
    "dpt": "DPT",
    FOREST: "Extremely Randomized Trees",
}
"""What the literature calls a network."""

TRAINING = ("steps", "seed", "crop", "batch", "learning_rate", "schedule", "loss", "augment", "train_pixels")
"""What of a model's provenance is a hyperparameter."""

DEGREE_DIGITS = 7


def write_stac(folder: Path, out: Path, *, name: str) -> Path:
    """Writes the STAC item of a model folder to `out`, a .json file, and gives its path; raises as `stac_item`."""
    write_json(out, stac_item(folder, name=name, beside=out.parent))
    return out


def stac_item(folder: Path, *, name: str, beside: Path) -> dict[str, Any]:
    """A STAC item that describes a model, as plain JSON; its links to the model's files are relative to `beside`.

    Its place is the ground that the model was trained on, where the folder still lies in its run, else null; its time is
    when the model was written. Classes are numbered by the model's channels. Raises `BrokenBundle` for a folder that is no
    whole bundle.
    """
    spec = read_spec(folder)
    written = datetime.fromtimestamp((folder / SPEC).stat().st_mtime, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    area = _training_area(folder, spec)
    item: dict[str, Any] = {
        "type": "Feature",
        "stac_version": STAC_VERSION,
        "stac_extensions": [MLM, FILE],
        "id": re.sub(r"[^A-Za-z0-9_.-]+", "-", name),
        "geometry": None if area is None else shapely.geometry.mapping(area),
        "properties": {"datetime": written, "created": written, **_properties(spec, name)},
        "links": [],
        "assets": _assets(folder, spec, beside),
    }
    return item if area is None else item | {"bbox": list(area.bounds)}


def _properties(spec: ModelSpec, name: str) -> dict[str, Any]:
    tasks = ["semantic-segmentation"]
    properties = {
        "title": name,
        "description": f"Maps {', '.join(spec.legend.names)} on imagery of the bands {', '.join(spec.bands)}.",
        "gsd": spec.gsd_m,
        "bands": [{"name": band, "data_type": spec.dtype} for band in spec.bands],
        "mlm:name": _mlm_name(name),
        "mlm:architecture": _architecture(spec),
        "mlm:tasks": tasks,
        "mlm:framework": "ONNX",
        "mlm:total_parameters": spec.provenance.get("parameters"),
        "mlm:input": [_input(spec)],
        "mlm:output": [_output(spec, tasks)],
        "mlm:hyperparameters": _hyperparameters(spec),
    }
    return {key: value for key, value in properties.items() if value is not None}


def _mlm_name(name: str) -> str:
    """The nearest name that the extension allows: it starts with a letter and ends with a letter or a digit."""
    plain = re.sub(r"[^A-Za-z0-9_. -]+", "-", name).strip("-_. ")
    return plain if re.match(r"[A-Za-z].+", plain) else f"terraseg {plain or 'model'}"


def _architecture(spec: ModelSpec) -> str:
    names = [ARCHITECTURES.get(member, member) for member in spec.members]
    if spec.network == ENSEMBLE:
        return f"Ensemble of {' and '.join(dict.fromkeys(names))}"
    encoder = spec.network_options.get("encoder")
    return f"{names[0]} ({encoder})" if encoder else names[0]


def _input(spec: ModelSpec) -> dict[str, Any]:
    return {
        "name": "image",
        "description": "Pixel values as they are in the imagery: the graph itself scales them. Any height and width.",
        "bands": list(spec.bands),
        "input": {
            "shape": [-1, len(spec.bands), -1, -1],
            "dim_order": ["batch", "bands", "height", "width"],
            "data_type": spec.dtype,
        },
        "value_scaling": None,
        "resize_type": None,
        "pre_processing_function": _formulas(spec),
    }


def _formulas(spec: ModelSpec) -> dict[str, str] | None:
    """The indices among the bands, which are computed before the graph sees them."""
    if spec.indices is None:
        return None
    told = "; ".join(f"{name} = {expression}" for name, expression in spec.indices.expressions)
    values = "values" if spec.indices.scale is None else f"{spec.indices.scale:g} * value + {spec.indices.offset:g}"
    return {"format": "expression", "expression": f"{told}; band names stand for {values}, what is not finite is 0"}


def _output(spec: ModelSpec, tasks: list[str]) -> dict[str, Any]:
    sums = "each class has its own, from 0 to 1" if spec.overlapping else "they sum to 1 over the classes"
    ids = ", ".join(f"{c.id} {c.name}" for c in spec.legend.classes)
    return {
        "name": "probabilities",
        "description": f"Class probabilities of every pixel: {sums}. In terraseg's maps the classes have the ids {ids}.",
        "tasks": tasks,
        "result": {
            "shape": [-1, len(spec.legend), -1, -1],
            "dim_order": ["batch", "class", "height", "width"],
            "data_type": "float32",
        },
        "classification:classes": [
            {
                "value": index,
                "name": _machine_name(c.name, index),
                "title": c.name,
                "description": c.name,
                "color_hint": c.color[1:].upper(),
            }
            for index, c in enumerate(spec.legend.classes)
        ],
        "post_processing_function": None,
    }


def _machine_name(name: str, index: int) -> str:
    """The name in the letters that the classification extension allows, for machines; unlike names may become alike."""
    return re.sub(r"[^0-9A-Za-z_-]+", "_", name).strip("_") or f"class_{index}"


def _hyperparameters(spec: ModelSpec) -> dict[str, Any]:
    trained = {key: spec.provenance[key] for key in TRAINING if spec.provenance.get(key) is not None}
    sizes = {"tile": spec.tile, "overlap": spec.overlap, "stride": spec.stride, "reduction": spec.reduction}
    return {"network": spec.network, "network_options": spec.network_options, **sizes, **trained}


def _assets(folder: Path, spec: ModelSpec, beside: Path) -> dict[str, Any]:
    graph = _asset(onnx_path(folder), beside)
    assets = {
        "model": graph
        | {
            "title": "ONNX graph from raw pixels to class probabilities",
            "type": "application/octet-stream; framework=onnx",
            "roles": ["mlm:model", "model"],
            "mlm:artifact_type": "onnx",
        },
        "description": _asset(folder / SPEC, beside)
        | {
            "title": f"terraseg {__version__}'s description of the model",
            "type": "application/json",
            "roles": ["metadata"],
        },
    }
    if spec.network not in (FOREST, ENSEMBLE):
        assets["weights"] = _asset(folder / WEIGHTS, beside) | {
            "title": "Weights of the network, by PyTorch's names",
            "type": "application/octet-stream; framework=safetensors",
            "roles": ["mlm:weights", "weights"],
            "mlm:framework": "PyTorch",
        }
    return assets


def _asset(path: Path, beside: Path) -> dict[str, Any]:
    relative = os.path.relpath(path.resolve(), beside.resolve())
    href = Path(relative).as_posix()
    return {
        "href": href if href.startswith("../") else f"./{href}",
        "file:size": path.stat().st_size,
        # A multihash: 12 for SHA-256, 20 for its 32 bytes.
        "file:checksum": f"1220{file_hash(path)}",
    }


def _training_area(folder: Path, spec: ModelSpec) -> Any:
    """The ground that the model saw in training as a geometry in longitude and latitude; None where it is not known."""
    run = RunFolder(folder.resolve().parent)
    trained = spec.provenance.get("scenes")
    if trained is None or not run.dataset.exists():
        return None
    scenes = [scene for scene in Dataset.from_json(read_json(run.dataset)).scenes if scene.train]
    boxes = [_scene_area(scene) for scene in scenes]
    # A data set that has changed since, ground without a place, and ground on both sides of the date line.
    if [scene.name for scene in scenes] != trained or not boxes or None in boxes:
        return None
    return shapely.set_precision(shapely.union_all(boxes), 10.0**-DEGREE_DIGITS)


def _scene_area(scene: Scene) -> Any:
    """The box around a scene's training windows in longitude and latitude; None off the Earth and over the date line."""
    if scene.grid.crs is None:
        return None
    try:
        to_degrees = Transformer.from_crs(scene.grid.crs, "OGC:CRS84", always_xy=True)
        corners = [to_degrees.transform_bounds(*scene.grid.crop(window).bounds) for window in scene.train]
    except ProjError:
        return None
    if any(left > right for left, _, right, _ in corners):
        return None
    return shapely.box(*_around(corners))


def _around(boxes: list[tuple[float, float, float, float]]) -> tuple[float, float, float, float]:
    lefts, bottoms, rights, tops = zip(*boxes, strict=True)
    return min(lefts), min(bottoms), max(rights), max(tops)
