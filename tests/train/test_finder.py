"""The learning-rate range test: its curve, its suggestions, and what it leaves alone."""

from collections.abc import Callable
from dataclasses import replace
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from terraseg.core.dataset import Dataset
from terraseg.core.fingerprint import Fingerprint
from terraseg.core.plan import Plan
from terraseg.errors import BadOption, EmptyDataset, TrainingFailed
from terraseg.store.cache import training_scenes
from terraseg.store.rundir import RunFolder
from terraseg.train import finder
from terraseg.train.finder import Smoothed, curve_of, find_learning_rate, longest_fall, steepest, valley
from terraseg.train.loop import make_batches, train_model
from terraseg.train.module import build_module, means
from terraseg.train.quiet import threads
from terraseg.train.watch import TrainEvent

Easy = tuple[Dataset, Fingerprint]


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "run")


def test_the_rates_rise_by_one_factor_from_the_lowest_to_where_it_diverges(
    easy: Easy, plan: Plan, run: RunFolder
) -> None:
    curve = find_learning_rate(*easy, plan, run)
    factors = np.array(curve.rates[1:]) / np.array(curve.rates[:-1])
    assert curve.rates[0] == pytest.approx(1e-7)
    np.testing.assert_allclose(factors, 1e8 ** (1 / 99), rtol=1e-9)
    assert curve.losses[-1] > finder.DIVERGED * min(curve.losses) or len(curve.rates) == 100
    assert max(curve.losses[:-1]) <= finder.DIVERGED * max(curve.losses[0], 1.0)


def test_the_first_loss_is_that_of_the_fresh_weights_on_the_first_batch(easy: Easy, plan: Plan, run: RunFolder) -> None:
    curve = find_learning_rate(*easy, plan, run, steps=10)
    module = build_module(*easy, plan)
    with training_scenes(easy[0], run.cache, cache_gb=1, fill=means(easy[1])) as scenes:
        loss = module.put_gradients(make_batches(scenes, easy[0], module).batch(0))
    assert curve.losses[0] == pytest.approx(float(loss), rel=1e-5)


def test_the_same_call_gives_the_same_curve_and_another_seed_another(easy: Easy, plan: Plan, run: RunFolder) -> None:
    first = find_learning_rate(*easy, plan, run, steps=12)
    assert find_learning_rate(*easy, plan, run, steps=12) == first
    assert find_learning_rate(*easy, replace(plan, seed=plan.seed + 1), run, steps=12).losses != first.losses


def test_it_touches_neither_generators_nor_threads_nor_a_training(easy: Easy, plan: Plan, run: RunFolder) -> None:
    torch.manual_seed(5)
    state = torch.get_rng_state()
    with threads(2):
        find_learning_rate(*easy, replace(plan, threads=1), run, steps=10)
        assert torch.get_num_threads() == 2
    assert torch.equal(torch.get_rng_state(), state)
    assert [path.name for path in run.root.iterdir()] == ["cache"]


def test_training_at_the_suggested_rate_learns_the_task(easy: Easy, plan: Plan, run: RunFolder) -> None:
    rate = find_learning_rate(*easy, plan, run).suggestion_valley
    trained = train_model(*easy, replace(plan, learning_rate=rate, steps=40), run)
    hits = _share_right(trained.network, *easy)
    assert hits > 0.95


def _share_right(network: torch.nn.Module, dataset: Dataset, facts: Fingerprint) -> float:
    window = dataset.scenes[0].validation[0]
    with training_scenes(
        dataset, Path(dataset.scenes[0].imagery.paths[0]).parent / "c", cache_gb=1, fill=means(facts)
    ) as scenes:
        pixels, labels = scenes[0].read(window)
    images = (torch.from_numpy(pixels.astype("float32"))[None] - facts.bands[0].mean) / facts.bands[0].std
    with torch.inference_mode():
        mapped = network(images).argmax(dim=1)[0].numpy()
    return float((mapped == labels).mean())


def test_whoever_watches_hears_each_step_with_its_rate(easy: Easy, plan: Plan, run: RunFolder) -> None:
    events: list[TrainEvent] = []
    curve = find_learning_rate(*easy, plan, run, steps=15, progress=events.append)
    assert [event.step for event in events] == list(range(1, len(curve.rates) + 1))
    assert tuple(event.lr for event in events) == curve.rates
    assert tuple(event.loss for event in events) == curve.losses
    assert all(0 < event.fraction <= 1 and event.samples_per_s > 0 for event in events)


def test_a_test_of_too_few_steps_is_refused(easy: Easy, plan: Plan, run: RunFolder) -> None:
    with pytest.raises(BadOption, match="at least 10"):
        find_learning_rate(*easy, plan, run, steps=9)
    assert not run.root.exists()


