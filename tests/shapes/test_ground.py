"""Ground sizes against nominal ones, pyproj's own answers and closed formulas."""

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Geod, Transformer

from terraseg.errors import GridMismatch
from terraseg.shapes.ground import (
    ground_area_m2,
    ground_length_m,
    parse_crs,
    pixel_size_m,
    to_degrees,
    to_longitude_latitude,
)

KATHMANDU = (85.324, 27.717)
MARS = "+proj=longlat +R=3396190 +no_defs"


def square_in(crs: str, lon: float, lat: float, side: float) -> shapely.Polygon:
    x, y = Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform(lon, lat)
    return shapely.box(x, y, x + side, y + side)


def test_web_mercator_metres_at_kathmandu_are_0_885_ground_metres() -> None:
    square = np.array([square_in("EPSG:3857", *KATHMANDU, 100.0)])
    scale = ground_length_m(square, "EPSG:3857")[0] / 400.0
    assert scale == pytest.approx(0.885, abs=0.003)
    assert ground_area_m2(square, "EPSG:3857")[0] / 1e4 == pytest.approx(scale**2, rel=1e-3)


def test_area_and_length_are_those_of_the_geodesic_polygon() -> None:
    square = square_in("EPSG:32645", *KATHMANDU, 250.0)
    lon, lat = Transformer.from_crs("EPSG:32645", "EPSG:4326", always_xy=True).transform(
        *np.array(square.exterior.coords).T
    )
    area, length = Geod(ellps="WGS84").polygon_area_perimeter(lon, lat)
    assert ground_area_m2(np.array([square]), "EPSG:32645")[0] == pytest.approx(abs(area), rel=1e-7)
    assert ground_length_m(np.array([square]), "EPSG:32645")[0] == pytest.approx(length, rel=1e-9)


def test_holes_are_taken_off_areas_and_added_to_perimeters() -> None:
    whole, inside = square_in("EPSG:3857", *KATHMANDU, 90.0), square_in("EPSG:3857", *KATHMANDU, 30.0)
    inside = shapely.affinity.translate(inside, 30, 30)
    areas = ground_area_m2(np.array([whole, inside, whole.difference(inside)]), "EPSG:3857")
    lengths = ground_length_m(np.array([whole, inside, whole.difference(inside)]), "EPSG:3857")
    assert areas[2] == pytest.approx(areas[0] - areas[1], rel=1e-6)
    assert lengths[2] == pytest.approx(lengths[0] + lengths[1], rel=1e-6)


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:32645", "EPSG:3857"])
def test_orientation_of_the_rings_does_not_matter(crs: str) -> None:
    square = square_in(crs, *KATHMANDU, 0.001 if crs == "EPSG:4326" else 50.0)
    both = np.array([square, square.reverse()])
    one, other = ground_area_m2(both, crs)
    assert one == other > 0


def test_lines_have_their_own_length() -> None:
    line = np.array([shapely.LineString([(0, 0), (0, 1)])])
    assert ground_length_m(line, "EPSG:4326")[0] == pytest.approx(
        110574.4, abs=0.5
    )  # a degree of latitude at the equator


def test_mars_is_measured_on_mars() -> None:
    quarter_degree = np.array([shapely.box(0, 0, 0.25, 0.25)])
    side = np.radians(0.25) * 3396190
    assert ground_area_m2(quarter_degree, MARS)[0] == pytest.approx(side**2, rel=1e-4)


def test_pixel_size_has_the_scale_taken_out_and_follows_rotation() -> None:
    x, y = Transformer.from_crs("EPSG:4326", "EPSG:3857", always_xy=True).transform(*KATHMANDU)
    height, width = pixel_size_m("EPSG:3857", (2.0, 0, x, 0, -1.0, y), 0, 0)
    assert (height, width) == pytest.approx((0.885, 2 * 0.885), rel=0.005)
    turned = pixel_size_m("EPSG:3857", (0, 2.0, x, 1.0, 0, y), 0, 0)
    assert turned == pytest.approx((width, height), rel=1e-2)


