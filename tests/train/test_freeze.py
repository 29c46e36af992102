"""An encoder that stands still for a share of the run, then learns with the rest."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from terraseg.core.dataset import Dataset
from terraseg.core.fingerprint import Fingerprint
from terraseg.core.plan import Plan
from terraseg.store.rundir import RunFolder
from terraseg.train.loop import train_model
from terraseg.train.module import build_module
from terraseg.train.watch import TrainEvent

Easy = tuple[Dataset, Fingerprint]


@pytest.fixture
def frozen(plan: Plan) -> Plan:
    """Six steps, the encoder still in the first three; validation after every second one."""
    options = {"encoder": "test_resnet"}
    return replace(
        plan, network="unet-light", network_options=options, steps=6, batch=2, freeze=0.5, validate_every=2
    )  # fmt: skip


def test_the_encoder_and_its_statistics_stand_still_until_the_border(easy: Easy, frozen: Plan, tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    fresh = build_module(*easy, frozen).network.state_dict()

    def stop_at(step: int) -> dict[str, torch.Tensor]:
        def stop(event: TrainEvent) -> None:
            if event.step == step:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            train_model(*easy, frozen, run, progress=stop)
        weights: dict[str, torch.Tensor] = torch.load(run.checkpoints / "last.ckpt", weights_only=True)["network"]
        return weights

    at_border = stop_at(3)
    encoder = {name for name in fresh if name.startswith("encoder.")}
    assert all(torch.equal(fresh[name], at_border[name]) for name in encoder if "num_batches" not in name)
    assert any(not torch.equal(fresh[name], at_border[name]) for name in fresh.keys() - encoder)
    after = stop_at(4)
    moving = [name for name in encoder if fresh[name].is_floating_point()]
    assert all(not torch.equal(at_border[name], after[name]) for name in moving if name.endswith("running_mean"))
    assert any(not torch.equal(at_border[name], after[name]) for name in moving if name.endswith("weight"))


@pytest.mark.parametrize("step", [2, 3, 4])
def test_resume_is_exact_across_the_border(easy: Easy, frozen: Plan, tmp_path: Path, step: int) -> None:
    def stop(event: TrainEvent) -> None:
        if event.step == step:
            raise KeyboardInterrupt

    slow = replace(frozen, encoder_rate=0.1)
    whole = train_model(*easy, slow, RunFolder(tmp_path / "whole"))
    broken = RunFolder(tmp_path / "broken")
    with pytest.raises(KeyboardInterrupt):
        train_model(*easy, slow, broken, progress=stop)
    left, right = whole.network.state_dict(), train_model(*easy, slow, broken).network.state_dict()
    assert all(torch.equal(left[name], right[name]) for name in left)


def test_an_encoder_of_rate_zero_stands_still_all_along(easy: Easy, frozen: Plan, tmp_path: Path) -> None:
    still = replace(frozen, freeze=0.0, encoder_rate=0.0, steps=2)
    fresh = build_module(*easy, still).network.state_dict()
    trained = train_model(*easy, still, RunFolder(tmp_path / "run")).network.state_dict()
    for name in fresh:
        if fresh[name].is_floating_point():
            assert torch.equal(fresh[name], trained[name]) is name.startswith("encoder."), name


def test_a_frozen_encoder_gets_no_gradient_and_is_set_again_after_validation(easy: Easy, frozen: Plan) -> None:
    module = build_module(*easy, frozen)
    raw = torch.randint(0, 255, (2, 3, 32, 32), dtype=torch.uint8)
    encoder = module.network.encoder
    assert isinstance(encoder, torch.nn.Module)
    for still in (True, False, True):
        module.learning(frozen=still)
        module.network.eval()
        module.learning(frozen=still)
        module.put_gradients((raw, raw[:, 0] % 2))
        assert all((p.grad is None) is still for p in encoder.parameters())
        norms = [m for m in encoder.modules() if isinstance(m, torch.nn.BatchNorm2d)]
        assert {norm.training for norm in norms} == {not still}
        assert module.network.training
