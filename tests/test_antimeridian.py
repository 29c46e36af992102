"""Maps, labels, areas of interest and districts at 180 degrees, on rasters that cross it and in files that are cut there."""

from pathlib import Path

import numpy as np
import pyogrio
import pytest
import rasterio
import shapely
from numpy.typing import NDArray
from pyproj import Geod, Transformer

from terraseg.cli.main import run
from terraseg.core.classes import VOID
from terraseg.core.dataset import ANY, OUTSIDE, Dataset, Imagery, LabelRule, Scene
from terraseg.core.drawing import Drawing
from terraseg.core.grid import Grid
from terraseg.core.window import Window
from terraseg.measure.cells import zones_of_cells
from terraseg.measure.zones import ground_by_zone, zones_of_districts
from terraseg.predict.area import read_area
from terraseg.prepare.overlap import find_overlaps
from terraseg.shapes.antimeridian import parted
from terraseg.shapes.pixelarea import PixelAreas
from terraseg.store.classmap import read_class_map, write_class_map
from terraseg.store.header import read_facts
from terraseg.store.labels import open_labels
from terraseg.store.zones import read_districts
from tests.awkward import write_points, write_tiff
from tests.makers import LAND_AND_ROOF

LAT = -17.0
DEGREE_M = 111_000.0
X, Y = (float(v) for v in Transformer.from_crs("EPSG:4326", "EPSG:32760", always_xy=True).transform(180.0, LAT))
PX, PY = (float(v) for v in Transformer.from_crs("EPSG:4326", "EPSG:3832", always_xy=True).transform(180.0, LAT))
GRIDS = {
    "a projection": Grid("EPSG:32760", (10.0, 0.0, X - 500, 0.0, -10.0, Y + 400), 80, 100),
    "degrees up to 180.005": Grid("EPSG:4326", (1e-4, 0.0, 179.995, 0.0, -1e-4, LAT + 0.004), 80, 100),
    "degrees from -180.005": Grid("EPSG:4326", (1e-4, 0.0, -180.005, 0.0, -1e-4, LAT + 0.004), 80, 100),
    "a pacific web mercator": Grid("EPSG:3832", (10.0, 0.0, PX - 500, 0.0, -10.0, PY + 400), 80, 100),
}
"""Rasters across 180 degrees."""
WAYS = ("cut", "jumping", "counting on")
"""How files write a polygon across 180 degrees."""
RULE = LabelRule("polygons", ((OUTSIDE,), (ANY,)))

each_grid = pytest.mark.parametrize("name", GRIDS)
each_way = pytest.mark.parametrize("way", WAYS)


def ragged(seed: int, reach: float = 0.003) -> shapely.Polygon:
    """A polygon across 180 degrees whose longitudes count on."""
    rng = np.random.default_rng(seed)
    angle = np.linspace(0, 2 * np.pi, 14)[:-1]
    far = rng.uniform(0.5, 1, 13) * reach
    return shapely.Polygon(np.column_stack([180 + far * np.cos(angle), LAT + far * np.sin(angle)]))


def as_written(polygon: shapely.Geometry, way: str) -> shapely.Geometry:
    if way == "counting on":
        return polygon
    if way == "cut":
        return parted(np.array([polygon], dtype=object))[0]
    return shapely.transform(polygon, lambda p: np.column_stack([(p[:, 0] + 180) % 360 - 180, p[:, 1]]))


def write_polygons(path: Path, polygons: list[shapely.Geometry], names: list[str] | None = None) -> Path:
    array = np.array([shapely.MultiPolygon(list(shapely.get_parts(p))) for p in polygons], dtype=object)
    columns = [] if names is None else [np.array(names, dtype=object)]
    fields = np.array([] if names is None else ["name"], dtype=object)
    pyogrio.raw.write(
        str(path), shapely.to_wkb(array), columns, fields, geometry_type="MultiPolygon", crs="EPSG:4326", driver="GPKG"
    )
    return path


def inside(grid: Grid, polygon: shapely.Geometry) -> NDArray[np.bool_]:
    """The oracle: pixel centres in a polygon whose longitudes count on from below 180."""
    rows, cols = np.mgrid[: grid.height, : grid.width] + 0.5
    lon, lat = Transformer.from_crs(grid.crs, "EPSG:4326", always_xy=True).transform(*grid.to_map(rows, cols))
    return np.asarray(shapely.contains_xy(polygon, np.where(np.asarray(lon) < 0, np.asarray(lon) + 360, lon), lat))


def scene_of(grid: Grid, labels: Path, folder: Path) -> Scene:
    image = write_tiff(folder / "image.tif", np.ones((1, grid.height, grid.width), np.uint8), grid)
    return Scene("s", Imagery((str(image),), ("band_1",)), str(labels), "s", grid)


def burnt(grid: Grid, labels: Path, folder: Path, rule: LabelRule = RULE) -> NDArray[np.uint8]:
    scene = scene_of(grid, labels, folder)
    with open_labels(scene, Dataset((scene,), LAND_AND_ROOF, rule, ("band_1",), "uint8")) as reader:
        return reader.read(grid.window)


