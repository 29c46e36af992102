"""PyTorch on a GPU, or on the CPU where it is installed: the engine that rebuilds the network from its weights."""

from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from terraseg.core.machine import cores_available
from terraseg.core.modelspec import ModelSpec
from terraseg.engines.batch import checked_batch, no_images
from terraseg.errors import BadOption
from terraseg.nets.build import rebuild_network
from terraseg.nets.scoring import Scoring
from terraseg.store.bundle import read_spec, read_weights

Precision = Literal["fp32", "bf16"]


@dataclass(frozen=True)
class TorchScorer:
    """A Scorer on a torch module."""

    spec: ModelSpec
    device: str
    scoring: Scoring
    target: torch.device
    precision: Precision

    def score(self, batch: NDArray[Any]) -> NDArray[np.float32]:
        """Probabilities (n, classes, height, width) of raw pixels (n, bands, height, width) in the model's dtype."""
        pixels = checked_batch(batch, self.spec)
        if len(pixels) == 0:
            return no_images(pixels, self.spec)
        lower = torch.autocast(self.target.type, torch.bfloat16) if self.precision == "bf16" else nullcontext()
        with torch.inference_mode(), lower:
            images = _as_tensor(pixels).to(self.target).to(memory_format=torch.channels_last)
            return np.asarray(self.scoring(images).float().contiguous().cpu().numpy(), dtype=np.float32)


def open_torch(
    bundle: Path, *, device: str = "auto", precision: Precision = "fp32", threads: int | None = None
) -> TorchScorer:
    """A Scorer on the bundle's network and weights, channels last.

    `device` is torch's name for one, "auto" the first of CUDA, MPS and CPU that is there. "bf16" computes the convolutions
    in bfloat16, probabilities stay float32. `threads` sets torch's CPU threads, for the whole process. Raises
    `BrokenBundle` as the store does, and `BadOption` for a device that is not there.
    """
    spec = read_spec(bundle)
    network = rebuild_network(spec, read_weights(bundle))
    target = _device(device)
    if target.type == "cpu":
        torch.set_num_threads(threads if threads is not None else cores_available())
    scoring = Scoring(network, spec).eval().to(target).to(memory_format=torch.channels_last)
    return TorchScorer(
        spec, f"torch {torch.__version__} on {_device_name(target)}, {precision}", scoring, target, precision
    )


def accelerator() -> str | None:
    """The name that torch has for a GPU it can use, None when there is none."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else None


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device(accelerator() or "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        found = accelerator()
        there = f"cpu and {found}" if found else "only cpu"
        raise BadOption(f"torch has no device {name!r} here: there is {there}") from error
    return device


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return device.type.upper() if device.type != "cpu" else f"the CPU, {torch.get_num_threads()} threads"


def _as_tensor(pixels: NDArray[Any]) -> torch.Tensor:
    # torch refuses to share memory that it may not write to.
    return torch.from_numpy(pixels if pixels.flags.writeable else pixels.copy())
