"""Objects of truth and map against scipy's labels, and their matching against a search of all ways."""

from itertools import permutations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from terraseg.pixels.pairing import ObjectPairs, Objects, StripPair, best_iou, pair_objects


def blobs(seed: int, shape: tuple[int, int] = (24, 30)) -> NDArray[np.uint8]:
    random = np.random.default_rng(seed)
    small = random.choice([0, 1, 255], (-(-shape[0] // 3), -(-shape[1] // 3)), p=[0.5, 0.35, 0.15])
    return np.kron(small, np.ones((3, 3)))[: shape[0], : shape[1]].astype(np.uint8)


def shaken(labels: NDArray[np.uint8], seed: int) -> NDArray[np.uint8]:
    random = np.random.default_rng(seed)
    noise = random.choice(np.array([0, 1], dtype=np.uint8), labels.shape)
    return np.where((random.random(labels.shape) < 0.1) & (labels != 255), noise, np.roll(labels, 1, axis=0))


def paired(truth: NDArray[np.uint8], mapped: NDArray[np.uint8], rows: int = 1000) -> ObjectPairs:
    areas = np.arange(truth.size, dtype=np.float64).reshape(truth.shape)
    starts = range(0, len(truth), rows)
    return pair_objects(StripPair(truth[n : n + rows], mapped[n : n + rows], areas[n : n + rows]) for n in starts)


def everybody(pairs: ObjectPairs) -> dict[str, NDArray[np.bool_]]:
    return {
        "truth": np.ones(len(pairs.truth), dtype=np.bool_),
        "mapped": np.ones(len(pairs.mapped), dtype=np.bool_),
    }


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 9999))
def test_objects_and_what_they_share_are_scipys(seed: int) -> None:
    truth = blobs(seed)
    mapped = shaken(truth, seed)
    pairs = paired(truth, mapped)
    want = {}
    for index in (0, 1):
        (one, ones), (two, twos) = (ndimage.label(each == index) for each in (truth, mapped))
        assert (pairs.truth.class_index == index).sum() == ones
        assert (pairs.mapped.class_index == index).sum() == twos
        sizes = sorted(ndimage.sum_labels(np.ones_like(one), one, range(1, ones + 1)).tolist())
        assert sorted(pairs.truth.pixels[pairs.truth.class_index == index].tolist()) == sizes
        for a, b in {(int(a), int(b)) for a, b in zip(one.ravel(), two.ravel(), strict=True) if a and b}:
            want[index, a, b] = ((one == a) & (two == b)).sum() / ((one == a) | (two == b)).sum()
    assert sorted(pairs.iou.tolist()) == sorted(want.values())
    areas = np.arange(truth.size).reshape(truth.shape)
    assert pairs.truth.area.sum() == areas[truth != 255].sum()


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 9999), st.integers(1, 24))
def test_how_the_strips_are_cut_makes_no_difference(seed: int, rows: int) -> None:
    truth = blobs(seed)
    mapped = shaken(truth, seed)
    whole, parts = paired(truth, mapped), paired(truth, mapped, rows)
    for name in ("one", "two", "iou"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(parts, name))
    for one, two in ((whole.truth, parts.truth), (whole.mapped, parts.mapped)):
        for name in ("class_index", "pixels", "area"):
            np.testing.assert_array_equal(getattr(one, name), getattr(two, name))


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 9999))
def test_each_object_has_one_partner_at_most(seed: int) -> None:
    truth = blobs(seed)
    pairs = paired(truth, shaken(truth, seed))
    best = best_iou(pairs, **everybody(pairs))
    for threshold in (0.5, 0.75):
        # Above one half there is no choice: the pairs themselves are the matching.
        strict = pairs.iou[pairs.iou > threshold]
        assert (best > threshold).sum() == len(strict)
        assert len(np.unique(pairs.one[pairs.iou > threshold])) == len(strict)


def test_a_roof_mapped_in_two_halves_is_found_once() -> None:
    """Both halves have an IoU of exactly one half, the only case in which there is a choice."""
    truth = np.full((4, 9), 255, dtype=np.uint8)
    truth[1:3, 1:7] = 0
    mapped = truth.copy()
    mapped[1:3, 4:7] = 255
    halves = [StripPair(truth[:2], mapped[:2]), StripPair(truth[2:], mapped[2:])]
    assert pair_objects(halves).iou.tolist() == [0.5]
    roof = np.array([[0, 0, 0, 0], [0, 0, 0, 0]], dtype=np.uint8)
    split = np.array([[0, 0, 1, 1], [0, 0, 1, 1]], dtype=np.uint8)
    pairs = pair_objects([StripPair(roof, np.where(split == 1, np.uint8(255), split))])
    twice = ObjectPairs(
        pairs.truth,
        Objects(*(np.tile(getattr(pairs.mapped, name), 2) for name in ("class_index", "pixels", "area"))),
        np.array([0, 0]),
        np.array([0, 1]),
        np.array([0.5, 0.5]),
    )
    assert best_iou(twice, **everybody(twice)).tolist() == [0.5]


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 9999))
def test_greedy_matching_finds_as_many_as_any_matching_at_one_half(seed: int) -> None:
    truth = blobs(seed, (9, 12))
    mapped = shaken(truth, seed)
    pairs = paired(truth, mapped)
    links = {(int(a), int(b)) for a, b, iou in zip(pairs.one, pairs.two, pairs.iou, strict=True) if iou >= 0.5}
    ones, twos = sorted({a for a, _ in links}), sorted({b for _, b in links})
    if len(ones) > 5 or len(twos) > 5:
        return
    wide = [*twos, *[-1] * len(ones)]
    most = max(
        (sum((a, b) in links for a, b in zip(ones, way, strict=False)) for way in permutations(wide, len(ones))),
        default=0,
    )
    assert (best_iou(pairs, **everybody(pairs)) >= 0.5).sum() == most


def test_objects_left_out_take_no_partner() -> None:
    truth = blobs(3)
    pairs = paired(truth, truth)
    nobody = everybody(pairs) | {"mapped": np.zeros(len(pairs.mapped), dtype=np.bool_)}
    assert not best_iou(pairs, **nobody).any()
    assert (best_iou(pairs, **everybody(pairs)) == 1).all()


def test_nothing_at_all_has_no_objects() -> None:
    pairs = pair_objects([StripPair(np.full((3, 4), 255, np.uint8), np.full((3, 4), 255, np.uint8))])
    assert (len(pairs.truth), len(pairs.mapped), len(pairs.iou)) == (0, 0, 0)
    assert len(pair_objects([]).truth) == 0
