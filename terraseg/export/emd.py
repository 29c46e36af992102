"""A model for ArcGIS: an Esri model definition (.emd) beside the ONNX graph and the function that runs it.

ArcGIS's deep learning tools read a JSON file of Esri's own, and run the Python raster function that it names; they have no
way of their own to run an arbitrary ONNX graph. Keys as documented in https://github.com/Esri/raster-deep-learning,
docs/writing_model_definition.md, and in its template for custom models.
"""

from pathlib import Path
from typing import Any

from terraseg.core.modelspec import ModelSpec
from terraseg.errors import BadOption
from terraseg.store.bundle import onnx_path, read_spec
from terraseg.store.rundir import replacing, write_json

FUNCTION = "TerrasegClassifier.py"
"""ArcGIS takes the class that is called like its file."""
SOURCE = Path(__file__).with_name("arcgis_function.py")


def write_arcgis(folder: Path, out: Path, *, name: str) -> tuple[Path, ...]:
    """Writes a model for ArcGIS into the folder `out`: NAME.emd, NAME.onnx and the raster function; gives their paths.

    Raises `BadOption` for a model of overlapping classes, since a classified raster of ArcGIS has one class a pixel, and
    `BrokenBundle` for a folder that is no whole bundle.
    """
    spec = read_spec(folder)
    if spec.overlapping:
        raise BadOption(
            f"{folder} maps overlapping classes, and ArcGIS classifies pixels into one class each: map with "
            "`terraseg predict` and load its map"
        )
    if spec.indices is not None:
        raise BadOption(
            f"{folder} reads the indices {', '.join(spec.indices.names)}, which ArcGIS does not compute for it: map with "
            "`terraseg predict` and load its map"
        )
    copies = {out / f"{name}.onnx": onnx_path(folder), out / FUNCTION: SOURCE}
    for copy, source in copies.items():
        with replacing(copy) as temporary:
            temporary.write_bytes(source.read_bytes())
    definition = out / f"{name}.emd"
    write_json(definition, model_definition(spec, f"{name}.onnx"))
    return (definition, *copies)


def model_definition(spec: ModelSpec, graph: str) -> dict[str, Any]:
    """The content of an .emd file, as plain JSON; `graph` is the ONNX file's name beside it.

    `ExtractBands` are the image's first bands, in the model's order, `Padding` is what a tile sees beyond its part of the
    map. There is no `DataRange`, by which ArcGIS would rescale the pixels that the graph takes raw. The keys in small
    letters are read by the raster function alone.
    """
    return {
        "Framework": "ONNX",
        "ModelConfiguration": "terraseg",
        "ModelType": "ImageClassification",
        "ModelFile": graph,
        "InferenceFunction": FUNCTION,
        "ImageHeight": spec.tile,
        "ImageWidth": spec.tile,
        "Padding": spec.overlap // 2,
        "ExtractBands": list(range(len(spec.bands))),
        "Classes": [{"Value": c.id, "Name": c.name, "Color": list(c.rgb)} for c in spec.legend.classes],
        "bands": list(spec.bands),
        "pixel_type": spec.dtype,
        "fill": list(spec.mean),
        "ground_sample_distance_m": spec.gsd_m,
    }
