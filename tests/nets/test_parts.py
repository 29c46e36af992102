"""The encoder as a part of its network: its parameters, and what freezing holds."""

from copy import deepcopy
from typing import Any

import pytest
import torch

from terraseg.nets.build import NETWORKS, build_network
from terraseg.nets.parts import encoder_parameters, freeze_encoder

SMALL: dict[str, dict[str, Any]] = {
    "unet": {"width": 4},
    "residual-unet": {"width": 4},
    "simple-unet": {},
    "unet-resnet": {"encoder": "resnet18"},
    "dpt": {"encoder": "test_vit", "width": 16},
}
WITHOUT = {"unet", "residual-unet", "simple-unet"}


@pytest.mark.parametrize("name", NETWORKS)
def test_the_encoder_s_parameters_are_those_under_its_name(name: str) -> None:
    with torch.device("meta"):
        network = build_network(name, bands=3, classes=2, options=SMALL.get(name, {"encoder": "test_resnet"}))
    found = {id(p) for p in encoder_parameters(network)}
    named = {id(p) for key, p in network.named_parameters() if key.startswith("encoder.")}
    assert found == (set() if name in WITHOUT else named)
    assert bool(found) != (name in WITHOUT)


def test_a_frozen_encoder_stays_as_it_is_through_training() -> None:
    torch.manual_seed(0)
    network = build_network("unet-light", bands=3, classes=2, options={"encoder": "test_resnet"})
    freeze_encoder(network, True)
    before = deepcopy(network.state_dict())
    optimizer = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], lr=0.1)
    for _ in range(2):
        network.train()
        network(torch.randn(2, 3, 64, 64)).square().mean().backward()
        optimizer.step()
    changed = {key for key, t in network.state_dict().items() if not torch.equal(t, before[key])}
    assert changed
    assert not any(key.startswith("encoder.") for key in changed)


def test_a_frozen_encoder_answers_in_training_as_in_evaluation() -> None:
    network = build_network("unet-light", bands=3, classes=2, options={"encoder": "test_resnet"})
    freeze_encoder(network, True)
    image = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        training, evaluation = (network.train(mode).encoder(image)[-1] for mode in (True, False))  # type: ignore[operator]
    assert torch.equal(training, evaluation)


def test_an_encoder_that_is_let_go_trains_again() -> None:
    network = build_network("unet-light", bands=3, classes=2, options={"encoder": "test_resnet"})
    for frozen in (True, True, False):
        freeze_encoder(network, frozen)
    before = deepcopy(network.state_dict())
    network(torch.randn(2, 3, 64, 64)).square().mean().backward()
    assert all(p.grad is not None for p in network.parameters())
    assert not torch.equal(network.state_dict()["encoder.bn1.running_mean"], before["encoder.bn1.running_mean"])
    assert not network.encoder._forward_pre_hooks  # type: ignore[union-attr]


def test_a_network_without_an_encoder_is_left_alone() -> None:
    network = build_network("unet", bands=3, classes=2, options={"width": 4})
    freeze_encoder(network, True)
    assert all(p.requires_grad for p in network.parameters())
