"""The mean of the weights: true from the first step on, whatever the number of steps."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from terraseg.core.dataset import Dataset
from terraseg.core.fingerprint import Fingerprint
from terraseg.core.plan import Plan
from terraseg.errors import UnknownName
from terraseg.store.rundir import RunFolder, read_csv
from terraseg.train.average import (
    HALF_LIFE,
    MARKS,
    SWA_START,
    Average,
    restate_norms,
    standing_in,
    start_average,
)
from terraseg.train.checkpoints import best_path, read_last, read_weights
from terraseg.train.loop import train_model

Easy = tuple[Dataset, Fingerprint]


def network_at(value: float) -> nn.Module:
    network = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2))
    with torch.no_grad():
        for tensor in network.state_dict().values():
            if tensor.is_floating_point():
                tensor.fill_(value)
    return network


def followed(kind: str, steps: int) -> tuple[Average, list[float], list[float]]:
    """An average over a run whose weights are all the step's number, with the progress and values that it took in."""
    average = start_average(kind, network_at(0.0))
    assert average is not None
    taken, places = [], []
    for step in range(1, steps + 1):
        before, after = (step - 1) / steps, step / steps
        if average.due(before, after):
            average.add(network_at(float(step)), after)
            taken.append(float(step))
            places.append(after)
    return average, taken, places


@pytest.mark.parametrize("steps", [50, 200, 20_000])
def test_an_exponential_mean_weighs_by_age_alone_however_many_steps_there_are(steps: int) -> None:
    average, taken, places = followed("ema", steps)
    ages = 1 - np.array(places)
    shares = 0.5 ** (ages / HALF_LIFE) * (1 - 0.5 ** (np.diff([0.0, *places]) / HALF_LIFE))
    wanted = np.average(taken, weights=shares)
    for tensor in average.tensors.values():
        np.testing.assert_allclose(tensor.numpy(), wanted, rtol=1e-4)
    assert len(taken) == min(steps, MARKS)


def test_after_the_first_addition_the_mean_is_the_network() -> None:
    average = start_average("ema", network_at(0.0))
    assert average is not None
    assert average.is_empty
    average.add(network_at(3.0), 0.001)
    assert all((tensor == 3.0).all() for tensor in average.tensors.values())
    assert not average.is_empty


def test_a_plain_mean_is_that_of_the_last_quarter() -> None:
    average, taken, places = followed("swa", 100)
    assert min(places) >= SWA_START
    assert len(taken) == 26
    assert torch.allclose(average.tensors["0.weight"], torch.tensor(np.mean(taken)).float())


def test_standing_in_leaves_no_trace() -> None:
    network = network_at(1.0)
    network(torch.randn(2, 1, 4, 4))
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    average = start_average("ema", network)
    assert average is not None
    average.add(network_at(5.0), 0.5)
    with standing_in(average, network):
        assert (network.state_dict()["0.weight"] == 5.0).all()
    after = network.state_dict()
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_batch_norms_are_restated_as_plain_means_over_the_batches() -> None:
    norm = nn.BatchNorm2d(3)
    network = nn.Sequential(norm, nn.Dropout(0.5))
    batches = [torch.randn(8, 3, 5, 5) * k + k for k in (1.0, 2.0, 4.0)]
    restate_norms(network, batches)
    torch.testing.assert_close(norm.running_mean, torch.stack([b.mean((0, 2, 3)) for b in batches]).mean(0))
    torch.testing.assert_close(norm.running_var, torch.stack([b.var((0, 2, 3)) for b in batches]).mean(0))
    assert norm.momentum == 0.1
    assert not any(module.training for module in network.modules())


def test_without_batch_norms_nothing_is_computed() -> None:
    batches = iter([torch.zeros(1, 1, 2, 2)])
    restate_norms(nn.Conv2d(1, 1, 1), batches)
    assert next(batches).shape == (1, 1, 2, 2)


def test_an_unknown_average_is_refused() -> None:
    with pytest.raises(UnknownName, match="did you mean 'ema'"):
        start_average("emma", nn.Identity())
    assert start_average("none", nn.Identity()) is None


@pytest.mark.parametrize("kind", ["ema", "swa"])
def test_the_better_weights_of_a_validation_are_kept(easy: Easy, plan: Plan, tmp_path: Path, kind: str) -> None:
    run = RunFolder(tmp_path / "run")
    trained = train_model(*easy, replace(plan, average=kind, validate_every=2), run)
    best, weights = trained.provenance["best_step"], trained.provenance["weights"]
    row = next(row for row in read_csv(run.progress) if int(row["step"]) == best)
    scores = {"last": float(row["mean_iou"]), "average": float(row["average_mean_iou"] or "nan")}
    assert scores[weights] == trained.provenance["validation"]["mean_iou"] == np.nanmax(list(scores.values()))
    kept = read_weights(best_path(run.checkpoints, best))
    assert all(torch.equal(kept[name], tensor) for name, tensor in trained.network.state_dict().items())


@pytest.mark.parametrize("kind", ["ema", "swa"])
def test_where_nothing_judges_the_average_is_taken(easy: Easy, plan: Plan, tmp_path: Path, kind: str) -> None:
    dataset = replace(easy[0], scenes=tuple(replace(s, validation=()) for s in easy[0].scenes))
    run = RunFolder(tmp_path / "run")
    trained = train_model(dataset, easy[1], replace(plan, average=kind), run)
    assert trained.provenance["weights"] == "average"
    left = torch.load(run.checkpoints / "last.ckpt", weights_only=True)
    state = trained.network.state_dict()
    assert all(torch.equal(tensor, state[name]) for name, tensor in left["average"]["tensors"].items())
    assert not torch.equal(left["network"]["final.weight"], state["final.weight"])
    assert read_last(run.checkpoints, left["state"]["key"]) is not None
