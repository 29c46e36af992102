"""Training patches as under another light, so that a forest does not take one flight's exposure for a class."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

GAIN = {"photometric": (1.3, 1.1, 0.3), "radiometric": (1.05, 1.05, 0.0)}
"""By the plan's augmentation: most gain of all bands together, most gain of each, most brightness in deviations."""


def relit(
    pixels: NDArray[Any],
    augment: Sequence[str],
    std: Sequence[float],
    random: np.random.Generator,
    *,
    sensed: int | None = None,
) -> NDArray[Any]:
    """Pixels (bands, height, width) with gain and brightness drawn at random, in their own dtype and its range.

    What the plan does not name is not done; every patch draws equally many numbers. Only the first `sensed` bands change,
    by default all: spectral indices keep their values under any light.
    """
    draws = random.uniform(-1, 1, 2 + len(pixels))
    kind = next((name for name in GAIN if name in augment), None)
    if kind is None:
        return pixels
    all_bands, each_band, brightness = GAIN[kind]
    gain = all_bands ** draws[0] * each_band ** draws[2:]
    shift = brightness * draws[1] * np.asarray(std, dtype=np.float64)
    changed = pixels * gain[:, None, None] + shift[:, None, None]
    changed[len(pixels) if sensed is None else sensed :] = pixels[len(pixels) if sensed is None else sensed :]
    if pixels.dtype.kind in "iu":
        limits = np.iinfo(pixels.dtype)
        changed = np.clip(np.rint(changed), limits.min, limits.max)
    return np.asarray(changed, dtype=pixels.dtype)
