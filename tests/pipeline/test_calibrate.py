"""Models in bytes: what is calibrated on, what the gate lets through, and what it does not."""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from terraseg.cli.main import run as run_cli
from terraseg.core.classes import PALETTE, LandClass, Legend
from terraseg.core.dataset import Imagery
from terraseg.core.modelspec import ModelSpec
from terraseg.core.watch import SILENT
from terraseg.engines.choose import open_scorer
from terraseg.engines.options import EngineOptions
from terraseg.errors import BadOption, UnreadableFile
from terraseg.export.int8 import int8_graphs, measure_agreement
from terraseg.export.onnx import onnx_bytes
from terraseg.nets.build import build_network
from terraseg.nets.losses import build_loss
from terraseg.pipeline.calibrate import calibration_windows, ready_int8
from terraseg.pipeline.rasters import predict_files
from terraseg.predict.options import InputOptions
from terraseg.store.bundle import bundle_hash, onnx_path, write_bundle
from terraseg.store.classmap import read_class_map
from terraseg.store.quantised import read_int8
from tests.makers import make_grid, make_raster

OPTIONS = {"depth": 2, "width": 8, "batch_norm": False}
BANDS = ("red", "green", "blue")
LEGEND = Legend(tuple(LandClass(k, f"class {k}", PALETTE[k]) for k in range(3)))
SPEC = ModelSpec("unet", LEGEND, BANDS, "uint8", (120.0,) * 3, (60.0,) * 3, 0.5, 64, 16, 2, OPTIONS)
ONNX = EngineOptions("onnx", precision="int8")


