"""The state of a training on disk: whole or absent, and enough of it that nothing shows when it is taken up again."""

import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from terraseg.errors import StaleRun, TrainingFailed, UnreadableFile, UnwritableFile
from terraseg.store.rundir import replacing
from terraseg.train.average import Average

FORMAT = 2
LAST = "last.ckpt"

Tensors = dict[str, Tensor]


@dataclass
class TrainingState:
    """What is known between two steps, besides the tensors.

    `step` counts the steps taken, `elapsed` the seconds over all sittings, `setup` those before the first step.
    `best_*` belong to the validation with the highest mean IoU (once the network has settled, of those since then),
    `best_weights` tells whether it was of the "last" weights or their "average"; `stale` counts the validations since.
    `rows` are those of `progress.csv`. `swept` is the number of tile batches that a validation takes, 0 before the first.
    `accumulate` is the number of parts in which a batch is computed where the plan's did not fit into memory, else 0.
    """

    key: str
    step: int = 0
    elapsed: float = 0.0
    setup: float | None = None
    closing: float = 0.0
    fraction: float = 0.0
    best_step: int | None = None
    best_fraction: float = 0.0
    best_score: dict[str, Any] = field(default_factory=dict)
    best_weights: str = "last"
    stale: int = 0
    swept: int = 0
    accumulate: int = 0
    rows: list[dict[str, Any]] = field(default_factory=list)
    loss_sum: float = 0.0
    loss_count: int = 0
    stopped_early: bool = False
    finished: bool = False


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """All that a training needs to go on: its state, the network's tensors, the optimizer's state, the weights' average."""

    state: TrainingState
    network: Tensors
    optimizer: dict[str, Any]
    average: Average | None = None


def write_last(folder: Path, checkpoint: Checkpoint) -> None:
    """The checkpoint from which the same command goes on; raises `TrainingFailed` when the disk takes it no longer."""
    average = checkpoint.average
    content = {
        "format": FORMAT,
        "state": dict(vars(checkpoint.state)),
        "network": checkpoint.network,
        "optimizer": checkpoint.optimizer,
        "average": None if average is None else dict(vars(average)),
    }
    _write(folder / LAST, content)
    for other in folder.glob("best-*.ckpt"):
        if other != best_path(folder, checkpoint.state.best_step):
            other.unlink()


def write_best(folder: Path, step: int, key: str, network: Tensors) -> None:
    """The weights of the best validation so far, under the number of its step until `write_last` names it the best."""
    _write(best_path(folder, step), {"format": FORMAT, "key": key, "network": network})


def best_path(folder: Path, step: int | None) -> Path:
    """Where the weights of a validation lie."""
    return folder / f"best-{step}.ckpt"


def read_last(folder: Path, key: str) -> Checkpoint | None:
    """What an earlier sitting left; None when there was none.

    Raises `StaleRun` when it was made by other settings or data, `UnreadableFile` when it is damaged.
    """
    path = folder / LAST
    if not path.exists():
        return None
    content = _read(path)
    state = TrainingState(**content["state"])
    if state.key != key:
        raise StaleRun(
            f"{path} belongs to a training with another plan or other data (it stands at step {state.step}): pass "
            "--fresh to start over, --set map.run=NAME to keep both, or the settings of before to go on"
        )
    average = content["average"]
    return Checkpoint(state, content["network"], content["optimizer"], None if average is None else Average(**average))


def read_weights(path: Path) -> Tensors:
    """The weights in a checkpoint; `UnreadableFile` when it is missing or damaged."""
    weights: Tensors = _read(path)["network"]
    return weights


def _read(path: Path) -> dict[str, Any]:
    advice = "the file is damaged or of another version; pass --fresh to start over"
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise UnreadableFile(f"{path} cannot be read ({_first_line(error)}): {advice}") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise UnreadableFile(f"{path} is no checkpoint of format {FORMAT}: {advice}")
    return content


def _write(path: Path, content: dict[str, Any]) -> None:
    with saving(path), replacing(path) as temporary:
        torch.save(content, temporary)


@contextmanager
def saving(path: Path) -> Iterator[None]:
    """A failure to write `path`, as of a full disk, raised as `TrainingFailed` with the way to go on."""
    try:
        yield
    except (OSError, RuntimeError, UnwritableFile) as error:  # torch tells a full disk as a RuntimeError
        raise TrainingFailed(
            f"{path} cannot be written ({_first_line(error)}): make room on the disk and run the same "
            "command again, it goes on from the last whole checkpoint"
        ) from error


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
