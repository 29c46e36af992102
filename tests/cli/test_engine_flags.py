"""The flags that say what runs a model."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch

from terraseg.cli.main import run
from terraseg.core.classes import PALETTE, LandClass, Legend
from terraseg.core.modelspec import ModelSpec
from terraseg.engines.onnx import open_onnx
from terraseg.export.onnx import onnx_bytes
from terraseg.nets.build import build_network
from terraseg.store.bundle import write_bundle
from tests.makers import make_grid, make_raster

OPTIONS = {"depth": 2, "width": 4}
BANDS = ("red", "green", "blue")


def make_bundle(folder: Path, seed: int, classes: int = 3) -> Path:
    torch.manual_seed(seed)
    network = build_network("unet", bands=3, classes=classes, options=OPTIONS)
    legend = Legend(tuple(LandClass(k, f"class {k}", PALETTE[k]) for k in range(classes)))
    spec = ModelSpec("unet", legend, BANDS, "uint8", (60.0,) * 3, (30.0,) * 3, 0.5, 64, 16, 2, OPTIONS)
    weights = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    write_bundle(folder, spec, onnx=onnx_bytes(network, spec), weights=weights)
    return folder


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("models")
    return make_bundle(root / "one", 1), make_bundle(root / "two", 2)


def test_several_models_and_views_make_one_map(models: tuple[Path, Path], tmp_path: Path) -> None:
    raster = make_raster(tmp_path / "scene.tif", make_grid(64, 64))
    named = [text for model in models for text in ("--model", str(model))]
    out = tmp_path / "map.tif"
    flags = ["--engine", "onnx", "--tta", "flips", "--probabilities", "float16", "--out", str(out)]
    assert run(["predict", str(raster), *named, *flags]) == 0
    with rasterio.open(raster) as source:
        pixels = source.read()[None]
    sides = [(slice(None, None, a), slice(None, None, b)) for a in (1, -1) for b in (1, -1)]
    scorers = [open_onnx(model) for model in models]
    expected = np.mean([s.score(pixels[..., r, c])[..., r, c] for s in scorers for r, c in sides], axis=0)[0]
    with rasterio.open(tmp_path / "map_probabilities.tif") as found:
        np.testing.assert_allclose(found.read().astype(np.float32), expected, atol=2e-3)
    with rasterio.open(out) as found:
        assert found.tags()["TERRASEG_TTA"] == "flips"
        assert "TERRASEG_PRECISION" not in found.tags()


def test_the_run_says_which_engine_it_took_and_why(
    models: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raster = make_raster(tmp_path / "scene.tif", make_grid(32, 32))
    assert (
        run(["predict", str(raster), "--model", str(models[0]), "--engine", "onnx", "--out", str(tmp_path / "m.tif")])
        == 0
    )
    said = capsys.readouterr()
    assert "predicting with ONNX Runtime" in said.out + said.err
    assert "FP32 (as asked for)" in " ".join((said.out + said.err).split())


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--precision", "fst"], "precision = 'fst' cannot be used"),
        (["--tta", "d8"], "tta = 'd8' cannot be used"),
        (["--engine", "onxx"], "did you mean 'onnx'?"),
        (["--engine", "torch", "--precision", "int8"], "is wanted in int8: use onnx or openvino"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line(
    models: tuple[Path, Path], tmp_path: Path, flags: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    raster = make_raster(tmp_path / "scene.tif", make_grid(256, 256))
    assert run(["predict", str(raster), "--model", str(models[0]), *flags, "--out", str(tmp_path / "m.tif")]) == 2
    assert message in capsys.readouterr().err


def test_models_of_other_classes_are_refused(
    models: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = make_bundle(tmp_path / "other", 3, classes=2)
    raster = make_raster(tmp_path / "scene.tif", make_grid(32, 32))
    assert run(["predict", str(raster), "--model", str(models[0]), "--model", str(other)]) == 2
    assert "only models of the same classes" in capsys.readouterr().err
