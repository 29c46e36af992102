"""The STAC item, re-read by the rules of STAC 1.1 and of the Machine Learning Model extension 1.5."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import onnxruntime
import pytest
import shapely
from pyproj import Transformer

from terraseg.core.dataset import Dataset, Imagery, LabelRule, Scene
from terraseg.core.grid import Grid
from terraseg.core.window import Window
from terraseg.errors import BrokenBundle
from terraseg.export.ensemble import ensemble_bundle
from terraseg.export.stac import stac_item, write_stac
from terraseg.graphs.model import PIXEL_TYPES
from terraseg.store.bundle import file_hash, onnx_path, read_spec, read_weights, write_bundle
from terraseg.store.rundir import write_json
from terraseg.store.stac import read_items

MakeBundle = Callable[..., Path]

MLM_FIELDS = {
    "mlm:name", "mlm:architecture", "mlm:tasks", "mlm:framework", "mlm:framework_version", "mlm:memory_size",
    "mlm:total_parameters", "mlm:pretrained", "mlm:pretrained_source", "mlm:batch_size_suggestion", "mlm:accelerator",
    "mlm:accelerator_constrained", "mlm:accelerator_summary", "mlm:accelerator_count", "mlm:input", "mlm:output",
    "mlm:hyperparameters", "mlm:artifact_type", "mlm:compile_method", "mlm:entrypoint",
}  # fmt: skip
ITEM_ONLY = {"mlm:name", "mlm:input", "mlm:output", "mlm:hyperparameters"}
ASSET_ONLY = {"mlm:artifact_type", "mlm:compile_method", "mlm:entrypoint"}
TASKS = {"regression", "classification", "segmentation", "semantic-segmentation", "instance-segmentation"}
DATA_TYPES = {f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)} | {
    "float16",
    "float32",
    "float64",
}


def check_item(item: dict[str, Any]) -> None:
    """Asserts what STAC's item specification asks of any item."""
    assert item["type"] == "Feature"
    assert re.fullmatch(r"1\.1\.\d+", item["stac_version"])
    assert re.fullmatch(r"[A-Za-z0-9_.-]+", item["id"])
    assert "geometry" in item
    assert ("bbox" in item) == (item["geometry"] is not None), "a box where there is a geometry, and only there"
    if item["geometry"] is not None:
        shape = shapely.geometry.shape(item["geometry"])
        assert shape.is_valid
        assert item["bbox"] == list(shape.bounds)
        assert shapely.box(-180, -90, 180, 90).covers(shape)
    datetime.strptime(item["properties"]["datetime"], "%Y-%m-%dT%H:%M:%SZ")
    assert isinstance(item["links"], list)
    assert all(isinstance(asset["href"], str) for asset in item["assets"].values())


def check_model(item: dict[str, Any]) -> None:
    """Asserts what the extension's JSON schema, version 1.5.0, asks of an item with bands."""
    assert "https://stac-extensions.github.io/mlm/v1.5.0/schema.json" in item["stac_extensions"]
    fields = {key for key in item["properties"] if key.startswith("mlm:")}
    assert fields <= MLM_FIELDS - ASSET_ONLY
    assert {"mlm:name", "mlm:architecture", "mlm:tasks", "mlm:input", "mlm:output"} <= fields
    properties = item["properties"]
    assert re.fullmatch(r"[a-zA-Z][a-zA-Z0-9_.\-\s]+[a-zA-Z0-9]", properties["mlm:name"])
    assert set(properties["mlm:tasks"]) <= TASKS
    assert all(re.fullmatch(r"[0-9a-zA-Z_.-]+", key) for key in properties["mlm:hyperparameters"])
    described = {band["name"] for band in properties["bands"]}
    for part in properties["mlm:input"]:
        assert part["name"]
        assert set(part["bands"]) <= described, "an input's bands are named as the item describes them"
        assert "bands" in part["input"]["dim_order"], "a dimension that holds the bands"
        check_structure(part["input"])
    for part in properties["mlm:output"]:
        assert set(part["tasks"]) <= set(properties["mlm:tasks"])
        assert "bands" not in part["result"]["dim_order"]
        check_structure(part["result"])
        check_classes(part["classification:classes"])
    check_assets(item["assets"])


