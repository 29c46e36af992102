"""A project of overlapping classes, the whole way: polygons that overlap, a band a class, polygons that overlap again."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
import shapely
from numpy.typing import NDArray

from terraseg.api.files import predict
from terraseg.cli.main import run
from terraseg.core.classes import LandClass, Legend
from terraseg.core.grid import Grid
from terraseg.core.polygons import PolygonTable
from terraseg.engines.onnx import open_onnx
from terraseg.errors import BadOption, UnknownClass
from terraseg.export.ensemble import ensemble_bundle
from terraseg.pipeline.map import MapResult, map_project
from terraseg.pipeline.project import Project, read_project
from terraseg.prepare.dataset import read_dataset
from terraseg.store.bundle import onnx_path, read_spec, read_weights, write_bundle
from terraseg.store.imagery import write_raster
from terraseg.store.rundir import read_json
from terraseg.store.vector import read_polygon_table, write_polygons
from tests.makers import UTM

LEGEND = Legend((LandClass(3, "shadow", "#222244"), LandClass(5, "grass", "#33AA33")))
SIDE, CELL = 128, 16
PROJECT = """
[data]
images = ["imagery/*.tif"]
labels = ["labels/*.gpkg"]
label_kind = "polygons"
label_field = "class_name"
overlapping = true
test = ["one"]
validation = ["two"]

[[data.classes]]
id = 3
name = "shadow"
labels = ["shadow"]

[[data.classes]]
id = 5
name = "grass"
labels = ["grass"]

[train]
network = "simple-unet"
steps = 120
learning_rate = 0.02
seed = 1

[sample]
crop = 32
batch = 4
reduction = 1

[predict]
tile = 64
overlap = 16
confidence = true
probabilities = true

