"""Smooth random fields: the uneven colour of grass, asphalt and haze."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

Field = NDArray[np.float32]


def smooth_noise(rng: np.random.Generator, shape: tuple[int, int], scale_px: float) -> Field:
    """A random field of mean 0 and deviation about 1 whose bumps are `scale_px` pixels wide.

    Normal numbers on a coarse lattice, interpolated by cubic B-splines (no lattice shows, nothing overshoots). Below
    two pixels the lattice would be as fine as the picture: then it is white noise.
    """
    if scale_px < 2:
        return rng.standard_normal(shape, dtype=np.float32)
    (rows, row_weights), (cols, col_weights) = _taps(rng, shape[0], scale_px), _taps(rng, shape[1], scale_px)
    lattice = rng.standard_normal((int(rows.max()) + 4, int(cols.max()) + 4), dtype=np.float32)
    upright = sum(row_weights[k][:, None] * lattice[rows + k] for k in range(4))
    field = np.zeros(shape, dtype=np.float32)
    for k in range(4):
        field += col_weights[k] * np.take(upright, cols + k, axis=1)
    # The mean of the spline's squared weights is 151/315 an axis.
    return field / np.float32(151 / 315)


def _taps(rng: np.random.Generator, size: int, scale_px: float) -> tuple[NDArray[np.intp], Field]:
    """First lattice node of each pixel and the four spline weights, shape (4, size), from a random offset."""
    at = np.arange(size) / scale_px + rng.random()
    first = at.astype(np.intp)
    t = (at - first).astype(np.float32)
    weights = np.stack([(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, 3 * (t + t**2 - t**3) + 1, t**3]) / np.float32(6)
    return first, weights.astype(np.float32)


def blurred(field: Field, deviation_px: float) -> Field:
    """The field under a Gaussian of the given deviation, cut at three of them."""
    if deviation_px <= 0.05:
        return field
    for axis in (0, 1):
        field = gaussian_filter1d(field, deviation_px, axis=axis, mode="nearest", truncate=3.0)
    return field
