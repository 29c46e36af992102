"""Which engine runs a model, why, and in which precision on this processor."""

from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from terraseg.core.machine import multiplies_bf16
from terraseg.core.modelspec import ENSEMBLE, FOREST, ModelSpec
from terraseg.engines import choose
from terraseg.engines.choose import best_engine, choose_engine, open_scorer
from terraseg.engines.onnx import open_onnx
from terraseg.engines.torch import TorchScorer, fast_dtype, kernels, open_torch
from terraseg.errors import BadOption
from terraseg.store.bundle import read_spec

HERE = Path("model")
Facts = Callable[..., None]
needs_openvino = pytest.mark.skipif(find_spec("openvino") is None, reason="OpenVINO is not installed")


@pytest.fixture
def facts(monkeypatch: pytest.MonkeyPatch) -> Facts:
    """Sets what is installed and what the machine has."""

    def set_facts(*installed: str, gpu: bool = False, bf16: bool = False, int8: bool = True) -> None:
        monkeypatch.setattr(choose, "find_spec", lambda name: name if name in installed else None)
        monkeypatch.setattr(choose, "_has_gpu", lambda: gpu)
        monkeypatch.setattr(choose, "multiplies_bf16", lambda: bf16)
        monkeypatch.setattr(choose, "multiplies_int8", lambda: int8)

    return set_facts


def test_the_fastest_engine_is_chosen_by_what_is_there(facts: Facts) -> None:
    facts("torch", "openvino", gpu=True)
    assert best_engine() == choose.Choice("torch", "it runs on the GPU")
    facts("torch", "openvino")
    assert best_engine().engine == best_engine("fast").engine == best_engine("int8").engine == "openvino"
    facts("torch", bf16=True)
    assert best_engine("fast").engine == "torch", "ONNX Runtime has no 16 bit on processors"
    assert best_engine("exact").engine == "onnx"
    facts("torch", bf16=False)
    assert best_engine("fast").engine == "onnx"
    facts()
    assert best_engine().engine == "onnx"


def test_the_reason_says_what_else_would_help(facts: Facts) -> None:
    facts("openvino", bf16=True)
    assert "--precision fast would take about half the time" in best_engine("exact").reason
    assert best_engine("fast").reason == "the fastest on a processor"
    facts("openvino", bf16=False, int8=False)
    assert best_engine("exact").reason == "the fastest on a processor"
    assert "fast counts in 32 bit as exact does" in best_engine("fast").reason
    assert "int8 gains little" in best_engine("int8").reason
    facts()
    assert "pip install 'terraseg[openvino]'" in best_engine().reason
    assert "it counts in 32 bit, fast or not" in best_engine("fast").reason


def test_what_an_engine_cannot_run_is_not_chosen_and_not_forced(facts: Facts, bundle: Path) -> None:
    facts("torch", "openvino", gpu=True)
    spec = read_spec(bundle)
    forest = replace(spec, network=FOREST)
    several = replace(spec, network=ENSEMBLE, network_options={"members": ["unet", "unet"]})
    assert choose_engine(forest, engine="auto", precision="exact", where=HERE).reason == "only it runs decision trees"
    assert choose_engine(several, engine="auto", precision="exact", where=HERE).engine == "openvino"
    assert choose_engine(spec, engine="auto", precision="int8", where=HERE).engine == "openvino"
    for unfit, engine, precision, why in (
        (forest, "openvino", "exact", "holds decision trees: use onnx"),
        (several, "torch", "exact", "holds several networks in one graph: use onnx or openvino"),
        (spec, "torch", "int8", "is wanted in int8: use onnx or openvino"),
    ):
        with pytest.raises(BadOption, match=f"model, which {why}"):
            choose_engine(_spec(unfit), engine=engine, precision=precision, where=HERE)  # type: ignore[arg-type]


def _spec(value: object) -> ModelSpec:
    assert isinstance(value, ModelSpec)
    return value


@needs_openvino
def test_fast_counts_in_sixteen_bit_where_the_processor_does(bundle: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (1, 3, 64, 64)).astype(np.uint8)
    exact = open_scorer(bundle, engine="openvino", precision="exact", threads=1)
    fast = open_scorer(bundle, engine="openvino", precision="fast", threads=1)
    reference = open_onnx(bundle, threads=1).score(pixels)
    assert exact.device.endswith("FP32")
    np.testing.assert_allclose(exact.score(pixels), reference, atol=1e-5)
    found = np.abs(fast.score(pixels) - reference).max()
    if multiplies_bf16():
        assert fast.device.endswith("BF16")
        assert 1e-5 < found < 0.05, "another arithmetic, near the exact one"
    else:
        assert fast.device.endswith("FP32")
        assert found < 1e-5


