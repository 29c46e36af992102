"""Geometries in degrees at 180: cut there, counted on beyond it, moved by whole turns; on points, areas and GDAL's own cut."""

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pyproj import Geod, Transformer
from rasterio.warp import transform_geom
from shapely.geometry import mapping, shape

from terraseg.shapes.antimeridian import counting_on, parted, turned_onto
from terraseg.shapes.carry import carried, carried_around, carried_onto, longest_edge_m

GEOD = Geod(ellps="WGS84")
NEAR_180 = "EPSG:32760"
"""A projection whose zone ends at 180 degrees."""


def one(geometry: object) -> NDArray[np.object_]:
    return np.array([geometry], dtype=object)


def star(seed: int, middle: tuple[float, float], reach: float) -> shapely.Polygon:
    """A ragged polygon with a hole in its middle."""
    rng = np.random.default_rng(seed)
    angle = np.sort(rng.random(11)) * 2 * np.pi
    far = rng.uniform(0.4, 1, 11) * reach
    rim = np.column_stack([middle[0] + far * np.cos(angle), middle[1] + far * np.sin(angle)])
    hole = shapely.Point(middle).buffer(reach / 10)
    return shapely.make_valid(shapely.Polygon(rim)).difference(hole)


def jumping(polygon: shapely.Geometry) -> shapely.Geometry:
    """The same with longitudes from -180 to 180, as GPS tracks and careless exports have them."""
    return shapely.transform(polygon, lambda p: np.column_stack([(p[:, 0] + 180) % 360 - 180, p[:, 1]]))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.floats(-4, 4), st.floats(-70, 70), st.sampled_from([-180.0, 180.0, 540.0]))
def test_a_cut_polygon_holds_the_same_ground(seed: int, off: float, lat: float, meridian: float) -> None:
    """Brute force: points of the unbroken plane lie in the polygon exactly where their longitude, brought back, does."""
    whole = star(seed, (meridian + off, lat), 5.0)
    (cut,) = parted(one(whole))
    assert cut.is_valid
    assert -180 <= cut.bounds[0] <= cut.bounds[2] <= 180
    rng = np.random.default_rng(seed)
    lon, lats = rng.uniform(meridian - 10, meridian + 10, 400), rng.uniform(lat - 6, lat + 6, 400)
    inside = shapely.contains_xy(whole, lon, lats)
    assert (shapely.contains_xy(cut, (lon + 180) % 360 - 180, lats) == inside).all()
    assert shapely.area(cut) == pytest.approx(shapely.area(whole), rel=1e-9)
    if off == 0:
        assert cut.geom_type == "MultiPolygon"


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.floats(-4, 4))
def test_outlines_that_jump_are_cut_as_those_that_count_on(seed: int, off: float) -> None:
    whole = star(seed, (180 + off, 10.0), 4.0)
    (cut,), (jump,) = parted(one(whole)), parted(one(jumping(whole)))
    assert shapely.area(shapely.symmetric_difference(cut, jump)) < 1e-9
    (onward,) = turned_onto(counting_on(one(jumping(whole))), (170.0, -90.0, 190.0, 90.0))
    assert shapely.area(shapely.symmetric_difference(onward, whole)) < 1e-9


def test_what_needs_no_cut_is_left_to_the_bit() -> None:
    shapes = np.array([star(1, (20, 30), 5), star(2, (-179, 0), 0.9), shapely.Point(180, 0), shapely.Polygon()])
    assert all(a is b or a.equals_exact(b) for a, b in zip(parted(shapes), shapes, strict=True))
    assert all(a is b or a.equals_exact(b) for a, b in zip(counting_on(shapes), shapes, strict=True))


def test_the_whole_earth_is_no_strip_at_180() -> None:
    for world in (
        shapely.box(-180, -90, 180, 90),
        shapely.box(-179.5, -85, 179.5, 85),
        shapely.box(-170, -60, 170, 70),
    ):
        assert counting_on(one(world))[0].equals(world)
    russia = shapely.MultiPolygon([shapely.box(30, 50, 180, 75), shapely.box(-180, 62, -169, 70)])
    assert counting_on(one(russia))[0].equals(russia)


def test_lines_are_cut_as_well() -> None:
    line = shapely.LineString([(179.5, 0), (-179.5, 1), (-179, 1)])
    (cut,) = parted(one(line))
    assert cut.geom_type == "MultiLineString"
    assert cut.length == pytest.approx(np.hypot(1, 1) + 0.5)
    assert cut.bounds == (-180, 0, 180, 1)


@pytest.mark.parametrize("crs", ["EPSG:3031", "EPSG:3995"])
def test_polygons_around_a_pole_reach_it_as_those_of_gdal_do(crs: str) -> None:
    angles = np.linspace(0, 2 * np.pi, 90, endpoint=False)
    wide, narrow = (shapely.Polygon(np.column_stack([np.cos(angles), np.sin(angles)]) * r) for r in (5e5, 2.5e5))
    way = Transformer.from_crs(crs, "EPSG:4326", always_xy=True)

    def cut(polygon: shapely.Polygon) -> tuple[shapely.Geometry, float]:
        degrees = shapely.transform(polygon, lambda p: np.column_stack(way.transform(p[:, 0], p[:, 1])))
        (found,) = parted(one(degrees))
        assert found.is_valid
        return found, abs(GEOD.geometry_area_perimeter(found)[0])

    areas = []
    for polygon in (wide, narrow):
        found, area = cut(polygon)
        gdal = shape(transform_geom(crs, "EPSG:4326", mapping(polygon), antimeridian_cutting=True))
        assert area == pytest.approx(abs(GEOD.geometry_area_perimeter(gdal)[0]), rel=1e-3)
        assert max(abs(found.bounds[1]), abs(found.bounds[3])) == 90
        areas.append(area)
    # A ring around the pole leaves it out.
    ring, area = cut(wide.difference(narrow))
    assert area == pytest.approx(areas[0] - areas[1], rel=1e-3)
    assert max(abs(ring.bounds[1]), abs(ring.bounds[3])) < 90


