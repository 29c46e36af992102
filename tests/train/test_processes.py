"""Two real processes as one training."""

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from terraseg.core.dataset import Dataset
from terraseg.core.fingerprint import Fingerprint
from terraseg.core.plan import Plan
from terraseg.errors import BadOption, TrainingFailed
from terraseg.store.rundir import RunFolder, read_csv
from terraseg.train import conduct, processes
from terraseg.train.loop import train_model
from terraseg.train.trained import TrainedModel
from terraseg.train.watch import TrainEvent
from terraseg.train.world import ALONE, World, check_share, world_of

Easy = tuple[Dataset, Fingerprint]
Starter = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def two(monkeypatch: pytest.MonkeyPatch) -> list["subprocess.Popen[bytes]"]:
    """Makes each training start a second process, as two GPUs would; the list holds those started."""
    started: list[subprocess.Popen[bytes]] = []
    start: Starter = processes._start

    def recorded(*where: int) -> "subprocess.Popen[bytes]":
        started.append(start(*where))
        return started[-1]

    monkeypatch.setattr(processes, "_start", recorded)
    monkeypatch.setattr(processes, "visible_devices", lambda _: 2)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return started


@pytest.fixture
def normless(plan: Plan) -> Plan:
    """Uneven shares, parts, samples that depend on each other, an average: all that could tell one process from two."""
    return replace(
        plan, network_options={**plan.network_options, "batch_norm": False}, steps=6, batch=5, accumulate=2,
        augment=("d4", "photometric", "cutout", "copy-paste"), average="ema", learning_rate=1e-3, validate_every=3,
        loss={"ce": 1.0},
    )  # fmt: skip


def near(one: TrainedModel, other: TrainedModel) -> None:
    left, right = one.network.state_dict(), other.network.state_dict()
    assert left.keys() == right.keys()
    for name in left:
        torch.testing.assert_close(left[name], right[name], rtol=1e-2, atol=5e-5)


def test_two_processes_learn_what_one_does_also_when_one_of_them_is_killed_half_way(
    easy: Easy, normless: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, two: list["subprocess.Popen[bytes]"]
) -> None:
    monkeypatch.setattr(conduct, "CHECKPOINT_SECONDS", 0.0)
    seen: list[int] = []

    def kill(event: TrainEvent) -> None:
        seen.append(event.step)
        if event.step == 3 and len(two) == 1:
            two[0].kill()
            two[0].wait()

    run = RunFolder(tmp_path / "two")
    with pytest.raises(TrainingFailed, match="goes on from the last checkpoint"):
        train_model(*easy, normless, run, progress=kill)
    trained = train_model(*easy, normless, run, progress=kill)
    assert len(two) == 2
    assert two[1].returncode == 0
    assert sorted(set(seen)) == [1, 2, 3, 4, 5, 6]
    assert seen[-3:] == [4, 5, 6]
    monkeypatch.setattr(processes, "visible_devices", lambda _: 1)
    alone = RunFolder(tmp_path / "one")
    near(trained, train_model(*easy, normless, alone))
    for left, right in zip(read_csv(run.progress), read_csv(alone.progress), strict=True):
        assert float(left["val_loss"]) == pytest.approx(float(right["val_loss"]), rel=1e-3)
        assert float(left["train_loss"]) == pytest.approx(float(right["train_loss"]), rel=1e-3)


def test_a_process_that_does_not_come_up_is_said_at_once(
    easy: Easy, normless: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, two: list[Any]
) -> None:
    monkeypatch.setattr(processes, "FOLLOWER", "raise SystemExit(3)")
    with pytest.raises(TrainingFailed, match="number 1 of 1 ended with 3"):
        train_model(*easy, normless, RunFolder(tmp_path / "run"))


SCRIPT = """
import json, os, pickle, sys
from pathlib import Path
from terraseg.store.rundir import RunFolder
from terraseg.train.loop import train_model
from terraseg.train.world import leading
dataset, facts, plan = pickle.loads(Path(sys.argv[1]).read_bytes())
run = RunFolder(Path(sys.argv[2]))
def stop(event):
    if event.step == 4:
        raise KeyboardInterrupt
with leading(os.environ) as leads:
    if leads:
        try:
            train_model(dataset, facts, plan, run, progress=stop)
        except KeyboardInterrupt:
            pass
        trained = train_model(dataset, facts, plan, run)
        sums = {name: float(tensor.double().sum()) for name, tensor in trained.network.state_dict().items()}
        print(json.dumps([sums, trained.provenance]))
    else:
        print("followed")
"""


def test_torchrun_starts_processes_that_follow_and_batch_norms_on_processors_are_averaged(
    easy: Easy, plan: Plan, tmp_path: Path
) -> None:
    """With batch norm the weights differ from one process's, whose statistics are the whole batch's; it still learns."""
    task, run = tmp_path / "task.pickle", RunFolder(tmp_path / "run")
    timed = replace(plan, steps=8, freeze=0.25)
    task.write_bytes(pickle.dumps((*easy, timed)))
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path.cwd())}
    done = subprocess.run(
        [*launcher, str(script), str(task), str(run.root)], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "followed" in lines
    sums, provenance = json.loads(next(line for line in lines if line.startswith("[")))
    assert provenance["steps"] == 8
    weights = torch.load(run.checkpoints / f"best-{provenance['best_step']}.ckpt", weights_only=True)["network"]
    assert {name: float(t.double().sum()) for name, t in weights.items()} == pytest.approx(sums)
    alone = train_model(*easy, timed, RunFolder(tmp_path / "alone"))
    assert provenance["validation"]["loss"] == pytest.approx(alone.provenance["validation"]["loss"], rel=0.25)


def test_the_world_is_read_from_the_environment() -> None:
    names = {"RANK": "3", "WORLD_SIZE": "4", "MASTER_ADDR": "host", "MASTER_PORT": "29500"}
    world = world_of(names | {"LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"})
    assert (world.rank, world.size, world.local_rank, world.local_size, world.leads) == (3, 4, 1, 2, False)
    assert world_of({"RANK": "1"}) is world_of(names | {"WORLD_SIZE": "1"}) is ALONE


@pytest.mark.parametrize("size", [1, 2, 3, 7])
@pytest.mark.parametrize("count", [1, 5, 16])
def test_shares_cover_a_batch_once_and_all_have_the_same_parts(count: int, size: int) -> None:
    worlds = [World(rank, size) for rank in range(size)]
    assert [index for world in worlds for index in world.share(count)] == list(range(count))
    if count < size:
        with pytest.raises(BadOption, match=f"a batch of {count} patches for {size} processes"):
            check_share(worlds[0], count)
        return
    for accumulate in (1, 4, 100):
        parts = {world.parts(count, accumulate) for world in worlds}
        assert len(parts) == 1
        assert 1 <= parts.pop() <= min(len(world.share(count)) for world in worlds)


def test_a_plan_uses_the_gpus_it_names(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 8)
    on = {device: processes.visible_devices(replace(plan, device=device)) for device in ("cuda", "cuda:1", "cpu")}
    assert on == {"cuda": 4, "cuda:1": 1, "cpu": 1}  # no more than there are patches in a batch
    assert processes.device_of(replace(plan, device="cuda"), World(1, 4, 1, 4)) == "cuda:1"
    assert processes.device_of(replace(plan, device="cuda"), ALONE) == "cuda"
