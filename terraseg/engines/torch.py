"""PyTorch on a GPU, or on the CPU where it is installed: the engine that rebuilds the network from its weights."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from terraseg.core.machine import cores_available, multiplies_bf16
from terraseg.core.modelspec import ModelSpec
from terraseg.core.scorer import Precision
from terraseg.engines.batch import checked_batch, no_images
from terraseg.errors import BadOption
from terraseg.nets.build import rebuild_network
from terraseg.nets.scoring import Scoring
from terraseg.store.bundle import read_spec, read_weights

CASTED = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)
AMPERE = (8, 0)
"""The CUDA capability from which a GPU multiplies bfloat16."""


@dataclass(frozen=True)
class TorchScorer:
    """A Scorer on a torch module; what it gives lives where it was computed, unless `on_host`.

    A batch that the device's memory does not hold is scored in parts; `most` then holds how many images a part has.
    """

    spec: ModelSpec
    device: str
    scoring: Scoring
    target: torch.device
    dtype: torch.dtype
    on_host: bool
    most: list[int] = field(default_factory=list)

    def score(self, batch: NDArray[Any]) -> Any:
        """Probabilities (n, classes, height, width) of raw pixels (n, bands, height, width) in the model's dtype.

        From a GPU they come as a torch tensor on it, so that what is made of them is made there; else as a numpy array.
        Raises `BadOption` where the GPU's memory does not hold a single image.
        """
        pixels = checked_batch(batch, self.spec)
        if len(pixels) == 0:
            return no_images(pixels, self.spec)
        parts: list[torch.Tensor] = []
        done = 0
        while done < len(pixels):
            size = min([*self.most, len(pixels) - done])
            part = self._scored(pixels[done : done + size])
            if part is not None:
                parts.append(part)
                done += size
            elif size > 1:
                self.most[:] = [size // 2]
            else:
                raise BadOption(_too_large(pixels.shape))
        scores = parts[0] if len(parts) == 1 else torch.cat(parts)
        return np.asarray(scores.cpu().numpy(), dtype=np.float32) if self.on_host else scores

    def _scored(self, pixels: NDArray[Any]) -> torch.Tensor | None:
        """The probabilities of a batch, None where the GPU's memory does not hold it."""
        lower = nullcontext() if self.dtype == torch.float32 else torch.autocast(self.target.type, self.dtype)
        try:
            with torch.no_grad(), kernels(self.target), lower:
                images = _as_tensor(pixels, self.target).to(memory_format=torch.channels_last)
                scores: torch.Tensor = self.scoring(images).float().contiguous()
                return scores
        except torch.OutOfMemoryError:
            pass
        torch.cuda.empty_cache()
        return None


def kernels(target: torch.device) -> AbstractContextManager[Any]:
    """NVIDIA's kernels with all digits of FP32, where they would count in 19 bits, and alike from run to run."""
    if target.type != "cuda":
        return nullcontext()
    # What is not said here is not left as it is: cuDNN itself would be off.
    flags: AbstractContextManager[Any] = torch.backends.cudnn.flags(
        enabled=True, benchmark=False, deterministic=True, allow_tf32=False
    )
    return flags


def _too_large(shape: tuple[int, ...]) -> str:
    height, width = shape[2:]
    return (
        f"the GPU's memory does not hold the network over one tile of {height} x {width} px: pass smaller tiles "
        f"(--set predict.tile={max(64, min(height, width) // 2)}), --precision fast, or another engine (--engine onnx)"
    )


def open_torch(
    bundle: Path, *, device: str = "auto", precision: Precision = "exact", threads: int | None = None
) -> TorchScorer:
    """A Scorer on the bundle's network and weights, channels last.

    `device` is torch's name for one, "auto" the first of CUDA, MPS and CPU that is there. "fast" computes convolutions and
    products in 16 bit where the device has that in hardware, probabilities stay float32. `threads` sets torch's CPU
    threads, for the whole process. Raises `BrokenBundle` as the store does, and `BadOption` for a device that is not there
    and for "int8", which torch does not run.
    """
    if precision == "int8":
        raise BadOption("the engine 'torch' runs no models in bytes: use openvino or onnx, or the precision 'fast'")
    spec = read_spec(bundle)
    network = rebuild_network(spec, read_weights(bundle))
    target = _device(device)
    if target.type == "cpu":
        torch.set_num_threads(threads if threads is not None else cores_available())
    dtype = torch.float32 if precision == "exact" else fast_dtype(target)
    scoring = Scoring(_lowered(network, dtype), spec).eval().to(target).to(memory_format=torch.channels_last)
    name = f"torch {torch.__version__} on {_device_name(target)}, {COUNTING[dtype]}"
    return TorchScorer(spec, name, scoring, target, dtype, on_host=target.type == "cpu")


COUNTING = {torch.float32: "FP32", torch.bfloat16: "BF16", torch.float16: "FP16"}


def fast_dtype(device: torch.device) -> torch.dtype:
    """The shortest floating-point type that a device multiplies in hardware: bfloat16, float16, or float32 where neither."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.get_device_capability(device) >= AMPERE else torch.float16
    if device.type == "mps":
        return torch.float16
    return torch.bfloat16 if multiplies_bf16() else torch.float32


def _lowered(network: nn.Module, dtype: torch.dtype) -> nn.Module:
    """The network with the weights of its products in a type, in place: autocast would cast them anew for each batch."""
    for module in network.modules() if dtype != torch.float32 else ():
        if isinstance(module, CASTED):
            module.to(dtype)
    return network


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


def _as_tensor(pixels: NDArray[Any], target: torch.device) -> torch.Tensor:
    if target.type == "mps" and pixels.dtype != np.uint8:
        # Metal has neither unsigned 16 bit nor float64.
        pixels = pixels.astype(np.float32)
    # torch refuses to share memory that it may not write to.
    images = torch.from_numpy(pixels if pixels.flags.writeable else pixels.copy())
    return images.pin_memory().to(target, non_blocking=True) if target.type == "cuda" else images.to(target)
