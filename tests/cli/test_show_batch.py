"""`terraseg train --show-batch` on a small scene."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from terraseg.cli.main import run
from tests.makers import make_grid, make_raster

PROJECT = """
[data]
images = ["image.tif"]
labels = ["truth.tif"]
label_kind = "ids"
classes = [{ name = "field", labels = ["0"] }, { name = "roof", labels = ["1"] }]

[train]
network = "simple-unet"
steps = 4

[sample]
crop = 32
batch = 4
augment = ["d4", "scale", "cutout", "copy-paste"]

[map]
run = "runs/a"
"""


def test_it_draws_training_patches_and_trains_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    grid, random = make_grid(128, 128), np.random.default_rng(1)
    truth = np.kron(random.integers(0, 2, (16, 16)), np.ones((8, 8))).astype("uint8")
    pixels = np.clip(random.normal(80, 15, (3, 128, 128)) + 80 * truth, 0, 255).astype("uint8")
    make_raster(tmp_path / "image.tif", grid, pixels=pixels)
    make_raster(tmp_path / "truth.tif", grid, bands=["label"], pixels=truth[None])
    config, folder = tmp_path / "terraseg.toml", tmp_path / "runs/a"
    config.write_text(PROJECT)
    assert run(["train", "--show-batch", "--cache-gb", "0", "--config", str(config)]) == 0
    assert capsys.readouterr().out.split() == [str(folder / "figures/batch.png")]
    with Image.open(folder / "figures/batch.png") as picture:
        assert picture.format == "PNG"
        assert picture.width > picture.height / 2 > 200
    assert not (folder / "checkpoints").exists()
    assert not (folder / "model").exists()
    assert not list((folder / "cache").glob("**/pixels.npy")), "--cache-gb 0 copies no scene"
