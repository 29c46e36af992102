"""Probabilities that mean what they say: how far they are from it, and the temperature that brings them there."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

BINS = 15
"""As in Guo et al., "On calibration of modern neural networks", ICML 2017."""
COLDEST, HOTTEST = 0.25, 8.0
"""Beyond these a temperature tells of too few pixels, or of labels that are perfect by chance."""
LEAST = 1.0
"""No model is made surer of itself: it is less right on new ground than where it was judged."""
FEWEST = 6
"""Blocks from which their temperatures tell how far ground differs."""
SOLID = 256
"""Pixels from which a block has a temperature of its own."""
DIGITS = 4
"""Decimals that are kept, so that the last bits of a sum do not make another model."""


def fit_temperature(logits: NDArray[np.floating], labels: NDArray[np.integer]) -> float:
    """The temperature T at which softmax(logits / T) gives the labels the greatest likelihood; 1 without a pixel.

    `logits` (n, classes) with the class index of each in `labels` (n,). Of overlapping classes, whose logits stand by
    themselves, `labels` (n, classes) hold 0 and 1, and sigmoid(logits / T) counts. Between 0.25 and 8, to 4 decimals. Method:
    temperature scaling (Guo et al., ICML 2017); the likelihood is concave in 1 / T, so the zero of its slope is the one best.
    """
    if not logits.size:
        return 1.0
    scores = logits.astype(np.float64)
    single = labels.ndim == 1
    wanted = scores[np.arange(len(labels)), labels].mean() if single else (scores * labels).sum(axis=1).mean()

    def slope(inverse: float) -> float:
        shares = special.softmax(inverse * scores, axis=1) if single else special.expit(inverse * scores)
        return float((shares * scores).sum(axis=1).mean() - wanted)

    low, high = 1 / HOTTEST, 1 / COLDEST
    if slope(low) >= 0:
        return HOTTEST
    if slope(high) <= 0:
        return COLDEST
    return round(1 / float(optimize.brentq(slope, low, high, xtol=1e-10)), DIGITS)


def cautious_temperature(blocks: Sequence[tuple[NDArray[np.floating], NDArray[np.integer]]]) -> float:
    """The temperature for ground that differs from these blocks as they do among themselves; logits and labels of each.

    Blocks of ground need temperatures of their own, and new ground is no mean of those that are known. So it is one standard
    deviation above the mean over the blocks, of logarithms of temperatures of at least 1: a further block of the kind would
    need a higher one in one case of six. For fewer than six blocks of 256 pixels and more the one temperature that fits all
    pixels; 1 at least.

    >>> cautious_temperature([])
    1.0
    """
    if not blocks:
        return LEAST
    solid = [block for block in blocks if len(block[1]) >= SOLID]
    if len(solid) < FEWEST:
        logits, labels = zip(*blocks, strict=True)
        return max(LEAST, fit_temperature(np.concatenate(logits), np.concatenate(labels)))
    each = np.log([max(LEAST, fit_temperature(*block)) for block in solid])
    return round(float(np.exp(each.mean() + each.std(ddof=1))), DIGITS)


def certainties(
    logits: NDArray[np.floating], labels: NDArray[np.integer], temperature: float
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """How sure the mapped class is at a temperature, from 0 to 1, and whether it is right; shapes as in `fit_temperature`.

    Of overlapping classes each decision on whether a class is there counts by itself.
    """
    scores = logits.astype(np.float64) / temperature
    if labels.ndim == 1:
        shares = special.softmax(scores, axis=1)
        return shares.max(axis=1), shares.argmax(axis=1) == labels
    inside = special.expit(scores)
    return np.maximum(inside, 1 - inside).ravel(), ((scores >= 0) == (labels > 0)).ravel()


def calibration_error(confidence: NDArray[np.floating], right: NDArray[np.bool_], *, bins: int = BINS) -> float:
    """Expected calibration error: the mean gap between confidence and accuracy over equal steps of confidence.

    >>> calibration_error(np.array([0.9, 0.9, 0.9, 0.9]), np.array([True, True, False, False]))
    0.4
    >>> calibration_error(np.zeros(0), np.zeros(0, dtype=bool))
    0.0
    """
    if not len(confidence):
        return 0.0
    place = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    gap = np.bincount(place, weights=confidence - right, minlength=bins)
    return float(np.abs(gap).sum() / len(confidence))