def test_torch_takes_the_shortest_type_of_the_device(bundle: Path) -> None:
    wanted = torch.bfloat16 if multiplies_bf16() else torch.float32
    assert fast_dtype(torch.device("cpu")) == wanted
    assert fast_dtype(torch.device("mps")) == torch.float16
    scorer = open_torch(bundle, device="cpu", precision="fast", threads=1)
    convolutions = [m.weight.dtype for m in scorer.scoring.modules() if isinstance(m, torch.nn.Conv2d)]
    norms = [m.weight.dtype for m in scorer.scoring.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert set(convolutions) == {wanted}
    assert set(norms) == {torch.float32}, "statistics of batches keep their digits"
    assert open_torch(bundle, device="cpu", threads=1).device.endswith("FP32")
    with pytest.raises(BadOption, match="no models in bytes"):
        open_torch(bundle, device="cpu", precision="int8")


def test_what_is_scored_on_a_device_stays_there(bundle: Path) -> None:
    """A GPU's probabilities are blended on it; here the processor stands for one."""
    pixels = np.random.default_rng(0).integers(0, 255, (2, 3, 32, 32)).astype(np.uint8)
    host = open_torch(bundle, device="cpu", threads=1)
    device = replace(host, on_host=False)
    found = device.score(pixels)
    assert isinstance(found, torch.Tensor)
    assert not found.is_inference(), "the blender changes arrays in place"
    np.testing.assert_array_equal(found.numpy(), host.score(pixels))


def test_on_nvidia_the_fast_kernels_are_on_and_count_in_full() -> None:
    with kernels(torch.device("cuda")):
        assert torch.backends.cudnn.enabled, "convolutions without cuDNN take many times as long"
        assert not torch.backends.cudnn.allow_tf32
        assert torch.backends.cudnn.deterministic, "a map that is gone on with must not change"
        assert not torch.backends.cudnn.benchmark


def short_of_memory(scorer: TorchScorer, holds: int) -> tuple[TorchScorer, list[int]]:
    """A scorer on a device that holds so many images, and the sizes of the batches it was given."""
    asked: list[int] = []

    def scoring(images: torch.Tensor) -> torch.Tensor:
        asked.append(len(images))
        if len(images) > holds:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")
        found: torch.Tensor = scorer.scoring(images)
        return found

    return replace(scorer, scoring=scoring, most=[]), asked  # type: ignore[arg-type]


def test_a_batch_that_the_device_does_not_hold_is_scored_in_parts(bundle: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (7, 3, 32, 32)).astype(np.uint8)
    plenty = open_torch(bundle, device="cpu", threads=1)
    little, asked = short_of_memory(plenty, 2)
    np.testing.assert_allclose(little.score(pixels), plenty.score(pixels), atol=1e-6)
    assert asked == [7, 3, 1, 1, 1, 1, 1, 1, 1]
    little.score(pixels[:2])
    assert asked[9:] == [1, 1], "what did not fit once is not tried again"
    none, _ = short_of_memory(plenty, 0)
    with pytest.raises(BadOption, match=r"one tile of 32 x 32 px: pass smaller tiles .*--engine onnx"):
        none.score(pixels)


@pytest.mark.parametrize("engine", ["onnx", *(["openvino"] if find_spec("openvino") else [])])
def test_int8_without_a_calibrated_graph_says_how_to_make_one(bundle: Path, engine: str) -> None:
    with pytest.raises(BadOption, match=r"terraseg export .* --int8 IMAGES"):
        open_scorer(bundle, engine=engine, precision="int8")


@needs_openvino
def test_openvino_keeps_few_compiled_shapes(bundle: Path) -> None:
    from terraseg.engines.openvino import SHAPES_KEPT, open_openvino

    scorer = open_openvino(bundle, threads=1)
    first = np.zeros((1, 3, 16, 16), dtype=np.uint8)
    before = scorer.score(first)
    for width in range(17, 17 + SHAPES_KEPT + 2):
        scorer.score(np.zeros((1, 3, 16, width), dtype=np.uint8))
    assert len(scorer.requests) == SHAPES_KEPT
    np.testing.assert_array_equal(scorer.score(first), before)