def test_nothing_to_train_on_is_said(easy: Easy, plan: Plan, run: RunFolder) -> None:
    dataset, facts = easy
    bare = replace(dataset, scenes=tuple(replace(scene, train=()) for scene in dataset.scenes))
    with pytest.raises(EmptyDataset, match="training window"):
        find_learning_rate(bare, facts, plan, run)


def test_a_first_loss_that_is_no_number_is_said(
    easy: Easy, plan: Plan, run: RunFolder, facts_from: Callable[..., Fingerprint]
) -> None:
    with pytest.raises(TrainingFailed, match="first step is not finite"):
        find_learning_rate(easy[0], facts_from(easy[0], std=1e-38), replace(plan, augment=()), run)


def test_a_divergence_ends_the_sweep_and_a_loss_that_is_no_number_is_left_out(
    easy: Easy, plan: Plan, run: RunFolder
) -> None:
    calm = replace(plan, network_options={**plan.network_options, "batch_norm": False})
    module = build_module(*easy, calm)
    with training_scenes(easy[0], run.cache, cache_gb=1, fill=means(easy[1])) as scenes:
        batches = make_batches(scenes, easy[0], module)
        losses = finder.swept_losses(module, batches, [1e-3, 1e4, 1e11, 1e18, 1e25, 1e32])
    assert 1 <= len(losses) < 6
    assert np.isfinite(losses).all()


def test_the_gradient_is_clipped_as_in_training(easy: Easy, plan: Plan, run: RunFolder, monkeypatch: Any) -> None:
    norms: list[float] = []

    def clip(parameters: Any, most: float) -> None:
        norms.append(most)

    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", clip)
    find_learning_rate(*easy, replace(plan, gradient_clip=0.5), run, steps=10)
    assert set(norms) == {0.5}


def bell(center: float, *, noise: float = 0.0, seed: int = 0) -> tuple[list[float], list[float]]:
    """A level start, a fall around `center`, and a rise two decades above it."""
    rates = np.geomspace(1e-7, 10, 100)
    place = np.log10(rates / center)
    losses = 0.2 + 1 / (1 + np.exp(3 * place)) + np.exp(4 * (place - 2))
    shaken = losses + noise * np.random.default_rng(seed).normal(size=100)
    kept = int(np.argmax(losses > 4 * np.minimum.accumulate(losses))) or 99
    return rates[: kept + 1].tolist(), shaken[: kept + 1].tolist()


@given(st.floats(-5, -2), st.floats(0, 0.003), st.integers(0, 50))
def test_both_suggestions_lie_in_the_fall_wherever_it_is(power: float, noise: float, seed: int) -> None:
    curve = curve_of(*bell(10**power, noise=noise, seed=seed))
    assert 10 ** (power - 0.6) <= curve.suggestion_steepest <= 10 ** (power + 0.6)
    assert 10 ** (power - 0.9) <= curve.suggestion_valley <= 10 ** (power + 1.2)


def test_a_loss_that_only_rises_is_said() -> None:
    with pytest.raises(TrainingFailed, match="falls at no learning rate from 1e-07 to 1e-05"):
        curve_of([1e-7, 1e-6, 1e-5], [0.5, 0.6, 0.7])


@given(st.lists(st.integers(0, 8).map(float), min_size=1, max_size=9))
def test_the_longest_fall_is_as_long_as_the_longest_of_all_subsequences(losses: list[float]) -> None:
    fall = longest_fall(losses)
    chosen = [losses[place] for place in fall]
    assert fall == sorted(set(fall))
    assert all(a > b for a, b in pairwise(chosen))
    falling = (
        size
        for size in range(1, len(losses) + 1)
        for part in combinations(losses, size)
        if all(a > b for a, b in pairwise(part))
    )
    assert len(fall) == max(falling)


@given(st.lists(st.floats(0.1, 10), min_size=2, max_size=12))
def test_suggestions_stay_before_the_lowest_loss_and_on_the_curve(losses: list[float]) -> None:
    rates = np.geomspace(1e-7, 10, len(losses)).tolist()
    lowest = int(np.argmin(losses))
    assert steepest(rates, losses) <= max(0, lowest - 1)
    assert 0 <= valley(losses) < len(losses)


@given(st.lists(st.floats(0, 5), min_size=1, max_size=30), st.floats(0.5, 0.98))
def test_the_smoothed_loss_is_the_weighted_mean_of_all_so_far(values: list[float], keep: float) -> None:
    average = Smoothed(keep)
    smoothed = [average.add(value) for value in values]
    weights = keep ** np.arange(len(values))[::-1]
    assert smoothed[-1] == pytest.approx(np.average(values, weights=weights), rel=1e-6, abs=1e-9)
