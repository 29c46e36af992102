"""The tenth percentile from two readings against sorting."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from terraseg.core.classreader import ByteArray
from terraseg.core.grid import Grid
from terraseg.core.window import cut
from terraseg.vectorize.tenths import start_tenths


@settings(deadline=None, max_examples=100)
@given(st.integers(1, 400), st.integers(0, 2**32 - 1), st.sampled_from([5, 60, 255]))
def test_the_percentile_is_the_nearest_rank_one(size: int, seed: int, spread: int) -> None:
    rng = np.random.default_rng(seed)
    shape = (size, 3)
    values = rng.integers(0, spread, shape).astype(np.uint8)
    values[rng.random(shape) < 0.1] = 255
    regions = rng.integers(-1, 4, shape).astype(np.int32)
    counts = np.zeros((4, 16), dtype=np.int64)
    known = (regions >= 0) & (values != 255)
    np.add.at(counts, (regions[known], values[known] >> 4), 1)
    raster = ByteArray(Grid(None, (1, 0, 0, 0, 1, 0), *shape), values)
    tenths = start_tenths(raster, counts)
    for window in cut(raster.grid.window, 7, 3):
        tenths.count(window, regions[window.slices])
    for region, found in enumerate(tenths.values()):
        own = np.sort(values[known & (regions == region)])
        if len(own) == 0:
            assert np.isnan(found)
        else:
            assert found == own[int(np.ceil(0.1 * len(own))) - 1]
