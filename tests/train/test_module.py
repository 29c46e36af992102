"""The network in training."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from terraseg.core.classes import Legend
from terraseg.core.dataset import Dataset
from terraseg.core.fingerprint import Fingerprint
from terraseg.core.modelspec import ModelSpec
from terraseg.core.plan import Plan
from terraseg.errors import BadOption, BandMismatch
from terraseg.nets.scoring import Scoring
from terraseg.train.module import build_module
from terraseg.train.optimizer import build_optimizer


def test_fresh_weights_depend_on_the_seed_alone_and_leave_the_generator_alone(
    easy: tuple[Dataset, Fingerprint], plan: Plan
) -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    one = build_module(*easy, plan).network.state_dict()
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(99)
    same = build_module(*easy, plan).network.state_dict()
    other = build_module(*easy, replace(plan, seed=plan.seed + 1)).network.state_dict()
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_validation_normalises_as_the_bundle_will(
    make: Any, dataset_from: Callable[..., Dataset], facts_from: Callable[..., Fingerprint], plan: Plan, dtype: str
) -> None:
    dataset = dataset_from(make.easy(), dtype=dtype)
    module = build_module(dataset, facts_from(dataset), plan)
    module.network.eval()
    raw = torch.randint(0, 255, (2, 3, 40, 40)).to(getattr(torch, dtype))
    if dtype == "float32":
        raw[0, 1, 5, 5] = float("nan")
    mean, std = (120.0,) * 3, (40.0,) * 3
    spec = ModelSpec(plan.network, dataset.legend, dataset.bands, dtype, mean, std, None, 64, 8, 4)
    with torch.no_grad():
        ours = torch.softmax(module.network(module.normalised(raw)), dim=1)
        assert torch.allclose(ours, Scoring(module.network, spec)(raw), atol=1e-5)


def test_a_batch_of_void_alone_gives_a_loss_of_zero(easy: tuple[Dataset, Fingerprint], plan: Plan) -> None:
    module = build_module(*easy, plan)
    raw = torch.randint(0, 255, (4, 3, 32, 32), dtype=torch.uint8)
    loss = module.put_gradients((raw, torch.full((4, 32, 32), 255, dtype=torch.uint8)))
    assert loss.item() == 0.0
    assert all(p.grad is None or not p.grad.any() for p in module.network.parameters())


def test_void_pixels_have_no_say_in_the_gradient(easy: tuple[Dataset, Fingerprint], plan: Plan) -> None:
    """The logits' gradient is zero exactly at void pixels."""
    module = build_module(*easy, replace(plan, augment=()))
    labels = torch.randint(0, 2, (4, 32, 32), dtype=torch.uint8)
    labels[:, :, 16:] = 255
    logits = torch.randn(4, 2, 32, 32, requires_grad=True)
    (gradient,) = torch.autograd.grad(module.recipe.loss(logits, labels), logits)
    assert torch.equal(gradient.abs().sum(1) > 0, labels != 255)


def test_the_gradient_is_clipped_where_the_plan_says_so(easy: tuple[Dataset, Fingerprint], plan: Plan) -> None:
    for clip, bounded in ((1e-3, True), (0.0, False)):
        module = build_module(*easy, replace(plan, gradient_clip=clip))
        raw = torch.randint(0, 255, (4, 3, 32, 32), dtype=torch.uint8)
        module.put_gradients((raw, raw[:, 0] % 2))
        module.step_with(build_optimizer(module.network, module.recipe.plan))
        norm = torch.cat([p.grad.flatten() for p in module.network.parameters() if p.grad is not None]).norm()
        assert (norm.item() <= 1.01e-3) is bounded


def test_a_fingerprint_of_other_bands_and_a_legend_of_one_class_are_refused(
    easy: tuple[Dataset, Fingerprint], plan: Plan
) -> None:
    dataset, facts = easy
    with pytest.raises(BandMismatch, match="take the fingerprint again"):
        build_module(replace(dataset, bands=("nir", "red", "green")), facts, plan)
    with pytest.raises(BadOption, match="1 classes"):
        build_module(replace(dataset, legend=Legend(dataset.legend.classes[:1])), facts, plan)
