"""Which parameters decay, and which learn slower."""

from dataclasses import replace

import pytest
from torch import nn

from terraseg.core.plan import Plan
from terraseg.nets.build import build_network
from terraseg.train.optimizer import build_optimizer, decayed, set_rates


def test_weight_decay_falls_on_kernels_alone() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1, bias=False), nn.GroupNorm(1, 2))
    kernels, others = decayed(network)
    assert [tuple(p.shape) for p in kernels] == [(4, 3, 3, 3), (2, 4, 1, 1)]
    assert len(others) == 5
    assert len(kernels) + len(others) == len(list(network.parameters()))


def test_frozen_parameters_are_left_out() -> None:
    network = nn.Conv2d(3, 4, 3)
    network.weight.requires_grad_(False)
    assert [len(group) for group in decayed(network)] == [0, 1]


def test_rates_reach_every_group(plan: Plan) -> None:
    optimizer = build_optimizer(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)), plan)
    set_rates(optimizer, learning_rate=0.5, momentum=0.9)
    assert [(g["lr"], g["betas"][0]) for g in optimizer.param_groups] == [(0.5, 0.9)] * 2
    assert [g["weight_decay"] for g in optimizer.param_groups] == [plan.weight_decay, 0.0]


def test_the_encoder_learns_at_its_own_rate_and_every_parameter_is_in_one_group(plan: Plan) -> None:
    network = build_network("unet-light", bands=3, classes=2, options={"encoder": "test_resnet"})
    optimizer = build_optimizer(network, replace(plan, encoder_rate=0.1))
    set_rates(optimizer, learning_rate=1.0, momentum=0.9)
    grouped = [id(p) for group in optimizer.param_groups for p in group["params"]]
    assert sorted(grouped) == sorted(id(p) for p in network.parameters())
    encoder = {id(p) for p in network.encoder.parameters()}  # type: ignore[union-attr]
    for group in optimizer.param_groups:
        inside = {id(p) in encoder for p in group["params"]}
        assert inside == {group["lr"] == pytest.approx(0.1)}
    assert {group["weight_decay"] for group in optimizer.param_groups} == {0.0, plan.weight_decay}


def test_rates_survive_a_checkpoint(plan: Plan) -> None:
    network = build_network("unet-light", bands=3, classes=2, options={"encoder": "test_resnet"})
    slow = replace(plan, encoder_rate=0.25)
    first, second = build_optimizer(network, slow), build_optimizer(network, slow)
    second.load_state_dict(first.state_dict())
    set_rates(second, learning_rate=1.0, momentum=0.9)
    assert sorted({group["lr"] for group in second.param_groups}) == [0.25, 1.0]
