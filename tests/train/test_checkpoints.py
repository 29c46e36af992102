"""Checkpoints: whole or absent, and refused where they do not belong."""

from pathlib import Path
from typing import Any

import pytest
import torch

from terraseg.errors import StaleRun, TrainingFailed, UnreadableFile
from terraseg.train.average import Average
from terraseg.train.checkpoints import (
    LAST,
    Checkpoint,
    TrainingState,
    best_path,
    read_last,
    read_weights,
    write_best,
    write_last,
)

WEIGHTS = {"a": torch.arange(6.0).reshape(2, 3), "count": torch.tensor(3)}


def state(**changes: Any) -> TrainingState:
    rows = [{"step": 4, "seconds": 1.5, "val_loss": None}]
    return TrainingState("key", step=8, elapsed=2.5, best_step=4, best_score={"iou": [0.5, None]}, rows=rows, **changes)


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    optimizer = {"state": {0: {"exp_avg": torch.ones(2)}}, "param_groups": [{"lr": 0.1, "betas": (0.9, 0.99)}]}
    average = Average("ema", {"a": torch.ones(2, 3)}, weight=0.5, at=0.25)
    write_last(tmp_path, Checkpoint(state(), WEIGHTS, optimizer, average))
    found = read_last(tmp_path, "key")
    assert found is not None
    assert found.state == state()
    assert all(torch.equal(found.network[name], WEIGHTS[name]) for name in WEIGHTS)
    assert found.optimizer["param_groups"][0]["betas"] == (0.9, 0.99)
    assert found.average is not None
    assert (found.average.kind, found.average.weight, found.average.at) == ("ema", 0.5, 0.25)
    assert torch.equal(found.average.tensors["a"], torch.ones(2, 3))


def test_an_empty_folder_holds_no_earlier_training(tmp_path: Path) -> None:
    assert read_last(tmp_path / "none", "key") is None


def test_only_the_best_weights_that_the_last_checkpoint_names_are_kept(tmp_path: Path) -> None:
    for step in (2, 4, 6):
        write_best(tmp_path, step, "key", WEIGHTS)
    write_last(tmp_path, Checkpoint(state(), WEIGHTS, {}))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["best-4.ckpt", LAST]
    assert torch.equal(read_weights(best_path(tmp_path, 4))["a"], WEIGHTS["a"])


def test_a_checkpoint_of_other_settings_is_refused_with_the_ways_out(tmp_path: Path) -> None:
    write_last(tmp_path, Checkpoint(state(), WEIGHTS, {}))
    with pytest.raises(StaleRun, match=r"step 8.*--fresh"):
        read_last(tmp_path, "another")


@pytest.mark.parametrize("keep", [0, 100, 700])
def test_a_damaged_checkpoint_is_named(tmp_path: Path, keep: int) -> None:
    write_last(tmp_path, Checkpoint(state(), WEIGHTS, {}))
    path = tmp_path / LAST
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(UnreadableFile, match="--fresh"):
        read_last(tmp_path, "key")


def test_a_checkpoint_that_runs_code_is_not_loaded(tmp_path: Path) -> None:
    torch.save({"format": 2, "network": Path("/")}, tmp_path / LAST)
    with pytest.raises(UnreadableFile):
        read_last(tmp_path, "key")


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), RuntimeError("file write failed\nat ...")])
def test_a_full_disk_leaves_the_checkpoint_of_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    write_last(tmp_path, Checkpoint(state(), WEIGHTS, {}))

    def half(content: object, path: Path) -> None:
        path.write_bytes(b"half")
        raise error

    monkeypatch.setattr(torch, "save", half)
    with pytest.raises(TrainingFailed, match="make room on the disk"):
        write_last(tmp_path, Checkpoint(state(), WEIGHTS, {}))
    assert [p.name for p in tmp_path.iterdir()] == [LAST]
    assert read_last(tmp_path, "key") is not None
