"""Class areas against geodesic polygons and brute force, object sizes against numpy, and the tables they go into."""

import json

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pyproj import Transformer

from terraseg.core.classes import LandClass, Legend
from terraseg.core.classreader import ClassArray
from terraseg.core.grid import Grid
from terraseg.core.polygons import PolygonTable
from terraseg.errors import BadOption, UnknownClass, UnknownName
from terraseg.measure.options import MeasureOptions
from terraseg.measure.sizes import object_stats
from terraseg.measure.stats import Statistics, class_areas, measure
from terraseg.shapes.ground import Affine6, ground_area_m2

LEGEND = Legend(
    (LandClass(0, "background", "#000000"), LandClass(1, "house", "#D55E00"), LandClass(4, "road", "#0072B2"))
)
Ids = NDArray[np.uint8]


def placed(crs: str, lon: float, lat: float, size: float, angle: float = 0.0) -> Affine6:
    x, y = Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform(lon, lat)
    c, s = size * np.cos(np.radians(angle)), size * np.sin(np.radians(angle))
    return (c, s, x, s, -c, y)


def lopsided(height: int, width: int) -> Ids:
    """A map whose classes lie in different places, so that one mean scale for all would be wrong."""
    ids = np.zeros((height, width), dtype=np.uint8)
    ids[: height // 5] = 1
    ids[-height // 5 :, : width // 3] = 4
    ids[height // 2 : height // 2 + 3] = 255
    return ids


def rectangle(grid: Grid, rows: slice, cols: slice) -> shapely.Polygon:
    pixels = shapely.segmentize(shapely.box(cols.start, rows.start, cols.stop, rows.stop), 5)
    return shapely.transform(pixels, lambda p: np.column_stack(grid.to_map(p[:, 1], p[:, 0])))


@pytest.mark.parametrize(
    ("crs", "transform"),
    [
        ("EPSG:3857", placed("EPSG:3857", 85.3, 27.7, 0.0746)),
        ("EPSG:3857", placed("EPSG:3857", 15.0, 65.0, 300.0)),
        ("EPSG:32645", placed("EPSG:32645", 85.3, 27.7, 10.0, angle=35)),
        ("EPSG:4326", (0.01, 0, 10.0, 0, -0.01, 68.0)),
    ],
    ids=["mercator 7 cm", "mercator 300 m", "utm turned", "degrees"],
)
def test_class_areas_are_within_a_ten_thousandth_of_the_geodesic_ones(crs: str, transform: Affine6) -> None:
    ids = lopsided(300, 240)
    grid = Grid(crs, transform, *ids.shape)
    areas = {a.class_id: a for a in class_areas(ClassArray(grid, LEGEND, ids), block=77)}
    parts = [rectangle(grid, slice(0, 60), slice(0, 240)), rectangle(grid, slice(240, 300), slice(0, 80))]
    house, road = ground_area_m2(np.array(parts), crs)
    assert areas[1].area == pytest.approx(house, rel=1e-4)
    assert areas[4].area == pytest.approx(road, rel=1e-4)
    assert areas[1].pixels == (ids == 1).sum()


def test_shares_are_of_the_ground_that_was_observed() -> None:
    ids = np.full((4, 5), 255, dtype=np.uint8)
    ids[:, :2] = 1
    ids[0, :2] = 0
    areas = class_areas(ClassArray(Grid(None, (1, 0, 0, 0, 1, 0), 4, 5), LEGEND, ids))
    assert [(a.class_id, a.pixels, a.area, a.share) for a in areas] == [(0, 2, 2, 0.25), (1, 6, 6, 0.75), (4, 0, 0, 0)]


def test_a_map_of_nodata_has_shares_of_nothing() -> None:
    ids = np.full((3, 3), 255, dtype=np.uint8)
    areas = class_areas(ClassArray(Grid("EPSG:32645", (1, 0, 5e5, 0, -1, 3e6), 3, 3), LEGEND, ids))
    assert {(a.area, a.share) for a in areas} == {(0.0, 0.0)}


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 90), st.integers(0, 5))
def test_the_block_size_changes_nothing(block: int, seed: int) -> None:
    ids = np.random.default_rng(seed).choice(np.array([0, 1, 4, 255], np.uint8), (70, 60))
    raster = ClassArray(Grid("EPSG:3857", (30.0, 0, 1e6, 0, -30.0, 9e6), 70, 60), LEGEND, ids)
    assert class_areas(raster, block=block) == class_areas(raster)


def test_an_id_that_the_legend_lacks_is_named() -> None:
    ids = np.full((2, 2), 9, dtype=np.uint8)
    with pytest.raises(UnknownClass, match="class id 9"):
        class_areas(ClassArray(Grid(None, (1, 0, 0, 0, 1, 0), 2, 2), LEGEND, ids))


def table_of(class_id: list[int], area: list[float], crs: str | None = "EPSG:32645") -> PolygonTable:
    number = len(area)
    geometry = np.array([shapely.box(k, 0, k + 1, 1) for k in range(number)], dtype=object)
    ones = np.ones(number)
    return PolygonTable(geometry, np.array(class_id, np.uint8), np.array(area, float), ones, ones, LEGEND, crs)


def test_object_sizes_are_numpys() -> None:
    sizes = np.random.default_rng(0).uniform(5, 500, 40)
    _, house, road = object_stats(table_of([1] * 40 + [4], [*sizes, 7.0]))
    assert (house.count, house.mean, house.median) == pytest.approx((40, sizes.mean(), np.median(sizes)))
    assert (house.p10, house.p90) == pytest.approx(tuple(np.percentile(sizes, [10, 90])))
    assert (house.smallest, house.largest, house.total) == pytest.approx((sizes.min(), sizes.max(), sizes.sum()))
    assert (road.count, road.mean, road.p10, road.largest) == (1, 7.0, 7.0, 7.0)


def test_a_class_without_objects_has_a_count_and_no_sizes() -> None:
    house = object_stats(table_of([], []))[1]
    assert (house.count, house.total, house.mean, house.p90) == (0, 0.0, None, None)


def test_raster_and_polygons_stand_in_one_row_a_class() -> None:
    ids = lopsided(50, 40)
    raster = ClassArray(Grid("EPSG:32645", (1, 0, 330_000, 0, -1, 3_066_000), 50, 40), LEGEND, ids)
    statistics = measure(raster=raster, table=table_of([1, 1], [10.0, 30.0]))
    rows = {row["class_name"]: row for row in statistics.rows()}
    assert rows["house"]["area_m2"] == pytest.approx(400, rel=2e-3)
    assert (rows["house"]["objects"], rows["house"]["mean_area_m2"], rows["house"]["median_area_m2"]) == (2, 20.0, 20.0)
    assert (rows["road"]["objects"], rows["road"]["mean_area_m2"]) == (0, None)
    assert rows["background"]["objects"] is None
    assert sum(row["share"] for row in rows.values()) == pytest.approx(1)
    assert statistics.observed == pytest.approx(sum(row["area_m2"] for row in rows.values()))
    assert len({tuple(row) for row in rows.values()}) == 1


def test_polygons_alone_give_areas_and_no_shares() -> None:
    statistics = measure(table=table_of([1, 4], [10.0, 30.0]))
    rows = {row["class_name"]: row for row in statistics.rows()}
    assert (rows["road"]["area_m2"], rows["road"]["share"], rows["road"]["pixels"]) == (30.0, None, None)
    assert statistics.observed is None


def test_without_a_crs_columns_say_pixels() -> None:
    ids = np.ones((3, 4), dtype=np.uint8)
    statistics = measure(raster=ClassArray(Grid(None, (2, 0, 0, 0, 2, 0), 3, 4), LEGEND, ids))
    assert statistics.unit == "px"
    assert statistics.rows()[1]["area_px"] == 12


def test_statistics_survive_json() -> None:
    statistics = measure(table=table_of([1, 1, 4], [10.0, 30.0, 2.0]))
    text = json.dumps(statistics.to_json(), allow_nan=False)
    assert Statistics.from_json(json.loads(text)) == statistics


def test_only_the_classes_named_are_objects() -> None:
    statistics = measure(table=table_of([1, 4], [10.0, 30.0]), options=MeasureOptions(objects=("road",)))
    assert [c.objects is not None for c in statistics.classes] == [False, False, True]
    with pytest.raises(UnknownName, match="did you mean 'road'"):
        measure(table=table_of([], []), options=MeasureOptions(objects=("roads",)))


def test_nothing_to_measure_and_mixed_units_are_refused() -> None:
    with pytest.raises(BadOption, match="nothing to measure"):
        measure()
    raster = ClassArray(Grid(None, (1, 0, 0, 0, 1, 0), 2, 2), LEGEND, np.ones((2, 2), np.uint8))
    with pytest.raises(BadOption, match="only one has a CRS"):
        measure(raster=raster, table=table_of([1], [2.0]))
