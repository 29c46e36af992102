"""Random numbers that are counted, not kept: each is a function of where it is used, so nothing needs to be restored."""

from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

WEIGHTS: Final = 0
SAMPLE: Final = 1
AUGMENT: Final = 2
TILES: Final = 3
LAYERS: Final = 4
CUT: Final = 5
PASTE: Final = 6
MIX: Final = 7
"""The uses of randomness; each has numbers of its own."""


def uniforms(seed: int, use: int, step: int, indices: ArrayLike, draws: int) -> NDArray[np.float64]:
    """Numbers in [0, 1) of shape (n, draws): row i depends on (seed, use, step, indices[i]) alone.

    Method: the finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014) over the chained counters.

    >>> both = uniforms(1, SAMPLE, 7, [3, 4], 2)
    >>> bool((both[1] == uniforms(1, SAMPLE, 7, [4], 2)[0]).all())
    True
    """
    state = _hash(np.zeros(1, dtype=np.uint64), seed)
    state = _hash(_hash(state, use), step)
    rows = _mixed(state ^ _mixed(np.asarray(indices, dtype=np.uint64) + _GOLDEN))
    columns = np.arange(1, draws + 1, dtype=np.uint64) * _GOLDEN
    bits = _mixed(rows[:, None] + columns[None, :])
    return np.asarray((bits >> np.uint64(11)).astype(np.float64) * 2.0**-53)


def integer_seed(seed: int, use: int, step: int) -> int:
    """A seed for another generator, from 0 to 2^53 - 1, by (seed, use, step)."""
    return int(uniforms(seed, use, step, [0], 1)[0, 0] * 2**53)


_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def _hash(state: NDArray[np.uint64], value: int) -> NDArray[np.uint64]:
    return _mixed(state ^ _mixed(np.array([value % 2**64], dtype=np.uint64) + _GOLDEN))


def _mixed(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
