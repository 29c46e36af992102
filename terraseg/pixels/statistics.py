"""Statistics of bands over more pixels than fit in memory."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

KEPT = 200_000


class BandStatistics:
    """Mean, standard deviation and percentiles per band, fed block by block.

    Mean and variance are exact, merged by Chan, Golub and LeVeque's pairwise rule (1983). Percentiles come from a regular
    sample of at most `KEPT` pixels a block, thinned by half whenever 32 blocks have come together.
    """

    def __init__(self, bands: int) -> None:
        self.count = 0
        self.mean = np.zeros(bands)
        self._squares = np.zeros(bands)
        self._samples: list[NDArray[np.float32]] = []

    def add(self, pixels: NDArray[np.generic]) -> None:
        """Takes in valid pixels, shape (bands, n)."""
        count = pixels.shape[1]
        if count == 0:
            return
        values = pixels.astype(np.float64)
        mean = values.mean(axis=1)
        shift = mean - self.mean
        total = self.count + count
        self._squares += ((values - mean[:, None]) ** 2).sum(axis=1) + shift**2 * self.count * count / total
        self.mean = self.mean + shift * count / total
        self.count = total
        self._samples.append(values[:, :: max(1, count // KEPT)].astype(np.float32))
        if len(self._samples) > 32:
            self._samples = [np.concatenate(self._samples, axis=1)[:, ::2]]

    @property
    def std(self) -> NDArray[np.float64]:
        """Standard deviation per band; 1 for a band of one value, so that it can be divided by."""
        deviation = np.sqrt(self._squares / max(1, self.count))
        return np.where(deviation > 0, deviation, 1.0)

    def percentiles(self, which: ArrayLike) -> NDArray[np.float64]:
        """Percentiles (0 to 100) per band, shape (bands, len(which)); the band must have seen a pixel."""
        sample = np.concatenate(self._samples, axis=1)
        return np.asarray(np.percentile(sample, np.asarray(which), axis=1).T, dtype=np.float64)


def cell_shares(one: NDArray[Any], other: NDArray[Any], valid: NDArray[np.bool_], *, side: int = 256) -> list[float]:
    """In each cell of `side` px of two bands (height, width) the share of valid pixels in which the first is the larger.

    Equal values count for half. Cells less than a quarter valid are left out.

    >>> cell_shares(np.array([[2, 3]]), np.array([[1, 3]]), np.array([[True, True]]), side=2)
    [0.75]
    """
    shares = []
    for row in range(0, valid.shape[0], side):
        for col in range(0, valid.shape[1], side):
            place = (slice(row, row + side), slice(col, col + side))
            known = valid[place]
            if known.sum() * 4 < known.size:
                continue
            a, b = one[place][known], other[place][known]
            shares.append(float(((a > b).mean() + (a >= b).mean()) / 2))
    return shares
