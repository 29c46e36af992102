"""Losses of one class a pixel: numpy oracles, void, absent classes, extremes, single logits, memory layouts."""

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from terraseg.errors import BadOption, UnknownClass, UnknownName
from terraseg.nets.loss_options import LossOptions
from terraseg.nets.losses import LOSSES, Loss, build_loss, check_labels
from terraseg.nets.region_losses import ERROR_BINS
from tests.nets.loss_oracles import region_oracle

CLASSES = 4
OPTIONS = (
    LossOptions(),
    LossOptions((1.0, 2.0, 0.5, 3.0), 0.1, 1.0, 0.7, 0.2, 4 / 3, 1),
    LossOptions((0.0, 2.0, 0.5, 1.0), 0.3, 0.5, 1.0, 1.0, 2.0, 3),
)


def make_batch(seed: int, present: Sequence[int] = range(CLASSES), void: float = 0.2) -> tuple[Tensor, Tensor]:
    """Logits and labels of two patches, the labels in blobs of 2 x 2 pixels, of the classes that are present."""
    generator = np.random.default_rng(seed)
    logits = torch.tensor(2 * generator.normal(size=(2, CLASSES, 6, 8)), dtype=torch.float32)
    labels = generator.choice(np.array(present), (2, 3, 4)).repeat(2, 1).repeat(2, 2)
    labels[generator.random(labels.shape) < void] = 255
    return logits, torch.tensor(labels)


def certain(labels: Tensor, classes: int = CLASSES, scale: float = 60.0) -> Tensor:
    """Logits that give each pixel its class, and void pixels the first."""
    known = torch.where(labels == 255, 0, labels)
    return scale * torch.nn.functional.one_hot(known, classes).movedim(-1, 1).float()


def gradient(loss: Loss, logits: Tensor, labels: Tensor) -> Tensor:
    free = logits.detach().clone().requires_grad_()
    return torch.autograd.grad(loss(free, labels), free)[0]


def oracle(name: str, logits: Tensor, labels: Tensor, options: LossOptions) -> float:
    z = logits.double().numpy()
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    truth, known = labels.numpy(), labels.numpy() != 255
    if name not in ("ce", "focal"):
        inside = truth[:, None] == np.arange(p.shape[1])[:, None, None]
        return region_oracle(name, p, inside, known, options)
    w = np.array(options.weights_for(p.shape[1]))
    return pixel_oracle(name, p.transpose(0, 2, 3, 1)[known], truth[known], w, options)


def pixel_oracle(
    name: str, pixels: NDArray[np.float64], truth: NDArray[np.int64], w: NDArray[np.float64], options: LossOptions
) -> float:
    right = pixels[np.arange(len(truth)), truth]
    total = w[truth].sum() or 1.0
    if name == "focal":
        return float(((1 - right) ** options.gamma * -np.log(right) * w[truth]).sum() / total)
    smooth = options.label_smoothing
    uniform = (-np.log(pixels) * w).sum(1) / pixels.shape[1]
    return float(((1 - smooth) * -np.log(right) * w[truth] + smooth * uniform).sum() / total)


@pytest.mark.parametrize("name", LOSSES)
@given(
    seed=st.integers(0, 10_000),
    options=st.sampled_from(OPTIONS),
    present=st.sets(st.integers(0, CLASSES - 1), min_size=1).map(sorted),
)
@settings(max_examples=25, deadline=None)
def test_losses_equal_the_oracle(name: str, seed: int, options: LossOptions, present: list[int]) -> None:
    logits, labels = make_batch(seed, present)
    rounding = 0.5 / (ERROR_BINS - 1) if name == "lovasz" else 0
    expected = oracle(name, logits, labels, options)
    assert float(build_loss(name, options)(logits, labels)) == pytest.approx(expected, rel=1e-4, abs=1e-5 + rounding)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_cross_entropy_is_that_of_torch(smoothing: float) -> None:
    logits, labels = make_batch(5)
    weights = (1.0, 2.0, 0.5, 3.0)
    theirs = torch.nn.CrossEntropyLoss(torch.tensor(weights), ignore_index=255, label_smoothing=smoothing)
    ours = build_loss("ce", LossOptions(weights, smoothing))
    torch.testing.assert_close(ours(logits, labels), theirs(logits, labels))
    torch.testing.assert_close(gradient(ours, logits, labels), gradient(theirs, logits, labels))


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("options", OPTIONS)
def test_gradients_are_those_of_the_loss(name: str, options: LossOptions) -> None:
    logits, labels = make_batch(11)
    z, y = logits[:1, :, :4, :5].double().requires_grad_(), labels[:1, :4, :5]
    loss = build_loss(name, options)
    assert loss(z, y).dtype == torch.float64
    assert torch.autograd.gradcheck(lambda x: loss(x, y), (z,), atol=1e-4)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("options", OPTIONS)
