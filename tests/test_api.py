"""The notebook face on a small made town, each step in at most three lines."""

from pathlib import Path

import numpy as np
import pytest

import terraseg as ts
from terraseg.errors import EmptyDataset, TrainingFailed
from terraseg.pipeline.demo import write_town
from terraseg.prepare.check import check_sources
from terraseg.prepare.projectfile import project_text
from terraseg.store.classmap import read_class_map
from terraseg.town import make_town

TRAIN = '[train]\ncrop = 64\nbatch = 2\n[predict]\ntile = 128\noverlap = 32\n[map]\nrun = "runs/a"\n'


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("api")
    write_town(make_town(3, 256, gsd=0.6), root / "imagery/town.tif", root / "labels/town.gpkg")
    text = project_text(check_sources([root], [], root)).split("[train]")[0]
    (root / "terraseg.toml").write_text(text + TRAIN)
    return root


@pytest.fixture(scope="module")
def unet(folder: Path) -> ts.UNet:
    data = ts.prepare_data(folder / "terraseg.toml")
    return ts.UNet(data, network="simple-unet").fit(steps=4)


def test_data_say_their_classes(folder: Path) -> None:
    data = ts.prepare_data(folder / "terraseg.toml")
    assert {"building", "road", "tree"} <= set(data.classes)
    assert data.fingerprint.train_pixels + data.fingerprint.validation_pixels == 256 * 256


def test_data_come_from_folders_without_a_project_file(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    data = ts.prepare_data(images=folder / "imagery", labels=folder / "labels")
    assert [scene.name for scene in data.dataset.scenes] == ["town"]
    assert not (tmp_path / "terraseg.toml").exists()


def test_nothing_to_prepare_is_an_error() -> None:
    with pytest.raises(EmptyDataset, match="pass a project file"):
        ts.prepare_data()


def test_an_untrained_network_cannot_be_saved(folder: Path, tmp_path: Path) -> None:
    unet = ts.UNet(ts.prepare_data(folder / "terraseg.toml"), network="simple-unet")
    with pytest.raises(TrainingFailed, match="call fit first"):
        unet.save(tmp_path / "model")


def test_an_epoch_covers_the_training_pixels_once(folder: Path) -> None:
    data = ts.prepare_data(folder / "terraseg.toml")
    unet = ts.UNet(data, network="simple-unet").fit(epochs=1)
    steps = unet.trained.spec.provenance["steps"]
    assert (steps - 1) * 64 * 64 * 2 < data.fingerprint.train_pixels <= steps * 64 * 64 * 2


def test_from_model_to_map_to_polygons_to_numbers(unet: ts.UNet, folder: Path, tmp_path: Path) -> None:
    model = unet.save(tmp_path / "model")
    scene, out = folder / "imagery/town.tif", tmp_path / "map.tif"
    assert ts.predict(scene, out, model=model, engine="onnx") == [out]
    ts.vectorize(out, tmp_path / "map.gpkg", min_area_m2=10.0)
    rows = ts.measure(tmp_path / "map.gpkg")
    assert sum(row["area_m2"] for row in rows) == pytest.approx(256 * 256 * 0.36, rel=2e-3)
    with read_class_map(out) as class_map:
        assert class_map.legend == unet.data.dataset.legend


def test_results_are_shown_beside_the_truth(unet: ts.UNet) -> None:
    figure = unet.show_results(rows=1)
    titles = [axis.get_title() for axis in figure.axes]
    assert titles == ["town: image", "town: truth", "town: prediction"]
    figure.canvas.draw()
    colors = {c.rgb for c in unet.data.dataset.legend.classes}
    shown = np.asarray(figure.axes[2].images[0].get_array())
    assert {tuple(int(v) for v in color) for color in np.unique(shown.reshape(-1, 3), axis=0)} <= colors


def test_an_unknown_name_lists_what_there_is() -> None:
    with pytest.raises(AttributeError, match="it has Data, UNet"):
        _ = ts.fit
