"""Chains and rings read from links, against walking them one by one."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from terraseg.shapes.chains import END, chains_of, linked, offsets_of, rows_of


@settings(deadline=None, max_examples=200)
@given(st.permutations(range(12)), st.lists(st.booleans(), min_size=12, max_size=12))
def test_chains_are_those_that_one_walks(order: list[int], cut: list[bool]) -> None:
    following = np.array([END if stop else to for to, stop in zip(order, cut, strict=True)])
    found = chains_of(following)
    assert sorted(found.order.tolist()) == list(range(12))
    for k, is_ring in enumerate(found.is_ring):
        chain = found.order[found.starts[k] : found.starts[k + 1]].tolist()
        assert [following[i] for i in chain[:-1]] == chain[1:]
        assert following[chain[-1]] == (chain[0] if is_ring else END)
        if is_ring:
            assert chain[0] == min(chain)
        else:
            assert chain[0] not in following
    assert found.chain.tolist() == np.repeat(np.arange(len(found.is_ring)), np.diff(found.starts)).tolist()


def test_no_things_make_no_chains() -> None:
    assert len(chains_of(np.zeros(0, np.int64)).is_ring) == 0


@given(st.lists(st.lists(st.integers(0, 9), max_size=4), min_size=1, max_size=6), st.data())
def test_rows_of_a_ragged_array_are_gathered_in_any_order(rows: list[list[int]], data: st.DataObject) -> None:
    values = np.array([v for row in rows for v in row], dtype=np.int64)
    chosen = data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=8))
    offsets = offsets_of(np.array([len(row) for row in rows]))
    gathered = values[rows_of(offsets, np.array(chosen, dtype=np.int64))]
    assert gathered.tolist() == [v for k in chosen for v in rows[k]]


def test_groups_are_numbered_by_their_first_members() -> None:
    group, first = linked(5, np.array([3, 1]), np.array([0, 4]))
    assert group.tolist() == [0, 1, 2, 0, 1]
    assert first.tolist() == [0, 1, 2]