def test_all_void_gives_zero_with_gradients(name: str, options: LossOptions) -> None:
    logits, labels = make_batch(0)
    loss, void = build_loss(name, options), torch.full_like(labels, 255)
    assert float(loss(logits, void)) == 0
    assert float(gradient(loss, logits, void).abs().max()) == 0


@pytest.mark.parametrize("name", LOSSES)
@given(seed=st.integers(0, 1000), value=st.floats(-1e4, 1e4, width=32))
@settings(max_examples=10, deadline=None)
def test_void_pixels_change_nothing_and_learn_nothing(name: str, seed: int, value: float) -> None:
    logits, labels = make_batch(seed)
    void = (labels == 255)[:, None].expand_as(logits)
    other = torch.where(void & (torch.arange(CLASSES) < 2).view(-1, 1, 1), value, logits)
    loss = build_loss(name, OPTIONS[1])
    assert float(loss(other, labels)) == float(loss(logits, labels))
    assert float(gradient(loss, other, labels)[void].abs().max()) == 0


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("scale", [1.0, 6.0])
def test_a_margin_of_void_changes_neither_loss_nor_gradient(name: str, scale: float) -> None:
    logits, labels = make_batch(13)
    inner, loss = scale * logits, build_loss(name)
    outer = torch.nn.functional.pad(inner, (9, 9, 9, 9), value=3.0)
    around = torch.nn.functional.pad(labels, (9, 9, 9, 9), value=255)
    torch.testing.assert_close(loss(outer, around), loss(inner, labels))
    found, expected = gradient(loss, outer, around)[..., 9:-9, 9:-9], gradient(loss, inner, labels)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("present", [[0, 1, 2, 3], [2], [1, 3]])
def test_a_perfect_answer_costs_nothing_whatever_classes_are_absent(name: str, present: list[int]) -> None:
    _, labels = make_batch(7, present)
    assert float(build_loss(name)(certain(labels), labels)) == pytest.approx(0, abs=1e-6)
    focal_tversky = LossOptions(tversky_gamma=4 / 3)
    assert float(build_loss(name, focal_tversky)(certain(labels), labels)) == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize("name", [name for name in LOSSES if name != "boundary"])
@given(seed=st.integers(0, 1000), scale=st.sampled_from([1.0, 5.0, 60.0]))
@settings(max_examples=10, deadline=None)
def test_more_errors_cost_more(name: str, seed: int, scale: float) -> None:
    _, labels = make_batch(seed)
    places = (labels != 255).nonzero()
    order = np.random.default_rng(seed).permutation(len(places))
    answer, costs = labels.clone(), []
    for few in np.array_split(order, 4):
        costs.append(float(build_loss(name)(certain(answer, scale=scale), labels)))
        n, row, col = places[few].T
        answer[n, row, col] = (answer[n, row, col] + 1) % CLASSES
    assert all(left < right for left, right in pairwise(costs))


def test_a_boundary_costs_more_the_farther_it_is_off() -> None:
    labels = torch.zeros(1, 24, 24, dtype=torch.long)
    labels[0, 8:16, 8:16] = 1
    loss = build_loss("boundary", LossOptions(boundary_tolerance=1))
    costs = [float(loss(certain(labels.roll(shift, 2), 2), labels)) for shift in range(5)]
    assert costs[0] == pytest.approx(0, abs=1e-6)
    assert costs[1] == pytest.approx(0, abs=0.1)
    assert costs[1:] == sorted(costs[1:])
    assert costs[4] > 0.2


