"""The Esri model definition, and the raster function beside it, called as ArcGIS calls it."""

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from terraseg.engines.onnx import open_onnx
from terraseg.errors import BadOption
from terraseg.export.emd import write_arcgis
from terraseg.predict.tiles import fill
from terraseg.store.bundle import onnx_path, read_spec

MakeBundle = Callable[..., Path]


def load_function(definition: Path) -> Any:
    """An object of the class that ArcGIS takes: the one that is called like the definition's file."""
    path = definition.parent / json.loads(definition.read_text(encoding="utf-8"))["InferenceFunction"]
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, path.stem)()


class ArcGIS:
    """Maps an image with a raster function as the application does: tile by tile, each with its padding."""

    def __init__(self, definition: Path, **scalars: Any) -> None:
        self.function = load_function(definition)
        self.function.initialize(model=str(definition), device=-1)
        parameters = {p["name"]: p.get("value") for p in self.function.getParameterInfo()}
        values = {name: value for name, value in parameters.items() if name not in ("raster", "model")}
        self.configuration = self.function.getConfiguration(**(values | scalars))
        self.output = self.function.updateRasterInfo(raster_info={}, output_info={})["output_info"]

    def classify(self, image: NDArray[Any], mask: NDArray[np.uint8]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Classes and mask (height, width) of an image (bands, height, width)."""
        height, width = mask.shape
        pad, ty, tx = (self.configuration[key] for key in ("padding", "ty", "tx"))
        around = ((pad, pad + ty), (pad, pad + tx))
        image = np.pad(image[list(self.configuration["extractBands"])], ((0, 0), *around))
        seen = np.pad(mask, around)
        classes, valid = np.zeros((height, width), dtype="u1"), np.zeros((height, width), dtype="u1")
        for row in range(0, height, ty):
            for col in range(0, width, tx):
                block = np.s_[row : row + ty + 2 * pad, col : col + tx + 2 * pad]
                blocks = {"raster_pixels": image[:, *block], "raster_mask": np.stack([seen[block]] * len(image))}
                props = {"pixelType": self.output["pixelType"]}
                found = self.function.updatePixels((col, row), (1, ty, tx), props, **blocks)
                assert found["output_pixels"].shape == found["output_mask"].shape == (1, ty, tx)
                place = np.s_[row : min(row + ty, height), col : min(col + tx, width)]
                for whole, part in ((classes, found["output_pixels"]), (valid, found["output_mask"])):
                    whole[place] = part[0][: whole[place].shape[0], : whole[place].shape[1]]
        return classes, valid


def make_image(dtype: str = "uint8") -> tuple[NDArray[Any], NDArray[np.uint8]]:
    generator = np.random.default_rng(1)
    coarse = generator.random((4, 20, 26)).repeat(8, 1).repeat(8, 2)
    high = {"uint8": 255, "uint16": 65_535}.get(dtype, 20_000)
    image = ((0.7 * coarse + 0.3 * generator.random(coarse.shape)) * high).astype(dtype)
    mask = np.ones(image.shape[1:], dtype=np.uint8)
    mask[30:70, :25] = 0
    return image, mask


def own_classes(folder: Path, image: NDArray[Any], mask: NDArray[np.uint8], padding: int) -> NDArray[np.uint8]:
    """What the model's own scorer maps on the same tiles."""
    spec, scorer = read_spec(folder), open_onnx(folder, threads=1)
    step, ids = spec.tile - 2 * padding, np.array(spec.legend.ids, dtype=np.uint8)
    image, seen = (np.pad(a, ((0, 0), *[(padding, spec.tile)] * 2)) for a in (image[:3], mask[None]))
    classes = np.zeros(mask.shape, dtype=np.uint8)
    for row in range(0, mask.shape[0], step):
        for col in range(0, mask.shape[1], step):
            block = np.s_[:, row : row + spec.tile, col : col + spec.tile]
            best = scorer.score(fill(image[block], seen[block][0] > 0, spec.mean)[None])[0].argmax(axis=0)
            part = classes[row : row + step, col : col + step]
            part[:] = ids[best[padding : padding + step, padding : padding + step]][: part.shape[0], : part.shape[1]]
    return np.where(mask > 0, classes, 255).astype(np.uint8)


def test_the_definition_holds_what_the_documentation_asks_for(bundle: Path, tmp_path: Path) -> None:
    files = write_arcgis(bundle, tmp_path / "out", name="town")
    assert [path.name for path in files] == ["town.emd", "town.onnx", "TerrasegClassifier.py"]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {path.name for path in files}
    definition = json.loads(files[0].read_text(encoding="utf-8"))
    assert definition["ModelType"] == "ImageClassification"
    assert (files[0].parent / definition["ModelFile"]).read_bytes() == onnx_path(bundle).read_bytes()
    assert (files[0].parent / definition["InferenceFunction"]).is_file()
    assert definition["ExtractBands"] == [0, 1, 2]
    assert (definition["ImageHeight"], definition["ImageWidth"], definition["Padding"]) == (64, 64, 8)
    assert definition["Classes"][1] == {"Value": 3, "Name": "Häuser", "Color": [240, 228, 66]}
    assert [c["Value"] for c in definition["Classes"]] == [0, 3, 4]
    assert "DataRange" not in definition, "ArcGIS would stretch the pixels to it"


def check_agreement(folder: Path, out: Path) -> None:
    """Asserts that ArcGIS maps an image with a hole as the model does, to the last pixel."""
    image, mask = make_image(read_spec(folder).dtype)
    classes, valid = ArcGIS(write_arcgis(folder, out, name="town")[0]).classify(image, mask)
    np.testing.assert_array_equal(valid, mask)
    np.testing.assert_array_equal(classes, own_classes(folder, image, mask, 8))
    assert set(np.unique(classes)) == {0, 3, 4, 255}


def test_arcgis_maps_the_model_s_own_classes(bundle: Path, deep_bundle: Path, tmp_path: Path) -> None:
    check_agreement(bundle, tmp_path / "bytes")
    check_agreement(deep_bundle, tmp_path / "deep")


def test_arcgis_maps_reflectances_too(tmp_path: Path, new_bundle: MakeBundle) -> None:
    folder = new_bundle(tmp_path / "model", dtype="float32", mean=(10_000.0,) * 3, std=(4_000.0,) * 3)
    check_agreement(folder, tmp_path / "out")


def test_the_user_may_change_the_padding(bundle: Path, tmp_path: Path) -> None:
    image, mask = make_image()
    arcgis = ArcGIS(write_arcgis(bundle, tmp_path, name="town")[0], padding=0)
    assert (arcgis.configuration["tx"], arcgis.configuration["padding"]) == (64, 0)
    np.testing.assert_array_equal(arcgis.classify(image, mask)[0], own_classes(bundle, image, mask, 0))


def test_the_map_is_a_band_of_bytes_whose_nodata_is_no_class(bundle: Path, tmp_path: Path) -> None:
    arcgis = ArcGIS(write_arcgis(bundle, tmp_path, name="town")[0])
    assert (arcgis.output["bandCount"], arcgis.output["pixelType"]) == (1, "u1")
    assert arcgis.output["noData"].tolist() == [255]
    assert not arcgis.configuration["inheritProperties"] & 2, "the image's own nodata may be the number of a class"
    table = json.loads(arcgis.output["rasterAttributeTable"])
    names = [field["name"] for field in table["fields"]]
    rows = [row["attributes"] for row in table["features"]]
    assert all(list(row) == names for row in rows)
    assert [(row["Value"], row["Class"], row["Blue"]) for row in rows][2] == (
        4,
        "road",
        read_spec(bundle).legend.classes[2].rgb[2],
    )


def test_the_definition_may_be_given_as_text(bundle: Path, tmp_path: Path) -> None:
    definition = write_arcgis(bundle, tmp_path, name="town")[0]
    function = load_function(definition)
    function.initialize(model=definition.read_text(encoding="utf-8"))
    assert function.session.get_inputs()[0].name == "image"


@pytest.mark.parametrize(("dtype", "bands"), [("uint16", 3), ("uint8", 2)])
def test_an_image_of_another_depth_or_of_other_bands_is_refused(
    bundle: Path, tmp_path: Path, dtype: str, bands: int
) -> None:
    arcgis = ArcGIS(write_arcgis(bundle, tmp_path, name="town")[0])
    arcgis.configuration["extractBands"] = tuple(range(bands))
    with pytest.raises(ValueError, match=rf"{bands} bands of {dtype}, where the model takes red, green, blue of uint8"):
        arcgis.classify(*make_image(dtype))


def test_overlapping_classes_are_refused(overlapping_bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(BadOption, match="ArcGIS classifies pixels into one class each"):
        write_arcgis(overlapping_bundle, tmp_path / "out", name="town")
    assert not (tmp_path / "out").exists()