def test_a_cut_is_where_gdal_makes_it() -> None:
    way = Transformer.from_crs(NEAR_180, "EPSG:4326", always_xy=True)
    x, y = Transformer.from_crs("EPSG:4326", NEAR_180, always_xy=True).transform(180.0, -17.0)
    for seed in range(5):
        polygon = star(seed, (x, y), 3000.0)
        degrees = shapely.transform(polygon, lambda p: np.column_stack(way.transform(p[:, 0], p[:, 1])))
        (cut,) = parted(one(degrees))
        gdal = shape(transform_geom(NEAR_180, "EPSG:4326", mapping(polygon), antimeridian_cutting=True))
        assert shapely.area(shapely.symmetric_difference(cut, gdal)) < 1e-5 * gdal.area


def test_moving_by_whole_turns() -> None:
    bounds = (179.0, -20.0, 181.0, -10.0)
    shapes = np.array([shapely.box(-180, -15, -179.5, -12), shapely.box(179.2, -15, 180, -12), shapely.box(0, 0, 1, 1)])
    moved = turned_onto(shapes, bounds)
    assert [m.bounds[0] for m in moved] == [180.0, 179.2, 0.0]
    (both,) = turned_onto(one(shapely.MultiPolygon(list(shapes[:2]))), bounds)
    assert shapely.intersection(both, shapely.box(*bounds)).equals(shapely.box(179.2, -15, 180.5, -12))
    points = turned_onto(np.array(shapely.points([-179.5, 179.5], [0.0, 0.0]), dtype=object), bounds)
    assert shapely.get_x(points).tolist() == [180.5, 179.5]
    assert len(turned_onto(np.zeros(0, dtype=object), bounds)) == 0


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(["EPSG:4326", "EPSG:32701", "EPSG:3857"]))
def test_polygons_are_carried_onto_a_raster_in_degrees_beyond_180(seed: int, crs: str) -> None:
    """Whatever the polygons' CRS, they come to lie where their ground is on a raster from 179.5 to 180.5 degrees."""
    bounds = (179.5, -17.5, 180.5, -16.5)
    whole = star(seed, (180.0, -17.0), 0.4)
    theirs = jumping(whole)
    if crs != "EPSG:4326":
        theirs = carried(one(whole), "EPSG:4326", crs, gsd_m=1.0)[0]
    if crs == "EPSG:3857":
        # Web mercator has an edge at 180: there the polygon is in two.
        theirs = carried(parted(one(whole)), "EPSG:4326", crs, gsd_m=1.0)[0]
    (found,) = carried_onto(one(theirs), crs, "EPSG:4326", bounds, gsd_m=1.0)
    assert shapely.area(shapely.symmetric_difference(found, whole)) < 1e-4 * whole.area
    outline = shapely.segmentize(shapely.box(*bounds), 0.05)
    (around,) = carried_around(one(theirs), crs, "EPSG:4326", outline, gsd_m=1.0)
    assert shapely.area(shapely.symmetric_difference(around, whole)) < 1e-4 * whole.area


def test_long_edges_keep_to_their_course() -> None:
    """A parallel is no straight line on a map: 100 km of it at 60 degrees bend by 340 m in UTM."""
    box = shapely.box(36.0, 60.0, 37.8, 60.2)
    found = carried(one(box), "EPSG:4326", "EPSG:32637", gsd_m=0.5)[0]
    way = Transformer.from_crs("EPSG:4326", "EPSG:32637", always_xy=True)
    x, y = way.transform(36.9, 60.0)
    assert shapely.distance(shapely.Point(x, y), found.exterior) < 0.01 * 0.5
    assert longest_edge_m(0.5) == pytest.approx(357, abs=1)


def test_edges_longer_than_any_on_earth_are_not_filled_with_vertices() -> None:
    """A damaged coordinate must cost neither memory nor the other polygons."""
    shapes = np.array([shapely.box(5e5, 4e6, 5e5 + 9, 4e6 + 9), shapely.box(5e5, 4e6, 5e5 + 9, 1e20)], dtype=object)
    found = carried(shapes, "EPSG:32637", "EPSG:4326", gsd_m=0.1)
    assert shapely.get_num_coordinates(found).tolist() == [5, 5]
    countries = np.array([shapely.box(x, -80, x + 2, 80) for x in range(-180, 180, 2)], dtype=object)
    dense = carried(np.repeat(countries, 8), "EPSG:4326", "EPSG:3857", gsd_m=0.01)
    assert shapely.get_num_coordinates(dense).sum() < 6_000_000
