"""How far a prediction is, in words: tiles, ground, rate."""

import time
from collections.abc import Callable

from terraseg.core.grid import Grid
from terraseg.core.watch import Watch


def tile_progress(name: str, grid: Grid, watch: Watch) -> Callable[[int, int, int], None]:
    """A function of tiles done, tiles in all and pixels done, that tells a watch how far a raster is.

    Ground is counted in square kilometres, without a CRS in megapixels; the rate is that since the first call, so that what
    an earlier run had done does not count as speed.
    """
    sides = grid.pixel_size_m
    unit, size = ("Mpx", 1e-6) if sides is None else ("km2", sides[0] * sides[1] / 1e6)
    whole = grid.height * grid.width * size
    began: list[float] = []

    def progress(done: int, total: int, pixels: int) -> None:
        now = time.monotonic()
        if not began:
            began.extend((now, pixels * size))
        spent, ground = now - began[0], pixels * size
        rate = f", {(ground - began[1]) / spent:.3g} {unit}/s" if spent > 1 else ""
        watch.progress(done, total, f"tiles of {name}, {ground:.4g} of {whole:.4g} {unit}{rate}")

    return progress
