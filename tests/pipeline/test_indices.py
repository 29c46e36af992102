"""Spectral indices from the project file to the map: in facts, training, bundle and prediction alike."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from terraseg.cli.main import run
from terraseg.core.dataset import Dataset
from terraseg.core.fingerprint import Fingerprint
from terraseg.core.watch import SILENT
from terraseg.errors import BadOption, BandMismatch
from terraseg.pipeline import steps
from terraseg.pipeline.project import read_project
from terraseg.pipeline.rasters import predict_files
from terraseg.store.bundle import onnx_path, read_spec
from terraseg.store.classmap import read_class_map
from terraseg.store.imagery import write_raster
from terraseg.store.raster import open_raster
from tests.makers import forest_project, make_grid

BANDS = ("blue", "green", "red", "nir")
DATA = 'sensor = "sentinel-2"\nindices = ["ndvi", "ndwi"]'
PROJECT = forest_project(DATA, ("bare", "green"), pixels=4000, trees=12)


def make_fields(seed: int, side: int = 256) -> tuple[NDArray[np.uint16], NDArray[np.uint8]]:
    """Ground under a light that changes from place to place; what is green shows in the ratio of the bands alone."""
    rng = np.random.default_rng(seed)
    green = np.kron(rng.integers(0, 2, (side // 16, side // 16)), np.ones((16, 16))).astype(np.uint8)
    light = np.kron(rng.uniform(0.1, 1.0, (side // 8, side // 8)), np.ones((8, 8)))
    reflectance = np.stack([0.2 + 0 * light, 0.25 + 0 * light, 0.35 - 0.1 * green, 0.35 + 0.1 * green]) * light
    noise = rng.normal(0, 0.002, reflectance.shape)
    return np.rint((reflectance + noise) * 10000 + 1000).astype(np.uint16), green


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of two scenes whose bands have only numbers, with a forest trained on it."""
    root = tmp_path_factory.mktemp("fields")
    grid = make_grid(256, 256, gsd=10)
    for seed in (0, 1):
        pixels, green = make_fields(seed)
        write_raster(root / f"images/s{seed}.tif", pixels, grid, [f"band_{n}" for n in range(1, 5)], nodata=0)
        write_raster(root / f"labels/s{seed}.tif", green[None], grid, ["label"])
    (root / "terraseg.toml").write_text(PROJECT)
    assert run(["train", "--config", str(root / "terraseg.toml"), "--model", "forest"]) == 0
    return root


def written(path: Path, pixels: NDArray[np.generic], bands: Sequence[str] = BANDS, *, gsd: float = 10) -> Path:
    write_raster(path, pixels, make_grid(*pixels.shape[1:], gsd=gsd), bands)
    return path


def map_of(folder: Path, raster: Path, out: Path) -> NDArray[np.uint8]:
    predict_files([str(raster)], [folder / "runs/first/forest"], out, {"threads": 1}).check()
    with read_class_map(out) as reader:
        return reader.read(reader.grid.window)


def test_data_set_and_facts_hold_the_indices_after_the_named_bands(folder: Path) -> None:
    run_folder = read_project(folder / "terraseg.toml").run
    dataset = Dataset.from_json(json.loads(run_folder.dataset.read_text()))
    assert dataset.bands == (*BANDS, "ndvi", "ndwi")
    assert dataset.sensed_bands == BANDS
    assert dataset.dtype == "float32"
    facts = Fingerprint.from_json(json.loads(run_folder.fingerprint.read_text()))
    assert [band.name for band in facts.bands] == [*BANDS, "ndvi", "ndwi"]
    assert facts.sensed_dtype == "uint16"
    assert facts.bands[2].mean > 1000
    assert -0.1 < facts.bands[4].p01 < facts.bands[4].p99 < 0.5


def test_readers_compute_the_index_of_reflectance(folder: Path) -> None:
    (scene, *_) = steps.prepare(read_project(folder / "terraseg.toml"), SILENT)[0].scenes
    pixels, _ = make_fields(0)
    red, nir = (np.maximum(pixels[band] * 1e-4 - 0.1, 0) for band in (2, 3))
    with open_raster(scene.imagery) as reader:
        patch = reader.read(reader.grid.window)
    assert patch.valid.all()
    assert np.abs(patch.pixels[4] - (nir - red) / (nir + red)).max() < 1e-4


def test_the_bundle_says_how_its_indices_are_computed(folder: Path) -> None:
    spec = read_spec(folder / "runs/first/forest")
    assert spec.indices is not None
    assert spec.indices.expressions[0] == ("ndvi", "(nir - red) / (nir + red)")
    assert (spec.indices.scale, spec.indices.offset, spec.indices.dtype) == (1e-4, -0.1, "uint16")
    assert spec.sensed.bands == BANDS
    onnx = pytest.importorskip("onnx")
    model = onnx.load(onnx_path(folder / "runs/first/forest"))
    assert {p.key: p.value for p in model.metadata_props}["terraseg"].count("(nir - red) / (nir + red)") == 1
    assert model.graph.input[0].type.tensor_type.shape.dim[1].dim_value == 6


def test_prediction_finds_the_bands_by_name_and_computes_the_rest(folder: Path, tmp_path: Path) -> None:
    pixels, green = make_fields(7)
    straight = map_of(folder, written(tmp_path / "a.tif", pixels), tmp_path / "a_map.tif")
    assert (straight == green).mean() > 0.9
    order = [3, 0, 2, 1]
    extra = np.concatenate([pixels[order], pixels[:1]])
    mixed = written(tmp_path / "b.tif", extra, [*(BANDS[k] for k in order), "swir16"])
    assert np.array_equal(map_of(folder, mixed, tmp_path / "b_map.tif"), straight)


def test_what_does_not_fit_is_refused_though_a_ratio_of_bands_would_hide_it(folder: Path, tmp_path: Path) -> None:
    pixels, _ = make_fields(7)
    faults = {
        "input.bands|nir is missing": written(tmp_path / "rgb.tif", pixels[:3], BANDS[:3]),
        "8 bit values where the model reads 16 bit": written(tmp_path / "byte.tif", (pixels // 64).astype(np.uint8)),
        "reflectance as a fraction": written(tmp_path / "fraction.tif", (pixels * 1e-4).astype(np.float32)),
    }
    for words, path in faults.items():
        with pytest.raises(BandMismatch, match=words):
            map_of(folder, path, tmp_path / "m.tif")


def test_the_project_maps_its_own_scenes_with_its_indices(folder: Path) -> None:
    project = read_project(folder / "terraseg.toml", ['map.images=["images/s1.tif"]'])
    dataset = steps.prepare(project, SILENT)[0]
    further = [s for s in steps.scenes_to_map(project, dataset) if s.name == "s1_map"]
    assert further[0].imagery.bands == BANDS
    assert further[0].imagery.indices == dataset.indices


def test_an_index_of_a_band_that_is_not_there_stops_the_project(folder: Path) -> None:
    project = read_project(folder / "terraseg.toml", ['data.indices={wet = "(green - swir16) / 2"}'])
    with pytest.raises(BadOption, match=r"the index wet = .* reads the band 'swir16', which the imagery lacks"):
        steps.prepare(project, SILENT)


def test_the_sensor_says_what_values_mean(folder: Path) -> None:
    project = read_project(folder / "terraseg.toml")
    (note,) = steps.sensor_notes(project, steps.prepare(project, SILENT)[0])
    assert "reflectance is 0.0001 * value - 0.1" in note
