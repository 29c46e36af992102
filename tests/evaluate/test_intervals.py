"""Intervals hold the truth as often as they say, and comparisons cry wolf as seldom as they say."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from terraseg.core.classes import PALETTE, LandClass, Legend
from terraseg.evaluate.intervals import Interval, differences, intervals_of, measures
from terraseg.evaluate.scores import score

Counts = NDArray[np.int64]


def legend_of(classes: int) -> Legend:
    return Legend(tuple(LandClass(k, f"class {k}", PALETTE[k]) for k in range(classes)))


@pytest.mark.parametrize("overlapping", [False, True])
@given(st.integers(0, 999), st.integers(0, 3))
def test_measures_are_those_of_scores(overlapping: bool, seed: int, most: int) -> None:
    random = np.random.default_rng(seed)
    counts = random.integers(0, most + 1, (3, 4 if overlapping else 3))
    if overlapping:
        counts[:, 0] += counts.sum(axis=1).max() - counts.sum(axis=1)
    wanted = score(counts, legend_of(3), overlapping=overlapping)
    want = [wanted.accuracy, wanted.mean_iou, *(c.iou for c in wanted.classes)]
    found = measures(counts, overlapping=overlapping)
    np.testing.assert_allclose(found, [np.nan if value is None else value for value in want])


def simulated(random: np.random.Generator, blocks: int, skill: float = 2.0) -> Counts:
    """Blocks of 200 pixels, alike within: each has its own mixture of two classes and its own difficulty."""
    share, right = random.beta(2, 3, blocks), random.beta(4 * skill, 4, blocks)
    roofs = random.binomial(200, share)
    hits, kept = random.binomial(roofs, right), random.binomial(200 - roofs, right)
    return np.stack([np.stack([kept, 200 - roofs - kept], -1), np.stack([roofs - hits, hits], -1)], axis=1)


@pytest.mark.parametrize("blocks", [25, 80])
def test_intervals_hold_the_truth_in_95_of_100_cases(blocks: int) -> None:
    """Counting pixels as if each were by itself covers it far less often."""
    random = np.random.default_rng(11)
    truth = measures(simulated(random, 400_000).sum(axis=0))
    tries, held, naive = 400, np.zeros(len(truth)), 0
    for _ in range(tries):
        counts = simulated(random, blocks)
        found = intervals_of(counts, side=10, resamples=400)
        assert found is not None
        every = [found.accuracy, found.mean_iou, *found.classes]
        held += [each is not None and each.low <= value <= each.high for each, value in zip(every, truth, strict=True)]
        accuracy, pixels = measures(counts.sum(axis=0))[0], counts.sum()
        naive += abs(accuracy - truth[0]) <= 1.96 * np.sqrt(accuracy * (1 - accuracy) / pixels)
    assert (held / tries >= 0.92).all()
    assert (held / tries <= 0.98).all()
    assert naive / tries < 0.6


def test_two_maps_of_one_skill_seldom_differ_and_a_better_one_does() -> None:
    random = np.random.default_rng(5)
    wolves, tries = 0, 200
    for _ in range(tries):
        one, two = simulated(random, 50), simulated(random, 50)
        wolves += differences(one, two, ("land", "roof"), resamples=300)[1].is_real
    assert wolves / tries <= 0.09
    better = differences(simulated(random, 50), simulated(random, 50, 6.0), ("land", "roof"), resamples=500)
    assert all(row.is_real and row.p_value is not None and row.p_value < 0.05 for row in better)
    assert all(row.gain is not None and row.gain > 0 for row in better)
    assert [row.name for row in better] == ["overall accuracy", "mean IoU", "IoU of land", "IoU of roof"]


def test_pairs_tell_what_two_intervals_cannot() -> None:
    """A small gain everywhere is sure, though the places differ far more than the maps do."""
    one = simulated(np.random.default_rng(8), 60)
    two = one.copy()
    mended = np.minimum(one[:, 0, 1], 3)
    two[:, 0, 1] -= mended
    two[:, 0, 0] += mended
    row = differences(one, two, ("land", "roof"), resamples=500)[0]
    assert row.is_real
    alone = [intervals_of(each, side=10, resamples=500) for each in (one, two)]
    assert alone[0] is not None
    assert alone[1] is not None
    assert alone[0].accuracy is not None
    assert alone[1].accuracy is not None
    assert alone[0].accuracy.high > alone[1].accuracy.low


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 99))
def test_the_difference_turns_round_with_the_maps(seed: int) -> None:
    random = np.random.default_rng(seed)
    one, two = simulated(random, 20), simulated(random, 20, 3.0)
    forth, back = (differences(*pair, ("a", "b"), resamples=100)[0] for pair in ((one, two), (two, one)))
    assert forth.gain == pytest.approx(-(back.gain or 0))
    assert forth.interval is not None
    assert back.interval is not None
    assert (forth.interval.low, forth.interval.high) == pytest.approx((-back.interval.high, -back.interval.low))
    assert forth.p_value == back.p_value


def test_too_little_ground_says_so() -> None:
    few = simulated(np.random.default_rng(0), 7)
    assert intervals_of(few, side=10, resamples=100) is None
    assert intervals_of(np.repeat(few, 3, axis=0), side=10, resamples=0) is None
    row = differences(few, few, ("a", "b"), resamples=100)[0]
    assert (row.gain, row.interval, row.p_value, row.is_real) == (0, None, None, False)


def test_equal_maps_do_not_differ() -> None:
    counts = simulated(np.random.default_rng(0), 30)
    row = differences(counts, counts, ("a", "b"), resamples=100)[1]
    assert (row.gain, row.interval, row.is_real, row.p_value) == (0, Interval(0, 0), False, 1.0)


def test_a_class_that_is_nowhere_has_no_interval() -> None:
    counts = np.zeros((20, 3, 3), dtype=np.int64)
    counts[:, :2, :2] = simulated(np.random.default_rng(0), 20)
    found = intervals_of(counts, side=10, resamples=100)
    assert found is not None
    assert found.classes[2] is None
    assert found.classes[0] is not None
