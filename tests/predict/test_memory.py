"""The promise of --max-ram, kept by real processes on rasters of any shape."""

import ctypes
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from terraseg.errors import BadOption
from terraseg.predict.memory import STATUS, peak_memory_mb, resident_mb, settled_mb
from terraseg.predict.options import PredictOptions
from terraseg.predict.sweep import predict_raster

CHILD = """
import json, shutil, sys
sys.path.insert(0, {tests!r})
from collections import namedtuple
from pathlib import Path
import numpy as np
from conftest import FakePatch
from terraseg.core.classes import LandClass, Legend
from terraseg.core.grid import Grid
from terraseg.core.modelspec import ModelSpec
from terraseg.predict.memory import STATUS, peak_memory_mb
from terraseg.predict.options import PredictOptions
from terraseg.predict.sweep import predict_raster

# The maps would need room for tens of gigabytes, and no more than a few tiles of them are written.
roomy = namedtuple("usage", "total used free")(2**50, 0, 2**50)
shutil.disk_usage = lambda path: roomy

class Vast:
    bands, dtype, grid = ("a", "b", "c"), "uint8", Grid(None, (1, 0, 0, 0, 1, 0), {height}, {width})
    def read(self, window):
        shape = (window.height, window.width)
        pixels = np.random.default_rng(window.col).integers(0, 255, (3, *shape), dtype=np.uint8)
        return FakePatch(pixels, np.ones(shape, dtype=np.bool_))

class Many:
    device = "fake"
    legend = Legend(tuple(LandClass(n, "c%d" % n, "#000000") for n in range({classes})))
    spec = ModelSpec("x", legend, Vast.bands, "uint8", (0.0,) * 3, (1.0,) * 3, None, 256, 32, 32)
    def score(self, batch):
        working = np.ones((len(batch), 120, *batch.shape[2:]), dtype=np.float32)
        scores = np.repeat(batch[:, :1].astype(np.float32), {classes}, axis=1)
        scores *= np.linspace(0, 1, {classes}, dtype=np.float32)[:, None, None] + working[:, :1, :1, :1]
        scores /= scores.sum(axis=1, keepdims=True) + 1e-6
        return scores

if {limited}:
    import resource
    fields = dict(line.split(":", 1) for line in open("/proc/self/status") if ":" in line)
    size, held = (int(fields[name].split()[0]) << 10 for name in ("VmSize", "VmRSS"))
    # Address space that is there and not held is none of the budget's; neither are the stacks of six threads.
    most = size - held + int({budget!r}[:-1]) * 2**20 + 6 * 2**23
    resource.setrlimit(resource.RLIMIT_AS, (most, most))

class Enough(Exception):
    pass

def progress(done, total, pixels):
    if done == {stop}:
        raise Enough

options = PredictOptions(tile=256, overlap=32, max_ram={budget!r}, threads=1, probabilities={probabilities!r}, compression="zstd")
try:
    predict_raster(Vast(), Many(), Path({out!r}), options=options, progress=progress)
except Enough:
    pass
print(json.dumps(peak_memory_mb()))
"""


@pytest.mark.parametrize(
    ("height", "width", "classes", "budget", "probabilities"),
    [(300_000, 2_000, 64, "600M", ""), (2_000, 300_000, 64, "600M", "uint8"), (60_000, 60_000, 6, "300M", "")],
)
def test_a_process_stays_within_its_memory(
    tmp_path: Path, height: int, width: int, classes: int, budget: str, probabilities: str
) -> None:
    """Two rows of tiles of the first panel: after that nothing more is ever held."""
    stop = 40 if classes == 64 else 300
    values = {"height": height, "width": width, "classes": classes, "budget": budget, "stop": stop}
    values |= {"tests": str(Path(__file__).parent), "out": str(tmp_path / "map.tif")}
    script = CHILD.format(**values, probabilities=probabilities or False, limited=False)
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=300, check=False)
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout) <= float(budget[:-1])


@pytest.mark.skipif(not STATUS.exists(), reason="the system does not say what a process holds")
@pytest.mark.parametrize(("size", "classes"), [((300_000, 2_000), 64), ((2_000, 60_000), 6)])
def test_a_process_that_can_have_no_more_than_its_budget_gets_by(
    tmp_path: Path, size: tuple[int, int], classes: int
) -> None:
    """The promise enforced: beyond the budget the system gives this process nothing, and it ends well all the same."""
    values = {"height": size[0], "width": size[1], "classes": classes, "budget": "500M", "stop": 40}
    values |= {"tests": str(Path(__file__).parent), "out": str(tmp_path / "map.tif")}
    script = CHILD.format(**values, probabilities=False, limited=True)
    # Each thread's own arena would reserve 64 MB of addresses.
    environment = {**os.environ, "MALLOC_ARENA_MAX": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=300, check=False, env=environment
    )
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout) <= 500


def test_a_budget_that_cannot_be_kept_is_refused_before_anything_is_written(
    tmp_path: Path, make_source: Any, make_scorer: Any, make_spec: Any
) -> None:
    scorer = make_scorer(make_spec())
    with pytest.raises(BadOption, match=r"max_ram = 20M is too little.*pass at least \d+M"):
        predict_raster(make_source(90, 90), scorer, tmp_path / "map.tif", options=PredictOptions(max_ram="20M"))
    assert list(tmp_path.iterdir()) == []


def test_a_scorer_may_say_what_it_takes(make_scorer: Any, make_spec: Any) -> None:
    scorer = make_scorer(make_spec())
    scorer.memory_mb = lambda shape: 5000.0 * shape[0]
    assert settled_mb(scorer, (64, 64), 2) >= 10_000
    assert scorer.batches == [], "it was not tried"
    del scorer.memory_mb
    assert settled_mb(scorer, (64, 64), 2) == pytest.approx(peak_memory_mb(), abs=1)
    assert scorer.batches == [(2, 2, 64, 64)]


def test_memory_is_told_where_the_system_says_nothing(tmp_path: Path) -> None:
    assert 0 < resident_mb() <= peak_memory_mb()
    assert resident_mb(tmp_path / "nothing") > 20


HEAPS = """
import ctypes, sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from terraseg.predict.memory import share_one_heap
libc = ctypes.CDLL(None)
libc.fopen.restype = libc.malloc.restype = ctypes.c_void_p
if sys.argv[2] == "one":
    share_one_heap()
meet = Barrier(4)
with ThreadPoolExecutor(4) as pool:
    list(pool.map(lambda _: (meet.wait(), libc.malloc(ctypes.c_size_t(1000)), meet.wait()), range(4)))
file = ctypes.c_void_p(libc.fopen(sys.argv[1].encode(), b"w"))
libc.malloc_info(0, file)
libc.fclose(file)
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_info"), reason="the allocator cannot be asked")
@pytest.mark.parametrize("how", ["one", "many"])
def test_threads_share_one_heap(tmp_path: Path, how: str) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", HEAPS, str(tmp_path / "heaps.xml"), how], check=True, env=environment)
    heaps = (tmp_path / "heaps.xml").read_text().count("<heap nr=")
    assert heaps == 1 if how == "one" else heaps > 1
