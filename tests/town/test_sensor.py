from dataclasses import replace

import numpy as np
import pytest

from terraseg.town.season import draw_season
from terraseg.town.sensor import record


def _record(value: float, haze: float = 0.05, noise: float = 1.0) -> np.ndarray:
    season = replace(draw_season(3), haze=haze, noise=noise)
    return record(np.full((3, 90, 90), value, dtype=np.float32), season, pixel_m=0.3, seed=3)


def test_more_light_is_a_higher_number_and_none_overflows() -> None:
    means = [_record(v).mean() for v in (0.0, 0.05, 0.2, 0.5, 5.0)]
    assert means == sorted(means)
    assert means[-1] == 255


def test_haze_lifts_the_dark_and_takes_contrast() -> None:
    clear, hazy = (_record(0.02, haze=h).mean() for h in (0.0, 0.2))
    assert hazy > clear + 10
    spread = [_record(0.4, haze=h).mean() - _record(0.02, haze=h).mean() for h in (0.0, 0.2)]
    assert spread[1] < spread[0]


def test_noise_differs_from_band_to_band_and_grows_with_its_scale() -> None:
    quiet, loud = (_record(0.2, noise=n, haze=0.0).astype(float) for n in (0.5, 2.0))
    assert loud[0].std() > quiet[0].std() > 0
    assert abs(np.corrcoef(loud[0].ravel(), loud[1].ravel())[0, 1]) < 0.2


@pytest.mark.parametrize("seed", range(40))
def test_the_sun_stands_on_the_equators_side_and_high_enough(seed: int) -> None:
    season = draw_season(seed)
    northward = np.cos(np.radians(season.azimuth_deg))
    assert (northward > 0) == season.crs.startswith("EPSG:327")
    assert 36 <= season.elevation_deg <= 60