def test_tolerance_decides_which_boundary_is_found() -> None:
    labels = torch.zeros(1, 20, 20, dtype=torch.long)
    labels[0, :, 10:] = 1
    answer = certain(labels.roll(3, 2), 2)
    answer[..., :10] = certain(labels, 2)[..., :10]
    costs = [float(build_loss("boundary", LossOptions(boundary_tolerance=t))(answer, labels)) for t in (2, 3)]
    assert costs == pytest.approx([1.0, 0.0], abs=1e-6)


def test_a_class_without_a_boundary_has_no_boundary_loss() -> None:
    logits, labels = make_batch(0, void=0)
    assert float(build_loss("boundary")(logits, torch.zeros_like(labels))) == 0


@given(seed=st.integers(0, 1000), share=st.floats(0, 1))
@settings(max_examples=25, deadline=None)
def test_lovasz_of_hard_answers_is_their_jaccard_loss(seed: int, share: float) -> None:
    _, labels = make_batch(seed)
    generator = np.random.default_rng(seed)
    other = torch.tensor(generator.integers(0, CLASSES, tuple(labels.shape)))
    answer = certain(torch.where(torch.tensor(generator.random(tuple(labels.shape)) < share), other, labels), scale=200)
    hard = float(build_loss("lovasz")(answer, labels))
    assert hard == pytest.approx(float(build_loss("jaccard")(answer, labels)), abs=1e-6)


def test_lovasz_of_equal_errors_shares_the_gradient_alike() -> None:
    labels = torch.tensor([[[1, 1, 0, 0]]])
    slopes = gradient(build_loss("lovasz"), torch.zeros(1, 2, 1, 4), labels)[0, 1, 0]
    assert slopes[0] == slopes[1]
    assert slopes[2] == slopes[3]
    assert slopes[0] < 0 < slopes[2]


def test_tversky_holds_dice_and_jaccard() -> None:
    logits, labels = make_batch(8)
    for name, price in (("dice", 0.5), ("jaccard", 1.0)):
        like = build_loss("tversky", LossOptions(tversky_alpha=price, tversky_beta=price))
        assert float(like(logits, labels)) == pytest.approx(float(build_loss(name)(logits, labels)), rel=1e-5)


def test_tversky_with_more_beta_asks_for_more() -> None:
    labels = torch.zeros(1, 8, 8, dtype=torch.long)
    labels[0, 2:5, 2:5] = 1
    wide, narrow = torch.zeros_like(labels), torch.zeros_like(labels)
    wide[0, 1:6, 1:6], narrow[0, 3, 3] = 1, 1
    loss = build_loss("tversky", LossOptions((0.0, 1.0), tversky_alpha=0.1, tversky_beta=0.9))
    assert float(loss(certain(wide, 2), labels)) < float(loss(certain(narrow, 2), labels))


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("scale", [1e2, 1e4])
def test_gradients_stay_finite_at_certainty(name: str, gamma: float, scale: float) -> None:
    logits, labels = make_batch(9)
    loss = build_loss(name, LossOptions(gamma=gamma, tversky_gamma=2.0, label_smoothing=0.1))
    for extreme in (scale * logits.sign(), certain(labels, scale=scale), -certain(labels, scale=scale)):
        assert math.isfinite(float(loss(extreme, labels)))
        assert bool(torch.isfinite(gradient(loss, extreme, labels)).all())


@pytest.mark.parametrize("name", LOSSES)
def test_a_diverged_network_gives_nan_and_no_crash(name: str) -> None:
    logits, labels = make_batch(3)
    assert math.isnan(float(build_loss(name)(torch.full_like(logits, torch.nan), labels)))


@pytest.mark.parametrize("name", LOSSES)
@given(seed=st.integers(0, 1000), order=st.permutations(range(CLASSES)))
@settings(max_examples=10, deadline=None)
def test_the_order_of_the_classes_does_not_matter(name: str, seed: int, order: list[int]) -> None:
    logits, labels = make_batch(seed)
    weights = (1.0, 2.0, 0.5, 3.0)
    place = torch.tensor([*(order.index(k) for k in range(CLASSES)), *range(CLASSES, 256)])
    moved = build_loss(name, LossOptions(tuple(weights[k] for k in order), 0.1))(logits[:, order], place[labels])
    assert float(moved) == pytest.approx(float(build_loss(name, LossOptions(weights, 0.1))(logits, labels)), rel=1e-4)


