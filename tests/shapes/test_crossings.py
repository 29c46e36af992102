"""Moved arcs that cross others are found, and those that only meet them are not."""

import numpy as np
import pytest
import shapely
from hypothesis import example, given, settings
from hypothesis import strategies as st

from terraseg.shapes.arcs import Arcs
from terraseg.shapes.crossings import APART, crossing_arcs


def lines(*points: list[tuple[float, float]]) -> Arcs:
    lengths = np.array([len(p) for p in points])
    flat = np.array([xy for p in points for xy in p], dtype=float)
    count = np.zeros(len(points), dtype=np.int32)
    byte = count.astype(np.int8)
    empty = Arcs(flat[:, 0], flat[:, 1], np.zeros(1, np.int64), count, count, byte, byte, count.astype(bool))
    return empty.with_vertices(flat[:, 0], flat[:, 1], lengths)


@pytest.mark.parametrize(
    ("one", "other", "bad"),
    [
        ([(0, 0), (10, 10)], [(0, 10), (10, 0)], True),
        ([(0, 0), (10, 0)], [(5, 0), (5, 9)], True),
        ([(0, 0), (10, 0)], [(10, 0), (10, 9)], False),
        ([(0, 0), (10, 0)], [(10, 0), (20, 0)], False),
        ([(0, 0), (10, 0)], [(10, 0), (4, 0)], True),
        ([(0, 0), (10, 0)], [(0, 1), (10, 1)], False),
        ([(0, 0), (10, 0), (10, 5), (4, 5), (4, -5)], [(20, 0), (30, 0)], True),
        ([(0, 2000), (9, 2000)], [(5, 0), (5, 3000)], True),
        ([(3, 3), (3, 3)], [(20, 0), (30, 0)], True),
    ],
    ids="cross T-shape corner straight-on overlap parallel self far-apart no-length".split(),
)
def test_only_wrong_meetings_are_found(
    one: list[tuple[float, float]], other: list[tuple[float, float]], bad: bool
) -> None:
    assert crossing_arcs(lines(one, other), np.array([True, False])).any() == bad


def test_what_did_not_move_is_not_looked_at() -> None:
    crossed = lines([(0, 0), (10, 10)], [(0, 10), (10, 0)])
    assert not crossing_arcs(crossed, np.array([False, False])).any()


def test_after_the_first_look_only_fresh_arcs_are_looked_at() -> None:
    crossed = lines([(0, 0), (10, 10)], [(0, 10), (10, 0)], [(50, 0), (60, 10)], [(50, 10), (60, 0)])
    moved, fresh = np.array([True, False, True, False]), np.array([False, True, False, False])
    assert crossing_arcs(crossed, moved, fresh=fresh).tolist() == [True, True, False, False]


@given(st.integers(0, 2**32 - 1))
@example(2062)  # Two segments pass each other within a thousandth of a pixel.
@settings(deadline=None, max_examples=60)
def test_what_is_left_out_as_too_far_away_crosses_nothing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    starts = rng.uniform(0, 300, (40, 2))
    every = np.stack([starts, starts + rng.normal(0, 40, (40, 2))], axis=1)
    moved = rng.random(40) < 0.2
    segments = shapely.linestrings(every)
    one, two = shapely.STRtree(segments).query(segments[moved], predicate="dwithin", distance=APART)
    other = np.flatnonzero(moved)[one] != two
    expected = np.isin(np.arange(40), np.concatenate([np.flatnonzero(moved)[one][other], two[other]]))
    assert crossing_arcs(lines(*[list(map(tuple, e.tolist())) for e in every]), moved).tolist() == expected.tolist()
