"""Cores and memory under the limits of containers, on made-up file trees."""

import os
from pathlib import Path

import pytest

from terraseg.core.machine import (
    cores_available,
    memory_available,
    multiplies_bf16,
    multiplies_int8,
    processor_features,
)

GIB = 2**30


def make_tree(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.fixture
def eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({}, 8),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000\n"}, 8),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "200000 100000\n"}, 2),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "50000 100000\n"}, 1),
        ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/cpu.max": "390000 100000\n"}, 3),
        ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/cpu.max": "1600000 100000\n"}, 8),
        (
            {
                "proc/self/cgroup": "4:memory:/\n1:cpu,cpuacct:/job\n",
                "sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_quota_us": "400000\n",
                "sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_period_us": "100000\n",
            },
            4,
        ),
        (
            {
                "proc/self/cgroup": "1:cpu:/elsewhere\n0::/\n",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            8,
        ),
    ],
)
@pytest.mark.usefixtures("eight_cores")
def test_cores_are_the_smallest_of_affinity_and_quotas(tmp_path: Path, files: dict[str, str], cores: int) -> None:
    assert cores_available(make_tree(tmp_path, files)) == cores


MEMINFO = {"proc/meminfo": f"MemTotal: {32 * 2**20} kB\nMemAvailable: {20 * 2**20} kB\n"}


@pytest.mark.parametrize(
    ("files", "gib"),
    [
        (MEMINFO, 20),
        (
            {
                **MEMINFO,
                "proc/self/cgroup": "0::/job\n",
                "sys/fs/cgroup/job/memory.max": f"{8 * GIB}\n",
                "sys/fs/cgroup/job/memory.current": f"{5 * GIB}\n",
                "sys/fs/cgroup/job/memory.stat": f"anon 1\ninactive_file {2 * GIB}\n",
            },
            5,
        ),
        (
            {
                **MEMINFO,
                "proc/self/cgroup": "0::/job\n",
                "sys/fs/cgroup/job/memory.max": "max\n",
                "sys/fs/cgroup/job/memory.current": f"{5 * GIB}\n",
            },
            20,
        ),
        (
            {
                **MEMINFO,
                "proc/self/cgroup": "4:memory:/job\n",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{4 * GIB}\n",
                "sys/fs/cgroup/memory/memory.usage_in_bytes": f"{3 * GIB}\n",
                "sys/fs/cgroup/memory/memory.stat": f"cache 7\ntotal_inactive_file {GIB}\n",
            },
            2,
        ),
        (
            {
                **MEMINFO,
                "proc/self/cgroup": "0::/\n",
                "sys/fs/cgroup/memory.max": f"{GIB}\n",
                "sys/fs/cgroup/memory.current": f"{2 * GIB}\n",
            },
            0,
        ),
    ],
)
def test_memory_is_what_the_tightest_limit_leaves(tmp_path: Path, files: dict[str, str], gib: int) -> None:
    assert memory_available(make_tree(tmp_path, files)) == gib * GIB


def test_a_system_without_these_files_still_gives_a_figure(tmp_path: Path) -> None:
    assert memory_available(tmp_path) > 0


def test_this_machine_has_at_least_one_core_and_some_memory() -> None:
    assert 1 <= cores_available() <= (os.cpu_count() or 1)
    assert 0 < memory_available() <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


@pytest.mark.parametrize(
    ("line", "bf16", "int8"),
    [
        ("flags\t\t: fpu sse2 avx2 avx512f avx512_bf16 avx512_vnni", True, True),
        ("flags\t\t: fpu sse2 avx2 avx512f avx512_vnni", False, True),
        ("flags\t\t: fpu sse2 avx2", False, False),
        ("Features\t: fp asimd asimddp i8mm bf16", True, True),
        ("", False, False),
    ],
)
def test_short_arithmetic_is_read_from_the_processor_s_features(
    tmp_path: Path, line: str, bf16: bool, int8: bool
) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/cpuinfo").write_text(f"processor\t: 0\nmodel name\t: flags of none\n{line}\n")
    assert multiplies_bf16(tmp_path) == bf16
    assert multiplies_int8(tmp_path) == int8


def test_a_machine_that_says_nothing_of_itself_has_no_known_features(tmp_path: Path) -> None:
    assert processor_features(tmp_path) == frozenset()
