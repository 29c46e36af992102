"""From class maps to polygon tables: exact coverage, sizes on the ground, confidence, and no trace of the blocks."""

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from pyproj import Geod, Transformer
from rasterio.features import rasterize
from rasterio.transform import Affine

from terraseg.core.classes import LandClass, Legend
from terraseg.core.classreader import ByteArray, ClassArray
from terraseg.core.grid import Grid
from terraseg.core.options import read_options
from terraseg.core.polygons import PolygonTable
from terraseg.errors import BadOption, CrsMissing, UnknownName
from terraseg.vectorize.options import VectorizeOptions
from terraseg.vectorize.polygons import polygon_batches, polygons_of, tolerance_pixels
from terraseg.vectorize.trace import trace_map

LEGEND = Legend(
    (LandClass(0, "background", "#000000"), LandClass(1, "house", "#D55E00"), LandClass(4, "road", "#0072B2"))
)
RAW = VectorizeOptions(min_area_m2=0, simplify_m=0, include_background=True)
UTM = Grid("EPSG:32645", (0.5, 0, 330_000, 0, -0.5, 3_066_000), 1, 1)
TURNED = Grid("EPSG:32645", (0.4, 0.3, 330_000, 0.3, -0.4, 3_066_000), 1, 1)
Ids = NDArray[np.uint8]

maps = hnp.arrays(
    np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=12), elements=st.sampled_from([0, 1, 4, 255])
)


def on(grid: Grid, ids: Ids) -> ClassArray:
    return ClassArray(Grid(grid.crs, grid.transform, *ids.shape), LEGEND, ids)


def flat(ids: Ids) -> ClassArray:
    return on(Grid(None, (1, 0, 0, 0, 1, 0), 1, 1), ids)


def as_bytes(table: PolygonTable) -> tuple[object, ...]:
    arrays = (table.class_id, table.area, table.perimeter, table.confidence)
    return (*shapely.to_wkb(shapely.normalize(table.geometry)).tolist(), *(a.tobytes() for a in arrays))


@settings(deadline=None, max_examples=60)
@given(maps, st.integers(1, 6), st.sampled_from([UTM, TURNED]), st.sampled_from([0.0, 0.5, 1.0]), st.booleans())
def test_the_number_of_rows_in_memory_changes_nothing(
    ids: Ids, rows: int, grid: Grid, min_area: float, simplify: bool
) -> None:
    options = VectorizeOptions(min_area_m2=min_area, simplify_m=None if simplify else 0, include_background=True)
    raster = on(grid, ids)
    confidence = ByteArray(raster.grid, np.random.default_rng(rows).integers(0, 256, ids.shape).astype(np.uint8))
    whole = polygons_of(raster, confidence=confidence, options=options, strip_rows=len(ids))
    assert as_bytes(polygons_of(raster, confidence=confidence, options=options, strip_rows=rows)) == as_bytes(whole)


@settings(deadline=None, max_examples=150)
@given(maps)
def test_every_pixel_lies_in_one_polygon_of_its_class(ids: Ids) -> None:
    polygons, class_id = trace_map(flat(ids), strip_rows=2)
    assert shapely.coverage_is_valid(polygons)
    for value in (0, 1, 4):
        assert shapely.area(polygons[class_id == value]).sum() == (ids == value).sum()
    if len(polygons):
        burnt = rasterize(zip(polygons, class_id.tolist(), strict=True), ids.shape, fill=255, dtype="uint8")
        assert np.array_equal(burnt, ids)


@settings(deadline=None, max_examples=60)
@given(maps, st.sampled_from([UTM, TURNED]))
def test_simplified_polygons_are_a_valid_coverage_in_map_coordinates(ids: Ids, grid: Grid) -> None:
    table = polygons_of(on(grid, ids), options=VectorizeOptions(min_area_m2=1.0, include_background=True))
    assert shapely.is_valid(table.geometry).all()
    assert shapely.coverage_is_valid(table.geometry)
    assert all(g.exterior.is_ccw for g in table.geometry)


@pytest.mark.parametrize("grid", [UTM, TURNED], ids=["north-up", "turned"])
def test_polygons_burn_back_to_the_map_in_map_coordinates(grid: Grid) -> None:
    ids = np.random.default_rng(3).choice(np.array([0, 1, 4, 255], np.uint8), (20, 30))
    table = polygons_of(on(grid, ids), options=RAW)
    pairs = zip(table.geometry, table.class_id.tolist(), strict=True)
    assert np.array_equal(rasterize(pairs, ids.shape, fill=255, transform=Affine(*grid.transform), dtype="uint8"), ids)
    assert table.area.sum() == pytest.approx((ids != 255).sum() * 0.25, rel=2e-3)


