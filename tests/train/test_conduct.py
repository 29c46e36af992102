"""What happens between two steps: checkpoints that hold everything, and the best weights given back."""

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
from terraseg.store.rundir import RunFolder, read_csv
from terraseg.train import conduct
from terraseg.train.checkpoints import LAST, best_path, read_weights
from terraseg.train.judge import SETTLED
from terraseg.train.loop import train_model
from terraseg.train.watch import TrainEvent

Easy = tuple[Dataset, Fingerprint]
STEPS = 6


class Stop(Exception):
    """Raised by a test's progress callback."""


@pytest.fixture
def shaky(plan: Plan) -> Plan:
    """A plan with all that is random: dropout, turns, scale and light; it validates after steps 2, 4 and 6."""
    return replace(
        plan,
        network="unet-light",
        network_options={"encoder": "test_resnet", "dropout": 0.3},
        augment=("d4", "scale", "photometric"),
        steps=STEPS,
        batch=2,
        validate_every=2,
    )


def told(value: Any) -> Any:
    """Plain values that are equal exactly when all numbers and tensor bytes are."""
    if isinstance(value, torch.Tensor):
        return str(value.dtype), tuple(value.shape), value.contiguous().numpy().tobytes()
    if isinstance(value, dict):
        return {key: told(item) for key, item in value.items()}
    return [told(item) for item in value] if isinstance(value, list | tuple) else value


def outcome(run: RunFolder) -> dict[str, Any]:
    """Weights, optimizer, best weights and table of a finished run, without its times."""
    content = torch.load(run.checkpoints / LAST, weights_only=True)
    state = {k: v for k, v in content["state"].items() if k not in ("elapsed", "setup", "closing", "rows")}
    return {
        "network": told(content["network"]),
        "optimizer": told(content["optimizer"]),
        "average": told(content["average"]),
        "best": told(read_weights(best_path(run.checkpoints, state["best_step"]))),
        "state": state,
        "rows": [{k: v for k, v in row.items() if k != "seconds"} for row in read_csv(run.progress)],
    }


EVERYTHING = {
    "schedule": "cosine", "warm_up": 0.2, "average": "ema", "batch": 4, "accumulate": 2, "freeze": 0.4, "encoder_rate": 0.3,
    "class_weights": (0.5, 1.5), "label_smoothing": 0.1, "gradient_clip": 1.0, "loss": {"ce": 1.0, "dice": 0.5},
    "augment": ("d4", "scale", "radiometric", "cutout", "copy-paste"),
}  # fmt: skip
PLAIN_MEAN = {"schedule": "poly", "average": "swa", "precision": "bf16", "centred_share": 0.5}


@pytest.mark.parametrize(
    ("stops", "changes"),
    [((1,), {}), ((2, 3), {}), ((1, 2, 3, 4, 5, 6), EVERYTHING), ((1, 2, 3, 4, 5, 6), PLAIN_MEAN)],
    ids=["first", "middle", "everything", "plain mean"],
)
def test_errors_after_any_step_leave_weights_optimizer_and_table_as_if_they_had_not_been(
    easy: Easy,
    shaky: Plan,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stops: tuple[int, ...],
    changes: dict[str, Any],
) -> None:
    monkeypatch.setattr(conduct, "CHECKPOINT_SECONDS", 0.0)
    shaky = replace(shaky, **changes)
    whole, broken = RunFolder(tmp_path / "whole"), RunFolder(tmp_path / "broken")
    train_model(*easy, shaky, whole)
    seen: list[int] = []

    def stop(event: TrainEvent) -> None:
        seen.append(event.step)
        if event.step in stops:
            raise Stop

    for _ in stops:
        with pytest.raises(Stop):
            train_model(*easy, shaky, broken, progress=stop)
        torch.rand(7)  # what others draw in between changes nothing
    train_model(*easy, shaky, broken, progress=stop)
    assert seen == list(range(1, STEPS + 1))  # no step is done twice
    assert outcome(broken) == outcome(whole)


def test_the_weights_of_the_best_validation_come_back(
    make: Any,
    dataset_from: Callable[..., Dataset],
    facts_from: Callable[..., Fingerprint],
    plan: Plan,
    tmp_path: Path,
) -> None:
    """The validation labels contradict those of training: the longer it learns, the worse it scores."""
    labels = np.kron(np.random.default_rng(0).integers(0, 2, (8, 12)), np.ones((8, 8)))
    pixels = np.stack([80 + 80 * labels] * 3).astype("uint8")
    labels[:, 64:] = 1 - labels[:, 64:]
    scene = make.scene("s", pixels, labels, train=[Window(0, 0, 64, 64)], validation=[Window(0, 64, 64, 32)])
    dataset, run = dataset_from(scene), RunFolder(tmp_path / "run")
    trained = train_model(dataset, facts_from(dataset), plan, run)
    rows = read_csv(run.progress)
    assert plan.steps is not None
    scores = {int(row["step"]): float(row["mean_iou"]) for row in rows}
    settled = {step: score for step, score in scores.items() if step >= SETTLED * plan.steps}
    best = trained.provenance["best_step"]
    assert scores[best] == max(settled.values())
    assert best < plan.steps
    weights = {name: tensor.contiguous() for name, tensor in trained.network.state_dict().items()}
    assert told(weights) == told(read_weights(best_path(run.checkpoints, best)))
    assert told(weights) != told(read_weights(run.checkpoints / LAST))
