"""Moved arcs that cross others are found, and those that only meet them are not."""

import numpy as np
import pytest

from terraseg.shapes.arcs import Arcs
from terraseg.shapes.crossings import crossing_arcs


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
