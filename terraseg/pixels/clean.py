"""Class ids cleaned pixel by pixel: unsure ones given another class, ragged ones outvoted by their surroundings."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from terraseg.core.classes import VOID


def ruled_out(
    ids: NDArray[np.uint8], probability: NDArray[np.floating], *, floor: NDArray[np.floating]
) -> NDArray[np.bool_]:
    """Pixels whose class is less probable than its floor, (256,) by id; nodata and pixels of unknown probability never are.

    >>> ruled_out(np.array([1, 1, 255]), np.array([0.6, 0.8, 0.1]), floor=np.full(256, 0.7)).tolist()
    [True, False, False]
    """
    with np.errstate(invalid="ignore"):
        return np.asarray((ids != VOID) & (probability < floor[ids]))


def next_best(
    ids: NDArray[np.uint8],
    probabilities: NDArray[np.floating],
    *,
    class_ids: Sequence[int],
    floor: NDArray[np.floating],
) -> NDArray[np.uint8]:
    """The likeliest class but the pixels' own that reaches its floor, 255 where none does; shape as `ids`.

    `probabilities` (classes, height, width) are in the order of `class_ids`; of equal ones the first is taken.
    """
    known = np.asarray(class_ids, dtype=np.uint8)
    shape = (-1,) + (1,) * ids.ndim
    fits = (known.reshape(shape) != ids) & (probabilities >= floor[known].reshape(shape))
    values = np.where(fits, probabilities, -1)
    best = known[values.argmax(axis=0)]
    return np.where(fits.any(axis=0), best, VOID).astype(np.uint8)


@dataclass(frozen=True)
class Disc:
    """An ellipse of pixels: `rows` and `cols` are its two radii; it holds the pixels whose centres lie in it."""

    rows: float
    cols: float

    @property
    def reach(self) -> tuple[int, int]:
        """How many rows and columns it reaches to either side."""
        return int(self.rows), int(self.cols)

    def half_widths(self) -> NDArray[np.int64]:
        """How far it reaches to either side in each of its rows, from top to bottom."""
        down = np.arange(-self.reach[0], self.reach[0] + 1) / max(self.rows, 1e-9)
        # A hair more, so that a radius that is a whole number of pixels in decimals takes its last one.
        return (self.cols * np.sqrt(np.maximum(0.0, 1 - down**2)) + 1e-9).astype(np.int64)


def majority(ids: NDArray[np.uint8], disc: Disc, *, margin: tuple[int, int]) -> NDArray[np.uint8]:
    """The commonest class around each pixel, in a disc; (height - 2 margin, width - 2 margin), the margins left out.

    A pixel keeps its class where that is among the commonest; of others that are equally common the lowest id is taken.
    Nodata has no vote and stays. `margin` (rows, columns) is at least the disc's reach.

    >>> majority(np.array([[1, 1, 2, 1, 1]], dtype=np.uint8), Disc(0, 1), margin=(0, 1)).tolist()
    [[1, 1, 1]]
    """
    top, side = margin
    own = ids[top : len(ids) - top, side : ids.shape[1] - side]
    most = np.zeros(own.shape, dtype=np.int32)
    winner = own.copy()
    own_votes = np.zeros(own.shape, dtype=np.int32)
    for identifier in np.unique(ids[ids != VOID]).tolist():
        votes = _votes(ids == identifier, disc, margin)
        own_votes = np.where(own == identifier, votes, own_votes)
        more = votes > most
        most[more], winner[more] = votes[more], identifier
    return np.where((own == VOID) | (own_votes == most), own, winner).astype(np.uint8)


def _votes(mask: NDArray[np.bool_], disc: Disc, margin: tuple[int, int]) -> NDArray[np.int32]:
    """How many pixels of the mask lie in the disc around each pixel inside the margins."""
    top, side = margin
    height, width = mask.shape[0] - 2 * top, mask.shape[1] - 2 * side
    upto = np.zeros((mask.shape[0], mask.shape[1] + 1), dtype=np.int32)
    np.cumsum(mask, axis=1, out=upto[:, 1:])
    votes = np.zeros((height, width), dtype=np.int32)
    reach = disc.reach[0]
    for down, half in zip(range(-reach, reach + 1), disc.half_widths().tolist(), strict=True):
        rows = upto[top + down : top + down + height]
        votes += rows[:, side + half + 1 : side + half + 1 + width] - rows[:, side - half : side - half + width]
    return votes
