"""The skeleton of a mask: lines one pixel wide along the middle of what it shows."""

import numpy as np
from numpy.typing import NDArray

# The eight neighbours clockwise from the one above, as (row, column) steps.
AROUND = ((-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1))


def thinned(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The skeleton of a mask (height, width): connected as the mask is, one pixel wide, in the middle.

    Layer after layer of border pixels is taken off as long as that leaves the mask's pieces and holes what they are (Guo and
    Hall, Comm. ACM 32 (1989), algorithm A1). The work goes with the mask's area, the image's border counts as outside.

    >>> thinned(np.ones((3, 7), np.bool_)).astype(int)[1].tolist()
    [0, 1, 1, 1, 1, 1, 0]
    """
    padded = np.pad(mask, 1)
    flat = padded.ravel()
    steps = np.array([row * padded.shape[1] + col for row, col in AROUND])
    front = np.flatnonzero(padded)
    front = front[~flat[front[:, None] + steps[::2]].all(axis=1)]
    idle = 0
    turn = 0
    while idle < 2 and len(front):
        code = flat[front[:, None] + steps] @ (1 << np.arange(8))
        goes = front[_GOES[turn][code]]
        flat[goes] = False
        idle = 0 if len(goes) else idle + 1
        turn = 1 - turn
        around = (goes[:, None] + steps[::2]).ravel()
        front = np.unique(np.concatenate([front, around]))
        front = front[flat[front]]
    return np.asarray(flat.reshape(padded.shape)[1:-1, 1:-1])


def neighbour_codes(mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Which of its eight neighbours are in the mask, bit k for the k-th clockwise from above; shape as `mask`."""
    padded = np.pad(mask, 1)
    height, width = mask.shape
    codes = np.zeros(mask.shape, np.uint8)
    for bit, (row, col) in enumerate(AROUND):
        codes |= padded[1 + row : 1 + row + height, 1 + col : 1 + col + width].astype(np.uint8) << np.uint8(bit)
    return codes


def branches() -> NDArray[np.int8]:
    """How many lines leave a skeleton pixel by the code of its neighbours, (256,): 1 at an end, 2 along a line, 3 and more
    where lines meet.
    """
    bits = _bits()
    return np.asarray((bits & ~np.roll(bits, 1, axis=0)).sum(axis=0), dtype=np.int8)


def _bits() -> NDArray[np.bool_]:
    return np.asarray((np.arange(256) >> np.arange(8)[:, None]) & 1, dtype=np.bool_)


def _goes() -> NDArray[np.bool_]:
    """Whether a border pixel goes, by half-turn and by the code of its neighbours, (2, 256)."""
    n, ne, e, se, s, sw, w, nw = _bits()
    crossings = sum(((~a) & (b | c)).astype(int) for a, b, c in ((n, ne, e), (e, se, s), (s, sw, w), (w, nw, n)))
    one = sum((a | b).astype(int) for a, b in ((nw, n), (ne, e), (se, s), (sw, w)))
    two = sum((a | b).astype(int) for a, b in ((n, ne), (e, se), (s, sw), (w, nw)))
    number = np.minimum(one, two)
    simple = (np.asarray(crossings) == 1) & (number >= 2) & (number <= 3)
    return np.stack([simple & ~((s | sw | ~nw) & w), simple & ~((n | ne | ~se) & e)])


_GOES = _goes()