def test_degrees_come_as_longitude_then_latitude() -> None:
    point = np.array([square_in("EPSG:32645", *KATHMANDU, 1.0).centroid])
    moved = to_degrees(point, "EPSG:32645")[0]
    assert (moved.x, moved.y) == pytest.approx(KATHMANDU, abs=1e-4)


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:32645", "EPSG:3857", MARS, "+proj=stere +lat_0=90"])
def test_areas_in_closed_form_are_karneys(crs: str) -> None:
    """Stars of all sizes with a hole, at low and high latitudes, some with edges too long for the closed form."""
    rng = np.random.default_rng(4)
    geod, polygons = (parse_crs(crs).get_geod() or Geod(ellps="WGS84")), []
    scale = 1e-5 if parse_crs(crs).is_geographic else 1.0
    for size in (8.0, 90.0, 2_000.0, 80_000.0):
        for lat in (-75.0, 0.0, 48.0, 83.0):
            x, y = to_longitude_latitude(crs).transform(87.0, lat, direction="INVERSE")
            angle = np.linspace(0, 2 * np.pi, 9)[:-1]
            middle = np.array([x, y])
            star = np.column_stack([np.cos(angle), np.sin(angle)]) * rng.uniform(0.5, 1, (8, 1)) * size * scale
            polygons.append(shapely.Polygon(star + middle, [star * 0.3 + middle]))
    found = ground_area_m2(np.array(polygons), crs)
    for polygon, area in zip(to_degrees(np.array(polygons), crs), found, strict=True):
        exact = abs(geod.geometry_area_perimeter(shapely.orient_polygons(polygon))[0])
        assert area == pytest.approx(exact, rel=2e-7, abs=1e-4)  # PROJ rounds to 1e-5 m2


def test_a_polygon_around_the_pole_is_measured_too() -> None:
    cap = shapely.Point(0, 0).buffer(1_000)
    assert ground_area_m2(np.array([cap]), "EPSG:3995")[0] == pytest.approx(
        cap.area * (ground_length_m(np.array([cap]), "EPSG:3995")[0] / cap.length) ** 2, rel=1e-4
    )


def test_a_crs_without_a_way_to_degrees_is_refused_in_words() -> None:
    nowhere = 'ENGCRS["site grid",EDATUM["site"],CS[Cartesian,2],AXIS["x",east],AXIS["y",north],LENGTHUNIT["metre",1]]'
    with pytest.raises(GridMismatch, match=r"'site grid' to degrees .* set it anew"):
        to_longitude_latitude(nowhere)


def test_a_hole_is_taken_off_across_180_degrees() -> None:
    """Longitudes that jump there turn an outline the wrong way round."""
    crs = "EPSG:32760"
    x, y = Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform(180.0, -17.0)
    whole = shapely.box(x - 2000, y - 1500, x + 2000, y + 1500)
    holes = [shapely.box(x + off, y - 100, x + off + 300, y + 100) for off in (-1500, -150, 900)]
    areas = ground_area_m2(np.array([whole, *holes, whole.difference(shapely.union_all(holes))]), crs)
    assert areas[4] == pytest.approx(areas[0] - areas[1:4].sum(), rel=1e-9)
    far = ground_area_m2(np.array([shapely.affinity.scale(g, 40, 40, origin=(x, y)) for g in (whole, holes[1])]), crs)
    ring = shapely.affinity.scale(whole, 40, 40, origin=(x, y)).difference(
        shapely.affinity.scale(holes[1], 40, 40, origin=(x, y))
    )
    assert ground_area_m2(np.array([ring]), crs)[0] == pytest.approx(far[0] - far[1], rel=1e-9)


@settings(deadline=None, max_examples=60)
@given(st.floats(-89, 89), st.floats(-180, 180), st.floats(0, 360), st.floats(0.1, 20_000))
def test_lengths_are_the_geodesics_whatever_their_own(lat: float, lon: float, azimuth: float, length: float) -> None:
    geod = Geod(ellps="WGS84")
    far_lon, far_lat, _ = geod.fwd(lon, lat, azimuth, length)
    line = shapely.linestrings([[lon, lat], [far_lon, far_lat]])
    assert ground_length_m(np.array([line]), "EPSG:4326")[0] == pytest.approx(length, rel=2e-7, abs=1e-6)
