"""Links from each thing to the one that follows, read as chains and rings; and ragged arrays, rows of unequal length."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import breadth_first_order, connected_components

END = -1
"""What follows the last thing of a chain."""


@dataclass(frozen=True, eq=False)
class Chains:
    """Chains one after the other: `order` (n,) are the things, chain k is order[starts[k]:starts[k + 1]].

    `is_ring` (k,) marks those whose last thing is followed by the first. Chains that end come in the order of their first
    things; a ring starts with its lowest.
    """

    order: NDArray[np.int64]
    starts: NDArray[np.int64]
    is_ring: NDArray[np.bool_]

    @property
    def chain(self) -> NDArray[np.int64]:
        """The chain of each place in `order`."""
        return np.repeat(np.arange(len(self.is_ring)), np.diff(self.starts))


def chains_of(following: NDArray[np.integer]) -> Chains:
    """The chains and rings of things of which each is followed by `following[i]`, or by none (`END`).

    No two things may be followed by the same one.

    >>> found = chains_of(np.array([2, END, 1, 4, 3]))
    >>> found.order.tolist(), found.starts.tolist(), found.is_ring.tolist()
    ([0, 2, 1, 3, 4], [0, 3, 5], [False, True])
    """
    number = len(following)
    if number == 0:
        return Chains(np.zeros(0, np.int64), np.zeros(1, np.int64), np.zeros(0, np.bool_))
    goes_on = np.flatnonzero(following >= 0)
    string = following.astype(np.int64)
    headless = np.ones(number, dtype=np.bool_)
    headless[following[goes_on]] = False
    rings = _ring_starts(string, headless)
    before = np.full(number, END, dtype=np.int64)
    before[following[goes_on]] = goes_on
    string[before[rings]] = END
    headless[rings] = True
    first = np.flatnonzero(headless)
    # All chains tied into one string, which a breadth-first walk then reads in order.
    last = _lasts(string, first)
    string[last[:-1]] = first[1:]
    order = breadth_first_order(_graph(string), first[0], directed=True, return_predecessors=False).astype(np.int64)
    starts = np.append(np.flatnonzero(headless[order]), number)
    return Chains(order, starts, np.isin(order[starts[:-1]], rings))


def _ring_starts(following: NDArray[np.int64], headless: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The lowest member of each ring."""
    count, part = connected_components(_graph(following), directed=True, connection="weak")
    has_head = np.zeros(count, dtype=np.bool_)
    has_head[part[headless]] = True
    lowest = np.empty(count, dtype=np.int64)
    lowest[part[::-1]] = np.arange(len(part) - 1, -1, -1)
    return np.sort(lowest[~has_head])


def _lasts(following: NDArray[np.int64], first: NDArray[np.int64]) -> NDArray[np.int64]:
    """The last thing of the chain of each head."""
    count, part = connected_components(_graph(following), directed=True, connection="weak")
    last = np.empty(count, dtype=np.int64)
    ends = np.flatnonzero(following < 0)
    last[part[ends]] = ends
    return np.asarray(last[part[first]])


def _graph(following: NDArray[np.int64]) -> csr_array:
    number = len(following)
    goes_on = following >= 0
    places = np.concatenate([[0], np.cumsum(goes_on)]).astype(np.int32)
    links = following[goes_on].astype(np.int32)
    return csr_array((np.ones(len(links), dtype=np.int8), links, places), shape=(number, number))


def offsets_of(lengths: NDArray[np.integer]) -> NDArray[np.int64]:
    """Where each row of a ragged array starts, and at last where the array ends."""
    return np.asarray(np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths, dtype=np.int64)]))


def rows_of(offsets: NDArray[np.int64], chosen: NDArray[np.integer]) -> NDArray[np.int64]:
    """Places of the values of chosen rows, row after row.

    >>> rows_of(np.array([0, 2, 3, 6]), np.array([2, 0])).tolist()
    [3, 4, 5, 0, 1]
    """
    lengths = offsets[chosen + 1] - offsets[chosen]
    starts = offsets_of(lengths)
    return np.asarray(np.arange(starts[-1]) + np.repeat(offsets[chosen] - starts[:-1], lengths))


def linked(
    count: int, one: NDArray[np.integer], two: NDArray[np.integer]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The groups of `count` things that links `one[k]` to `two[k]` tie together, numbered by their first members.

    Gives the group of each thing, shape (count,), and the first member of each group, ascending.
    """
    links = coo_array((np.ones(len(one), dtype=np.int8), (one, two)), shape=(count, count))
    groups, component = connected_components(links.tocsr(), directed=False)
    first = np.empty(groups, dtype=np.int64)
    first[component[::-1]] = np.arange(count - 1, -1, -1)
    rank = np.empty(groups, dtype=np.int64)
    rank[np.argsort(first)] = np.arange(groups)
    return rank[component], np.sort(first)
