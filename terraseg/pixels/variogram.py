"""How far apart two pixels must lie to have little in common: the range of spatial autocorrelation."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from terraseg.core.coding import Coding

LITTLE = 1 / np.e
"""Correlation at which a range ends; an exponential variogram reaches 63 % of its sill there (Cressie, 1993)."""
LEAST_PAIRS = 50


def correlogram(planes: NDArray[np.float32], known: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Correlation of pixels by their distance along rows and columns: element k is for k pixels, element 0 is 1.

    `planes` (n, height, width) share `known` (height, width), outside which they have no say. Covariances and variances
    are summed over the planes, each about its own mean, so that the indicator planes of classes give the correlation of
    the classes as a whole. Lags go to half the longer side; NaN where too few pairs of pixels are known, everywhere when
    nothing varies.
    """
    height, width = known.shape
    lags = max(2, max(height, width) // 2)
    result = np.full(lags, np.nan)
    pixels = int(known.sum())
    if pixels < LEAST_PAIRS:
        return result
    mask = known.astype(np.float32)
    means = [float(plane[known].mean()) for plane in planes]
    flat = [np.where(known, plane - mean, np.float32(0)) for plane, mean in zip(planes, means, strict=True)]
    variance = sum(float((plane.astype(np.float64) ** 2).sum()) for plane in flat) / pixels
    if variance <= 1e-12:
        return result
    covariance, pairs = np.zeros(lags), np.zeros(lags)
    for axis in (0, 1):
        reach = min(lags, known.shape[axis])
        pairs[:reach] += _lagged(mask, axis)[:reach]
        covariance[:reach] += sum(_lagged(plane, axis)[:reach] for plane in flat)
    enough = pairs >= LEAST_PAIRS
    result[enough] = covariance[enough] / pairs[enough] / variance
    return result


def _lagged(plane: NDArray[np.float32], axis: int) -> NDArray[np.float64]:
    """Sums of products of pixels a lag apart along an axis, over all lines, by the Wiener-Khinchin theorem."""
    size = plane.shape[axis]
    length = fft.next_fast_len(2 * size, real=True)
    power = np.abs(fft.rfft(plane, length, axis=axis)) ** 2
    return np.asarray(fft.irfft(power.sum(axis=1 - axis), length)[:size], dtype=np.float64)


def correlation_range(correlation: Sequence[float] | NDArray[np.float64], little: float = LITTLE) -> float:
    """The lag at which a correlogram first falls to `little`, between two lags in proportion; NaN when it is unknown.

    The last known lag when it never falls so far.

    >>> correlation_range([1.0, 0.5, 0.0], little=0.25)
    1.5
    """
    values = np.asarray(correlation, dtype=np.float64)
    known = np.isfinite(values)
    if not known.any():
        return float("nan")
    values = values[: int(np.argmin(known)) if not known.all() else len(values)]
    below = np.flatnonzero(values <= little)
    if not len(below):
        return float(len(values) - 1)
    first = int(below[0])
    if first == 0:
        return 0.0
    upper, lower = values[first - 1], values[first]
    return float(first - 1 + (upper - little) / (upper - lower))


def class_planes(labels: NDArray[np.uint8], coding: Coding) -> NDArray[np.float32]:
    """Indicator planes (classes, height, width) of label bytes, 1 where a pixel is of the class."""
    return np.array([coding.plane(labels, index) for index in range(coding.classes)], dtype=np.float32)
