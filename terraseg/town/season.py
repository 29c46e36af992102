"""What differs between two pictures of one world: where it is, the sun, the season, the air and the camera."""

from dataclasses import dataclass

import numpy as np

# CRS and rough easting and northing (metres) of inhabited country: Bavaria, Castile, Ohio, Texas, Nepal, Kenya, Minas
# Gerais, Victoria, Anatolia, Maharashtra, central France, Korea.
PLACES = (
    (32632, 648_000, 5_340_000),
    (32630, 415_000, 4_484_000),
    (32617, 415_000, 4_428_000),
    (32614, 595_000, 3_430_000),
    (32645, 333_000, 3_065_000),
    (32737, 255_000, 9_856_000),
    (32723, 604_000, 7_788_000),
    (32755, 322_000, 5_903_000),
    (32636, 500_000, 4_428_000),
    (32643, 394_000, 2_046_000),
    (32631, 424_000, 5_205_000),
    (32652, 366_000, 4_040_000),
)


@dataclass(frozen=True)
class Season:
    """The day of the picture.

    `azimuth_deg` is where the sun stands, clockwise from north, `elevation_deg` its height above the horizon. `dryness`
    and `autumn` (0 to 1) colour the green, `haze` (0 to 1) is how much of the light is veil, `gains` are the camera's
    response by band (red, green, blue, near infrared), `blur_px` the deviation of its point spread, `noise` its scale.
    """

    crs: str
    left: int
    top: int
    azimuth_deg: float
    elevation_deg: float
    dryness: float
    autumn: float
    murk: float
    haze: float
    exposure: float
    gains: tuple[float, ...]
    blur_px: float
    noise: float


def draw_season(seed: int) -> Season:
    """The season of town `seed`; the sun stands to the equator's side."""
    rng = np.random.default_rng((seed, 0))
    code, easting, northing = PLACES[int(rng.integers(len(PLACES)))]
    noon = 0.0 if code >= 32700 else 180.0
    return Season(
        crs=f"EPSG:{code}",
        left=easting + int(rng.integers(-15_000, 15_000)),
        top=northing + int(rng.integers(-15_000, 15_000)),
        azimuth_deg=float((noon + rng.uniform(-58, 58)) % 360),
        elevation_deg=float(rng.uniform(36, 60)),
        dryness=float(rng.beta(1.1, 2.0)),
        autumn=float(max(0.0, rng.uniform(-1.2, 0.8))),
        murk=float(rng.uniform(0, 1)),
        haze=float(rng.uniform(0.01, 0.09)),
        exposure=float(rng.uniform(0.92, 1.12)),
        gains=tuple(float(g) for g in rng.normal(1, (0.035, 0.015, 0.04, 0.05))),
        blur_px=float(rng.uniform(0.55, 0.8)),
        noise=float(rng.uniform(0.6, 1.3)),
    )