def check_structure(structure: dict[str, Any]) -> None:
    assert len(structure["shape"]) == len(structure["dim_order"]) == len(set(structure["dim_order"]))
    assert all(isinstance(size, int) and size >= -1 for size in structure["shape"])
    assert all(re.fullmatch("[a-z-_]+", name) for name in structure["dim_order"])
    assert structure["data_type"] in DATA_TYPES


def check_classes(classes: list[dict[str, Any]]) -> None:
    assert [c["value"] for c in classes] == list(range(len(classes)))
    for each in classes:
        assert re.fullmatch(r"[0-9A-Za-z_-]+", each["name"])
        assert re.fullmatch("[0-9A-F]{6}", each["color_hint"])
        assert each["description"]


def check_assets(assets: dict[str, dict[str, Any]]) -> None:
    models = [asset for asset in assets.values() if "mlm:model" in asset["roles"]]
    assert models
    for asset in assets.values():
        fields = {key for key in asset if key.startswith("mlm:")}
        assert fields <= MLM_FIELDS - ITEM_ONLY
        assert ("mlm:artifact_type" in fields) == (asset in models), "an artefact's kind stands where the model is"
        assert re.fullmatch("[a-f0-9]+", asset["file:checksum"])
        assert isinstance(asset["file:size"], int)


def write_and_read(folder: Path, out: Path, name: str = "town") -> dict[str, Any]:
    item: dict[str, Any] = json.loads(write_stac(folder, out, name=name).read_text(encoding="utf-8"))
    check_item(item)
    check_model(item)
    return item


def test_the_item_keeps_to_the_rules_and_says_what_the_graph_takes_and_gives(bundle: Path, tmp_path: Path) -> None:
    properties = write_and_read(bundle, tmp_path / "town.json")["properties"]
    session = onnxruntime.InferenceSession(onnx_path(bundle), providers=["CPUExecutionProvider"])
    (image,), (output,) = session.get_inputs(), session.get_outputs()
    described = properties["mlm:input"][0], properties["mlm:output"][0]
    assert (described[0]["name"], described[1]["name"]) == (image.name, output.name)
    assert image.type == f"tensor({described[0]['input']['data_type']})"
    for value, shape in ((image, described[0]["input"]["shape"]), (output, described[1]["result"]["shape"])):
        assert [size if isinstance(size, int) else -1 for size in value.shape] == shape
    assert [c["title"] for c in described[1]["classification:classes"]] == ["bare soil", "Häuser", "road"]
    assert "0 bare soil, 3 Häuser, 4 road" in described[1]["description"], "ids of maps are no channels"
    assert properties["gsd"] == 0.25
    assert properties["mlm:architecture"] == "U-Net"
    assert described[0]["bands"] == ["red", "green", "blue"]


