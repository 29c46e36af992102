"""Every engine keeps the Scorer's promise and agrees with the others."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from terraseg.core.scorer import Scorer
from terraseg.engines import choose
from terraseg.engines.choose import ENGINES, best_engine, open_scorer, require_training
from terraseg.engines.onnx import open_onnx
from terraseg.engines.torch import open_torch
from terraseg.errors import BadOption, BandMismatch, BrokenBundle, MissingExtra, UnknownName
from terraseg.store.bundle import onnx_path, read_spec, read_weights, write_bundle

INSTALLED = [name for name in ENGINES if name != "openvino" or find_spec("openvino")]
SHAPES = ((1, 37, 51), (2, 64, 64), (3, 1, 1), (1, 5, 130))


def make_pixels(shape: tuple[int, int, int], dtype: str = "uint8") -> NDArray[Any]:
    number, height, width = shape
    return np.random.default_rng(1).integers(0, 255, (number, 3, height, width)).astype(dtype)


@pytest.fixture(params=INSTALLED)
def scorer(request: pytest.FixtureRequest, bundle: Path) -> Scorer:
    return open_scorer(bundle, engine=request.param, threads=1)


def test_probabilities_have_the_promised_form(scorer: Scorer) -> None:
    for shape in SHAPES:
        found = scorer.score(make_pixels(shape))
        assert found.shape == (shape[0], 4, *shape[1:])
        assert found.dtype == np.float32
        np.testing.assert_allclose(found.sum(1), 1, atol=1e-5)
    assert len(scorer.spec.legend) == 4
    assert "CPU" in scorer.device


def test_engines_agree(scorer: Scorer, bundle: Path) -> None:
    reference = open_onnx(bundle, threads=1)
    for shape in SHAPES:
        pixels = make_pixels(shape)
        np.testing.assert_allclose(scorer.score(pixels), reference.score(pixels), atol=1e-4, rtol=0)


@pytest.mark.parametrize("engine", INSTALLED)
def test_one_logit_and_sixteen_bit(engine: str, binary_bundle: Path) -> None:
    scorer = open_scorer(binary_bundle, engine=engine, threads=1)
    pixels = make_pixels((1, 33, 20), "uint16")
    found = scorer.score(pixels)
    assert found.shape == (1, 2, 33, 20)
    np.testing.assert_allclose(found, open_onnx(binary_bundle, threads=1).score(pixels), atol=1e-4, rtol=0)
    np.testing.assert_array_equal(scorer.score(pixels.astype(">u2")), found)


def test_a_batch_is_its_images(scorer: Scorer) -> None:
    pixels = make_pixels((3, 40, 24))
    single = np.concatenate([scorer.score(image[None]) for image in pixels])
    np.testing.assert_allclose(scorer.score(pixels), single, atol=1e-5)


def test_views_and_read_only_arrays_are_taken(scorer: Scorer) -> None:
    pixels = make_pixels((1, 40, 24))
    flipped = pixels[..., ::-1]
    frozen = flipped.copy()
    frozen.flags.writeable = False
    np.testing.assert_array_equal(scorer.score(flipped), scorer.score(frozen))


def test_no_images_give_no_probabilities(scorer: Scorer) -> None:
    assert scorer.score(make_pixels((0, 8, 9))).shape == (0, 4, 8, 9)


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (np.zeros((1, 4, 8, 8), "uint8"), "red, green, blue"),
        (np.zeros((3, 8, 8), "uint8"), r"\(3, 8, 8\)"),
        (np.zeros((1, 3, 8, 8), "uint16"), "uint16 pixels for a model of uint8"),
        (np.zeros((1, 3, 0, 8), "uint8"), "no pixels"),
    ],
)
def test_what_does_not_fit_the_model_is_refused(scorer: Scorer, pixels: NDArray[Any], message: str) -> None:
    with pytest.raises(BandMismatch, match=message):
        scorer.score(pixels)


def test_bfloat16_stays_near(bundle: Path) -> None:
    pixels = make_pixels((1, 64, 64))
    found = open_torch(bundle, device="cpu", precision="fast", threads=1).score(pixels)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, open_onnx(bundle, threads=1).score(pixels), atol=0.05)


def test_a_device_that_is_not_there_is_refused(bundle: Path) -> None:
    for device in ("cuda:7", "abacus"):
        with pytest.raises(BadOption, match=f"no device '{device}'"):
            open_torch(bundle, device=device)


def test_an_unknown_engine_lists_the_known_ones(bundle: Path) -> None:
    with pytest.raises(UnknownName, match=r"did you mean 'onnx'\? Known: auto, onnx, openvino, torch"):
        open_scorer(bundle, engine="onxx")


def test_missing_packages_name_their_extra(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choose, "find_spec", lambda _: None)
    assert best_engine().engine == "onnx"
    for engine, extra in (("openvino", "openvino"), ("torch", "train")):
        with pytest.raises(MissingExtra, match=rf"terraseg\[{extra}\]"):
            open_scorer(bundle, engine=engine)
    with pytest.raises(MissingExtra, match=r"terraseg\[train\]"):
        require_training()


def test_auto_opens_the_best_engine(bundle: Path) -> None:
    scorer = open_scorer(bundle, threads=1)
    assert type(scorer) is type(open_scorer(bundle, engine=best_engine().engine, threads=1))


def test_a_damaged_graph_is_a_broken_bundle(bundle: Path, tmp_path: Path) -> None:
    """Hashes that fit, but a graph that is none: ONNX Runtime's own error is translated."""
    folder = tmp_path / "model"
    half = onnx_path(bundle).read_bytes()[:5000]
    write_bundle(folder, read_spec(bundle), onnx=half, weights=read_weights(bundle))
    for engine in (name for name in INSTALLED if name != "torch"):
        with pytest.raises(BrokenBundle, match=r"model\.onnx cannot be opened"):
            open_scorer(folder, engine=engine)


def test_weights_of_another_network_are_a_broken_bundle(bundle: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    weights = {name: array for name, array in read_weights(bundle).items() if not name.startswith("final")}
    write_bundle(folder, read_spec(bundle), onnx=b"unused", weights=weights)
    with pytest.raises(BrokenBundle, match="do not fit unet with 3 bands and 4 classes"):
        open_scorer(folder, engine="torch")


@pytest.mark.parametrize("engine", ["onnx", *(["openvino"] if "openvino" in INSTALLED else [])])
def test_prediction_without_torch_loads_none(bundle: Path, engine: str) -> None:
    code = (
        "import sys, pathlib, numpy as np\n"
        "from terraseg.engines.choose import open_scorer\n"
        f"scorer = open_scorer(pathlib.Path({str(bundle)!r}), engine={engine!r}, threads=1)\n"
        "scorer.score(np.zeros((1, 3, 8, 8), 'uint8'))\n"
        "assert not {'torch', 'timm', 'safetensors', 'onnx'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=60)


def test_opening_a_model_leaves_the_arithmetic_of_the_process_alone(bundle: Path) -> None:
    """A runtime that flushes denormal numbers does so for its caller, too, unless it is told not to."""
    open_scorer(bundle, engine="onnx", threads=1)
    assert np.float64(5e-324) * np.float64(1.0) > 0
