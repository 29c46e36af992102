"""Scale bar and north arrow on grids whose answers are known."""

import math

import pytest

from terraseg.core.grid import Grid
from terraseg.report.cartography import north_angle, pixel_sides_m, scale_bar


def utm(a: float, b: float, d: float, e: float, height: int = 400, width: int = 600) -> Grid:
    """A grid on the central meridian of its zone, where grid north is true north."""
    x = 500_000 - (a * width + b * height) / 2
    y = 4_000_000 - (d * width + e * height) / 2
    return Grid("EPSG:32637", (a, b, x, d, e, y), height, width)


def turned(degrees: float) -> Grid:
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return utm(c, s, s, -c)


@pytest.mark.parametrize("degrees", [0, 30, -75, 120])
def test_the_arrow_turns_with_the_raster(degrees: float) -> None:
    angle = north_angle(turned(degrees))
    assert angle == pytest.approx(degrees, abs=0.05)


def test_north_is_down_on_a_raster_with_the_south_up() -> None:
    angle = north_angle(utm(1, 0, 0, 1))
    assert angle is not None
    assert abs(angle) == pytest.approx(180, abs=0.05)


def test_no_crs_no_arrow_and_no_bar() -> None:
    grid = Grid(None, (1, 0, 0, 0, 1, 0), 10, 10)
    assert (north_angle(grid), scale_bar(grid), pixel_sides_m(grid)) == (None, None, None)


def test_a_site_grid_that_has_no_place_on_the_globe_has_neither() -> None:
    local = 'ENGCRS["site",EDATUM["site"],CS[Cartesian,2],AXIS["x",east],AXIS["y",north],LENGTHUNIT["metre",1]]'
    grid = Grid(local, (1, 0, 0, 0, -1, 10), 10, 10)
    assert (north_angle(grid), scale_bar(grid)) == (None, None)


@pytest.mark.parametrize("gsd", [0.0746, 0.5, 3.0, 10.0, 417.0])
def test_the_bar_is_a_round_length_at_most_three_tenths_wide(gsd: float) -> None:
    grid = utm(gsd, 0, 0, -gsd)
    bar = scale_bar(grid)
    assert bar is not None
    assert 0.11 < bar.share <= 0.3 + 1e-9
    lead = bar.length_m / 10 ** math.floor(math.log10(bar.length_m) + 1e-9)
    assert round(lead, 9) in (1, 2, 5)
    assert bar.length_m / bar.share == pytest.approx(gsd * grid.width, rel=1e-3)


def test_web_mercator_metres_are_not_ground_metres() -> None:
    grid = Grid("EPSG:3857", (1.0, 0.0, 9_490_000.0, 0.0, -1.0, 3_210_000.0), 100, 1000)
    bar = scale_bar(grid)
    assert bar is not None
    assert bar.length_m / bar.share == pytest.approx(885, abs=5)
