"""Ground by district and by cell: against clipped pixels one by one, against the whole, and in any CRS."""

import numpy as np
import pytest
import shapely
from numpy.typing import NDArray
from pyproj import Transformer

from terraseg.core.classes import LandClass, Legend
from terraseg.core.classreader import ClassArray
from terraseg.core.grid import Grid
from terraseg.core.polygons import VectorLabels
from terraseg.errors import BadOption, CrsMissing, GridMismatch, NoOverlap, UnknownClass
from terraseg.measure.cells import metric_crs, parse_cell, zones_of_cells
from terraseg.measure.stats import class_areas
from terraseg.measure.zones import ground_by_zone, zones_of_districts
from terraseg.shapes.ground import ground_area_m2
from terraseg.shapes.pixelarea import PixelAreas

LEGEND = Legend(tuple(LandClass(2 * k, name, f"#0000{k:02X}") for k, name in enumerate(("land", "water", "roof"))))
GRIDS = {
    "none": Grid(None, (1, 0, 0, 0, 1, 0), 50, 60),
    "utm": Grid("EPSG:32645", (3.0, 0.4, 330_000, 0.4, -3.0, 3_066_000), 50, 60),
    "degrees": Grid("EPSG:4326", (0.01, 0, 10.0, 0, -0.01, 68.0), 50, 60),
    "mercator": Grid("EPSG:3857", (40.0, 0, 1.7e6, 0, -40.0, 9e6), 50, 60),
}


def speckled(seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).choice(np.array([0, 2, 4, 255], np.uint8), (50, 60), p=[0.4, 0.3, 0.2, 0.1])