def test_its_files_are_found_from_where_it_lies_and_are_the_ones_it_means(bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "catalogue" / "models" / "town.json"
    item = write_and_read(bundle, out)
    for key, name in (("model", "model.onnx"), ("weights", "weights.safetensors"), ("description", "model.json")):
        asset = item["assets"][key]
        path = out.parent / asset["href"]
        assert path.resolve() == (bundle / name).resolve()
        assert asset["file:checksum"] == f"1220{file_hash(path)}"
        assert asset["file:size"] == path.stat().st_size
    assert read_items(str(out))[0].id == "town", "terraseg's own reader takes it for an item"


def test_without_its_run_a_model_has_no_place(bundle: Path, tmp_path: Path) -> None:
    assert write_and_read(bundle, tmp_path / "town.json")["geometry"] is None


@pytest.mark.parametrize(
    ("name", "expected"),
    [("7 hills/north", "terraseg 7 hills-north"), ("Çatal-", "atal"), ("x", "terraseg x"), ("--", "terraseg model")],
)
def test_any_name_becomes_one_that_the_extension_allows(bundle: Path, tmp_path: Path, name: str, expected: str) -> None:
    item = write_and_read(bundle, tmp_path / "item.json", name)
    assert item["properties"]["mlm:name"] == expected
    assert item["properties"]["title"] == name


def test_ensembles_and_overlapping_classes_keep_to_the_rules(
    overlapping_bundle: Path, bundle: Path, second_bundle: Path, tmp_path: Path
) -> None:
    overlapping = write_and_read(overlapping_bundle, tmp_path / "a.json")["properties"]["mlm:output"][0]
    assert "each class has its own" in overlapping["description"]
    ensemble_bundle([bundle, second_bundle], tmp_path / "both")
    item = write_and_read(tmp_path / "both", tmp_path / "b.json")
    assert item["properties"]["mlm:architecture"] == "Ensemble of U-Net"
    assert set(item["assets"]) == {"model", "description"}, "shares are no weights of a network"


def make_run(root: Path, bundle: Path, grids: list[Grid], trained: list[str] | None = None) -> Path:
    """A run folder with a model and the data set that it was trained on; scene 0 is for testing."""
    spec = read_spec(bundle)
    scenes = [
        Scene(f"s{k}", Imagery((f"{k}.tif",), spec.bands), None, "", grid, () if k == 0 else (Window(0, 0, 100, 50),))
        for k, grid in enumerate(grids)
    ]
    rule = LabelRule("ids", (("0",), ("3",), ("4",)))
    dataset = Dataset(tuple(scenes), spec.legend, rule, spec.bands, spec.dtype)
    write_json(root / "dataset.json", dataset.to_json())
    names = [scene.name for scene in scenes if scene.train] if trained is None else trained
    provenance = {"scenes": names, "parameters": 1234, "steps": 80, "loss": {"ce": 1.0}, "augment": ["d4"]}
    described = replace(spec, provenance=provenance)
    write_bundle(root / "model", described, onnx=onnx_path(bundle).read_bytes(), weights=read_weights(bundle))
    return root / "model"


def north_up(crs: str | None, x: float, y: float, gsd: float = 1.0) -> Grid:
    return Grid(crs, (gsd, 0.0, x, 0.0, -gsd, y), 200, 100)


def test_its_place_is_the_ground_it_was_trained_on(bundle: Path, tmp_path: Path) -> None:
    grids = [
        north_up("EPSG:4326", 0, 0, 1e-4), north_up("EPSG:32637", 500_000, 4e6), north_up("EPSG:3857", 9.5e6, 3.2e6),
    ]  # fmt: skip
    item = write_and_read(make_run(tmp_path / "run", bundle, grids), tmp_path / "item.json")
    shape = shapely.geometry.shape(item["geometry"])
    assert len(shape.geoms) == 2, "the test scene is no ground of training"
    for grid in grids[1:]:
        to_degrees = Transformer.from_crs(grid.crs, "OGC:CRS84", always_xy=True)
        inside = to_degrees.transform(*grid.to_map([1, 99, 50], [1, 49, 25]))
        outside = to_degrees.transform(*grid.to_map([150, 50], [25, 75]))
        assert shapely.contains_xy(shape, *inside).all()
        assert not shapely.contains_xy(shape, *outside).any(), "only the windows of training"
    assert item["properties"]["mlm:total_parameters"] == 1234
    assert item["properties"]["mlm:hyperparameters"]["steps"] == 80


@pytest.mark.parametrize(
    ("grid", "trained"),
    [
        (north_up("EPSG:32637", 500_000, 4e6), ["another"]),
        (north_up(None, 0, 0), None),
        (north_up("EPSG:3832", 3_339_500, 0, 10.0), None),
        (north_up("+proj=longlat +a=3396190 +b=3376200 +no_defs", 0, 0, 1e-3), None),
    ],
    ids=["a data set of another training", "no reference system", "over the date line", "on Mars"],
)
def test_ground_without_a_place_on_earth_leaves_it_open(
    bundle: Path, tmp_path: Path, grid: Grid, trained: list[str] | None
) -> None:
    model = make_run(tmp_path / "run", bundle, [grid, grid], trained)
    assert write_and_read(model, tmp_path / "item.json")["geometry"] is None


def test_every_type_is_known_and_networks_have_their_names(
    bundle: Path, respecified: MakeBundle, tmp_path: Path
) -> None:
    for dtype in sorted(PIXEL_TYPES):
        write_and_read(respecified(tmp_path / dtype, bundle, dtype=dtype), tmp_path / f"{dtype}.json")
    options = {"encoder": "resnet18"}
    folder = respecified(tmp_path / "named", bundle, network="deeplabv3plus", network_options=options)
    properties = write_and_read(folder, tmp_path / "named.json")["properties"]
    assert properties["mlm:architecture"] == "DeepLabV3+ (resnet18)"


def test_a_folder_that_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BrokenBundle, match="no model folder"):
        stac_item(tmp_path / "nowhere", name="x", beside=tmp_path)
