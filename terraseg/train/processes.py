"""Several processes as one training: how they find each other, and what they tell and add up."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from functools import cache
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed import PrefixStore, TCPStore  # type: ignore[attr-defined]  # torch does not list them

from terraseg.core.plan import Plan
from terraseg.errors import TrainingFailed
from terraseg.train.world import ALONE, World, world_of

T = TypeVar("T")

MEETING = timedelta(minutes=10)
"""How long processes wait for each other at the start, and for an answer of a GPU."""
PATIENCE = timedelta(days=7)
"""How long a process waits to be told what comes next: the leading one may be copying scenes into the cache."""
FOLLOWER = "from terraseg.train.following import follow; follow()"
AGENT = "TORCHELASTIC_USE_AGENT_STORE"
LEAVE_S, POLL_S = 20.0, 0.05


@contextmanager
def joined(plan: Plan) -> Iterator[World]:
    """The processes that train by a plan: those that torchrun started, one for each visible GPU, or this one alone.

    For a plan on "cuda" without a number, further processes are started on this machine and ended after. Raises
    `TrainingFailed` when one of them is lost.
    """
    world = world_of(os.environ)
    if world.size > 1:
        yield connected()
        return
    count = visible_devices(plan)
    if count == 1:
        yield ALONE
        return
    with _launched(count) as world:
        yield world


def visible_devices(plan: Plan) -> int:
    """Devices that a plan may use on this machine when no one else says it, at most one a patch."""
    return min(plan.batch, torch.cuda.device_count()) if plan.device == "cuda" else 1


def device_of(plan: Plan, world: World) -> str:
    """The device of this process."""
    return f"cuda:{world.local_rank}" if plan.device == "cuda" and world.size > 1 else plan.device


@cache
def connected() -> World:
    """The world that the environment describes, its processes connected; they stay so until `disconnect`."""
    found = world_of(os.environ)
    # torchrun keeps the meeting place itself, and so does the process that starts others on its machine.
    keeps = found.leads and os.environ.get(AGENT) != "True"
    with _peers():
        store = TCPStore(
            os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]), is_master=keeps, timeout=MEETING,
            wait_for_workers=False,
        )  # fmt: skip
        store.set(_arrival(found.rank), "")
        return _connect(found, store)


def disconnect() -> None:
    """Leaves the other processes."""
    connected.cache_clear()
    if dist.is_initialized():
        dist.destroy_process_group()


def _arrival(rank: int) -> str:
    return f"terraseg/arrived/{rank}"


def _connect(found: World, store: TCPStore) -> World:
    backend = "gloo"
    if torch.cuda.is_available() and torch.cuda.device_count() >= found.local_size:
        torch.cuda.set_device(found.local_rank)
        backend = "cpu:gloo,cuda:nccl"
    with _peers():
        place = PrefixStore("terraseg", store)
        dist.init_process_group(backend, store=place, rank=found.rank, world_size=found.size, timeout=MEETING)
        return replace(found, control=dist.new_group(backend="gloo", timeout=PATIENCE))


@contextmanager
def _launched(count: int) -> Iterator[World]:
    """The leading one of `count` processes on this machine, which is this one; the others are started, and ended after."""
    store = TCPStore("127.0.0.1", 0, is_master=True, timeout=MEETING, wait_for_workers=False)
    others = [_start(rank, count, store.port) for rank in range(1, count)]
    try:
        _await(others, store)
        world = _connect(World(0, count, 0, count), store)
        yield world
        told(world, None)
        for other in others:
            other.wait(LEAVE_S)
    finally:
        disconnect()
        for other in others:
            other.kill()
            other.wait()


def _start(rank: int, count: int, port: int) -> "subprocess.Popen[bytes]":
    numbers = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count, "MASTER_PORT": port}
    where = {"MASTER_ADDR": "127.0.0.1", "PYTHONPATH": os.pathsep.join(path or "." for path in sys.path), AGENT: "True"}
    variables = os.environ | where | {name: str(value) for name, value in numbers.items()}
    return subprocess.Popen([sys.executable, "-c", FOLLOWER], env=variables, stdin=subprocess.DEVNULL)


def _await(others: "Sequence[subprocess.Popen[bytes]]", store: TCPStore) -> None:
    """Waits until all have arrived; one that ends before is lost."""
    waiting = dict(enumerate(others, start=1))
    while waiting:
        time.sleep(POLL_S)
        for rank, other in list(waiting.items()):
            if store.check([_arrival(rank)]):
                del waiting[rank]
            elif other.poll() is not None:
                raise _lost(f"number {rank} of {len(others)} ended with {other.returncode}")


def told(world: World, value: T) -> T:
    """The value as the leading process has it, in every process; it may be anything that pickles, tensors on the CPU."""
    if world.size == 1:
        return value
    box: list[Any] = [value if world.leads else None]
    with _peers():
        dist.broadcast_object_list(box, src=0, group=world.control, device=torch.device("cpu"))
    held: T = box[0]
    return held


def decided(world: World, numbers: Sequence[float]) -> list[float]:
    """The numbers as the leading process has them, in every process: what `told` does, cheap enough for every step."""
    if world.size == 1:
        return list(numbers)
    values = torch.tensor(numbers, dtype=torch.float64)
    with _peers():
        dist.broadcast(values, src=0, group=world.control)
    return [float(value) for value in values.tolist()]


def summed(world: World, tensor: Tensor) -> Tensor:
    """The sum of the tensor over all processes, in place."""
    if world.size > 1:
        with _peers():
            dist.all_reduce(tensor)
    return tensor


def least(world: World, number: int) -> int:
    """The smallest of the processes' numbers."""
    if world.size == 1:
        return number
    value = torch.tensor(number)
    with _peers():
        dist.all_reduce(value, op=dist.ReduceOp.MIN, group=world.control)
    return int(value)