def districts_of(shapes: list[shapely.Geometry], grid: Grid, names: list[str] | None = None) -> VectorLabels:
    """Shapes given in pixels, in the grid's CRS."""

    def project(points: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.column_stack(grid.to_map(points[:, 1], points[:, 0]))

    placed = np.array([shapely.transform(shape, project) for shape in shapes], dtype=object)
    return VectorLabels(placed, np.array(names or [""] * len(shapes)), grid.crs)


SHAPES = [
    shapely.Polygon([(-5, -5), (20.3, 4.1), (33.7, 30.2), (12.5, 41), (-3, 30)]),
    shapely.Point(40, 25).buffer(14).difference(shapely.Point(42, 24).buffer(5)),
    shapely.union_all([shapely.box(1.25, 42.5, 6, 49.75), shapely.box(50, 44, 99, 99)]),
]


@pytest.mark.parametrize("name", sorted(GRIDS))
def test_ground_is_that_of_pixels_clipped_one_by_one(name: str) -> None:
    grid = GRIDS[name]
    ids = speckled()
    zones = zones_of_districts(districts_of(SHAPES, grid), grid, source="shapes")
    ground, observed = ground_by_zone(ClassArray(grid, LEGEND, ids), zones, block=17)
    size: NDArray[np.float64] = np.ones(ids.shape)
    if grid.crs is not None:
        areas = PixelAreas(grid.crs, grid.transform, *ids.shape)
        size = areas.read(0, 0, *ids.shape) * areas.unit_m2
    row, col = np.mgrid[:50, :60]
    pixels = shapely.box(col, row, col + 1, row + 1)
    for zone, shape in enumerate(SHAPES):
        weight = shapely.area(shapely.intersection(pixels, shape)) * size
        expected = [weight[ids == i].sum() for i in LEGEND.ids]
        assert ground[zone] == pytest.approx(expected, rel=1e-7)
        assert observed[zone] == pytest.approx(weight[ids != 255].sum(), rel=1e-7)


@pytest.mark.parametrize("name", ["utm", "degrees", "mercator"])
def test_cells_part_the_map(name: str) -> None:
    grid = GRIDS[name]
    raster = ClassArray(grid, LEGEND, speckled())
    zones = zones_of_cells(grid, 9 * (grid.gsd_m or 1))
    ground, observed = ground_by_zone(raster, zones)
    whole = class_areas(raster)
    assert ground.sum(axis=0) == pytest.approx([a.area for a in whole], rel=1e-6)
    assert observed.sum() == pytest.approx(sum(a.area for a in whole), rel=1e-6)
    assert zones.area == pytest.approx((9 * (grid.gsd_m or 1)) ** 2, rel=0.005)
    assert len(set(zones.names.tolist())) == len(zones)


def test_cells_in_pixels_need_no_crs_and_cells_in_metres_do() -> None:
    raster = ClassArray(GRIDS["none"], LEGEND, speckled())
    zones = zones_of_cells(raster.grid, 20, "px")
    ground, _ = ground_by_zone(raster, zones)
    assert len(zones) == 9
    assert zones.area.tolist() == [400, 400, 400, 400, 400, 400, 200, 200, 200]
    assert ground.sum(axis=0).tolist() == [a.area for a in class_areas(raster)]
    with pytest.raises(CrsMissing, match="--per 20px"):
        zones_of_cells(raster.grid, 20)
    with pytest.raises(BadOption, match="pass a larger size"):
        zones_of_cells(GRIDS["mercator"], 1)


def test_sizes_are_read_and_files_are_none() -> None:
    assert parse_cell("2km") == (2000.0, "m")
    assert parse_cell("50 PX") == (50.0, "px")
    assert parse_cell("100m.gpkg") is None
    with pytest.raises(BadOption, match="above 0"):
        parse_cell("0m")


def test_districts_of_another_crs_keep_their_straight_edges() -> None:
    """An edge of 60 km along a parallel is an arc in UTM: carried over by its ends alone it would lie 40 pixels off."""
    grid = Grid("EPSG:32632", (60.0, 0, 470_000, 0, -60.0, 7_545_000), 900, 1000)
    to_degrees = Transformer.from_crs("EPSG:32632", "EPSG:4326", always_xy=True)
    lon, lat = to_degrees.transform([475_000, 525_000], [7_500_000, 7_535_000])
    district = shapely.box(lon[0], lat[0], lon[1], lat[1])
    labels = VectorLabels(np.array([district], dtype=object), np.array(["north"]), "EPSG:4326")
    zones = zones_of_districts(labels, grid, source="x.gpkg")
    raster = ClassArray(grid, LEGEND, np.zeros((900, 1000), np.uint8))
    ground, _ = ground_by_zone(raster, zones)
    dense = shapely.segmentize(district, 0.001)
    true = ground_area_m2(np.array([dense], dtype=object), "EPSG:4326")[0]
    assert ground[0, 0] == pytest.approx(true, rel=2e-4)


def test_points_on_a_border_are_in_one_zone() -> None:
    zones = zones_of_cells(GRIDS["none"], 20, "px")
    point, zone = zones.of_points(np.array([20.0, 40.0, 5.0, 99.0]), np.array([20.0, 7.0, 5.0, 99.0]))
    assert point.tolist() == [0, 1, 2]
    assert zones.names[zone].tolist() == ["1-1", "2-1", "1-1"]


def test_districts_that_overlap_both_have_what_lies_in_both() -> None:
    grid = GRIDS["none"]
    zones = zones_of_districts(
        districts_of([shapely.box(0, 0, 30, 30), shapely.box(10, 10, 40, 40)], grid), grid, source="x"
    )
    point, zone = zones.of_points(np.array([20.0]), np.array([20.0]))
    assert (point.tolist(), zone.tolist()) == ([0, 0], [0, 1])


def test_names_are_each_their_own_and_districts_beside_the_map_are_left_out() -> None:
    grid = GRIDS["utm"]
    shapes = [
        shapely.box(1, 1, 9, 9),
        shapely.box(20, 1, 29, 9),
        shapely.box(500, 1, 509, 9),
        shapely.box(30, 1, 39, 9),
    ]
    zones = zones_of_districts(districts_of(shapes, grid, ["a", "a", "b", ""]), grid, source="x")
    assert zones.names.tolist() == ["a", "a (2)", "zone 4"]
    with pytest.raises(NoOverlap, match="x touches the map"):
        zones_of_districts(districts_of([shapely.box(500, 1, 509, 9)], grid), grid, source="x")
    with pytest.raises(CrsMissing, match="x has no CRS"):
        zones_of_districts(districts_of(shapes, GRIDS["none"]), grid, source="x")


def test_an_id_that_the_legend_lacks_is_named() -> None:
    grid = GRIDS["none"]
    raster = ClassArray(grid, LEGEND, np.full((50, 60), 9, np.uint8))
    with pytest.raises(UnknownClass, match="class id 9"):
        ground_by_zone(raster, zones_of_cells(grid, 20, "px"))


def test_the_maps_own_crs_serves_where_its_metres_are_metres() -> None:
    plain = Grid("EPSG:32645", (3.0, 0, 330_000, 0, -3.0, 3_066_000), 50, 60)
    assert metric_crs(plain) == "EPSG:32645"
    assert metric_crs(GRIDS["degrees"]) == "EPSG:32632"
    assert metric_crs(Grid("EPSG:4326", (0.5, 0, 10.0, 0, -0.5, 60.0), 50, 60)).startswith("+proj=laea")
    mars = metric_crs(Grid("IAU_2015:49900", (0.01, 0, 10.0, 0, -0.01, 10.0), 50, 60))
    assert "+R=33" in mars


def test_districts_with_vertices_off_the_world_are_refused() -> None:
    far = shapely.Polygon([(330_000, 3_066_000), (1e30, 3_066_000), (330_000, 3_065_000)])
    near = shapely.box(330_000, 3_065_900, 330_100, 3_066_000)
    districts = VectorLabels(np.array([near, far]), np.array(["a", "b"]), "EPSG:32645")
    with pytest.raises(GridMismatch, match=r"1 polygon\(s\) of d.gpkg .* the first is 'b'"):
        zones_of_districts(districts, GRIDS["utm"], source="d.gpkg")
