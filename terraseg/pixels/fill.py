"""Ground without imagery that no mask tells of: one value that fills an image in from its edge; and nodata that is imagery."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

THICK = 8
"""A fill holds a square of so many pixels; a roof's shadow at the edge is no fill."""
LEAST_SHARE = 0.002
"""Less of an image than this is no border to speak of."""
NEAR = 3
"""A nodata value that is imagery has neighbours: values up to so many steps from it occur about as often."""


def edge_fill(pixels: NDArray[Any], valid: NDArray[np.bool_], value: float) -> NDArray[np.bool_]:
    """Where valid pixels of (bands, h, w) hold one value in every band, in thick pieces that touch the image's edge.

    Ground that is known to be empty continues the edge. All false where such pieces make up less than `LEAST_SHARE`.
    """
    filled = valid & (pixels == pixels.dtype.type(value)).all(axis=0)
    if filled.mean() < LEAST_SHARE or min(filled.shape) < THICK:
        return np.zeros(filled.shape, dtype=np.bool_)
    thick = ndimage.binary_opening(filled, structure=np.ones((THICK, THICK), dtype=np.bool_))
    pieces, _ = ndimage.label(thick | ~valid)
    rim = np.unique(np.concatenate([pieces[0], pieces[-1], pieces[:, 0], pieces[:, -1]]))
    border = np.isin(pieces, rim[rim > 0]) & thick
    return border if border.mean() >= LEAST_SHARE else np.zeros(filled.shape, dtype=np.bool_)


def is_imagery(pixels: NDArray[Any], nodata: float) -> bool:
    """True where the value that is said to mean "no data" is one of the values that the ground has in (bands, h, w).

    It lies among the others, and the values next to it are about as frequent as itself, in every band.
    """
    for band in pixels:
        values = band[np.isfinite(band)] if band.dtype.kind == "f" else band.ravel()
        if not len(values):
            return False
        low, high = np.percentile(values, (1, 99))
        if not low < nodata < high:
            return False
        step = 1.0 if band.dtype.kind in "iu" and high - low < 4096 else float(high - low) / 512
        at = int((np.abs(values - np.float64(nodata)) < step / 2).sum())
        beside = [
            int((np.abs(values - (nodata + k * step)) < step / 2).sum())
            for k in (*range(-NEAR, 0), *range(1, NEAR + 1))
        ]
        if at == 0 or at > 4 * max(1, int(np.median(beside))):
            return False
    return True