def summed_gradients(world: World, network: nn.Module, loss: Tensor) -> Tensor:
    """The loss summed over all processes; the gradients become sums as well, and the statistics of batch norms means.

    All goes as one message, after the last backward pass of a step. Frozen parameters and retries after an
    out-of-memory error need no care then, as they would with hooks on the backward pass.
    """
    if world.size == 1:
        return loss
    gradients = [p.grad for p in network.parameters() if p.grad is not None]
    buffers = [b for b in network.buffers() if b.is_floating_point()]
    parts = [loss.reshape(1), *gradients, *(b / world.size for b in buffers)]
    message = summed(world, torch.cat([part.detach().flatten().to(torch.float32) for part in parts]))
    pieces = torch.split(message, [part.numel() for part in parts])
    with torch.no_grad():
        for target, piece in zip([*gradients, *buffers], pieces[1:], strict=True):
            target.copy_(piece.view(target.shape))
    return pieces[0][0]


def mean_buffers(world: World, network: nn.Module) -> None:
    """Makes every float buffer, such as the statistics of batch norms, the mean of all processes' own."""
    if world.size > 1:
        for buffer in network.buffers():
            if buffer.is_floating_point():
                summed(world, buffer.div_(world.size))


def in_turns(world: World, work: Callable[[], T]) -> T:
    """The result of `work`, done by the leading process first, then by one of each machine, then by all others.

    What the first writes, the others find; and where machines share no disk, each has one that writes.
    """
    if world.size == 1:
        return work()
    turn = 0 if world.leads else 1 if world.local_rank == 0 else 2
    results = []
    for now in range(3):
        if now == turn:
            results.append(work())
        told(world, None)
    return results[0]


@contextmanager
def _peers() -> Iterator[None]:
    """A lost process as a `TrainingFailed`: torch tells it as a RuntimeError."""
    try:
        yield
    except RuntimeError as error:
        if isinstance(error, torch.cuda.OutOfMemoryError):
            raise
        raise _lost((str(error).splitlines() or [""])[0].partition(". This is typically")[0]) from error


def _lost(reason: str) -> TrainingFailed:
    return TrainingFailed(
        f"another process of this training was lost ({reason}): its own message says why; "
        "the same command goes on from the last checkpoint"
    )