def test_outlines_do_not_depend_on_which_classes_are_asked_for() -> None:
    ids = np.kron(np.random.default_rng(0).choice(np.array([0, 1, 4], np.uint8), (9, 9)), np.ones((3, 3), np.uint8))
    every = polygons_of(on(TURNED, ids), options=VectorizeOptions(include_background=True))
    roads = polygons_of(on(TURNED, ids), options=VectorizeOptions(classes=("road",)))
    assert set(roads.class_id) == {4}
    assert as_bytes(roads) == as_bytes(every.rows(every.class_id == 4))


def test_the_background_is_left_out_unless_asked_for() -> None:
    ids = np.array([[0, 0, 1], [0, 0, 4]], dtype=np.uint8)
    names = [
        sorted(
            polygons_of(
                flat(ids), options=VectorizeOptions(min_area_m2=0, simplify_m=0, include_background=b)
            ).class_name
        )
        for b in (False, True)
    ]
    assert names == [["house", "road"], ["background", "house", "road"]]


def test_holes_are_kept() -> None:
    ids = np.ones((9, 9), dtype=np.uint8)
    ids[3:6, 3:6] = 0
    (ring,) = polygons_of(flat(ids)).geometry
    assert len(ring.interiors) == 1
    assert ring.area == 72


def test_the_smallest_area_counts_ground_and_not_map_units() -> None:
    """100 px of a nominal 1 m2 in web mercator at Kathmandu are 78 m2 of ground."""
    x, y = Transformer.from_crs("EPSG:4326", "EPSG:3857", always_xy=True).transform(85.324, 27.717)
    ids = np.zeros((30, 30), dtype=np.uint8)
    ids[5:15, 5:15] = 1
    raster = ClassArray(Grid("EPSG:3857", (1, 0, x, 0, -1, y), 30, 30), LEGEND, ids)
    kept = polygons_of(raster, options=VectorizeOptions(min_area_m2=77))
    assert len(kept) == 1
    assert len(polygons_of(raster, options=VectorizeOptions(min_area_m2=80))) == 0
    assert kept.unit == "m"
    assert kept.area[0] / 100 == pytest.approx(0.885**2, rel=0.01)


def test_sizes_are_those_of_the_geodesic_polygon() -> None:
    ids = np.zeros((40, 40), dtype=np.uint8)
    ids[5:30, 10:22] = 1
    ids[10:15, 12:15] = 4
    table = polygons_of(on(TURNED, ids), options=VectorizeOptions(min_area_m2=0))
    to_degrees = Transformer.from_crs("EPSG:32645", "EPSG:4326", always_xy=True)
    for geometry, area, perimeter in zip(table.geometry, table.area, table.perimeter, strict=True):
        moved = shapely.transform(geometry, lambda p: np.column_stack(to_degrees.transform(*p.T)))
        geod = Geod(ellps="WGS84")
        assert area == pytest.approx(
            abs(geod.geometry_area_perimeter(shapely.orient_polygons(moved))[0]), rel=1e-7, abs=1e-4
        )
        assert perimeter == pytest.approx(geod.geometry_length(moved.boundary), rel=1e-9)


def test_without_a_crs_sizes_are_in_pixels_whatever_the_transform() -> None:
    ids = np.zeros((10, 10), dtype=np.uint8)
    ids[2:5, 2:8] = 1
    raster = ClassArray(Grid(None, (2, 0, 7, 0, -2, 9), 10, 10), LEGEND, ids)
    table = polygons_of(raster)
    assert (table.unit, table.area_column, table.perimeter_column) == ("px", "area_px", "perimeter_px")
    assert (table.area.tolist(), table.perimeter.tolist()) == ([18], [18])
    assert table.geometry[0].bounds == (11, -1, 23, 5)


def test_a_polygon_that_reaches_off_the_earth_has_the_ground_of_its_pixels() -> None:
    ids = np.ones((100, 100), dtype=np.uint8)
    ids[40:60, 40:60] = 4
    disk = Grid("+proj=geos +h=35785831 +lon_0=0", (120_000.0, 0, -6e6, 0, -120_000.0, 6e6), 100, 100)
    table = polygons_of(ClassArray(disk, LEGEND, ids))
    assert np.isnan(table.perimeter).tolist() == [True, False]
    assert 1.8e14 < table.area.sum() < 2.2e14  # a satellite at that height sees four tenths of the Earth's 5.1e14 m2


def test_the_confidence_is_the_mean_over_the_pixels_that_have_one() -> None:
    ids = np.array([[1, 1, 4, 4], [1, 1, 4, 4]], dtype=np.uint8)
    values = np.array([[254, 127, 255, 255], [127, 255, 255, 255]], dtype=np.uint8)
    raster = flat(ids)
    table = polygons_of(raster, confidence=ByteArray(raster.grid, values), options=RAW, strip_rows=1)
    assert table.confidence[0] == pytest.approx((1 + 0.5 + 0.5) / 3)
    assert np.isnan(table.confidence[1])
    assert np.isnan(polygons_of(raster, options=RAW).confidence).all()