@pytest.mark.parametrize("name", LOSSES)
def test_a_class_that_is_absent_and_not_predicted_changes_nothing(name: str) -> None:
    logits, labels = make_batch(4)
    wider = torch.cat([logits, torch.full_like(logits[:, :1], -1e4)], 1)
    narrow, wide = (build_loss(name, LossOptions((1.0, 2.0, 0.5, 3.0, 9.0)[:k])) for k in (4, 5))
    assert float(wide(wider, labels)) == pytest.approx(float(narrow(logits, labels)), rel=1e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_one_logit_is_the_second_of_two_classes(name: str) -> None:
    logits, labels = make_batch(2, present=(0, 1))
    single = logits[:, 1:2] - logits[:, :1]
    loss = build_loss(name, LossOptions((1.0, 3.0)))
    assert float(loss(single, labels.to(torch.uint8))) == pytest.approx(float(loss(logits[:, :2], labels)), rel=1e-4)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("kind", [torch.uint8, torch.int16, torch.int32, torch.int64])
def test_memory_layout_and_label_type_do_not_matter(name: str, kind: torch.dtype) -> None:
    logits, labels = make_batch(6)
    loss = build_loss(name)
    last = logits.contiguous(memory_format=torch.channels_last)
    assert float(loss(last, labels.to(kind))) == float(loss(logits, labels))
    assert torch.equal(gradient(loss, last, labels.to(kind)), gradient(loss, logits, labels))


@pytest.mark.parametrize("name", LOSSES)
def test_bfloat16_logits_are_summed_in_float32(name: str) -> None:
    logits, labels = make_batch(4)
    half = logits.bfloat16()
    loss = build_loss(name)
    with torch.autocast("cpu", torch.bfloat16):
        under = loss(half, labels)
    assert under.dtype == torch.float32
    assert float(under) == float(loss(half.float(), labels))
    assert gradient(loss, half, labels).dtype == torch.bfloat16


@pytest.mark.parametrize("name", LOSSES)
def test_patches_of_a_single_pixel_work(name: str) -> None:
    assert math.isfinite(float(build_loss(name)(torch.zeros(1, 3, 1, 1), torch.tensor([[[1]]]))))


def test_a_mixture_is_the_weighted_sum() -> None:
    logits, labels = make_batch(3)
    parts = {"ce": 1.0, "dice": 0.5, "lovasz": 2.0, "focal": 0.0}
    expected = sum(share * float(build_loss(name)(logits, labels)) for name, share in parts.items())
    assert float(build_loss(parts)(logits, labels)) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("wrong", [4, 254, -1, 300])
def test_a_label_beyond_the_classes_is_named(name: str, wrong: int) -> None:
    logits, labels = make_batch(1)
    labels[1, 2, 3] = wrong
    with pytest.raises(UnknownClass, match=f"class index {wrong}, and the network tells 4 classes"):
        build_loss(name)(logits, labels)


def test_labels_are_checked_by_themselves() -> None:
    check_labels(torch.tensor([0, 1, 255], dtype=torch.uint8), 2)
    check_labels(torch.tensor([], dtype=torch.int64), 2)
    with pytest.raises(UnknownClass, match="class index 2"):
        check_labels(torch.tensor([0, 2, 255], dtype=torch.uint8), 2)


def test_what_cannot_be_a_loss_is_refused() -> None:
    logits, labels = make_batch(0)
    with pytest.raises(UnknownName, match="did you mean 'dice'"):
        build_loss("dise")
    with pytest.raises(BadOption, match="above 0"):
        build_loss({"ce": 0})
    with pytest.raises(BadOption, match="not yet numbers"):
        build_loss("ce", LossOptions("auto"))
    for name in LOSSES:
        with pytest.raises(BadOption, match="2 class weights for 4 classes"):
            build_loss(name, LossOptions((1.0, 1.0)))(logits, labels)
    with pytest.raises(ValueError, match=r"labels of shape \(2, 3, 8\)"):
        build_loss("ce")(logits, labels[:, :3])