[map]
run = "runs/a"
"""


def write_meadow(folder: Path, name: str, seed: int) -> NDArray[np.uint8]:
    """Grass with shadows over it, their outlines as polygons; gives the truth as bit masks."""
    random = np.random.default_rng(seed)
    cells = random.random((2, SIDE // CELL, SIDE // CELL)) < 0.4
    shadow, grass = (np.kron(plane, np.ones((CELL, CELL))).astype(bool) for plane in cells)
    light = np.where(shadow, 0.4, 1.0)
    pixels = np.stack([90 - 50 * grass, 90 + 80 * grass, 90 - 50 * grass]) * light
    pixels = np.clip(pixels + random.normal(0, 3, pixels.shape), 0, 255).astype("uint8")
    # Scenes that share ground would never stand on both sides of the split.
    grid = Grid(UTM, (1.0, 0.0, 500_000.0 + 1000 * seed, 0.0, -1.0, 4_000_000.0), SIDE, SIDE)
    write_raster(folder / f"imagery/{name}.tif", pixels, grid, ("red", "green", "blue"))
    left, _, _, top = grid.bounds
    shapes, ids = [], []
    for plane, land in zip(cells, LEGEND.classes, strict=True):
        for row, col in np.argwhere(plane) * CELL:
            shapes.append(shapely.box(left + col, top - row - CELL, left + col + CELL, top - row))
            ids.append(land.id)
    none = np.full(len(ids), np.nan)
    table = PolygonTable(
        np.array(shapes, dtype=object), np.array(ids, dtype=np.uint8), none, none, none, LEGEND, grid.crs
    )
    write_polygons(table, folder / f"labels/{name}.gpkg")
    return np.asarray(shadow * 1 + grass * 2, dtype=np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("meadows")
    for name in ("imagery", "labels"):
        (where / name).mkdir()
    for seed, name in enumerate(("one", "two", "three", "four")):
        write_meadow(where, name, seed)
    (where / "terraseg.toml").write_text(PROJECT)
    return where


@pytest.fixture(scope="module")
def project(folder: Path) -> Project:
    return read_project(folder / "terraseg.toml")


@pytest.fixture(scope="module")
def result(project: Project) -> MapResult:
    return map_project(project, engine="onnx")


def test_the_plan_takes_losses_for_classes_that_overlap(project: Project, result: MapResult) -> None:
    assert read_json(project.run.plan)["loss"] == {"bce": 1.0, "dice": 1.0}
    facts = read_json(project.run.fingerprint)
    assert facts["overlapping"]
    assert facts["labelled_pixels"] == 2 * SIDE * SIDE
    assert read_spec(result.model).overlapping


def test_both_classes_are_mapped_where_they_overlap(project: Project, result: MapResult, tmp_path: Path) -> None:
    for part in ("imagery", "labels"):
        (tmp_path / part).mkdir()
    truth = write_meadow(tmp_path, "one", 0)
    (path,) = result.maps
    with rasterio.open(path) as source:
        bands, names = source.read(), source.descriptions
        assert (source.nodata, source.dtypes) == (255, ("uint8", "uint8"))
    assert names == LEGEND.names
    mapped = (bands[0] + 2 * bands[1]).astype(np.uint8)
    shared = truth == 3
    assert shared.sum() > 1000
    assert (mapped[shared] == 3).mean() > 0.7
    assert result.evaluation is not None
    scores = result.evaluation.total
    for index, found in enumerate(scores.classes):
        one, other = (labels >> index & 1 == 1 for labels in (truth, mapped))
        assert found.iou == pytest.approx((one & other).sum() / (one | other).sum())
        assert found.iou is not None
        assert found.iou > 0.8
    assert result.evaluation.baseline is None


def test_layers_beside_the_map_agree_with_it(result: MapResult) -> None:
    (path,) = result.maps
    with (
        rasterio.open(path) as source,
        rasterio.open(path.with_name("one_probabilities.tif")) as chances,
        rasterio.open(path.with_name("one_confidence.tif")) as certain,
    ):
        bands, shares, least = source.read(), chances.read().astype(int), certain.read(1)
    assert ((shares > 127) <= (bands == 1)).all()
    assert ((shares < 127) <= (bands == 0)).all()
    decided = np.where(bands == 1, shares, 254 - shares).min(axis=0)
    assert np.abs(decided - least).max() <= 1


def test_polygons_of_both_classes_overlap_in_one_layer_and_are_measured(result: MapResult) -> None:
    table = read_polygon_table(result.polygons[0])
    assert set(table.class_id.tolist()) == {3, 5}
    shadow, grass = (shapely.union_all(table.geometry[table.class_id == i]) for i in (3, 5))
    assert shadow.intersection(grass).area > 500
    statistics = read_json(result.statistics[1])
    pixels = {}
    with rasterio.open(result.maps[0]) as source:
        for land, band in zip(LEGEND.classes, source.read(), strict=True):
            pixels[land.name] = int((band == 1).sum())
    assert {row["class_name"]: row["pixels"] for row in statistics["classes"]} == pixels
    assert statistics["observed"] == pytest.approx(SIDE * SIDE, rel=0.01)
    assert sum(row["share"] for row in statistics["classes"]) == pytest.approx(sum(pixels.values()) / SIDE**2, rel=1e-3)


def test_the_report_has_scores_by_class_and_no_confusion_matrix(result: MapResult) -> None:
    page = result.report.read_text()
    assert "Scores by class" in page
    assert "Confusion matrix" not in page
    assert "share-bar" not in page.split("</style>")[1]


def test_a_second_call_finds_everything_done(project: Project, result: MapResult) -> None:
    before = {path: path.stat().st_mtime_ns for path in (*result.maps, *result.polygons, result.report)}
    map_project(project, engine="onnx")
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_a_threshold_moves_what_is_mapped(folder: Path, result: MapResult, tmp_path: Path) -> None:
    image = str(folder / "imagery/one.tif")
    counts = []
    for threshold in (0.05, 0.5, 0.95):
        out = tmp_path / f"{threshold}.tif"
        (path,) = predict(image, out, model=result.model, engine="onnx", threshold=threshold, tile=64, overlap=16)
        with rasterio.open(path) as source:
            counts.append(source.read())
    assert (counts[0] >= counts[1]).all()
    assert (counts[1] >= counts[2]).all()
    assert counts[0].sum() > counts[2].sum()
    with rasterio.open(result.maps[0]) as source:
        assert (source.read() == counts[1]).all()


def test_models_of_both_kinds_are_not_averaged(result: MapResult, tmp_path: Path) -> None:
    spec = replace(read_spec(result.model), overlapping=False)
    other = tmp_path / "other"
    write_bundle(other, spec, onnx=onnx_path(result.model).read_bytes(), weights=read_weights(result.model))
    with pytest.raises(UnknownClass, match="overlap and those of the other model exclude each other"):
        ensemble_bundle([result.model, other], tmp_path / "both")
    joint = ensemble_bundle([result.model, result.model.parent / "model"], tmp_path / "twice")
    assert joint.overlapping
    pixels = np.random.default_rng(0).integers(0, 255, (1, 3, 64, 64)).astype(np.uint8)
    one, two = (open_onnx(place, threads=1).score(pixels) for place in (result.model, tmp_path / "twice"))
    np.testing.assert_allclose(one, two, atol=1e-5)


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["train.loss=ce"], "the loss 'ce' and the classes overlap: pass 'bce' in its place"),
        (["predict.threshold=1.5"], "threshold = 1.5: pass a probability between 0 and 1"),
        (["data.label_kind=bands", "data.overlapping=false"], "draws each class in a band of its own"),
    ],
)
def test_what_does_not_fit_is_said_in_one_sentence(
    folder: Path, overrides: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    sets = [part for override in overrides for part in ("--set", override)]
    assert run(["plan", "--config", str(folder / "terraseg.toml"), "--set", "map.run=runs/bad", *sets]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("flags", [["--model", "forest"], ["--ensemble"]])
def test_a_forest_of_overlapping_classes_is_refused_before_anything_is_trained(
    folder: Path, flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["train", "--config", str(folder / "terraseg.toml"), *flags]) == 2
    assert "the trees of a forest give every pixel one class" in capsys.readouterr().err


def test_a_value_of_two_classes_and_an_eighth_class_are_refused_with_the_way_out(folder: Path) -> None:
    twice = PROJECT.replace('labels = ["grass"]', 'labels = ["grass", "shadow"]')
    path = folder / "other.toml"
    path.write_text(twice)
    assert len(read_dataset(read_project(path).data, folder).legend) == 2
    path.write_text(twice.replace("overlapping = true", ""))
    with pytest.raises(
        BadOption, match=r"stands for two classes under \[data\]: give it to one, or set overlapping = true"
    ):
        read_dataset(read_project(path).data, folder)
    more = "".join(f'\n[[data.classes]]\nname = "c{n}"\nlabels = ["c{n}"]\n' for n in range(6))
    path.write_text(PROJECT.split("[train]")[0] + more)
    with pytest.raises(BadOption, match="8 overlapping classes: a label byte holds 7"):
        read_dataset(read_project(path).data, folder)
    path.unlink()
