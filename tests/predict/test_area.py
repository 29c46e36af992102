"""The area of interest: a pixel belongs to it when its centre does, in whatever CRS the polygons are."""

from pathlib import Path

import numpy as np
import pyogrio
import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyproj import Transformer

from terraseg.core.grid import Grid
from terraseg.core.window import Window, cut
from terraseg.errors import BadOption, CrsMissing, UnreadableFile
from terraseg.predict.area import read_area
from tests.makers import make_grid

CRSS = ("EPSG:32637", "EPSG:4326", "EPSG:3857", "EPSG:32636")
slow = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def write_area(path: Path, geometries: list[shapely.Geometry], crs: str | None) -> Path:
    array = np.array(geometries, dtype=object)
    kind = geometries[0].geom_type
    pyogrio.raw.write(str(path), shapely.to_wkb(array), [], [], geometry_type=kind, crs=crs, driver="GPKG")
    return path


def moved(geometry: shapely.Geometry, source: str, target: str) -> shapely.Geometry:
    way = Transformer.from_crs(source, target, always_xy=True)
    return shapely.transform(geometry, lambda p: np.column_stack(way.transform(p[:, 0], p[:, 1])))


def star(grid: Grid, seed: int) -> shapely.Polygon:
    """A ragged polygon around the middle of a raster, partly beyond it, in the raster's CRS."""
    rng = np.random.default_rng(seed)
    angle = np.sort(rng.random(9)) * 2 * np.pi
    reach = rng.uniform(0.2, 1.3, 9) * grid.height / 2
    rows, cols = grid.height / 2 + reach * np.sin(angle), grid.width / 2 + reach * np.cos(angle)
    return shapely.make_valid(shapely.Polygon(np.column_stack(grid.to_map(rows, cols))))


def centres(grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    rows, cols = np.mgrid[: grid.height, : grid.width] + 0.5
    return grid.to_map(rows, cols)


@slow
@given(st.integers(0, 10_000), st.sampled_from(CRSS), st.sampled_from(["plain", "rotated", "south-up"]))
def test_the_area_is_the_brute_force_of_points_in_polygons(tmp_path: Path, seed: int, crs: str, kind: str) -> None:
    a, e, b, d = {"plain": (0.5, -0.5, 0, 0), "rotated": (0.4, -0.4, 0.3, 0.3), "south-up": (0.5, 0.5, 0, 0)}[kind]
    grid = Grid("EPSG:32637", (a, b, 5e5, d, e, 4e6), 60, 80)
    theirs = moved(star(grid, seed), "EPSG:32637", crs)
    path = tmp_path / f"{seed}-{crs[5:]}-{kind}.gpkg"
    path.unlink(missing_ok=True)
    area = read_area(write_area(path, list(shapely.get_parts(theirs)), crs), grid)
    xs, ys = centres(grid)
    way = Transformer.from_crs("EPSG:32637", crs, always_xy=True)
    points = shapely.points(*way.transform(xs, ys))
    expected = shapely.intersects(theirs, points)
    scale = np.sqrt(theirs.area / moved(theirs, crs, "EPSG:32637").area)
    # A centre nearer to the border than a millimetre may fall to either side.
    clear = shapely.distance(shapely.boundary(theirs), points) > 1e-3 * scale
    found = area.inside(grid.window)
    assert np.array_equal(found[clear], expected[clear])
    assert clear.mean() > 0.99
    for window in cut(grid.window, 17, 23):
        assert np.array_equal(area.inside(window), found[window.slices])


def test_an_area_of_the_whole_world_covers_a_raster(tmp_path: Path) -> None:
    """Beyond a UTM zone the projection has no answer, and none is asked for."""
    path = write_area(tmp_path / "world.gpkg", [shapely.box(-180, -90, 180, 90)], "EPSG:4326")
    assert read_area(path, make_grid()).inside(make_grid().window).all()


def test_an_area_elsewhere_is_empty(tmp_path: Path) -> None:
    path = write_area(tmp_path / "far.gpkg", [shapely.box(10, 10, 11, 11)], "EPSG:4326")
    area = read_area(path, make_grid())
    assert area.is_empty
    assert not area.inside(Window(0, 0, 8, 8)).any()


def test_long_straight_edges_are_carried_over_as_the_curves_they_are(tmp_path: Path) -> None:
    """On 200 km an edge that is straight in degrees bends by hundreds of metres in UTM."""
    grid = Grid("EPSG:32637", (200.0, 0, 4e5, 0, -200.0, 6.9e6), 1000, 1000)
    to_degrees = Transformer.from_crs("EPSG:32637", "EPSG:4326", always_xy=True)
    lon, lat = to_degrees.transform(*grid.to_map([500, 500], [0, 1000]))
    below = shapely.Polygon([(lon[0], lat[0]), (lon[1], lat[1]), (lon[1], 40), (lon[0], 40)])
    path = write_area(tmp_path / "below.gpkg", [below], "EPSG:4326")
    found = read_area(path, grid).inside(Window(480, 500, 40, 1))[:, 0]
    points = shapely.points(*to_degrees.transform(*grid.to_map(np.arange(480, 520) + 0.5, np.full(40, 500.5))))
    assert np.array_equal(found, shapely.intersects(below, points))
    assert not found[20], "the edge has left the straight line between its ends"


@pytest.mark.parametrize(
    ("geometry", "crs", "grid", "error", "words"),
    [
        (shapely.Point(1, 1), "EPSG:4326", make_grid(), BadOption, "holds no polygon"),
        (shapely.box(0, 0, 1, 1), "EPSG:4326", make_grid(crs=None), CrsMissing, "raster has no CRS"),
    ],
)
def test_what_marks_no_area_is_refused(
    tmp_path: Path, geometry: shapely.Geometry, crs: str, grid: Grid, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        read_area(write_area(tmp_path / "a.gpkg", [geometry], crs), grid)


def test_a_missing_file_is_named() -> None:
    with pytest.raises(UnreadableFile, match=r"nowhere\.gpkg does not exist"):
        read_area("nowhere.gpkg", make_grid())
