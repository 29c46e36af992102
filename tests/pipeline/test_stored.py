"""Numbers as they stand in a file, for a file whose scale is not wanted: from the project through the model to other rasters."""

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from terraseg.cli.main import run
from terraseg.core.dataset import Dataset, Imagery
from terraseg.core.watch import SILENT
from terraseg.core.window import Window
from terraseg.errors import BandMismatch
from terraseg.pipeline import steps
from terraseg.pipeline.project import read_project
from terraseg.pipeline.rasters import predict_files
from terraseg.predict.ready import INPUT_TAG
from terraseg.prepare.check import check_sources
from terraseg.store.bundle import read_spec
from terraseg.store.classmap import read_class_map
from terraseg.store.header import read_facts
from terraseg.store.raster import open_raster
from tests.awkward import write_scaled, write_tiff
from tests.makers import forest_project, make_grid, make_labels

GRID = make_grid(128, 128, gsd=10)
SCALES, OFFSETS = (1e-4,) * 3, (-0.1,) * 3
PROJECT = forest_project('values = "stored"\nnodata = 0', ("dark", "bright"), pixels=2000, trees=8)


def striped(seed: int) -> NDArray[np.uint16]:
    """Numbers that are larger in the right half, where the labels of `make_labels` are 1; a row of nothing."""
    bright = np.arange(GRID.width) * 2 // GRID.width
    noise = np.random.default_rng(seed).integers(0, 600, (3, GRID.height, GRID.width))
    pixels = (1500 + 2000 * bright + noise).astype(np.uint16)
    pixels[:, 5] = 0
    return pixels


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose scenes declare a scale that it does not want, with a forest trained on it."""
    root = tmp_path_factory.mktemp("stored")
    (root / "images").mkdir()
    for seed in (0, 1):
        write_scaled(root / f"images/s{seed}.tif", striped(seed), GRID, SCALES, OFFSETS)
        make_labels(root / f"labels/s{seed}.tif", GRID)
    (root / "terraseg.toml").write_text(PROJECT)
    assert run(["train", "--config", str(root / "terraseg.toml"), "--model", "forest"]) == 0
    return root


def mapped(folder: Path, raster: Path, out: Path, **settings: object) -> NDArray[np.uint8]:
    predict_files([str(raster)], [folder / "runs/first/forest"], out, {"threads": 1, **settings}).check()
    with read_class_map(out) as reader:
        return reader.read(reader.grid.window)


def test_numbers_come_as_they_stand_and_nodata_is_meant_so(tmp_path: Path) -> None:
    path = write_scaled(tmp_path / "a.tif", striped(0), GRID, SCALES, OFFSETS)
    facts = read_facts(path, stored=True)
    assert (facts.dtype, facts.is_scaled, facts.notes) == ("uint16", False, ())
    assert read_facts(path).is_scaled
    with open_raster(Imagery((str(path),), facts.bands, 0.0, stored=True)) as raster:
        patch = raster.read(GRID.window)
    assert (patch.pixels == striped(0)).all()
    assert (~patch.valid[5]).all()
    assert patch.valid[6:].all()


def test_data_set_and_model_keep_the_switch(folder: Path) -> None:
    project = read_project(folder / "terraseg.toml")
    dataset = Dataset.from_json(json.loads(project.run.dataset.read_text()))
    assert dataset.stored
    assert dataset.dtype == "uint16"
    spec = read_spec(folder / "runs/first/forest")
    assert (spec.stored, spec.dtype) == (True, "uint16")
    assert type(spec).from_json(spec.to_json()) == spec
    further = read_project(folder / "terraseg.toml", ['map.images=["images/s1.tif"]'])
    scenes = steps.scenes_to_map(further, steps.prepare(further, SILENT)[0])
    assert all(scene.imagery.stored for scene in scenes)


def test_a_model_of_stored_numbers_reads_any_raster_so_unless_told_otherwise(folder: Path, tmp_path: Path) -> None:
    scaled = write_scaled(tmp_path / "scaled.tif", striped(7), GRID, (2.75e-5,) * 3, (-0.2,) * 3)
    plain = write_tiff(tmp_path / "plain.tif", striped(7), GRID, nodata=0)
    one = mapped(folder, scaled, tmp_path / "one.tif", nodata=0)
    assert np.array_equal(one, mapped(folder, plain, tmp_path / "two.tif"))
    assert (one[:, 70:][one[:, 70:] != 255] == 1).mean() > 0.95
    with read_class_map(tmp_path / "one.tif") as reader:
        assert json.loads(reader.tags[INPUT_TAG])["values"] == "stored"
    with pytest.raises(BandMismatch, match="the raster's pixels are float32 and the model was trained on uint16"):
        mapped(folder, scaled, tmp_path / "no.tif", values="scaled")


def test_check_names_the_switch_where_only_some_scenes_declare_a_scale(tmp_path: Path) -> None:
    write_scaled(tmp_path / "a.tif", striped(0), GRID, SCALES, OFFSETS)
    write_tiff(tmp_path / "b.tif", striped(1), GRID)
    found = check_sources([tmp_path / "a.tif", tmp_path / "b.tif"], [], tmp_path)
    assert any('set values = "stored" under [data]' in problem for problem in found.problems)


def test_an_unknown_way_to_read_values_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = str(folder / "terraseg.toml")
    assert run(["train", "--config", config, "--set", "data.values=raw"]) == 2
    assert "values = 'raw' cannot be used" in capsys.readouterr().err


def test_one_pixel_is_the_same_number_on_every_path(folder: Path) -> None:
    (scene, *_) = steps.prepare(read_project(folder / "terraseg.toml"), SILENT)[0].scenes
    with open_raster(scene.imagery) as raster:
        assert raster.read(Window(9, 3, 1, 1)).pixels[:, 0, 0].tolist() == striped(0)[:, 9, 3].tolist()
