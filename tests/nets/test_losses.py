"""Losses against numpy oracles, with void pixels, absent classes and single logits."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from terraseg.errors import BadOption, UnknownName
from terraseg.nets.losses import LOSSES, LossOptions, build_loss


def make_batch(seed: int, classes: int = 4, void: float = 0.3) -> tuple[Tensor, Tensor]:
    generator = np.random.default_rng(seed)
    logits = torch.tensor(generator.normal(size=(2, classes, 5, 7)), dtype=torch.float32)
    labels = generator.integers(0, classes, (2, 5, 7))
    labels[generator.random(labels.shape) < void] = 255
    return logits, torch.tensor(labels)


def oracle(name: str, logits: Tensor, labels: Tensor, options: LossOptions) -> float:
    """The same losses, pixel by pixel and class by class in float64."""
    z = logits.double().numpy()
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    classes = z.shape[1]
    w = np.ones(classes) if options.class_weights is None else np.array(options.class_weights)
    known = labels.numpy() != 255
    pixels = p.transpose(0, 2, 3, 1)[known]
    truth = labels.numpy()[known]
    if name in ("ce", "focal"):
        return pixel_oracle(name, pixels, truth, w, options)
    terms, weights = [], []
    for k in range(classes):
        inside, predicted = truth == k, pixels[:, k]
        if not inside.any():
            continue
        both = predicted[inside].sum()
        union = predicted.sum() + inside.sum()
        terms.append(1 - (2 * both / union if name == "dice" else both / (union - both)))
        weights.append(w[k])
    return float(np.average(terms, weights=weights))


def pixel_oracle(
    name: str, pixels: NDArray[np.float64], truth: NDArray[np.int64], w: NDArray[np.float64], options: LossOptions
) -> float:
    right = pixels[np.arange(len(truth)), truth]
    if name == "focal":
        return float(((1 - right) ** options.gamma * -np.log(right) * w[truth]).sum() / w[truth].sum())
    smooth = options.label_smoothing
    uniform = (-np.log(pixels) * w).sum(1) / pixels.shape[1]
    return float(((1 - smooth) * -np.log(right) * w[truth] + smooth * uniform).sum() / w[truth].sum())


@pytest.mark.parametrize("name", LOSSES)
@given(seed=st.integers(0, 10_000), weighted=st.booleans(), smooth=st.sampled_from([0.0, 0.1]))
@settings(max_examples=20, deadline=None)
def test_losses_equal_the_oracle(name: str, seed: int, weighted: bool, smooth: float) -> None:
    logits, labels = make_batch(seed)
    options = LossOptions((1.0, 2.0, 0.5, 3.0) if weighted else None, smooth)
    assert float(build_loss(name, options)(logits, labels)) == pytest.approx(
        oracle(name, logits, labels, options), rel=1e-4
    )


@pytest.mark.parametrize("name", LOSSES)
def test_all_void_gives_zero_with_gradients(name: str) -> None:
    logits, labels = make_batch(0)
    logits.requires_grad_()
    loss = build_loss(name)(logits, torch.full_like(labels, 255))
    loss.backward()  # type: ignore[no-untyped-call]  # torch's method has no types
    assert float(loss.detach()) == 0
    assert logits.grad is not None
    assert float(logits.grad.abs().max()) == 0


@pytest.mark.parametrize("name", LOSSES)
def test_void_pixels_change_nothing(name: str) -> None:
    logits, labels = make_batch(1)
    other = torch.where(labels[:, None] == 255, 50.0, logits)
    loss = build_loss(name)
    assert float(loss(other, labels)) == pytest.approx(float(loss(logits, labels)), rel=1e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_absent_classes_cost_a_perfect_answer_nothing(name: str) -> None:
    labels = torch.zeros(1, 4, 4, dtype=torch.long)
    labels[0, 2:] = 2
    logits = 40 * (torch.nn.functional.one_hot(labels, 6).movedim(-1, 1).float() - 0.5)
    assert float(build_loss(name)(logits, labels)) == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_gradients_stay_finite_at_certainty(name: str, gamma: float) -> None:
    labels = torch.tensor([[[0, 1]], [[1, 0]]])
    logits = torch.tensor([[[[200.0, -200.0]], [[-200.0, 200.0]]]] * 2, requires_grad=True)
    build_loss(name, LossOptions(gamma=gamma))(logits, labels).backward()  # type: ignore[no-untyped-call]  # untyped
    assert logits.grad is not None
    assert bool(torch.isfinite(logits.grad).all())


@pytest.mark.parametrize("name", LOSSES)
def test_one_logit_is_the_second_of_two_classes(name: str) -> None:
    logits, labels = make_batch(2, classes=2)
    single = logits[:, 1:] - logits[:, :1]
    loss = build_loss(name)
    assert float(loss(single, labels.to(torch.uint8))) == pytest.approx(float(loss(logits, labels)), rel=1e-5)


def test_a_mixture_is_the_weighted_sum() -> None:
    logits, labels = make_batch(3)
    parts = {"ce": 1.0, "dice": 0.5}
    expected = sum(share * float(build_loss(name)(logits, labels)) for name, share in parts.items())
    assert float(build_loss(parts)(logits, labels)) == pytest.approx(expected, rel=1e-6)


def test_bfloat16_logits_are_summed_in_float32() -> None:
    logits, labels = make_batch(4)
    half = logits.bfloat16()
    assert build_loss("ce")(half, labels).dtype == torch.float32
    assert float(build_loss("ce")(half, labels)) == pytest.approx(float(build_loss("ce")(half.float(), labels)))


def test_what_cannot_be_a_loss_is_refused() -> None:
    with pytest.raises(UnknownName, match="did you mean 'dice'"):
        build_loss("dise")
    with pytest.raises(BadOption, match="above 0"):
        build_loss({"ce": 0})
    with pytest.raises(BadOption, match="negative"):
        LossOptions(class_weights=(1.0, -1.0))
    with pytest.raises(BadOption, match="label_smoothing"):
        LossOptions(label_smoothing=1.0)
    with pytest.raises(BadOption, match="2 class weights for 4 classes"):
        build_loss("ce", LossOptions(class_weights=(1.0, 1.0)))(*make_batch(0))
