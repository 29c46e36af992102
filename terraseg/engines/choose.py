"""The engine for a bundle: by name, or the fastest that is installed."""

import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from terraseg.core.modelspec import ENSEMBLE, FOREST, ModelSpec
from terraseg.core.scorer import Scorer
from terraseg.errors import BadOption, UnknownName, missing_extra, nearest
from terraseg.store.bundle import read_spec

AUTO = "auto"
TRAINING = ("torch", "lightning", "timm", "safetensors", "onnx", "onnxscript")


def open_scorer(bundle: Path, *, engine: str = AUTO, threads: int | None = None) -> Scorer:
    """A Scorer for the bundle on the engine of that name: "onnx", "openvino", "torch", or "auto".

    `threads` is the number of CPU threads, by default the cores that this process may use. "auto" takes, of the
    engines that can run the model, torch where it has a GPU, else OpenVINO where it is installed, else ONNX Runtime; the
    scorer's `device` says which it is. Raises `UnknownName` for another engine, `BadOption` for one that cannot run this
    model, `MissingExtra` for one that is not installed, `BrokenBundle` for a damaged bundle.
    """
    if engine not in (AUTO, *ENGINES):
        raise UnknownName(f"there is no engine {engine!r}: {nearest(engine, [AUTO, *ENGINES])}")
    name = best_engine() if engine == AUTO else engine
    fitting = fitting_engines(read_spec(bundle))
    if name not in fitting and engine != AUTO:
        why = "decision trees" if fitting == ("onnx",) else "several networks in one graph"
        raise BadOption(f"the engine {name!r} cannot run {bundle}, which holds {why}: use {' or '.join(fitting)}")
    if name not in fitting:
        name = "openvino" if "openvino" in fitting and find_spec("openvino") else "onnx"
    return ENGINES[name](bundle, threads)


def fitting_engines(spec: ModelSpec) -> tuple[str, ...]:
    """The engines that can run a model: OpenVINO has no decision trees, and torch rebuilds single networks only."""
    if FOREST in spec.members:
        return ("onnx",)
    return ("onnx", "openvino") if spec.network == ENSEMBLE else tuple(ENGINES)


def best_engine() -> str:
    """The name of the fastest engine that this machine and this installation have."""
    if _has_gpu():
        return "torch"
    return "openvino" if find_spec("openvino") else "onnx"


def require_training() -> None:
    """Raise `MissingExtra` unless the packages that training needs are installed; none of them is loaded."""
    if not all(find_spec(name) for name in TRAINING):
        raise missing_extra("training", "train")


def _has_gpu() -> bool:
    """Whether torch is installed and has a GPU; asks torch, which takes seconds to load, only where a driver is."""
    driver = sys.platform == "darwin" or any(Path("/dev").glob("nvidia[0-9]*"))
    if not driver or not find_spec("torch"):
        return False
    from terraseg.engines.torch import accelerator

    return accelerator() is not None


def _open_onnx(bundle: Path, threads: int | None) -> Scorer:
    from terraseg.engines.onnx import open_onnx

    return open_onnx(bundle, threads=threads)


def _open_openvino(bundle: Path, threads: int | None) -> Scorer:
    if not find_spec("openvino"):
        raise missing_extra("the engine 'openvino'", "openvino")
    from terraseg.engines.openvino import open_openvino

    return open_openvino(bundle, threads=threads)


def _open_torch(bundle: Path, threads: int | None) -> Scorer:
    if not find_spec("torch"):
        raise missing_extra("the engine 'torch'", "train")
    from terraseg.engines.torch import open_torch

    return open_torch(bundle, threads=threads)


ENGINES: dict[str, Callable[[Path, int | None], Scorer]] = {
    "onnx": _open_onnx,
    "openvino": _open_openvino,
    "torch": _open_torch,
}
