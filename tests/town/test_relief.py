import numpy as np
import pytest
from shapely.geometry import box

from terraseg.core.grid import Grid
from terraseg.town.relief import Sun, cast_shadows, raise_roofs, spots_of
from terraseg.town.vectors import Building, Wing

GRID = Grid("EPSG:32632", (0.5, 0.0, 648_000.0, 0.0, -0.5, 5_340_000.0), 40, 60)
SOUTH = Sun(0.0, -np.sqrt(0.5), np.sqrt(0.5))


def _house(form: str) -> tuple[Building, np.ndarray]:
    """A roof of 20 m by 10 m in the grid's middle, its ridge running east, and the pixels it covers."""
    left, bottom, right, top = 648_005.0, 5_339_985.0, 648_025.0, 5_339_995.0
    wing = Wing((left + right) / 2, (bottom + top) / 2, 20.0, 10.0, 0.0)
    owner = np.full((40, 60), -1, dtype=np.int32)
    owner[10:30, 10:50] = 0
    return Building(
        box(left, bottom, right, top), "house", "slate", form, (wing,), 5.0, 0.0 if form == "flat" else 0.6
    ), owner


def test_a_gable_rises_to_its_ridge_and_faces_the_sun_on_one_side() -> None:
    house, owner = _house("gable")
    rise, light = (v.reshape(20, 40) for v in raise_roofs(spots_of(owner, GRID), (house,), grid=GRID, sun=SOUTH))
    np.testing.assert_allclose(rise[:, 5], 5 + 0.6 * (5 - np.abs(np.arange(20) * 0.5 + 0.25 - 5)), rtol=1e-4)
    normal = 1 / np.sqrt(1 + 0.6**2)
    np.testing.assert_allclose(light[:10], (1 - 0.6) * normal, rtol=1e-3)
    np.testing.assert_allclose(light[10:], (1 + 0.6) * normal, rtol=1e-3)


def test_a_hip_falls_to_all_four_sides() -> None:
    house, owner = _house("hip")
    rise, light = (v.reshape(20, 40) for v in raise_roofs(spots_of(owner, GRID), (house,), grid=GRID, sun=SOUTH))
    assert rise[10, 0] == pytest.approx(5 + 0.6 * 0.25, rel=1e-4)
    assert rise.max() == pytest.approx(5 + 0.6 * 4.75, rel=1e-4)
    assert light[10, 0] == pytest.approx(1 / np.sqrt(1 + 0.6**2), rel=1e-3), "an end plane, across the sun"


def test_a_flat_roof_is_lit_as_the_ground() -> None:
    house, owner = _house("flat")
    rise, light = raise_roofs(spots_of(owner, GRID), (house,), grid=GRID, sun=SOUTH)
    np.testing.assert_allclose(rise, 5)
    np.testing.assert_allclose(light, 1, rtol=1e-6)


def test_a_tower_casts_a_shadow_as_long_as_the_sun_is_low() -> None:
    height = np.zeros((60, 40), dtype=np.float32)
    height[50:55, 10:20] = 10.0
    shadow = cast_shadows(height, SOUTH, pixel_m=0.5)
    assert (shadow[31:50, 10:20] == 1).all(), "10 m of tower under 45 degrees: 20 px to the north"
    assert shadow[:29].max() == 0
    assert shadow[:, :10].max() == shadow[:, 20:].max() == shadow[50:].max() == 0


@pytest.mark.parametrize(("east", "north"), [(1.0, 0.0), (-1.0, 0.0), (0.0, 1.0), (0.6, 0.8)])
def test_shadows_fall_away_from_the_sun(east: float, north: float) -> None:
    height = np.zeros((61, 61), dtype=np.float32)
    height[30, 30] = 6.0
    rows, cols = np.nonzero(
        cast_shadows(height, Sun(east * np.sqrt(0.5), north * np.sqrt(0.5), np.sqrt(0.5)), pixel_m=1.0)
    )
    assert len(rows) >= 5
    assert ((cols - 30) * east - (rows - 30) * north < 0).all()


def test_level_ground_casts_no_shadow() -> None:
    assert cast_shadows(np.zeros((5, 7), dtype=np.float32), SOUTH, pixel_m=0.3).max() == 0
