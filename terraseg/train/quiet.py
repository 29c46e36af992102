"""A calm surrounding for training: torch's threads and generator given back as found, Lightning without its chatter."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch

# Each is true and means nothing here; what matters is told by our own messages.
EXPECTED = (
    r"GPU available but not used",  # the plan chose the device
    r".*does not have many workers which may be a bottleneck",  # whole batches come from memory maps
    r"The `srun` command is available",  # training on one node of a cluster
    r".*treespec, LeafSpec\)` is deprecated",  # Lightning's own affair with torch
)
"""Beginnings of Lightning's warnings that are handled by design."""


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Lightning's banners off, and its warnings that are `EXPECTED`; others stay."""
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            for message in EXPECTED:
                warnings.filterwarnings("ignore", message=message)
            yield
    finally:
        logger.setLevel(level)


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Torch on `count` threads inside."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def kept_generators() -> Iterator[None]:
    """Torch's generator of the CPU is after it where it was before."""
    with torch.random.fork_rng(devices=[]):
        yield


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Torch's generators started from a seed inside; the CPU's is back where it was after."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
