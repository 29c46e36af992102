"""The memory of this process: what it holds, what it held at most, and what a model takes to score a tile."""

import ctypes
import resource
import sys
from pathlib import Path

import numpy as np

from terraseg.core.scorer import Scorer

STATUS = Path("/proc/self/status")
MEGABYTE = 2**20
M_ARENA_MAX = -8
"""Of glibc's malloc.h."""


def peak_memory_mb(status: Path = STATUS) -> float:
    """The highest resident memory that this process has had, in MB."""
    # getrusage also counts what the parent held when it started this process.
    kilobytes = _field("VmHWM", status)
    if kilobytes is not None:
        return kilobytes / 2**10
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Linux counts kilobytes here, macOS bytes.
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def resident_mb(status: Path = STATUS) -> float:
    """The memory that this process holds now, in MB; its peak where the system does not say."""
    kilobytes = _field("VmRSS", status)
    return peak_memory_mb(status) if kilobytes is None else kilobytes / 2**10


def settled_mb(scorer: Scorer, tile: tuple[int, int], batch: int) -> float:
    """The memory that the process takes while a batch of tiles (height, width) is scored, and nothing else is held, in MB.

    A scorer that has `memory_mb(shape)` says what it takes; of others one batch is scored and looked at, and a peak that the
    process had before counts as well.
    """
    spec = scorer.spec
    shape = (batch, len(spec.bands), *tile)
    ask = getattr(scorer, "memory_mb", None)
    if ask is not None:
        return max(peak_memory_mb(), resident_mb() + float(ask(shape)))
    values = np.array(spec.mean).reshape(1, -1, 1, 1)
    scorer.score(np.ascontiguousarray(np.broadcast_to(values, shape)).astype(spec.dtype))
    return peak_memory_mb()


def share_one_heap() -> None:
    """All threads started from now on allocate in one heap, where the system's allocator can be told so (glibc).

    A heap for each thread is quicker where many threads allocate all the time. The few of a sweep allocate a few large arrays
    a tile, and each panel's threads would leave other holes in other heaps: 7 MB more with each panel.
    """
    tell = getattr(ctypes.CDLL(None), "mallopt", None)
    if tell is not None:
        tell(M_ARENA_MAX, 1)


def _field(name: str, status: Path) -> int | None:
    if not status.exists():
        return None
    fields = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
    return int(fields[name].split()[0]) if name in fields else None
