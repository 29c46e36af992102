"""Costs against counts by hand."""

import pytest
import torch
from torch import nn

from terraseg.errors import UnknownName
from terraseg.nets.build import NETWORKS, build_network, parameter_count
from terraseg.nets.cost import TILE, forward_flops, network_cost


def test_a_convolution_costs_two_operations_a_weight_and_pixel() -> None:
    assert forward_flops(nn.Conv2d(5, 7, 3, padding=1), 5, 20) == 2 * 5 * 7 * 3 * 3 * 20 * 20
    assert forward_flops(nn.Conv2d(4, 8, 3, padding=1, stride=2, groups=4), 4, 20) == 2 * 8 * 3 * 3 * 10 * 10
    assert forward_flops(nn.ReLU(), 3, 8) == 0


def test_costs_add_up() -> None:
    first, second = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 2, 1)
    together = forward_flops(nn.Sequential(first, nn.BatchNorm2d(6).eval(), second), 3, 16)
    assert together == forward_flops(first, 3, 16) + forward_flops(second, 6, 16)


def test_another_class_costs_its_row_of_the_last_convolution() -> None:
    costs = [network_cost("unet", bands=3, classes=k, options={"width": 16}) for k in (2, 5)]
    assert costs[1].flops_per_pixel - costs[0].flops_per_pixel == 2 * 16 * 3
    assert costs[1].parameters - costs[0].parameters == 17 * 3
    assert costs[0].gflops_per_megapixel == costs[0].flops_per_pixel / 1e3


def test_the_unet_costs_what_its_layers_do() -> None:
    """Published widths: two convolutions a block at 1, 1/2, 1/4 and 1/8, transposed convolutions between, 1x1 at the end."""
    down = [(3, 64, 1), (64, 128, 4), (128, 256, 16), (256, 512, 64)]
    up = [(512, 256, 16), (256, 128, 4), (128, 64, 1)]
    expected = sum(2 * 9 * (i * o + o * o) / area for i, o, area in down + up)
    # A transposed convolution of kernel and stride 2 meets each input pixel, of which there are a quarter, four times.
    expected += sum(2 * 4 * i * o / (4 * area) for i, o, area in up) + 2 * 64 * 2
    assert network_cost("unet", bands=3, classes=2, options={}).flops_per_pixel == pytest.approx(expected)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_has_a_cost_without_weights(name: str) -> None:
    state = torch.get_rng_state()
    cost = network_cost(name, bands=4, classes=3, options={})
    assert cost.parameters > 1e5
    assert cost.flops_per_pixel > 1e4
    assert torch.equal(torch.get_rng_state(), state)


def test_the_count_on_no_data_is_that_on_real_data() -> None:
    options = {"encoder": "test_resnet"}
    cost = network_cost("upernet", bands=2, classes=3, options={**options, "pretrained": True})
    network = build_network("upernet", bands=2, classes=3, options=options).eval()
    assert cost.parameters == parameter_count(network)
    assert cost.flops_per_pixel == forward_flops(network, 2, TILE) / TILE**2


def test_an_unknown_network_is_refused() -> None:
    with pytest.raises(UnknownName, match="did you mean 'fpn'"):
        network_cost("fpm", bands=3, classes=2, options={})