@each_way
@each_grid
def test_label_polygons_are_burnt_across_180(tmp_path: Path, name: str, way: str) -> None:
    polygon = ragged(3)
    labels = write_polygons(tmp_path / "labels.gpkg", [as_written(polygon, way)])
    found = burnt(GRIDS[name], labels, tmp_path)
    assert np.array_equal(found == 1, inside(GRIDS[name], polygon))


@each_way
@each_grid
def test_an_extent_across_180_bounds_the_labels(tmp_path: Path, name: str, way: str) -> None:
    extent = write_polygons(tmp_path / "extent.gpkg", [as_written(ragged(5), way)])
    labels = write_polygons(tmp_path / "labels.gpkg", [as_written(ragged(3, 0.002), way)])
    rule = LabelRule("polygons", RULE.values, drawing=Drawing((str(extent),)))
    found = burnt(GRIDS[name], labels, tmp_path, rule)
    assert np.array_equal(found != VOID, inside(GRIDS[name], ragged(5)))


@each_way
@each_grid
def test_an_area_of_interest_across_180_is_what_lies_in_it(tmp_path: Path, name: str, way: str) -> None:
    area = read_area(write_polygons(tmp_path / "area.gpkg", [as_written(ragged(7), way)]), GRIDS[name])
    assert np.array_equal(area.inside(GRIDS[name].window), inside(GRIDS[name], ragged(7)))


