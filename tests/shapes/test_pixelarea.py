"""Pixel areas against the geodesic areas of the same ground, and the same however they are read."""

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Transformer

from terraseg.shapes.ground import Affine6, ground_area_m2
from terraseg.shapes.pixelarea import PixelAreas


def placed(crs: str, lon: float, lat: float, size: float, angle: float = 0.0) -> Affine6:
    x, y = Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform(lon, lat)
    c, s = size * np.cos(np.radians(angle)), size * np.sin(np.radians(angle))
    return (c, s, x, s, -c, y)


def outline(transform: Affine6, height: int, width: int) -> shapely.Polygon:
    a, b, c, d, e, f = transform
    pixels = shapely.segmentize(shapely.box(0, 0, width, height), max(height, width) / 200)
    return shapely.transform(
        pixels, lambda p: np.column_stack([a * p[:, 0] + b * p[:, 1] + c, d * p[:, 0] + e * p[:, 1] + f])
    )


CASES = {
    "web mercator, 7 cm": ("EPSG:3857", placed("EPSG:3857", 85.3, 27.7, 0.0746), 300, 500),
    "web mercator, 30 m": ("EPSG:3857", placed("EPSG:3857", 10.0, 60.0, 30.0), 900, 700),
    "utm, turned": ("EPSG:32645", placed("EPSG:32645", 85.3, 27.7, 0.5, angle=30), 400, 300),
    "utm, 30 m": ("EPSG:32633", placed("EPSG:32633", 12.0, 55.0, 30.0), 800, 900),
    "degrees": ("EPSG:4326", (0.001, 0, 85.0, 0, -0.001, 60.0), 600, 500),
    "coarse degrees": ("EPSG:4326", (1.0, 0, -20.0, 0, -1.0, 70.0), 60, 40),
    "equal area": ("EPSG:3035", placed("EPSG:3035", 10.0, 50.0, 100.0), 500, 400),
    "us feet": ("EPSG:2263", placed("EPSG:2263", -74.0, 40.7, 3.0), 300, 300),
}


@pytest.mark.parametrize("name", CASES)
def test_the_sum_of_pixel_areas_is_the_geodesic_area_to_a_ten_thousandth(name: str) -> None:
    crs, transform, height, width = CASES[name]
    areas = PixelAreas(crs, transform, height, width)
    truth = ground_area_m2(np.array([outline(transform, height, width)]), crs)[0]
    assert areas.read(0, 0, height, width).sum() * areas.unit_m2 == pytest.approx(truth, rel=1e-4)


@pytest.mark.parametrize("name", ["web mercator, 30 m", "utm, turned", "coarse degrees"])
def test_a_corner_has_its_own_scale(name: str) -> None:
    crs, transform, height, width = CASES[name]
    areas = PixelAreas(crs, transform, height, width)
    a, b, c, d, e, f = transform
    last = (a, b, c + a * (width - 5) + b * (height - 5), d, e, f + d * (width - 5) + e * (height - 5))
    truth = ground_area_m2(np.array([outline(last, 5, 5)]), crs)[0]
    assert areas.read(height - 5, width - 5, 5, 5).sum() * areas.unit_m2 == pytest.approx(truth, rel=1e-4)


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_a_block_reads_as_it_does_within_the_whole(data: st.DataObject) -> None:
    crs, transform, height, width = CASES[data.draw(st.sampled_from(sorted(CASES)))]
    row, col = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    tall, wide = data.draw(st.integers(1, height - row)), data.draw(st.integers(1, width - col))
    areas = PixelAreas(crs, transform, height, width)
    whole = areas.read(0, 0, height, width)[row : row + tall, col : col + wide]
    assert np.array_equal(areas.read(row, col, tall, wide), whole)


def test_areas_are_whole_steps() -> None:
    crs, transform, height, width = CASES["utm, turned"]
    block = PixelAreas(crs, transform, height, width).read(3, 4, 50, 60)
    assert np.array_equal(block, np.rint(block))
    assert block.min() > 2**17


def test_a_world_map_covers_the_earth_once() -> None:
    areas = PixelAreas("EPSG:4326", (0.5, 0, -180, 0, -0.5, 90), 360, 720)
    assert areas.read(0, 0, 360, 720).sum() * areas.unit_m2 == pytest.approx(5.10065622e14, rel=1e-4)


def test_pixels_off_the_projection_have_no_area() -> None:
    # A geostationary full disk: its corners look past the Earth.
    areas = PixelAreas("+proj=geos +h=35785831 +lon_0=0", (60000.0, 0, -6e6, 0, -60000.0, 6e6), 200, 200)
    block = areas.read(0, 0, 200, 200)
    assert block[0, 0] == 0
    assert block[100, 100] * areas.unit_m2 == pytest.approx(3.6e9, rel=0.02)
