"""How each surface reflects: two colours between which it varies, and how rough it looks."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from terraseg.town.season import Season

Spectrum = tuple[float, float, float, float]


@dataclass(frozen=True)
class Material:
    """Reflectance (red, green, blue, near infrared; 0 to 1) at its two extremes, and contrast by scale of texture.

    `mottle` varies over metres, `grain` from pixel to pixel; both are shares of the brightness.
    """

    one: Spectrum
    other: Spectrum
    mottle: float
    grain: float


MATERIALS: dict[str, Material] = {
    "grass": Material((0.080, 0.125, 0.047, 0.43), (0.140, 0.150, 0.072, 0.38), 0.13, 0.10),
    "lawn": Material((0.075, 0.130, 0.045, 0.46), (0.120, 0.150, 0.065, 0.42), 0.10, 0.07),
    "dry lawn": Material((0.150, 0.155, 0.078, 0.36), (0.215, 0.185, 0.110, 0.33), 0.14, 0.09),
    "garden": Material((0.080, 0.115, 0.050, 0.40), (0.165, 0.140, 0.090, 0.31), 0.30, 0.16),
    "hedge": Material((0.040, 0.070, 0.028, 0.36), (0.060, 0.090, 0.035, 0.40), 0.20, 0.16),
    "meadow": Material((0.090, 0.135, 0.055, 0.43), (0.165, 0.165, 0.085, 0.37), 0.12, 0.08),
    "crop": Material((0.060, 0.115, 0.040, 0.50), (0.095, 0.140, 0.055, 0.46), 0.07, 0.10),
    "forest floor": Material((0.060, 0.075, 0.040, 0.28), (0.105, 0.100, 0.060, 0.28), 0.22, 0.14),
    "fence": Material((0.150, 0.130, 0.105, 0.22), (0.200, 0.175, 0.145, 0.27), 0.10, 0.10),
    "gravel": Material((0.270, 0.250, 0.215, 0.32), (0.335, 0.305, 0.260, 0.37), 0.10, 0.09),
    "earth": Material((0.215, 0.155, 0.105, 0.29), (0.310, 0.240, 0.170, 0.36), 0.16, 0.10),
    "bank": Material((0.215, 0.185, 0.130, 0.29), (0.275, 0.235, 0.170, 0.33), 0.16, 0.12),
    "ploughed": Material((0.165, 0.120, 0.085, 0.23), (0.215, 0.160, 0.115, 0.27), 0.10, 0.08),
    "stubble": Material((0.290, 0.240, 0.150, 0.36), (0.345, 0.285, 0.185, 0.40), 0.09, 0.08),
    "water": Material((0.030, 0.055, 0.052, 0.016), (0.055, 0.080, 0.062, 0.024), 0.05, 0.03),
    "footway": Material((0.235, 0.228, 0.215, 0.27), (0.275, 0.265, 0.250, 0.30), 0.06, 0.05),
    "asphalt": Material((0.125, 0.125, 0.128, 0.145), (0.165, 0.163, 0.160, 0.185), 0.09, 0.05),
    "marking": Material((0.290, 0.290, 0.285, 0.30), (0.340, 0.340, 0.330, 0.34), 0.05, 0.05),
    "car white": Material((0.720, 0.720, 0.715, 0.66), (0.740, 0.740, 0.735, 0.68), 0.0, 0.02),
    "car silver": Material((0.380, 0.390, 0.400, 0.38), (0.400, 0.410, 0.420, 0.40), 0.0, 0.02),
    "car black": Material((0.035, 0.036, 0.040, 0.05), (0.045, 0.046, 0.050, 0.06), 0.0, 0.02),
    "car red": Material((0.360, 0.035, 0.030, 0.42), (0.380, 0.040, 0.035, 0.44), 0.0, 0.02),
    "car blue": Material((0.050, 0.090, 0.260, 0.12), (0.055, 0.100, 0.290, 0.14), 0.0, 0.02),
    "glass": Material((0.060, 0.075, 0.090, 0.08), (0.085, 0.100, 0.120, 0.10), 0.0, 0.02),
    "red tile": Material((0.330, 0.135, 0.085, 0.36), (0.400, 0.185, 0.120, 0.42), 0.11, 0.09),
    "brown tile": Material((0.205, 0.120, 0.085, 0.26), (0.255, 0.160, 0.115, 0.30), 0.12, 0.09),
    "dark tile": Material((0.082, 0.078, 0.076, 0.11), (0.115, 0.108, 0.102, 0.14), 0.12, 0.09),
    "slate": Material((0.125, 0.135, 0.150, 0.155), (0.165, 0.172, 0.185, 0.19), 0.10, 0.08),
    "grey concrete": Material((0.270, 0.265, 0.252, 0.30), (0.345, 0.338, 0.322, 0.37), 0.09, 0.04),
    "bitumen": Material((0.085, 0.086, 0.090, 0.11), (0.135, 0.134, 0.136, 0.16), 0.12, 0.05),
    "white": Material((0.480, 0.480, 0.468, 0.47), (0.570, 0.570, 0.560, 0.55), 0.06, 0.03),
    "metal": Material((0.420, 0.430, 0.440, 0.43), (0.540, 0.550, 0.560, 0.54), 0.02, 0.05),
    "brick": Material((0.240, 0.120, 0.090, 0.27), (0.300, 0.160, 0.120, 0.32), 0.05, 0.08),
    "panel": Material((0.028, 0.035, 0.065, 0.06), (0.038, 0.046, 0.082, 0.07), 0.02, 0.05),
    "broadleaf": Material((0.048, 0.088, 0.030, 0.44), (0.075, 0.115, 0.040, 0.50), 0.10, 0.12),
    "lime": Material((0.080, 0.125, 0.040, 0.50), (0.115, 0.150, 0.050, 0.54), 0.10, 0.12),
    "conifer": Material((0.030, 0.055, 0.030, 0.28), (0.045, 0.070, 0.036, 0.33), 0.08, 0.13),
    "copper": Material((0.105, 0.070, 0.045, 0.37), (0.135, 0.088, 0.052, 0.41), 0.10, 0.12),
    "autumn": Material((0.200, 0.125, 0.040, 0.44), (0.290, 0.195, 0.055, 0.48), 0.12, 0.12),
}
CODES = {name: code for code, name in enumerate(MATERIALS)}
SPECIES = ("broadleaf", "lime", "conifer", "copper", "autumn")
GREEN = ("grass", "lawn", "garden", "meadow", "crop", "forest floor")


def palette(season: Season) -> NDArray[np.float32]:
    """Reflectances of all materials in a season, shape (2 extremes, materials, 4 bands)."""
    table = np.array([(m.one, m.other) for m in MATERIALS.values()], dtype=np.float32).transpose(1, 0, 2).copy()
    straw = np.array((0.235, 0.200, 0.120, 0.33), dtype=np.float32)
    for name in GREEN:
        share = 0.55 * season.dryness * (0.35 if name in {"lawn", "crop"} else 1.0)
        table[:, CODES[name]] += share * (straw - table[:, CODES[name]])
    silt = np.array((0.110, 0.105, 0.070, 0.035), dtype=np.float32)
    table[:, CODES["water"]] += 0.6 * season.murk * (silt - table[:, CODES["water"]])
    return table


def species_shares(season: Season) -> NDArray[np.float64]:
    """How often each of `SPECIES` occurs in a season."""
    turned = 0.55 * season.autumn
    shares = np.array([0.5 * (1 - turned), 0.24 * (1 - turned), 0.2, 0.05, 0.74 * turned + 0.01])
    return np.asarray(shares / shares.sum())
