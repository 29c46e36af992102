"""From light to numbers: haze on the way up, the camera's blur, its noise, and eight bits."""

import numpy as np
from numpy.typing import NDArray

from terraseg.town.season import Season
from terraseg.town.texture import Field, blurred, smooth_noise

VEIL = np.array([0.36, 0.40, 0.47, 0.24], dtype=np.float32)
GAMMA = 1 / 2.2
FULL_SCALE = 0.52
"""The radiance that the brightest digital number stands for."""


def record(light: Field, season: Season, *, pixel_m: float, seed: int) -> NDArray[np.uint8]:
    """The picture of `light` (bands, height, width) as the camera stores it, uint8.

    Haze adds a veil, strongest in blue and uneven over hundreds of metres; the lens darkens the corners a little; noise
    grows with the root of the light. Each band has noise of its own, so three bands of four are the three-band picture.
    """
    bands, height, width = light.shape
    air = smooth_noise(np.random.default_rng((seed, 3)), (height, width), 160 / pixel_m)
    veil = season.haze * np.clip(1 + 0.35 * air, 0.3, 2)
    fall_off = _fall_off(height, width)
    pixels = np.empty(light.shape, dtype=np.uint8)
    for band in range(bands):
        seen = blurred(light[band], season.blur_px)
        seen = seen + veil * (VEIL[band] - seen)
        seen *= fall_off * np.float32(season.exposure * season.gains[band] / FULL_SCALE)
        noise = np.random.default_rng((seed, 4, band)).standard_normal((height, width), dtype=np.float32)
        seen += noise * np.sqrt(np.maximum(seen, 0) * np.float32(1.6e-4) + np.float32(6e-6)) * np.float32(season.noise)
        np.clip(seen, 0, 1, out=seen)
        pixels[band] = np.rint(255 * seen ** np.float32(GAMMA))
    return pixels


def _fall_off(height: int, width: int) -> Field:
    rows, cols = np.linspace(-1, 1, height, dtype=np.float32), np.linspace(-1, 1, width, dtype=np.float32)
    return 1 - np.float32(0.035) * (rows[:, None] ** 2 + cols**2)
