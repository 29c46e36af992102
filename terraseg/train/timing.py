"""What one training step of a network costs on this machine, by taking a few."""

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from terraseg.core.plan import StepTime
from terraseg.nets.build import build_network, default_encoder
from terraseg.nets.losses import build_loss
from terraseg.train.quiet import seeded
from terraseg.train.quiet import threads as on_threads

REPEATS = 3
ENOUGH_S = 0.4
"""A network whose steps took so long together is not timed again."""
STATE_BYTES = 16
"""Of each parameter: itself, its gradient and the two moments of AdamW, in float32."""
USUAL_BATCH = 16
"""Samples among which what a step costs once, its parameters, is divided."""


@dataclass(frozen=True)
class Trial:
    """The step that is taken for a measurement: what goes through a network, and on what it runs.

    `samples` images of `crop` by `crop` pixels with so many `bands`, labelled with so many `classes`; in "fp32" or "bf16",
    on a `device` as torch names it, with so many `threads` of a processor.
    """

    bands: int
    classes: int
    crop: int
    samples: int
    precision: str
    device: str
    threads: int


def measure_step(network_name: str, options: Mapping[str, Any], trial: Trial) -> StepTime:
    """Seconds and bytes a sample of one training step of a trial: forward, backward and AdamW.

    The samples go through the network at once, a few times after a warm-up, and the fastest time counts; on a processor the
    bytes are those of the tensors that the forward pass keeps for the backward, on a GPU those that it allocates at most.
    The optimizer's time and the parameters' memory are shared among `USUAL_BATCH` samples. Initial weights from files or
    from the hub are not fetched. Raises what `build_network` raises.
    """
    plain = {key: value for key, value in options.items() if key not in ("pretrained", "pretrained_path")}
    encoder = plain.get("encoder") or default_encoder(network_name) or ""
    samples, crop, device = trial.samples, trial.crop, trial.device
    with ExitStack() as stack:
        stack.enter_context(on_threads(trial.threads))
        stack.enter_context(seeded(0))
        network = build_network(network_name, bands=trial.bands, classes=trial.classes, options=plain)
        network = network.to(device).to(memory_format=torch.channels_last).train()
        images = torch.randn(samples, trial.bands, crop, crop).to(device, memory_format=torch.channels_last)
        labels = torch.randint(trial.classes, (samples, crop, crop), dtype=torch.uint8).to(device)
        loss, kind = build_loss("ce"), device.partition(":")[0]

        def step() -> None:
            with torch.autocast(kind, dtype=torch.bfloat16, enabled=trial.precision == "bf16"):
                value = loss(network(images), labels)
            value.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped

        state = STATE_BYTES * sum(p.numel() for p in network.parameters())
        kept = _bytes_on_gpu(step, device) if kind == "cuda" else _bytes_kept(step, network)
        seconds = _fastest(step, device)
        optimizer = torch.optim.AdamW(network.parameters(), lr=0.0, fused=True)
        optimizer.step()
        update = _fastest(optimizer.step, device)
    memory = kept // samples + state // USUAL_BATCH
    return StepTime(network_name, encoder, crop, seconds / samples + update / USUAL_BATCH, memory)


def _fastest(work: Callable[[], Any], device: str) -> float:
    """Seconds of the fastest of a few calls, fewer of slow ones."""
    best, spent = float("inf"), 0.0
    for _ in range(REPEATS):
        _wait(device)
        started = time.perf_counter()
        work()
        _wait(device)
        took = time.perf_counter() - started
        best, spent = min(best, took), spent + took
        if spent > ENOUGH_S:
            break
    return best


def _wait(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)


def _bytes_kept(step: Callable[[], None], network: nn.Module) -> int:
    """Bytes of the tensors that the forward pass of a step keeps, each storage once, parameters left out."""
    own = {p.untyped_storage().data_ptr() for p in network.parameters()}
    seen: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            seen[storage.data_ptr()] = storage.nbytes()
        return tensor

    def give(tensor: Tensor) -> Tensor:
        return tensor

    with saved_tensors_hooks(keep, give):
        step()
    return sum(seen.values())


def _bytes_on_gpu(step: Callable[[], None], device: str) -> int:
    """Bytes that a step allocates at most beyond what is allocated before it and stays after it."""
    step()
    torch.cuda.synchronize(device)
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    step()
    torch.cuda.synchronize(device)
    return int(torch.cuda.max_memory_allocated(device) - before)
