"""The tenth percentile of the confidence inside each region, exact, from two readings of a raster of bytes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from terraseg.core.classes import VOID
from terraseg.core.classreader import ByteRaster
from terraseg.core.window import Window
from terraseg.pixels.regions import CONFIDENCE_BINS

SHARE = 0.1


@dataclass(eq=False)
class Tenths:
    """Counts by region while a raster is read for the second time; made by `start_tenths`.

    The first reading has counted the upper four bits of the bytes, and so says in which sixteenth the percentile lies and
    at which place; the second counts the lower four bits of the bytes in that sixteenth.
    """

    raster: ByteRaster
    upper: NDArray[np.int64]
    place: NDArray[np.int64]
    lower: NDArray[np.uint32]

    def count(self, window: Window, regions: NDArray[np.int32]) -> None:
        """Takes the bytes of a window whose pixels lie in the regions (height, width), negative for none."""
        values, flat = self.raster.read(window).ravel(), regions.ravel()
        matters = np.flatnonzero((flat >= 0) & (values != VOID))
        region, value = flat[matters], values[matters]
        hit = (value >> 4) == self.upper[region]
        np.add.at(self.lower, (region[hit], value[hit] & 15), np.uint32(1))

    def values(self) -> NDArray[np.float64]:
        """The percentile of each region as a byte from 0 to 254; NaN for a region without any."""
        upto = np.cumsum(self.lower, axis=1, dtype=np.int64)
        lower = (upto <= self.place[:, None]).sum(axis=1)
        return np.where(self.place >= 0, 16.0 * self.upper + lower, np.nan)


def start_tenths(raster: ByteRaster, counts: NDArray[np.integer]) -> Tenths:
    """What the counts (n, 16) of the upper four bits say of each region: the nearest-rank percentile's bin and place."""
    total = counts.sum(axis=1, dtype=np.int64)
    rank = np.ceil(SHARE * total).astype(np.int64) - 1
    upto = np.cumsum(counts, axis=1, dtype=np.int64)
    upper = np.minimum((upto <= rank[:, None]).sum(axis=1), CONFIDENCE_BINS - 1)
    before = np.where(upper > 0, np.take_along_axis(upto, np.maximum(upper - 1, 0)[:, None], axis=1)[:, 0], 0)
    place = np.where(total > 0, rank - before, -1)
    return Tenths(raster, upper.astype(np.int64), place, np.zeros((len(counts), 16), dtype=np.uint32))
