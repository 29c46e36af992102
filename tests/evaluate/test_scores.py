"""Scores against their definitions, worked out from lists of pixels."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from terraseg.core.classes import PALETTE, LandClass, Legend
from terraseg.evaluate.scores import Scores, score
from terraseg.pixels.confusion import confusion


def legend_of(classes: int) -> Legend:
    return Legend(tuple(LandClass(3 * k, f"class {k}", PALETTE[k]) for k in range(classes)))


@st.composite
def pixel_pairs(draw: st.DrawFn) -> tuple[int, list[tuple[int, int]]]:
    classes = draw(st.integers(1, 5))
    index = st.integers(0, classes - 1)
    return classes, draw(st.lists(st.tuples(index, index), max_size=40))


def scores_of(classes: int, pixels: list[tuple[int, int]], unpredicted: int = 0) -> Scores:
    both = np.array(pixels, dtype=np.uint8).reshape(-1, 2)
    return score(confusion(both[:, 0], both[:, 1], classes), legend_of(classes), unpredicted)


@settings(deadline=None)
@given(pixel_pairs())
def test_class_scores_are_those_of_sets_of_pixels(case: tuple[int, list[tuple[int, int]]]) -> None:
    classes, pixels = case
    for k, got in enumerate(scores_of(classes, pixels).classes):
        true = {n for n, (t, _) in enumerate(pixels) if t == k}
        mapped = {n for n, (_, p) in enumerate(pixels) if p == k}
        both, either = len(true & mapped), len(true | mapped)
        assert (got.support, got.predicted, got.hits) == (len(true), len(mapped), both)
        assert got.iou == (both / either if either else None)
        assert got.recall == (both / len(true) if true else None)
        assert got.precision == (both / len(mapped) if mapped else None)
        if got.precision and got.recall:
            assert got.f1 == pytest.approx(2 * got.precision * got.recall / (got.precision + got.recall))
        else:
            assert got.f1 == (0.0 if either else None)


@settings(deadline=None)
@given(pixel_pairs())
def test_totals_are_those_of_the_pixels(case: tuple[int, list[tuple[int, int]]]) -> None:
    classes, pixels = case
    got = scores_of(classes, pixels)
    assert got.pixels == len(pixels)
    if not pixels:
        assert (got.accuracy, got.mean_iou, got.kappa) == (None, None, None)
        return
    accuracy = sum(t == p for t, p in pixels) / len(pixels)
    assert got.accuracy == accuracy
    present = {c for pair in pixels for c in pair}
    ious = [got.classes[c].iou for c in present]
    assert got.mean_iou == pytest.approx(sum(i for i in ious if i is not None) / len(present))
    chance = sum(
        sum(t == c for t, _ in pixels) * sum(p == c for _, p in pixels) for c in range(classes)
    ) / len(pixels) ** 2  # fmt: skip
    if math.isclose(chance, 1):
        assert got.kappa is None
    else:
        assert got.kappa == pytest.approx((accuracy - chance) / (1 - chance))


@settings(deadline=None)
@given(pixel_pairs(), st.integers(0, 40), st.integers(0, 9))
def test_scores_of_parts_add_up(case: tuple[int, list[tuple[int, int]]], cut: int, unpredicted: int) -> None:
    classes, pixels = case
    parts = scores_of(classes, pixels[:cut], unpredicted) + scores_of(classes, pixels[cut:])
    assert parts == scores_of(classes, pixels, unpredicted)


@settings(deadline=None)
@given(pixel_pairs(), st.integers(0, 9))
def test_scores_survive_json_without_nan(case: tuple[int, list[tuple[int, int]]], unpredicted: int) -> None:
    scores = scores_of(*case, unpredicted)
    text = json.dumps(scores.to_json(), allow_nan=False)
    assert Scores.from_json(json.loads(text)) == scores


def test_a_class_that_is_only_mapped_pulls_the_mean_down_and_an_absent_one_does_not() -> None:
    scores = score(np.array([[8, 2, 0], [0, 0, 0], [0, 0, 0]]), legend_of(3))
    assert [c.iou for c in scores.classes] == [0.8, 0.0, None]
    assert scores.mean_iou == 0.4


def test_large_counts_stay_exact() -> None:
    """A continent's pixels squared do not fit 64 bits."""
    huge = 6 * 10**12
    scores = score(np.array([[huge, 0], [huge, 0]]), legend_of(2))
    assert scores.kappa == 0.0
    assert (scores + scores).pixels == 4 * huge


def test_matrix_and_legend_must_agree() -> None:
    with pytest.raises(ValueError, match="3 rows for 2 classes"):
        score(np.zeros((3, 3), np.int64), legend_of(2))
    with pytest.raises(ValueError, match="two legends"):
        score(np.zeros((1, 1), np.int64), legend_of(1)) + score(np.zeros((2, 2), np.int64), legend_of(2))
