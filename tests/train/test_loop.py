"""Training end to end on small scenes."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from terraseg.core.dataset import Dataset
from terraseg.core.fingerprint import Fingerprint
from terraseg.core.plan import Plan
from terraseg.core.window import Window
from terraseg.errors import BadOption, EmptyDataset, StaleRun, TrainingFailed
from terraseg.store.rundir import RunFolder, read_csv
from terraseg.train import judge
from terraseg.train.loop import train_model, trained_so_far
from terraseg.train.trained import TrainedModel
from terraseg.train.watch import TrainEvent

Easy = tuple[Dataset, Fingerprint]


def same_weights(one: TrainedModel, other: TrainedModel) -> bool:
    left, right = one.network.state_dict(), other.network.state_dict()
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def rows_of(run: RunFolder) -> list[dict[str, str]]:
    """The rows of `progress.csv` without their seconds."""
    return [{k: v for k, v in row.items() if k != "seconds"} for row in read_csv(run.progress)]


def stopper(step: int, error: type[BaseException]) -> Callable[[TrainEvent], None]:
    def stop(event: TrainEvent) -> None:
        if event.step == step:
            raise error

    return stop


class Stop(Exception):
    """Raised by a test's progress callback."""


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "run")


def test_a_simple_task_is_learnt_and_everything_is_written(
    easy: Easy, plan: Plan, run: RunFolder, capfd: pytest.CaptureFixture[str]
) -> None:
    events: list[TrainEvent] = []
    trained = train_model(*easy, replace(plan, steps=48), run, progress=events.append)
    assert trained.provenance["validation"]["mean_iou"] > 0.9
    assert not trained.network.training
    assert trained.spec.mean == (120.0,) * 3
    assert (trained.spec.tile, trained.spec.overlap) == (plan.tile, plan.overlap)
    json.dumps(trained.spec.to_json(), allow_nan=False)
    assert [event.step for event in events] == list(range(1, 49))
    assert events[-1].fraction == 1.0
    assert events[-1].seconds_left == 0.0
    assert events[-1].mean_iou is not None
    assert len(rows_of(run)) == 12
    assert int(rows_of(run)[-1]["step"]) == 48
    assert list(run.tensorboard.glob("events.*"))
    assert capfd.readouterr() == ("", "")  # Lightning is quiet
    with torch.no_grad():
        assert trained.network(torch.zeros(1, 3, 33, 35)).shape == (1, 2, 33, 35)


@pytest.mark.parametrize("error", [Stop, KeyboardInterrupt])
@pytest.mark.parametrize("step", [1, 7, 24])
def test_a_stopped_training_ends_with_the_bytes_of_an_uninterrupted_one(
    easy: Easy, plan: Plan, tmp_path: Path, step: int, error: type[BaseException]
) -> None:
    whole_run, broken_run = RunFolder(tmp_path / "whole"), RunFolder(tmp_path / "broken")
    whole = train_model(*easy, plan, whole_run)
    with pytest.raises(error):
        train_model(*easy, plan, broken_run, progress=stopper(step, error))
    seen: list[int] = []
    again = train_model(*easy, plan, broken_run, progress=lambda event: seen.append(event.step))
    assert same_weights(whole, again)
    assert rows_of(whole_run) == rows_of(broken_run)
    assert again.provenance["best_step"] == whole.provenance["best_step"]
    if error is KeyboardInterrupt:
        assert seen == list(range(step + 1, 25))  # nothing is done twice


def test_resume_is_exact_with_dropout_clipping_bf16_and_scale(easy: Easy, plan: Plan, tmp_path: Path) -> None:
    options = {"encoder": "test_resnet", "dropout": 0.3}
    full = replace(
        plan, network="dynamic-unet", network_options=options, steps=6, batch=2, precision="bf16", gradient_clip=1.0,
        augment=("d4", "scale", "radiometric"), validate_every=4, loss={"dice": 1.0},
    )  # fmt: skip
    whole = train_model(*easy, full, RunFolder(tmp_path / "whole"))
    broken = RunFolder(tmp_path / "broken")
    with pytest.raises(KeyboardInterrupt):
        train_model(*easy, full, broken, progress=stopper(3, KeyboardInterrupt))
    torch.rand(100)
    assert same_weights(whole, train_model(*easy, full, broken))


def test_ctrl_c_waits_for_the_end_of_the_step_and_leaves_a_checkpoint(easy: Easy, plan: Plan, run: RunFolder) -> None:
    def press(event: TrainEvent) -> None:
        if event.step == 5:
            # As the interpreter calls it; the signal itself is for test_interrupt.py, which has a process to spare.
            handler = signal.getsignal(signal.SIGINT)
            assert callable(handler)
            handler(signal.SIGINT, None)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        train_model(*easy, plan, run, progress=press)
    assert signal.getsignal(signal.SIGINT) is before
    seen: list[int] = []
    train_model(*easy, plan, run, progress=lambda event: seen.append(event.step))
    assert seen[0] == 6
    assert seen[-1] == 24


