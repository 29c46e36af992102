"""The engine for a bundle: by name, or the fastest that is installed."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from terraseg.core.machine import multiplies_bf16, multiplies_int8
from terraseg.core.modelspec import ENSEMBLE, FOREST, ModelSpec
from terraseg.core.scorer import Precision, Scorer
from terraseg.engines.mean import mean_scorer
from terraseg.engines.options import EngineOptions
from terraseg.engines.views import with_views
from terraseg.errors import BadOption, UnknownName, missing_extra, nearest
from terraseg.store.bundle import read_spec

AUTO = "auto"
TRAINING = ("torch", "lightning", "timm", "safetensors", "onnx", "onnxscript")
FASTER = "OpenVINO is faster on most processors: pip install 'terraseg[openvino]'"
BYTES = ("onnx", "openvino")
"""The engines that run models in bytes."""


@dataclass(frozen=True)
class Choice:
    """An engine by name, and why it is the one."""

    engine: str
    reason: str


@dataclass(frozen=True)
class Opened:
    """A scorer, and the engine of each bundle in it."""

    scorer: Scorer
    choices: tuple[Choice, ...]

    @property
    def engines(self) -> str:
        """The names of the engines, each once."""
        return " and ".join(dict.fromkeys(choice.engine for choice in self.choices))

    @property
    def reason(self) -> str:
        """Why these engines."""
        return "; ".join(dict.fromkeys(choice.reason for choice in self.choices))


def open_scorers(bundles: Sequence[Path], options: EngineOptions) -> Opened:
    """A Scorer for one bundle, or for the mean of several, as the options want it, with its engines and why these.

    Raises as `open_scorer` does, `BadOption` without a bundle, and `UnknownClass` or `BandMismatch` for bundles that cannot
    be averaged.
    """
    if not bundles:
        raise BadOption("no model was named: pass --model with a model's folder, such as runs/first/model")
    chosen = [choose_engine(read_spec(b), engine=options.engine, precision=options.precision, where=b) for b in bundles]
    opened = [
        ENGINES[choice.engine](bundle, None, options.precision) for bundle, choice in zip(bundles, chosen, strict=True)
    ]
    return Opened(with_views(mean_scorer(bundles, opened), options.tta), tuple(chosen))


def open_scorer(
    bundle: Path, *, engine: str = AUTO, threads: int | None = None, precision: Precision = "exact"
) -> Scorer:
    """A Scorer for the bundle on the engine of that name: "onnx", "openvino", "torch", or "auto", the fastest that fits.

    `threads` is the number of CPU threads, by default the cores that this process may use. Raises `UnknownName` for another
    engine, `BadOption` for one that cannot run this model at this precision and for a bundle without a graph in bytes when
    that is asked for, `MissingExtra` for one that is not installed, `BrokenBundle` for a damaged bundle.
    """
    choice = choose_engine(read_spec(bundle), engine=engine, precision=precision, where=bundle)
    return ENGINES[choice.engine](bundle, threads, precision)


def choose_engine(spec: ModelSpec, *, engine: str, precision: Precision, where: Path) -> Choice:
    """The engine that runs a model, by the facts of this machine and this installation; nothing is measured.

    "auto" takes, of the engines that can run the model at that precision, torch where it has a GPU, else OpenVINO where it
    is installed, else torch where 16 bit are wanted, the processor has them and torch is installed, else ONNX Runtime.
    """
    if engine not in (AUTO, *ENGINES):
        raise UnknownName(f"there is no engine {engine!r}: {nearest(engine, [AUTO, *ENGINES])}")
    fitting = [name for name in fitting_engines(spec) if precision != "int8" or name in BYTES]
    if engine == AUTO:
        return best_engine(precision, tuple(fitting))
    if engine not in fitting:
        raise BadOption(
            f"the engine {engine!r} cannot run {where}, which {_holds(spec, precision)}: use {' or '.join(fitting)}"
        )
    return Choice(engine, "as asked for")


def _holds(spec: ModelSpec, precision: Precision) -> str:
    if FOREST in spec.members:
        return "holds decision trees"
    if spec.network == ENSEMBLE:
        return "holds several networks in one graph"
    return f"is wanted in {precision}"


def fitting_engines(spec: ModelSpec) -> tuple[str, ...]:
    """The engines that can run a model: OpenVINO has no decision trees, and torch rebuilds single networks only."""
    if FOREST in spec.members:
        return ("onnx",)
    return ("onnx", "openvino") if spec.network == ENSEMBLE else tuple(ENGINES)


def best_engine(precision: Precision = "exact", fitting: Sequence[str] = ("onnx", "openvino", "torch")) -> Choice:
    """The fastest of the fitting engines that this machine and this installation have, and why."""
    if "torch" in fitting and _has_gpu():
        return Choice("torch", "it runs on the GPU")
    if tuple(fitting) == ("onnx",):
        return Choice("onnx", "only it runs decision trees")
    if find_spec("openvino"):
        return Choice("openvino", f"the fastest on a processor{_hint(precision)}")
    if precision == "fast" and "torch" in fitting and find_spec("torch") and multiplies_bf16():
        return Choice("torch", f"of what is installed only it counts in 16 bit; {FASTER}")
    short = "; it counts in 32 bit, fast or not" if precision == "fast" else ""
    return Choice("onnx", f"the engine of the plain install{short}; {FASTER}")


def _hint(precision: Precision) -> str:
    """What else the processor could do, or cannot."""
    if precision == "exact":
        return "; --precision fast would take about half the time here" if multiplies_bf16() else ""
    if precision == "fast":
        return "" if multiplies_bf16() else "; this one has no 16-bit products, so fast counts in 32 bit as exact does"
    return "" if multiplies_int8() else "; this one has no products of bytes, so int8 gains little"


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


def _open_onnx(bundle: Path, threads: int | None, precision: Precision) -> Scorer:
    from terraseg.engines.onnx import open_onnx

    return open_onnx(bundle, threads=threads, precision=precision)


def _open_openvino(bundle: Path, threads: int | None, precision: Precision) -> Scorer:
    if not find_spec("openvino"):
        raise missing_extra("the engine 'openvino'", "openvino")
    from terraseg.engines.openvino import open_openvino

    return open_openvino(bundle, threads=threads, precision=precision)


def _open_torch(bundle: Path, threads: int | None, precision: Precision) -> Scorer:
    if not find_spec("torch"):
        raise missing_extra("the engine 'torch'", "train")
    from terraseg.engines.torch import open_torch

    return open_torch(bundle, threads=threads, precision=precision)


ENGINES: dict[str, Callable[[Path, int | None, Precision], Scorer]] = {
    "onnx": _open_onnx,
    "openvino": _open_openvino,
    "torch": _open_torch,
}