def make_scene(seed: int, height: int, width: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Blobs of three brightnesses (bands, height, width) and their classes."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 3, (height // 16, width // 16)).repeat(16, 0).repeat(16, 1)
    pixels = 40 + 80 * labels + generator.normal(0, 12, (3, height, width))
    return np.clip(pixels, 0, 255).astype(np.uint8), labels


def train() -> nn.Module:
    torch.manual_seed(0)
    network = build_network("unet", bands=3, classes=3, options=OPTIONS)
    optimizer, loss = torch.optim.AdamW(network.parameters(), lr=3e-3), build_loss("ce")
    for step in range(60):
        pixels, labels = make_scene(step, 64, 64)
        optimizer.zero_grad()
        value = loss(network((torch.from_numpy(pixels).float()[None] - 120) / 60), torch.from_numpy(labels)[None])
        value.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        optimizer.step()
    return network.eval()


def spoil(network: nn.Module) -> None:
    """Makes one channel a thousand times larger and takes it back in the next layer: in 32 bit nothing changes."""
    blocks = [
        [m for m in block if isinstance(m, nn.Conv2d)]
        for block in network.modules()
        if isinstance(block, nn.Sequential)
    ]
    assert sum(len(block) == 2 for block in blocks) == 3, "two blocks down and up, one between"
    with torch.no_grad():
        for first, second in (block for block in blocks if len(block) == 2):
            first.weight[0] *= 5000
            assert first.bias is not None
            first.bias[0] *= 5000
            second.weight[:, 0] /= 5000


def write(folder: Path, network: nn.Module, spec: ModelSpec = SPEC) -> Path:
    weights = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    write_bundle(folder, spec, onnx=onnx_bytes(network, spec), weights=weights)
    return folder


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the bundles of a sound network and of the same one spoilt for bytes."""
    root, network = tmp_path_factory.mktemp("bundles"), train()
    write(root / "good", network)
    spoil(network)
    write(root / "bad", network)
    return root


@pytest.fixture
def good(bundles: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(bundles / "good", tmp_path / "good"))


@pytest.fixture
def bad(bundles: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(bundles / "bad", tmp_path / "bad"))


@pytest.fixture
def raster(tmp_path: Path) -> Path:
    return make_raster(tmp_path / "scene.tif", make_grid(256, 320), pixels=make_scene(99, 256, 320)[0])


def images(*paths: Path) -> list[Imagery]:
    return [Imagery((str(path),), BANDS) for path in paths]


class Heard:
    """A watch that remembers what is said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def step(self, title: str) -> None:
        self.said.append(title)

    def say(self, text: str) -> None:
        self.said.append(text)

    def progress(self, done: float, total: float, text: str = "") -> None:
        """Nothing."""


def ready(folder: Path, rasters: Sequence[Imagery], engine: EngineOptions = ONNX, **more: Any) -> Any:
    watch = more.pop("watch", SILENT)
    return ready_int8(folder, rasters, inputs=InputOptions(), engine=engine, watch=watch, **more)


def test_a_good_model_passes_and_maps_what_the_exact_one_maps(good: Path, raster: Path) -> None:
    before, watch = bundle_hash(good), Heard()
    made = ready(good, images(raster), watch=watch)
    assert made.report.is_good
    assert (made.report.calibrated, made.report.judged) == (14, 6)
    assert made.report.pixels == 6 * 64 * 64
    assert watch.said[-1] == made.report.sentence
    assert bundle_hash(good) == before
    kinds = {node.op_type for node in onnx.load(made.path).graph.node}
    assert {"QuantizeLinear", "DequantizeLinear"} <= kinds
    unseen = make_scene(7, 128, 96)[0][None]
    exact, short = (open_scorer(good, engine="onnx", threads=1, precision=p) for p in ("exact", "int8"))
    assert short.device.endswith("INT8")
    one, two = (scorer.score(unseen) for scorer in (exact, short))
    assert (one.argmax(1) == two.argmax(1)).mean() > 0.99
    assert 0 < np.abs(one - two).max() < 0.5, "another arithmetic"


def test_openvino_runs_the_same_graph_in_bytes(good: Path, raster: Path) -> None:
    pytest.importorskip("openvino")
    ready(good, images(raster))
    unseen = make_scene(8, 64, 96)[0][None]
    there, here = (open_scorer(good, engine=e, threads=1, precision="int8") for e in ("openvino", "onnx"))
    one, two = (scorer.score(unseen).argmax(1) for scorer in (there, here))
    assert (one == two).mean() > 0.99


def test_a_compiled_graph_in_bytes_is_found_by_the_next_run(
    good: Path, raster: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    openvino = pytest.importorskip("openvino")
    ready(good, images(raster))
    monkeypatch.setenv("TERRASEG_CACHE", str(tmp_path / "cache"))
    unseen = make_scene(8, 64, 96)[0][None]
    first = open_scorer(good, engine="openvino", threads=1, precision="int8").score(unseen)
    (kept,) = (tmp_path / "cache").iterdir()
    monkeypatch.setattr(openvino.Core, "compile_model", None)
    again = open_scorer(good, engine="openvino", threads=1, precision="int8").score(unseen)
    np.testing.assert_array_equal(again, first)
    monkeypatch.undo()
    monkeypatch.setenv("TERRASEG_CACHE", str(tmp_path / "cache"))
    kept.write_bytes(b"cut")
    mended = open_scorer(good, engine="openvino", threads=1, precision="int8").score(unseen)
    np.testing.assert_array_equal(mended, first)
    assert kept.stat().st_size > 1000, "what is damaged is made anew"


def test_a_model_that_bytes_cannot_hold_is_refused_with_the_figure(bad: Path, raster: Path) -> None:
    exact = open_scorer(bad, engine="onnx", threads=1)
    pixels, labels = make_scene(5, 64, 64)
    assert (exact.score(pixels[None]).argmax(1)[0] == labels).mean() > 0.95, "the model itself is sound"
    with pytest.raises(BadOption, match=r"not good enough, 99% is asked for: int8 agrees with exact on [0-9.]+%"):
        ready(bad, images(raster))
    assert read_int8(bad) is None, "what was refused is not kept"


def test_force_keeps_a_bad_model_and_only_force_uses_it(bad: Path, raster: Path) -> None:
    made = ready(bad, images(raster), replace(ONNX, force_int8=True))
    assert not made.report.is_good
    with pytest.raises(BadOption, match=r"force it with --set engine\.force_int8=true"):
        ready(bad, [])
    assert ready(bad, [], replace(ONNX, force_int8=True)) == made


def test_a_second_use_calibrates_nothing(good: Path, raster: Path) -> None:
    made = ready(good, images(raster))
    assert ready(good, []) == made
    written = made.path.stat().st_mtime_ns
    again = ready(good, images(raster), anew=True)
    assert again.path.stat().st_mtime_ns > written
    assert again.path.read_bytes() == made.path.read_bytes(), "the same imagery gives the same bytes"


def test_islands_hold_more_and_more_in_floats(good: Path) -> None:
    windows = [make_scene(k, 64, 64)[0] for k in range(4)]
    found = list(int8_graphs(onnx_path(good), windows))
    assert [words for _, words in found] == ["", "the first and the last layer", "the encoder and the last layer"]
    scaled = [sum(node.op_type == "QuantizeLinear" for node in onnx.load_from_string(g).graph.node) for g, _ in found]
    assert scaled[0] > scaled[1] > scaled[2] > 0


def test_agreement_counts_pixels_of_equal_class(good: Path) -> None:
    scorer = open_scorer(good, engine="onnx", threads=1)

    class Turned:
        """The same scorer with two classes exchanged."""

        spec, device = scorer.spec, "turned"

        def score(self, batch: NDArray[Any]) -> NDArray[Any]:
            return np.asarray(scorer.score(batch))[:, [1, 0, 2]]

    windows = [make_scene(k, 64, 64)[0] for k in range(3)]
    share = np.mean([scorer.score(w[None]).argmax(1) == 2 for w in windows])
    report = measure_agreement(scorer, Turned(), windows, calibrated=0)
    assert report.agreement == pytest.approx(share)
    assert measure_agreement(scorer, scorer, windows, calibrated=0).agreement == 1


def test_windows_come_from_every_raster_and_never_from_nodata(tmp_path: Path, raster: Path) -> None:
    pixels = make_scene(1, 128, 640)[0]
    pixels[:, :, :448] = 0
    half = make_raster(tmp_path / "half.tif", make_grid(128, 640), pixels=pixels, nodata=0)
    found = calibration_windows(SPEC, images(raster, half), InputOptions())
    assert {w.shape for w in found} == {(3, 64, 64)}
    assert all(w.any() for w in found)
    assert len(found) == 12 + 6
    again = calibration_windows(SPEC, images(raster, half), InputOptions())
    assert all(np.array_equal(a, b) for a, b in zip(found, again, strict=True))


def test_too_little_imagery_is_said(tmp_path: Path) -> None:
    small = make_raster(tmp_path / "small.tif", make_grid(64, 100))
    with pytest.raises(BadOption, match="do not hold 6 windows of 64 px"):
        calibration_windows(SPEC, images(small), InputOptions())


def test_one_bad_raster_of_several_does_not_stop_the_others(tmp_path: Path, raster: Path) -> None:
    broken = tmp_path / "broken.tif"
    broken.write_bytes(b"no raster")
    assert calibration_windows(SPEC, images(broken, raster), InputOptions())
    with pytest.raises(UnreadableFile):
        calibration_windows(SPEC, images(broken), InputOptions())


def test_predicting_in_bytes_calibrates_on_the_raster_itself(good: Path, raster: Path, tmp_path: Path) -> None:
    watch = Heard()
    settings = {"precision": "int8", "engine": "onnx"}
    predict_files([str(raster)], [good], tmp_path / "int8.tif", settings, watch=watch)
    assert any("agrees with exact" in line for line in watch.said)
    assert any("INT8 (as asked for)" in line for line in watch.said)
    predict_files([str(raster)], [good], tmp_path / "exact.tif", {"engine": "onnx"})
    maps = []
    for name in ("int8", "exact"):
        with read_class_map(tmp_path / f"{name}.tif") as found:
            maps.append(found.read(found.grid.window))
    assert (maps[0] == maps[1]).mean() > 0.99


def test_the_command_writes_the_graph(good: Path, raster: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli(["export", str(good), "--int8", str(raster), "--engine", "onnx"]) == 0
    assert "model_int8.onnx" in capsys.readouterr().out
    assert read_int8(good) is not None
    assert run_cli(["export", str(good)]) == 2
    assert "nothing to export was named" in capsys.readouterr().err