@each_way
@each_grid
def test_districts_across_180_part_the_whole_map(tmp_path: Path, name: str, way: str) -> None:
    grid = GRIDS[name]
    halves = [shapely.box(179.9, LAT - 0.1, 180.001, LAT + 0.1), shapely.box(180.001, LAT - 0.1, 180.1, LAT + 0.1)]
    path = write_polygons(tmp_path / "d.gpkg", [as_written(half, way) for half in halves], ["west", "east"])
    zones = zones_of_districts(read_districts(path), grid, source="d.gpkg")
    ids = np.tile(np.array([0, 1], np.uint8), (grid.height, grid.width // 2))
    write_class_map(tmp_path / "map.tif", ids, grid, LAND_AND_ROOF)
    with read_class_map(tmp_path / "map.tif") as raster:
        _, observed = ground_by_zone(raster, zones)
    areas = PixelAreas(str(grid.crs), grid.transform, grid.height, grid.width)
    pixels = areas.read(0, 0, grid.height, grid.width) * areas.unit_m2
    west = inside(grid, halves[0])
    assert zones.names.tolist() == ["west", "east"]
    assert observed.sum() == pytest.approx(pixels.sum(), rel=1e-6)
    # A border pixel counts in parts, the oracle takes it whole.
    assert observed[0] == pytest.approx(pixels[west].sum(), rel=0.01)


@each_grid
def test_cells_cover_a_map_across_180(name: str) -> None:
    grid = GRIDS[name]
    zones = zones_of_cells(grid, 300.0)
    covered = shapely.union_all(zones.geometry)
    assert shapely.area(shapely.difference(grid.outline, covered)) < 1e-3 * grid.outline.area


@pytest.mark.parametrize("own", GRIDS)
@each_grid
def test_label_rasters_lie_where_they_are_across_180(tmp_path: Path, name: str, own: str) -> None:
    """Painted by the oracle on a finer, larger grid of any kind, read on another: off by rounding along the outline alone."""
    grid, fine = GRIDS[name], finer(GRIDS[own])
    labels = write_tiff(tmp_path / "labels.tif", inside(fine, ragged(11)).astype(np.uint8)[None], fine)
    rule = LabelRule("ids", (("0",), ("1",)))
    found, truth = burnt(grid, labels, tmp_path, rule), inside(grid, ragged(11))
    assert (found != VOID).all()
    assert ((found == 1) != truth).mean() < 0.01


def finer(grid: Grid) -> Grid:
    """Twice as fine, and larger by a quarter on all sides."""
    around = grid.crop(Window(-20, -25, 120, 150))
    a, b, c, d, e, f = around.transform
    return Grid(grid.crs, (a / 2, b / 2, c, d / 2, e / 2, f), 240, 300)


@pytest.mark.parametrize("suffix", ["gpkg", "geojson"])
@each_grid
def test_polygons_in_degrees_are_cut_at_180(tmp_path: Path, name: str, suffix: str) -> None:
    """By the options of `vectorize`; areas are those of the map, and every part lies on its own side (RFC 7946, 3.1.9)."""
    grid = GRIDS[name]
    ids = inside(grid, ragged(13)).astype(np.uint8)
    ids[3:9, 5:9] = ids[3:9, -9:-5] = 1
    write_class_map(tmp_path / "map.tif", ids, grid, LAND_AND_ROOF)
    out = tmp_path / f"map.{suffix}"
    flags = ["--class", "roof", "--simplify", "0", "--min-area", "0", "--crs", "EPSG:4326"]
    assert run(["vectorize", str(tmp_path / "map.tif"), "--out", str(out), *flags]) == 0
    meta, _, wkb, columns = pyogrio.raw.read(out, layer="map")
    shapes = shapely.from_wkb(wkb)
    assert len(shapes) == 3
    areas = columns[list(meta["fields"]).index("area_m2")]
    for shape, area in zip(shapes, areas, strict=True):
        assert shape.is_valid
        assert -180 <= shape.bounds[0] <= shape.bounds[2] <= 180
        assert abs(Geod(ellps="WGS84").geometry_area_perimeter(shapely.orient_polygons(shape))[0]) == pytest.approx(
            area, rel=1e-5
        )
        for part in shapely.get_parts(shape):
            assert part.bounds[2] - part.bounds[0] < 1
    assert [len(shapely.get_parts(shape)) for shape in sorted(shapes, key=shapely.area)] == [1, 1, 2]


def test_without_a_wish_polygons_stay_on_the_grid_of_their_map(tmp_path: Path) -> None:
    grid = GRIDS["degrees up to 180.005"]
    write_class_map(tmp_path / "map.tif", inside(grid, ragged(13)).astype(np.uint8), grid, LAND_AND_ROOF)
    flags = ["--class", "roof", "--simplify", "0"]
    assert run(["vectorize", str(tmp_path / "map.tif"), "--out", str(tmp_path / "map.gpkg"), *flags]) == 0
    shapes = shapely.from_wkb(pyogrio.raw.read(tmp_path / "map.gpkg", layer="map")[2])
    assert shapes[0].bounds[2] > 180


@pytest.mark.parametrize("other", GRIDS)
@each_grid
def test_scenes_of_the_same_ground_are_found_across_180(name: str, other: str) -> None:
    scenes = [
        Scene(label, Imagery((f"{label}.tif",), ("band_1",)), None, label, GRIDS[key])
        for label, key in (("a", name), ("b", other))
    ]
    pictures = {label: (1, np.ones((80, 100), np.float32)) for label in "ab"}
    found = find_overlaps(scenes, pictures)
    assert found is not None
    (overlap,) = found
    assert overlap.share > 0.8
    assert overlap.window_one.intersection(Window(30, 40, 20, 20)) == Window(30, 40, 20, 20)


@pytest.mark.parametrize("jumps", [False, True])
def test_control_points_across_180_place_a_raster(tmp_path: Path, jumps: bool) -> None:
    grid = GRIDS["degrees up to 180.005"]
    path = write_points(tmp_path / "a.tif", np.ones((1, grid.height, grid.width), np.uint8), grid)
    if jumps:
        with rasterio.open(path, "r+") as dataset:
            points, crs = dataset.gcps
            for point in points:
                point.x = (point.x + 180) % 360 - 180
            dataset.gcps = points, crs
    assert read_facts(path).grid.same_place(grid)


WORLDS = {
    "from -180 to 180": Grid("EPSG:4326", (0.02, 0.0, -180.0, 0.0, -0.02, -10.0), 700, 18_000),
    "from 0 to 360": Grid("EPSG:4326", (0.02, 0.0, 0.0, 0.0, -0.02, -10.0), 700, 18_000),
}
WIDE = {
    "UTM zone 60": Grid("EPSG:32760", (2000.0, 0.0, X - 1e5, 0.0, -2000.0, Y + 8e4), 80, 100),
    "UTM zone 1": Grid("EPSG:32701", (2000.0, 0.0, 1.0e5, 0.0, -2000.0, Y + 8e4), 80, 100),
    "170 to 190": Grid("EPSG:4326", (0.2, 0.0, 170.0, 0.0, -0.2, LAT + 4), 40, 100),
    "-190 to -170": Grid("EPSG:4326", (0.2, 0.0, -190.0, 0.0, -0.2, LAT + 4), 40, 100),
    "mostly beyond": Grid("EPSG:4258", (0.1, 0.0, 179.0, 0.0, -0.1, LAT + 4), 80, 100),
    "about Greenwich": Grid("EPSG:4326", (0.2, 0.0, -10.0, 0.0, -0.2, LAT + 4), 40, 100),
}


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("name", WIDE)
def test_label_rasters_of_the_whole_world_are_found_on_both_sides(tmp_path: Path, name: str, world: str) -> None:
    """Each pixel's label is the one at its centre's longitude, however many turns away the raster counts it."""
    own, grid = WORLDS[world], WIDE[name]
    values = np.random.default_rng(1).integers(0, 2, (35, 900)).repeat(20, axis=0).repeat(20, axis=1).astype(np.uint8)
    labels = write_tiff(tmp_path / "labels.tif", values[None], own)
    found = burnt(grid, labels, tmp_path, LabelRule("ids", (("0",), ("1",))))
    rows, cols = np.mgrid[: grid.height, : grid.width] + 0.5
    lon, lat = Transformer.from_crs(grid.crs, "EPSG:4326", always_xy=True).transform(*grid.to_map(rows, cols))
    west = own.transform[2]
    down, across = own.to_pixel((np.asarray(lon) - west) % 360 + west, lat)
    wanted = values[np.floor(down).astype(int), np.floor(across).astype(int) % own.width]
    assert (found != VOID).all()
    # GDAL's warp approximates a projection to an eighth of a pixel.
    assert (found != wanted).mean() < 0.005
