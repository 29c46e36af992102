"""A terraseg model inside ArcGIS: the Python raster function that `terraseg export --arcgis` writes beside a model.

It stands alone as TerrasegClassifier.py and needs numpy and onnxruntime in ArcGIS's Python environment. ArcGIS gives the
methods their names and calls them in the order in which they stand (Esri, "Anatomy of a Python Raster Function",
https://github.com/Esri/raster-functions/wiki/PythonRasterFunction).
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

NODATA = 255
INHERIT_PLACE, INHERIT_RESAMPLING = 4, 8
"""What the map takes from the image, in ArcGIS's numbers; not its pixel type, and not its nodata value, which may be a class."""


class TerrasegClassifier:
    """The class of every pixel of an image, by its id; ArcGIS makes one object a model."""

    def __init__(self) -> None:
        self.name = "terraseg"
        self.description = "Classifies the pixels of an image by a model that was trained with terraseg."

    def initialize(self, **kwargs: Any) -> None:
        """Reads the model definition, a path or its text, and opens the graph beside it, on a GPU when one is given."""
        if "model" not in kwargs:
            return
        import onnxruntime

        given = str(kwargs["model"])
        is_text = given.lstrip().startswith("{")
        self.definition: dict[str, Any] = json.loads(given if is_text else Path(given).read_text(encoding="utf-8"))
        beside = Path(__file__).parent if is_text else Path(given).parent
        device = int(kwargs.get("device") or 0)
        providers: list[Any] = ["CPUExecutionProvider"]
        if "CUDAExecutionProvider" in onnxruntime.get_available_providers() and device >= 0:
            providers.insert(0, ("CUDAExecutionProvider", {"device_id": device}))
        self.session = onnxruntime.InferenceSession(str(beside / self.definition["ModelFile"]), providers=providers)

    def getParameterInfo(self) -> list[dict[str, Any]]:  # noqa: N802
        """What the tool asks for: image, model, device and padding."""
        padding = self.definition["Padding"] if hasattr(self, "definition") else 0
        return [
            _parameter("raster", "raster", "Raster", "The image to classify"),
            _parameter("model", "string", "Model definition", "The .emd file that terraseg wrote"),
            _parameter("device", "numeric", "Device", "The GPU's number; -1 for the processor", value=0),
            _parameter("padding", "numeric", "Padding", "Pixels that a tile sees beyond its part", value=padding),
        ]

    def getConfiguration(self, **scalars: Any) -> dict[str, Any]:  # noqa: N802
        """Which bands ArcGIS reads, and in which tiles: `tx` and `ty` are a tile's part of the map, without its padding."""
        self.padding = int(scalars.get("padding", self.definition["Padding"]))
        return {
            "extractBands": tuple(self.definition["ExtractBands"]),
            "padding": self.padding,
            "tx": self.definition["ImageWidth"] - 2 * self.padding,
            "ty": self.definition["ImageHeight"] - 2 * self.padding,
            "fixedTileSize": 1,
            "inheritProperties": INHERIT_PLACE | INHERIT_RESAMPLING,
            "inputMask": True,
        }

    def updateRasterInfo(self, **kwargs: Any) -> dict[str, Any]:  # noqa: N802
        """What the map is: one band of bytes with an attribute table of class names and colours."""
        info = kwargs["output_info"]
        info["bandCount"] = 1
        info["pixelType"] = "u1"
        info["noData"] = np.array([NODATA], dtype="u1")
        info["rasterAttributeTable"] = json.dumps(_attribute_table(self.definition["Classes"]))
        return kwargs

    def updatePixels(self, tlc: Any, shape: Any, props: dict[str, Any], **pixelBlocks: Any) -> dict[str, Any]:  # noqa: ARG002, N802, N803
        """The map's pixels (1, height, width) of a tile of the image (bands, height, width) with its padding all around."""
        pixels = np.asarray(pixelBlocks["raster_pixels"])
        mask = np.asarray(pixelBlocks["raster_mask"]).reshape(-1, *pixels.shape[1:])
        valid = np.asarray(mask.min(axis=0) > 0)
        probabilities = self.session.run(None, {self.session.get_inputs()[0].name: self._image(pixels, valid)[None]})[0]
        ids = np.array([c["Value"] for c in self.definition["Classes"]], dtype="u1")
        classes = np.where(valid, ids[probabilities[0].argmax(axis=0)], NODATA)
        edge = self.padding
        inner = slice(edge, classes.shape[0] - edge), slice(edge, classes.shape[1] - edge)
        pixelBlocks["output_pixels"] = classes[inner][None].astype(props["pixelType"], copy=False)
        pixelBlocks["output_mask"] = valid[inner][None].astype("u1")
        return pixelBlocks

    def _image(self, pixels: Any, valid: Any) -> Any:
        """The pixels as the graph takes them, bands' means where there is nothing to see."""
        expected = np.dtype(self.definition["pixel_type"])
        if pixels.dtype != expected or len(pixels) != len(self.definition["bands"]):
            bands = ", ".join(self.definition["bands"])
            raise ValueError(
                f"an image of {len(pixels)} bands of {pixels.dtype}, where the model takes {bands} of {expected}: pass an "
                "image of the model's bands and bit depth"
            )
        fill = np.array(self.definition["fill"])
        fill = np.clip(np.rint(fill), *_limits(expected)) if expected.kind in "ui" else fill
        return np.where(valid, pixels, fill.astype(expected)[:, None, None])


def _limits(kind: Any) -> tuple[int, int]:
    return int(np.iinfo(kind).min), int(np.iinfo(kind).max)


def _parameter(name: str, kind: str, title: str, text: str, **default: Any) -> dict[str, Any]:
    required = not default
    return {"name": name, "dataType": kind, "required": required, "displayName": title, "description": text, **default}


def _attribute_table(classes: list[dict[str, Any]]) -> dict[str, Any]:
    """A raster attribute table in the JSON of ArcGIS's feature sets."""
    kinds = {
        "OID": "OID",
        "Value": "Integer",
        "Class": "String",
        "Red": "Integer",
        "Green": "Integer",
        "Blue": "Integer",
    }
    rows = [
        dict(zip(kinds, (number, c["Value"], c["Name"], *c["Color"]), strict=True))
        for number, c in enumerate(classes, start=1)
    ]
    return {
        "displayFieldName": "",
        "fieldAliases": {name: name for name in kinds},
        "fields": [{"name": name, "type": f"esriFieldType{kind}", "alias": name} for name, kind in kinds.items()],
        "features": [{"attributes": row} for row in rows],
    }
