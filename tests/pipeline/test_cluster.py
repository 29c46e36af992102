"""A job on a dask cluster: the bytes of one machine, also when a worker dies or a shard fails."""

import hashlib
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from terraseg.cli import predict as command
from terraseg.core.modelspec import ModelSpec
from terraseg.errors import BadOption, MissingExtra, RastersFailed
from terraseg.pipeline import cluster
from terraseg.pipeline.cluster import Cluster, predict_on_cluster
from terraseg.pipeline.rasters import predict_files
from terraseg.store.bundle import write_bundle
from tests.makers import LAND_AND_ROOF, make_grid, make_raster

distributed = pytest.importorskip("distributed")
pytestmark = pytest.mark.filterwarnings("ignore")  # the workers' libraries warn as they like
SETTINGS: dict[str, Any] = {"engine": "onnx", "threads": 1, "fit": "off", "resample": "off"}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of one convolution."""
    weights = (np.random.default_rng(1).standard_normal((2, 3, 3, 3)) / 100).astype(np.float32)
    nodes = [
        helper.make_node("Cast", ["image"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Conv", ["floats", "weights"], ["logits"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    given = helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", 3, "height", "width"])
    made = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", 2, "height", "width"])
    graph = helper.make_graph(nodes, "one-layer", [given], [made], [numpy_helper.from_array(weights, "weights")])
    onnx = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    bands = ("red", "green", "blue")
    spec = ModelSpec("one", LAND_AND_ROOF, bands, "uint8", (60.0,) * 3, (30.0,) * 3, None, 256, 32, 1)
    folder = tmp_path_factory.mktemp("bundle") / "model"
    write_bundle(folder, spec, onnx=onnx.SerializeToString(), weights={"weights": weights})
    return folder


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scenes")
    for name, size in (("a", (2600, 1900)), ("b", (300, 400)), ("c", (700, 2100))):
        make_raster(folder / f"{name}.tif", make_grid(*size))
    return folder


@pytest.fixture(scope="module")
def expected(model: Path, scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What one machine makes."""
    out = tmp_path_factory.mktemp("one")
    predict_files([str(scenes)], [model], out, SETTINGS)
    return digest(out)


@contextmanager
def running(workers: int = 2) -> Iterator[Any]:
    """A cluster of worker processes."""
    options: dict[str, Any] = {"threads_per_worker": 1, "memory_limit": 0, "dashboard_address": None}
    with distributed.LocalCluster(n_workers=workers, **options) as made:
        yield made


def digest(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir())}


def test_a_cluster_makes_the_maps_of_one_machine_though_a_worker_dies(
    model: Path, scenes: Path, expected: dict[str, str], tmp_path: Path
) -> None:
    with running() as workers:
        victim = next(iter(workers.workers.values())).pid
        killed: list[int] = []

        def kill() -> None:
            stop = time.monotonic() + 60
            while time.monotonic() < stop and not killed:
                if list(tmp_path.glob("maps/.*.part/*.blocks")):
                    os.kill(victim, signal.SIGKILL)
                    killed.append(victim)
                time.sleep(0.005)

        killer = threading.Thread(target=kill)
        killer.start()
        done = predict_on_cluster(
            [str(scenes)], [model], tmp_path / "maps", SETTINGS, cluster=Cluster(workers.scheduler_address)
        )
        killer.join()
        assert killed == [victim], "the worker died while parts lay in the folder"
    done.check()
    assert done.count == 3
    assert {path.name for path in done.files} == {f"{name}_map.{kind}" for name in "abc" for kind in ("tif", "qml")}
    assert digest(tmp_path / "maps") == expected


def test_a_raster_that_fails_is_named_once_and_the_others_are_mapped(
    model: Path, scenes: Path, expected: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    shutil.copy(scenes / "b.tif", tmp_path / "in" / "b.tif")
    (tmp_path / "in" / "broken.tif").write_bytes(b"II*\0 no raster")
    given = [str(tmp_path / "in" / f"{name}.tif") for name in ("b", "broken")]
    with running() as workers:
        done = predict_on_cluster(
            given, [model], tmp_path / "maps", SETTINGS, cluster=Cluster(workers.scheduler_address)
        )
    assert [failure.name for failure in done.failures] == ["broken"]
    with pytest.raises(RastersFailed, match="1 of 2"):
        done.check()
    assert digest(tmp_path / "maps")["b_map.tif"] == expected["b_map.tif"]


def test_local_is_a_cluster_of_this_machines_own(
    model: Path, scenes: Path, expected: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "cores_available", lambda: 2)
    out = tmp_path / "a_map.tif"
    done = predict_on_cluster([str(scenes / "a.tif")], [model], out, SETTINGS, cluster=Cluster("local"))
    assert out in done.files
    assert digest(tmp_path)["a_map.tif"] == expected["a_map.tif"]


def test_where_no_scheduler_answers_it_says_how_to_start_one(
    model: Path, scenes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "WAIT", "1s")
    with pytest.raises(BadOption, match=r"no dask scheduler answers at tcp://127.0.0.1:1 .*dask worker"):
        predict_on_cluster([str(scenes)], [model], None, SETTINGS, cluster=Cluster("tcp://127.0.0.1:1"))


def test_without_the_extra_it_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "find_spec", lambda _: None)
    with pytest.raises(MissingExtra, match=r"predicting on a cluster .*terraseg\[cluster\]"):
        predict_on_cluster(["a.tif"], [Path("m")], None, {}, cluster=Cluster("local"))


def test_fresh_drops_once_what_was_made_before_the_shards_begin(
    model: Path, scenes: Path, expected: dict[str, str], tmp_path: Path
) -> None:
    given, out = [str(scenes / "c.tif")], tmp_path / "c_map.tif"
    predict_files(given, [model], out, SETTINGS)
    first = out.stat()
    with running() as workers:
        where = workers.scheduler_address
        again = predict_on_cluster(given, [model], out, SETTINGS, cluster=Cluster(where))
        assert out.stat().st_ino == first.st_ino, "what is made is not made again"
        fresh = predict_on_cluster(given, [model], out, SETTINGS, cluster=Cluster(where, fresh=True))
    assert out in again.files
    assert out in fresh.files
    assert out.stat().st_mtime_ns > first.st_mtime_ns
    assert digest(tmp_path)["c_map.tif"] == expected["c_map.tif"]
    assert not list(tmp_path.glob(".*")), "no blocks are left behind"


def test_the_command_refuses_what_does_not_go_with_a_cluster() -> None:
    with pytest.raises(BadOption, match="leave it out"):
        command.run(["a.tif"], [Path("m")], cluster="local", shard="1/2")
    with pytest.raises(BadOption, match="shares out rasters that are named"):
        command.run(None, cluster="local")
