"""What this process may really use of the machine: cores and memory, with the limits of containers and affinity."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path("/")
BF16_FEATURES = frozenset({"avx512_bf16", "amx_bf16", "bf16"})
INT8_FEATURES = frozenset({"avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm"})
"""Names of instruction sets for products of bfloat16 and of bytes, on x86 and on ARM."""


def cores_available(root: Path = ROOT) -> int:
    """Cores that this process may keep busy, at least 1.

    The smallest of the machine's cores, the process's affinity and its CPU quota (cgroup v1 and v2), the quota rounded
    down: two threads on the share of one and a half cores run slower than one. `root` holds `proc` and `sys`.
    """
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    return max(1, min([affinity, *(int(quota) for quota in _cpu_quotas(root))]))


def memory_available(root: Path = ROOT) -> int:
    """Bytes that this process can still take without swapping, at least 0.

    The smaller of the system's available memory and what is left under each memory limit of its cgroups (v1 and v2);
    there, file cache that the kernel can drop counts as free.
    """
    left = [*_system_memory(root), *(limit - used for limit, used in _memory_limits(root))]
    return max(0, min(left)) if left else _physical_memory()


def processor_features(root: Path = ROOT) -> frozenset[str]:
    """The processor's instruction sets by the names that Linux gives them, "avx512_bf16" say; empty where it does not say."""
    for line in _text(root / "proc" / "cpuinfo").splitlines():
        name, _, values = line.partition(":")
        if name.strip() in ("flags", "Features"):
            return frozenset(values.split())
    return frozenset()


def multiplies_bf16(root: Path = ROOT) -> bool:
    """Whether the processor multiplies bfloat16 in hardware: elsewhere it is emulated, and slower than 32 bit."""
    return not BF16_FEATURES.isdisjoint(processor_features(root))


def multiplies_int8(root: Path = ROOT) -> bool:
    """Whether the processor has instructions for sums of products of bytes."""
    return not INT8_FEATURES.isdisjoint(processor_features(root))


def _cpu_quotas(root: Path) -> Iterator[float]:
    for folder in _cgroup_folders(root, "cpu"):
        limits = _words(folder / "cpu.max")
        if len(limits) == 2 and limits[0] != "max":
            yield int(limits[0]) / int(limits[1])
        quota, period = _number(folder / "cpu.cfs_quota_us"), _number(folder / "cpu.cfs_period_us")
        if quota is not None and period and quota > 0:
            yield quota / period


def _memory_limits(root: Path) -> Iterator[tuple[int, int]]:
    """Limit and use in bytes, of every cgroup that has a limit."""
    names = (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    )
    for folder in _cgroup_folders(root, "memory"):
        for limit_name, usage_name, cache_name in names:
            limit, usage = _number(folder / limit_name), _number(folder / usage_name)
            if limit is not None and usage is not None:
                yield limit, usage - _fields(folder / "memory.stat").get(cache_name, 0)


def _cgroup_folders(root: Path, controller: str) -> Iterator[Path]:
    """The process's cgroup folders for a controller, from its own up to the root: a limit above holds below too."""
    mounts = root / "sys" / "fs" / "cgroup"
    for line in _text(root / "proc" / "self" / "cgroup").splitlines():
        hierarchy, controllers, place = line.split(":", 2)
        if hierarchy == "0" and not controllers:
            tops = [mounts, mounts / "unified"]
        elif controller in controllers.split(","):
            tops = [mounts / controllers, mounts / controller]
        else:
            continue
        top = next((folder for folder in tops if folder.is_dir()), None)
        if top is not None:
            inner = Path(place.lstrip("/"))
            yield from (top / part for part in (inner, *inner.parents))


def _system_memory(root: Path) -> list[int]:
    kilobytes = _fields(root / "proc" / "meminfo").get("MemAvailable:")
    return [] if kilobytes is None else [kilobytes * 1024]


def _physical_memory() -> int:
    sysconf: Callable[[str], int] | None = getattr(os, "sysconf", None)
    if sysconf is None:
        return 2**31
    return sysconf("SC_PAGE_SIZE") * sysconf("SC_PHYS_PAGES")


def _fields(path: Path) -> dict[str, int]:
    lines = (line.split() for line in _text(path).splitlines())
    return {words[0]: int(words[1]) for words in lines if len(words) >= 2 and words[1].isdigit()}


def _number(path: Path) -> int | None:
    words = _words(path)
    return int(words[0]) if words and words[0].lstrip("-").isdigit() else None


def _words(path: Path) -> list[str]:
    return _text(path).split()


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
