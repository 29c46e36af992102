"""Which network the plan takes, by the ground to learn from and the time to do it in."""

import pytest

from terraseg.core.plan import Hardware, StepTime
from terraseg.plan.architecture import architecture
from terraseg.plan.options import TrainOptions

TIMINGS = tuple(
    StepTime("unet-light", encoder, 128, cost, 0)
    for encoder, cost in (("resnet18", 0.02), ("resnet34", 0.03), ("resnet50", 0.06))
)
LAPTOP = Hardware(2, 16 * 2**30, "cpu", "no GPU was found; 2 processor cores", 0, bf16=True, timings=TIMINGS)
HOUR = 3600.0


@pytest.mark.parametrize(
    ("pixels", "seconds", "encoder", "word"),
    [
        (0.7e6, HOUR, "resnet18", "20 million"),
        (25e6, HOUR, "resnet18", "below 100"),
        (25e6, 10 * HOUR, "resnet34", "100 million"),
        (200e6, 1000 * HOUR, "resnet50", "no candidate is larger"),
    ],
)
def test_a_larger_network_needs_both_ground_and_time(pixels: float, seconds: float, encoder: str, word: str) -> None:
    chosen = architecture(LAPTOP, TrainOptions(), None, pixels=pixels, seconds=seconds)
    assert chosen.value.encoder == encoder
    assert word in chosen.reason


def test_an_encoder_of_the_user_is_taken_whatever_the_ground() -> None:
    chosen = architecture(LAPTOP, TrainOptions(encoder="resnet50"), None, pixels=1.0, seconds=1.0)
    assert chosen.value.encoder == "resnet50"