KILLED = """
import os, pickle, signal, sys
from pathlib import Path
from terraseg.store.rundir import RunFolder
from terraseg.train import conduct
from terraseg.train.loop import train_model, trained_so_far
conduct.CHECKPOINT_SECONDS = 0.0
dataset, facts, plan = pickle.loads(Path(sys.argv[1]).read_bytes())
def die(event):
    if event.step == 13:
        os.kill(os.getpid(), signal.SIGKILL)
train_model(dataset, facts, plan, RunFolder(Path(sys.argv[2])), progress=die)
"""


def test_a_killed_training_goes_on_from_its_last_checkpoint(easy: Easy, plan: Plan, tmp_path: Path) -> None:
    import pickle

    task = tmp_path / "task.pickle"
    task.write_bytes(pickle.dumps((*easy, plan)))
    broken = RunFolder(tmp_path / "broken")
    done = subprocess.run([sys.executable, "-c", KILLED, str(task), str(broken.root)], cwd=Path.cwd(), check=False)
    assert done.returncode == -signal.SIGKILL
    seen: list[int] = []
    again = train_model(*easy, plan, broken, progress=lambda event: seen.append(event.step))
    assert seen == list(range(14, 25))
    assert same_weights(again, train_model(*easy, plan, RunFolder(tmp_path / "whole")))


def test_a_finished_training_is_given_back_without_another_step(easy: Easy, plan: Plan, run: RunFolder) -> None:
    first = train_model(*easy, plan, run)
    events: list[TrainEvent] = []
    assert same_weights(first, train_model(*easy, plan, run, progress=events.append))
    assert not events


def test_other_settings_or_data_are_refused_until_the_user_starts_over(easy: Easy, plan: Plan, run: RunFolder) -> None:
    train_model(*easy, replace(plan, steps=2), run)
    with pytest.raises(StaleRun, match="--fresh"):
        train_model(*easy, replace(plan, steps=3), run)
    labels = Path(easy[0].scenes[0].labels or "")
    os.utime(labels, (1, 1))
    with pytest.raises(StaleRun, match="other data"):
        train_model(*easy, replace(plan, steps=2), run)


def test_a_time_budget_is_kept_with_the_schedule_finished(easy: Easy, plan: Plan, run: RunFolder) -> None:
    timed = replace(plan, steps=None, time_budget_s=5.0)
    started = time.monotonic()
    trained = train_model(*easy, timed, run)
    assert 4.0 < time.monotonic() - started < 6.5
    rows = read_csv(run.progress)
    assert float(rows[-1]["lr"]) < timed.learning_rate / 100
    assert int(rows[-1]["step"]) == trained.provenance["steps"]
    assert 2 <= len(rows) <= 13


def test_an_interrupted_budget_counts_the_seconds_of_both_sittings(easy: Easy, plan: Plan, run: RunFolder) -> None:
    timed = replace(plan, steps=None, time_budget_s=4.0)

    def stop(event: TrainEvent) -> None:
        if event.fraction > 0.5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_model(*easy, timed, run, progress=stop)
    started = time.monotonic()
    train_model(*easy, timed, run)
    assert time.monotonic() - started < 3.5
    assert 3.0 < float(read_csv(run.progress)[-1]["seconds"]) < 5.5


def test_a_budget_that_is_over_before_the_first_step_is_refused(easy: Easy, plan: Plan, run: RunFolder) -> None:
    with pytest.raises(TrainingFailed, match=r"time budget of 0\.001 s is too small"):
        train_model(*easy, replace(plan, steps=None, time_budget_s=0.001), run)


def test_a_plan_has_one_length(easy: Easy, plan: Plan, run: RunFolder) -> None:
    with pytest.raises(BadOption, match="either steps or a time budget"):
        train_model(*easy, replace(plan, time_budget_s=5.0), run)


def test_without_validation_windows_the_last_weights_are_kept(easy: Easy, plan: Plan, run: RunFolder) -> None:
    dataset = replace(easy[0], scenes=tuple(replace(s, validation=()) for s in easy[0].scenes))
    trained = train_model(dataset, easy[1], replace(plan, patience=1), run)
    assert trained.provenance["steps"] == 24
    assert trained.provenance["best_step"] is None
    assert all(row["mean_iou"] == "" for row in rows_of(run))
    weights = torch.load(run.checkpoints / "last.ckpt", weights_only=True)["network"]
    assert all(torch.equal(weights[name], tensor) for name, tensor in trained.network.state_dict().items())


