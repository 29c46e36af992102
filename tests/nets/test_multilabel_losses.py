"""Losses of overlapping classes: bit masks, numpy oracles, void, and the likeness to losses of one class."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from terraseg.errors import BadOption, UnknownClass, UnknownName
from terraseg.nets.loss_options import LossOptions
from terraseg.nets.losses import Loss, build_loss
from terraseg.nets.multilabel_losses import CAPACITY, MULTILABEL_LOSSES, build_multilabel_loss, read_masks
from terraseg.nets.region_losses import ERROR_BINS, REGION_LOSSES
from tests.nets.loss_oracles import region_oracle

CLASSES = 3
OPTIONS = (LossOptions(), LossOptions((1.0, 2.0, 0.0), 0.1, 1.0, 0.7, 0.2, 4 / 3, 1))


def make_batch(seed: int, bits: int = 2**CLASSES - 1, void: float = 0.2) -> tuple[Tensor, Tensor]:
    """Logits and bit masks of two patches; only the classes in `bits` occur."""
    generator = np.random.default_rng(seed)
    logits = torch.tensor(2 * generator.normal(size=(2, CLASSES, 6, 8)), dtype=torch.float32)
    masks = generator.integers(0, 2**CLASSES, (2, 3, 4)).repeat(2, 1).repeat(2, 2) & bits
    masks[generator.random(masks.shape) < void] = 255
    return logits, torch.tensor(masks, dtype=torch.uint8)


def unpacked(masks: Tensor, classes: int = CLASSES) -> Tensor:
    """The truth (n, classes, h, w), false where void, bit by bit."""
    values = masks.numpy().astype(np.int64)
    known = values != 255
    return torch.tensor(np.stack([((values // 2**k) % 2 == 1) & known for k in range(classes)], 1))


def gradient(loss: Loss, logits: Tensor, masks: Tensor) -> Tensor:
    free = logits.detach().clone().requires_grad_()
    return torch.autograd.grad(loss(free, masks), free)[0]


def oracle(name: str, logits: Tensor, masks: Tensor, options: LossOptions) -> float:
    p = 1 / (1 + np.exp(-logits.double().numpy()))
    truth, known = unpacked(masks).numpy(), masks.numpy() != 255
    if name in REGION_LOSSES or name == "boundary":
        return region_oracle(name, p, truth, known, options)
    terms = []
    for k in range(CLASSES):
        share, inside = p[:, k][known], truth[:, k][known]
        right = np.where(inside, share, 1 - share)
        if name == "focal":
            terms.append(np.mean((1 - right) ** options.gamma * -np.log(right)))
        else:
            target = np.where(inside, 1 - options.label_smoothing / 2, options.label_smoothing / 2)
            terms.append(np.mean(-target * np.log(share) - (1 - target) * np.log(1 - share)))
    return float(np.average(terms, weights=options.weights_for(CLASSES)))


@pytest.mark.parametrize("name", MULTILABEL_LOSSES)
@given(seed=st.integers(0, 10_000), options=st.sampled_from(OPTIONS), bits=st.integers(0, 2**CLASSES - 1))
@settings(max_examples=25, deadline=None)
def test_losses_equal_the_oracle(name: str, seed: int, options: LossOptions, bits: int) -> None:
    logits, masks = make_batch(seed, bits)
    rounding = 0.5 / (ERROR_BINS - 1) if name == "lovasz" else 0
    found = float(build_multilabel_loss(name, options)(logits, masks))
    assert found == pytest.approx(oracle(name, logits, masks, options), rel=1e-4, abs=1e-5 + rounding)


@given(data=st.data(), kind=st.sampled_from(list(CAPACITY)))
@settings(deadline=None)
def test_masks_are_read_bit_by_bit(data: st.DataObject, kind: torch.dtype) -> None:
    classes = data.draw(st.integers(1, CAPACITY[kind]))
    sets = data.draw(st.lists(st.none() | st.sets(st.integers(0, classes - 1)), min_size=1, max_size=6))
    void = 255 if kind == torch.uint8 else -1
    masks = torch.tensor([[[void if s is None else sum(1 << k for k in s) for s in sets]]], dtype=kind)
    truth, known = read_masks(masks, classes)
    assert known[0, 0, 0].tolist() == [s is not None for s in sets]
    assert truth[0, :, 0].T.tolist() == [[s is not None and k in s for k in range(classes)] for s in sets]


@pytest.mark.parametrize("name", MULTILABEL_LOSSES)
@pytest.mark.parametrize("options", OPTIONS)
def test_gradients_are_those_of_the_loss(name: str, options: LossOptions) -> None:
    logits, masks = make_batch(12)
    z, y = logits[:1, :, :4, :5].double().requires_grad_(), masks[:1, :4, :5]
    loss = build_multilabel_loss(name, options)
    assert torch.autograd.gradcheck(lambda x: loss(x, y), (z,), atol=1e-4)


@pytest.mark.parametrize("name", MULTILABEL_LOSSES)
def test_void_has_no_say(name: str) -> None:
    logits, masks = make_batch(1)
    loss = build_multilabel_loss(name, OPTIONS[1])
    void = (masks == 255)[:, None].expand_as(logits)
    other = torch.where(void, 1e4, logits)
    assert float(loss(other, masks)) == float(loss(logits, masks))
    assert float(gradient(loss, other, masks)[void].abs().max()) == 0
    nothing = torch.full_like(masks, 255)
    assert float(loss(logits, nothing)) == 0
    assert float(gradient(loss, logits, nothing).abs().max()) == 0


@pytest.mark.parametrize("name", MULTILABEL_LOSSES)
@pytest.mark.parametrize("bits", [0b111, 0b010])
def test_a_perfect_answer_costs_nothing_and_its_opposite_much(name: str, bits: int) -> None:
    _, masks = make_batch(2, bits)
    answer = 100.0 * (2 * unpacked(masks).float() - 1)
    loss = build_multilabel_loss(name)
    assert float(loss(answer, masks)) == pytest.approx(0, abs=1e-6)
    if name != "boundary":
        assert float(loss(-answer, masks)) > 0.9


@pytest.mark.parametrize("name", [*REGION_LOSSES, "focal", "bce", "boundary"])
def test_one_class_is_the_second_of_two(name: str) -> None:
    """With one bit, a pixel without it is what the first of two classes is to the losses of one class a pixel."""
    logits, masks = make_batch(3, bits=1)
    one = logits[:, :1]
    exclusive = build_loss(
        "ce" if name == "bce" else name, LossOptions(None if name in ("bce", "focal") else (0.0, 1.0))
    )
    assert float(build_multilabel_loss(name)(one, masks)) == pytest.approx(float(exclusive(one, masks)), rel=1e-4)


@pytest.mark.parametrize("name", MULTILABEL_LOSSES)
def test_gradients_stay_finite_at_certainty(name: str) -> None:
    logits, masks = make_batch(4)
    loss = build_multilabel_loss(name, OPTIONS[1])
    for extreme in (
        1e4 * logits.sign(),
        1e4 * (2 * unpacked(masks).float() - 1),
        1e4 * (1 - 2 * unpacked(masks).float()),
    ):
        assert math.isfinite(float(loss(extreme, masks)))
        assert bool(torch.isfinite(gradient(loss, extreme, masks)).all())


@pytest.mark.parametrize("name", MULTILABEL_LOSSES)
def test_layout_mask_type_and_autocast_do_not_matter(name: str) -> None:
    logits, masks = make_batch(5)
    half = logits.bfloat16()
    wide = torch.where(masks == 255, -1, masks.int()).to(torch.int32)
    loss = build_multilabel_loss(name)
    expected = loss(half.float(), masks)
    with torch.autocast("cpu", torch.bfloat16):
        assert float(loss(half.contiguous(memory_format=torch.channels_last), wide)) == float(expected)
    assert expected.dtype == torch.float32


def test_a_mixture_is_the_weighted_sum() -> None:
    logits, masks = make_batch(6)
    parts = {"bce": 1.0, "dice": 0.5}
    expected = sum(share * float(build_multilabel_loss(name)(logits, masks)) for name, share in parts.items())
    assert float(build_multilabel_loss(parts)(logits, masks)) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("values", [[8], [1, 128], [254]])
def test_a_bit_beyond_the_classes_is_named(values: Sequence[int]) -> None:
    masks = torch.tensor([[values]], dtype=torch.uint8)
    with pytest.raises(UnknownClass, match=f"bit mask {values[-1]}, and the network has 3 classes"):
        read_masks(masks, CLASSES)


def test_void_of_uint8_is_none_of_int32() -> None:
    with pytest.raises(UnknownClass, match="void has all bits set"):
        read_masks(torch.tensor([[[255]]], dtype=torch.int32), 7)


def test_what_cannot_be_is_refused() -> None:
    logits, masks = make_batch(0)
    with pytest.raises(UnknownName, match="did you mean 'bce'"):
        build_multilabel_loss("ce")
    with pytest.raises(BadOption, match=r"torch\.uint8 cannot hold the bits of 8 classes.*int16 15"):
        read_masks(masks, 8)
    with pytest.raises(BadOption, match=r"torch\.float32 cannot hold"):
        build_multilabel_loss("bce")(logits, masks.float())
    with pytest.raises(BadOption, match="not yet numbers"):
        build_multilabel_loss("bce", LossOptions("auto"))
    with pytest.raises(ValueError, match="labels of shape"):
        build_multilabel_loss("bce")(logits, masks[:1])
