"""What a step costs, measured."""

import pytest
import torch

from terraseg.errors import UnknownName
from terraseg.train.timing import STATE_BYTES, USUAL_BATCH, Trial, _bytes_kept, measure_step


def measured(network: str = "unet", crop: int = 32, samples: int = 2, **options: object) -> tuple[float, int]:
    trial = Trial(bands=3, classes=4, crop=crop, samples=samples, precision="fp32", device="cpu", threads=1)
    cost = measure_step(network, options, trial)
    assert (cost.network, cost.crop) == (network, crop)
    return cost.seconds, cost.memory


def test_a_larger_crop_costs_more_and_memory_is_counted_by_the_sample() -> None:
    small, large = measured(crop=32, depth=2, width=8), measured(crop=128, depth=2, width=8)
    assert large[0] > 2 * small[0] > 0
    assert large[1] > 8 * small[1] > 0
    assert measured(crop=64, samples=1, depth=2, width=8)[1] == pytest.approx(
        measured(crop=64, samples=4, depth=2, width=8)[1], rel=0.05
    )


def test_the_bytes_kept_are_those_of_the_tensors_for_the_backward_pass() -> None:
    network = torch.nn.Sequential(torch.nn.Linear(10, 20), torch.nn.Sigmoid())
    data = torch.randn(3, 10)
    assert _bytes_kept(lambda: network(data).sum().backward(), network) == 4 * (3 * 10 + 3 * 20)


def test_the_encoder_is_named_and_the_parameters_are_shared_among_a_usual_batch() -> None:
    trial = Trial(bands=3, classes=2, crop=64, samples=1, precision="fp32", device="cpu", threads=1)
    cost = measure_step("unet-light", {"encoder": "test_resnet", "pretrained_path": "nowhere"}, trial)
    assert cost.encoder == "test_resnet"
    assert cost.memory > 4 * STATE_BYTES // USUAL_BATCH
    assert torch.get_num_threads() >= 1


def test_an_unknown_network_is_refused() -> None:
    with pytest.raises(UnknownName):
        measured("unett")
