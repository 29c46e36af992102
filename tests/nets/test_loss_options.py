"""What sets the losses: checks at birth, plain JSON, mixtures, and class weights from pixel counts."""

import json
import math
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from terraseg.core.options import read_options
from terraseg.errors import BadOption, EmptyDataset, UnknownName
from terraseg.nets.loss_options import (
    LARGEST_WEIGHT_RATIO,
    LOSS_NAMES,
    MULTILABEL_LOSS_NAMES,
    LossOptions,
    balanced_weights,
    loss_shares,
)
from terraseg.nets.losses import LOSSES
from terraseg.nets.multilabel_losses import MULTILABEL_LOSSES

COUNTS = st.lists(st.integers(0, 10**12), min_size=1, max_size=12).filter(any)


def test_the_names_are_those_of_the_losses() -> None:
    assert set(LOSS_NAMES) == set(LOSSES)
    assert set(MULTILABEL_LOSS_NAMES) == set(MULTILABEL_LOSSES)


def test_options_and_weights_load_without_torch() -> None:
    code = "import sys, terraseg.nets.loss_options; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=60)


@given(counts=COUNTS)
def test_balanced_weights_have_a_mean_of_one_over_the_pixels(counts: list[int]) -> None:
    weights = balanced_weights(counts)
    mean = sum(w * c for w, c in zip(weights, counts, strict=True)) / sum(counts)
    assert mean == pytest.approx(1)


@given(counts=COUNTS)
def test_balanced_weights_favour_the_rare_within_a_bound(counts: list[int]) -> None:
    pairs = sorted(zip(counts, balanced_weights(counts), strict=True))
    assert all(w == 0 for c, w in pairs if c == 0)
    present = [w for c, w in pairs if c > 0]
    assert present == sorted(present, reverse=True)
    assert max(present) <= LARGEST_WEIGHT_RATIO * min(present) * (1 + 1e-12)


@given(counts=COUNTS, times=st.integers(1, 1000))
def test_balanced_weights_know_no_area(counts: list[int], times: int) -> None:
    assert balanced_weights([times * c for c in counts]) == pytest.approx(balanced_weights(counts))


def test_balanced_weights_follow_the_square_root() -> None:
    rare, common = balanced_weights((100, 1600))
    assert rare / common == pytest.approx(math.sqrt(1600 / 100))
    assert balanced_weights((7, 7, 7)) == pytest.approx((1, 1, 1))


def test_nothing_cannot_be_balanced() -> None:
    with pytest.raises(EmptyDataset, match="none of the 2 classes"):
        balanced_weights((0, 0))
    with pytest.raises(ValueError, match="negative"):
        balanced_weights((1, -1))


@pytest.mark.parametrize(
    "options",
    [LossOptions(), LossOptions("auto", 0.1), LossOptions((1.0, 0.0, 2.5), gamma=1.5, boundary_tolerance=4)],
)
def test_options_survive_json(options: LossOptions) -> None:
    text = json.dumps(options.to_json())
    assert LossOptions.from_json(json.loads(text)) == options
    assert read_options(LossOptions, json.loads(text), "[loss]") == options


def test_json_of_an_older_plan_takes_the_defaults() -> None:
    assert LossOptions.from_json({"gamma": 1.0}) == LossOptions(gamma=1.0)
    with pytest.raises(BadOption, match="did you mean 'gamma'"):
        LossOptions.from_json({"gama": 1.0})


def test_automatic_weights_are_resolved_and_others_kept() -> None:
    assert LossOptions("auto", gamma=1.0).resolved((900, 100)) == LossOptions(balanced_weights((900, 100)), gamma=1.0)
    assert LossOptions((1.0, 2.0)).resolved((900, 100)).class_weights == (1.0, 2.0)
    assert LossOptions().resolved((900, 100)).weights_for(2) == (1.0, 1.0)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"class_weights": (1.0, -1.0)}, "negative"),
        ({"class_weights": (0.0, 0.0)}, "above zero"),
        ({"class_weights": (1.0, math.nan)}, "infinite"),
        ({"class_weights": ()}, "above zero"),
        ({"class_weights": "balanced"}, "'balanced': pass \"auto\""),
        ({"label_smoothing": 1.0}, "label_smoothing"),
        ({"gamma": -1.0}, "gamma = -1"),
        ({"tversky_alpha": math.inf}, "tversky_alpha = inf"),
        ({"tversky_alpha": 0.0, "tversky_beta": 0.0}, "both 0"),
        ({"tversky_gamma": 0.0}, "tversky_gamma = 0"),
        ({"boundary_tolerance": -1}, "boundary_tolerance = -1"),
    ],
)
def test_options_that_cannot_be_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(BadOption, match=message):
        LossOptions(**fields)


def test_mixtures_are_checked_without_torch() -> None:
    assert loss_shares("dice") == {"dice": 1.0}
    with pytest.raises(UnknownName, match="did you mean 'lovasz'"):
        loss_shares({"ce": 1, "lovas": 1})
    for wrong in ({}, {"ce": 0}, {"ce": 1, "dice": -1}, {"ce": math.nan}, {"ce": math.inf}):
        with pytest.raises(BadOption, match="one above 0"):
            loss_shares(wrong)