@pytest.mark.parametrize("value", [0, 255])
def test_a_map_of_background_or_nodata_gives_an_empty_table(value: int) -> None:
    table = polygons_of(on(UTM, np.full((5, 6), value, dtype=np.uint8)))
    assert len(table) == 0
    assert table.crs == "EPSG:32645"


def test_metres_become_pixels_by_the_ground_sample_distance() -> None:
    assert tolerance_pixels(UTM, None) == 1
    assert tolerance_pixels(UTM, 1.0) == pytest.approx(2, rel=1e-3)
    assert tolerance_pixels(Grid(None, UTM.transform, 1, 1), 3.0) == 3


def test_options_are_checked() -> None:
    with pytest.raises(BadOption, match="min_area_m2"):
        read_options(VectorizeOptions, {"min_area_m2": -1}, "[vectorize]")
    with pytest.raises(BadOption, match="did you mean 'simplify_m'"):
        read_options(VectorizeOptions, {"simplify": 1}, "[vectorize]")
    with pytest.raises(UnknownName, match="did you mean 'house'"):
        polygons_of(flat(np.zeros((2, 2), np.uint8)), options=VectorizeOptions(classes=("houses",)))


def test_the_tenth_percentile_of_the_confidence_stands_beside_its_mean() -> None:
    ids = np.ones((10, 10), dtype=np.uint8)
    values = np.arange(100, dtype=np.uint8).reshape(10, 10)
    raster = flat(ids)
    table = polygons_of(raster, confidence=ByteArray(raster.grid, values), options=RAW, strip_rows=3)
    assert table.attributes["confidence_p10"].tolist() == [9 / 254]
    assert "confidence_p10" not in polygons_of(raster, options=RAW).attributes


def test_buildings_have_the_columns_of_buildings_and_others_nothing_in_them() -> None:
    ids = np.zeros((40, 40), dtype=np.uint8)
    ids[5:15, 10:34] = 1
    ids[20:30, 5:9] = 4
    table = polygons_of(on(UTM, ids), options=VectorizeOptions(min_area_m2=0))
    house, road = np.flatnonzero(table.class_id == 1)[0], np.flatnonzero(table.class_id == 4)[0]
    assert table.attributes["length_m"][house] == pytest.approx(12, rel=2e-3)
    assert table.attributes["width_m"][house] == pytest.approx(5, rel=2e-3)
    assert abs(table.attributes["orientation_deg"][house] - 90) < 2  # the zone's grid is turned against true north
    assert table.attributes["n_vertices"].tolist() == [4, 4]
    assert all(np.isnan(table.attributes[name][road]) for name in ("length_m", "width_m", "compactness"))
    named = polygons_of(on(UTM, ids), options=VectorizeOptions(min_area_m2=0, buildings=("road",)))
    assert np.isnan(named.attributes["length_m"]).tolist() == [True, False]
    none = polygons_of(on(UTM, ids), options=VectorizeOptions(min_area_m2=0, buildings=()))
    assert set(none.attributes) == {"n_vertices"}


def test_polygons_in_another_crs_are_a_coverage_with_the_same_sizes() -> None:
    ids = np.kron(np.random.default_rng(1).choice(np.array([0, 1, 4], np.uint8), (8, 8)), np.ones((4, 4), np.uint8))
    own, moved = (polygons_of(on(TURNED, ids), options=VectorizeOptions(crs=crs)) for crs in (None, "EPSG:4326"))
    assert (own.crs, moved.crs) == ("EPSG:32645", "EPSG:4326")
    assert np.array_equal(own.area, moved.area)
    assert shapely.coverage_is_valid(moved.geometry)
    assert 85 < shapely.get_coordinates(moved.geometry)[0, 0] < 86
    with pytest.raises(BadOption, match="pass one such as"):
        polygons_of(on(UTM, ids), options=VectorizeOptions(crs="EPSG:nonsense"))
    with pytest.raises(CrsMissing, match="leave crs out"):
        polygons_of(flat(ids), options=VectorizeOptions(crs="EPSG:4326"))


@settings(deadline=None, max_examples=30)
@given(maps, st.integers(1, 60))
def test_batches_hold_together_what_one_table_holds(ids: Ids, batch: int) -> None:
    raster = on(UTM, ids)
    options = VectorizeOptions(min_area_m2=0.5, include_background=True)
    tables = list(polygon_batches(raster, options=options, batch=batch))
    assert as_bytes(PolygonTable.joined(tables)) == as_bytes(polygons_of(raster, options=options))