@pytest.fixture
def hopeless(make: Any, dataset_from: Callable[..., Dataset], facts_from: Callable[..., Fingerprint]) -> Easy:
    """The validation labels contradict those of training, so that learning makes the scores worse."""
    random = np.random.default_rng(0)
    labels = np.kron(random.integers(0, 2, (8, 12)), np.ones((8, 8)))
    pixels = np.stack([80 + 80 * labels] * 3).astype("uint8")
    labels[:, 64:] = 1 - labels[:, 64:]
    scene = make.scene("s", pixels, labels, train=[Window(0, 0, 64, 64)], validation=[Window(0, 64, 64, 32)])
    dataset = dataset_from(scene)
    return dataset, facts_from(dataset)


def test_patience_ends_a_hopeless_run_but_never_before_the_descent(hopeless: Easy, plan: Plan, run: RunFolder) -> None:
    trained = train_model(*hopeless, replace(plan, steps=120, patience=2), run)
    assert trained.provenance["stopped_early"]
    assert judge.SETTLED * 120 <= trained.provenance["steps"] < 120


def test_weights_from_before_the_descent_are_not_kept(hopeless: Easy, plan: Plan, run: RunFolder) -> None:
    trained = train_model(*hopeless, replace(plan, steps=48, validate_every=4), run)
    scores = {int(row["step"]): float(row["mean_iou"]) for row in rows_of(run)}
    settled = {step: score for step, score in scores.items() if step >= judge.SETTLED * 48}
    assert max(scores, key=scores.__getitem__) < judge.SETTLED * 48
    assert scores[trained.provenance["best_step"]] == max(settled.values())


def test_a_loss_that_is_not_finite_ends_training_and_leaves_the_checkpoint(
    easy: Easy, plan: Plan, run: RunFolder
) -> None:
    wild = replace(plan, learning_rate=1e38, weight_decay=0.0)
    with pytest.raises(TrainingFailed, match=r"at step \d+.*smaller learning_rate"):
        train_model(*easy, wild, run)
    before = (run.checkpoints / "last.ckpt").read_bytes() if (run.checkpoints / "last.ckpt").exists() else None
    with pytest.raises(TrainingFailed):
        train_model(*easy, wild, run)
    if before is not None:
        weights = torch.load(run.checkpoints / "last.ckpt", weights_only=True)["network"]
        assert all(torch.isfinite(t).all() for t in weights.values() if t.is_floating_point())


def test_scenes_smaller_than_the_crop_with_void_and_nodata_train(
    make: Any,
    dataset_from: Callable[..., Dataset],
    facts_from: Callable[..., Fingerprint],
    plan: Plan,
    run: RunFolder,
) -> None:
    random = np.random.default_rng(1)
    labels = random.choice([0, 1, 9], size=(21, 30))
    pixels = random.normal(100, 30, (3, 21, 30)).astype("float32")
    pixels[:, :4] = np.nan
    pixels[:, 10:12] = -9999
    scene = make.scene(
        "s", pixels, labels, train=[Window(0, 0, 21, 20)], validation=[Window(0, 20, 21, 10)], nodata=-9999
    )
    dataset = dataset_from(scene, dtype="float32")
    trained = train_model(dataset, facts_from(dataset), replace(plan, steps=4, crop=64), run)
    assert all(torch.isfinite(t).all() for t in trained.network.state_dict().values())
    assert float(rows_of(run)[-1]["train_loss"]) < 5


def test_the_cache_changes_nothing_but_speed(easy: Easy, plan: Plan, tmp_path: Path) -> None:
    cached = train_model(*easy, replace(plan, steps=4), RunFolder(tmp_path / "a"))
    direct = train_model(*easy, replace(plan, steps=4), RunFolder(tmp_path / "b"), cache_gb=0.0)
    assert same_weights(cached, direct)
    assert not list((tmp_path / "b" / "cache").rglob("pixels.npy"))


def test_nothing_to_train_on_is_an_empty_data_set(easy: Easy, plan: Plan, run: RunFolder) -> None:
    for scene in (replace(easy[0].scenes[0], train=()), replace(easy[0].scenes[0], labels=None)):
        with pytest.raises(EmptyDataset, match="training window"):
            train_model(replace(easy[0], scenes=(scene,)), easy[1], plan, run)


def test_threads_and_generator_are_given_back(easy: Easy, plan: Plan, run: RunFolder) -> None:
    torch.manual_seed(7)
    state, count = torch.get_rng_state(), torch.get_num_threads()
    train_model(*easy, replace(plan, steps=2, threads=2), run)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == count


def test_what_was_learnt_before_a_stop_can_be_had(easy: Easy, plan: Plan, run: RunFolder) -> None:
    assert trained_so_far(*easy, plan, run) is None
    with pytest.raises(KeyboardInterrupt):
        train_model(*easy, plan, run, progress=stopper(7, KeyboardInterrupt))
    trained = trained_so_far(*easy, plan, run)
    assert trained is not None
    assert trained.provenance["steps"] == 7
    assert trained.provenance["best_step"] in (2, 4, 6)
