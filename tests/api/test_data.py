"""Data are prepared from a project or from folders, and show what training sees of them."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import terraseg as ts
from terraseg.errors import BadOption, EmptyDataset
from terraseg.store.raster import open_raster


def test_data_say_their_classes_and_sizes(data: ts.Data) -> None:
    assert {"building", "road", "tree"} <= set(data.classes)
    assert 0 < data.fingerprint.train_pixels + data.fingerprint.validation_pixels <= 256 * 256
    assert repr(data).startswith("Data of 1 scene, 0.0")


def test_data_come_from_folders_without_a_project_file(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    data = ts.prepare_data(images=folder / "imagery", labels=folder / "labels")
    assert [scene.name for scene in data.dataset.scenes] == ["town"]
    assert data.project.run.root == Path("runs/notebook")
    assert not (tmp_path / "terraseg.toml").exists()


def test_a_notebook_trains_beside_the_projects_own_model(data: ts.Data, folder: Path) -> None:
    assert data.project.run.root == folder / "runs/a/notebook"


def test_nothing_to_prepare_is_an_error() -> None:
    with pytest.raises(EmptyDataset, match="pass a project file"):
        ts.prepare_data()


def test_a_batch_is_drawn_as_the_command_draws_it(data: ts.Data, tmp_path: Path) -> None:
    from terraseg.train.showbatch import batch_picture, write_picture
    from terraseg.train.trained import Task

    shown = np.asarray(Image.open(io.BytesIO(data.show_batch(2)._repr_png_())).convert("RGB"))
    plan = ts.UNet(data).plan()
    task = Task(data.dataset, data.fingerprint, plan, data.project.run)
    drawn = write_picture(batch_picture(task, rows=2), tmp_path / "batch.png")
    np.testing.assert_allclose(shown.astype(int), np.asarray(Image.open(drawn)).astype(int), atol=2)


def test_the_patches_shown_are_those_of_training(data: ts.Data, folder: Path) -> None:
    """Without augmentation each one lies somewhere in the scene, pixel by pixel."""
    from terraseg.train.preview import augmented_batch
    from terraseg.train.trained import Task

    plan = ts.UNet(data, network="simple-unet").plan(augment=(), batch=3, crop=24)
    images, masks = augmented_batch(Task(data.dataset, data.fingerprint, plan, data.project.run))
    scene = data.dataset.scenes[0]
    with open_raster(scene.imagery) as raster:
        whole = raster.read(scene.grid.window).pixels
    views = np.lib.stride_tricks.sliding_window_view(whole[0], (24, 24))
    for image, mask in zip(images, masks, strict=True):
        places = np.argwhere((views == np.rint(image[0]).astype(whole.dtype)).all(axis=(2, 3)))
        assert len(places) == 1
        row, col = places[0]
        np.testing.assert_allclose(image, whole[:, row : row + 24, col : col + 24], atol=1e-3)
        assert mask.shape == (24, 24)


def test_an_unknown_setting_of_a_batch_is_refused(data: ts.Data) -> None:
    with pytest.raises(BadOption, match="did you mean 'crop'"):
        data.show_batch(crops=64)
