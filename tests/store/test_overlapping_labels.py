"""Labels of overlapping classes, burnt from polygons or read from rasters, keep every class of a pixel."""

from pathlib import Path

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from terraseg.core.classes import LandClass, Legend
from terraseg.core.dataset import Dataset, Imagery, LabelRule, Scene
from terraseg.core.grid import Grid
from terraseg.core.polygons import PolygonTable
from terraseg.core.scale import Working
from terraseg.core.window import Window, cut
from terraseg.errors import BandMismatch, UnknownClass
from terraseg.pixels.burn import BurnLayer
from terraseg.store.cache import training_scenes
from terraseg.store.imagery import write_raster
from terraseg.store.labels import open_labels
from terraseg.store.vector import write_polygons
from tests.makers import make_grid, make_raster

LEGEND = Legend((LandClass(0, "road", "#FF0000"), LandClass(1, "tree", "#00FF00"), LandClass(2, "roof", "#0000FF")))
SIDE = 24
corner = st.tuples(st.floats(-4, SIDE + 4), st.floats(-4, SIDE + 4))


def scene_with(labels: Path, grid: Grid) -> Scene:
    return Scene("a", Imagery(("a.tif",), ("red",)), str(labels), "a", grid)


def dataset_with(rule: LabelRule, *scenes: Scene) -> Dataset:
    return Dataset(scenes, LEGEND, rule, ("red",), "uint8")


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(st.tuples(corner, corner, corner), st.sampled_from([1, 2, 4, 3, 255])), max_size=7), st.data()
)
def test_a_burnt_pixel_has_the_bits_of_all_polygons_over_its_centre(
    drawn: list[tuple[tuple[tuple[float, float], ...], int]], data: st.DataObject
) -> None:
    """Brute force: every pixel's centre asked of every polygon."""
    triangles = [(shapely.Polygon(corners), code) for corners, code in drawn]
    triangles = [(t, code) for t, code in triangles if t.is_valid and t.area > 0.01]
    outside = data.draw(st.sampled_from([0, 255, 4]))
    grid = Grid(None, (1.0, 0.0, 0.0, 0.0, 1.0, 0.0), SIDE, SIDE)
    shapes = np.array([t for t, _ in triangles], dtype=object)
    codes = np.array([code for _, code in triangles], dtype=np.uint8)
    layer = BurnLayer(shapes, codes, grid, outside=outside, overlapping=True)
    found = layer.burn(grid.window)
    for row, col in np.ndindex(SIDE, SIDE):
        centre = shapely.Point(col + 0.5, row + 0.5)
        if any(t.boundary.distance(centre) < 1e-6 for t, _ in triangles):
            continue
        over = [code for t, code in triangles if t.contains(centre)]
        wanted = np.bitwise_or.reduce(over) if over else outside
        assert found[row, col] == wanted, (row, col)
    parts = np.zeros_like(found)
    for window in cut(grid.window, 7, 11):
        parts[window.slices] = layer.burn(window)
    assert (parts == found).all()


def write_overlapping(path: Path, grid: Grid) -> None:
    """A road over the full width, a tree over part of it, and the same tree twice."""
    left, bottom, right, top = grid.bounds
    road = shapely.box(left, top - 8, right, top - 4)
    tree = shapely.box(left + 2, top - 6, left + 6, bottom)
    shapes = np.array([road, tree, tree], dtype=object)
    ids, none = np.array([0, 1, 1], dtype=np.uint8), np.full(3, np.nan)
    write_polygons(PolygonTable(shapes, ids, none, none, none, LEGEND, grid.crs), path)


def test_overlapping_polygons_of_a_file_keep_both_classes(tmp_path: Path) -> None:
    grid = make_grid(16, 20, gsd=1.0)
    write_overlapping(tmp_path / "l.gpkg", grid)
    rule = LabelRule("polygons", (("road",), ("tree",), ("roof",)), (), "class_name", overlapping=True)
    with open_labels(scene_with(tmp_path / "l.gpkg", grid), dataset_with(rule)) as labels:
        found = labels.read(grid.window)
    road, tree = np.zeros((2, 16, 20), dtype=bool)
    road[4:8], tree[6:, 2:6] = True, True
    assert (found == road * 1 + tree * 2).all()
    assert (found == 3).sum() == 8


def test_a_polygon_of_no_listed_class_is_named(tmp_path: Path) -> None:
    grid = make_grid(16, 20, gsd=1.0)
    write_overlapping(tmp_path / "l.gpkg", grid)
    rule = LabelRule("polygons", (("road",), ("shrub",), ("roof",)), (), "class_name", overlapping=True)
    with pytest.raises(UnknownClass, match=r"class_name = 'tree' \(2 times\), which no class"):
        open_labels(scene_with(tmp_path / "l.gpkg", grid), dataset_with(rule))


def test_an_id_may_stand_for_several_classes(tmp_path: Path) -> None:
    grid = make_grid(2, 5)
    write_raster(tmp_path / "l.tif", np.array([[[0, 1, 2, 3, 9]] * 2], dtype=np.uint8), grid, ["label"])
    rule = LabelRule("ids", (("1", "3"), ("2", "3"), ()), ("9",), overlapping=True)
    with open_labels(scene_with(tmp_path / "l.tif", grid), dataset_with(rule)) as labels:
        assert labels.read(Window(0, 0, 1, 5)).tolist() == [[0, 1, 2, 3, 255]]


def bands_file(path: Path, grid: Grid, nodata: float | None) -> None:
    bands = np.array([[[0, 1, 0, 1, 255]] * 2, [[0, 0, 1, 1, 0]] * 2], dtype=np.uint8)
    write_raster(path, bands, grid, ["road", "Tree"], nodata=nodata)


@pytest.mark.parametrize(("values", "nodata", "ignore"), [(("tree", "road"), 255, ()), (("2", "1"), None, ("255",))])
def test_bands_are_found_by_name_or_number_and_void_by_nodata_or_ignore(
    tmp_path: Path, values: tuple[str, str], nodata: float | None, ignore: tuple[str, ...]
) -> None:
    grid = make_grid(2, 5)
    bands_file(tmp_path / "l.tif", grid, nodata)
    rule = LabelRule("bands", ((values[0],), (values[1],), ()), ignore, overlapping=True)
    with open_labels(scene_with(tmp_path / "l.tif", grid), dataset_with(rule)) as labels:
        assert labels.read(Window(0, 0, 1, 5)).tolist() == [[0, 2, 1, 3, 255]]


def test_nodata_declared_as_0_is_the_outside_of_the_classes(tmp_path: Path) -> None:
    grid = make_grid(2, 5)
    bands_file(tmp_path / "l.tif", grid, 0)
    rule = LabelRule("bands", (("road",), ("tree",), ()), ("255",), overlapping=True)
    with open_labels(scene_with(tmp_path / "l.tif", grid), dataset_with(rule)) as labels:
        assert labels.read(Window(0, 0, 1, 5)).tolist() == [[0, 1, 2, 3, 255]]


def test_a_band_that_is_not_there_is_named_with_those_that_are(tmp_path: Path) -> None:
    grid = make_grid(2, 5)
    bands_file(tmp_path / "l.tif", grid, None)
    rule = LabelRule("bands", (("road",), ("trees",), ()), overlapping=True)
    with pytest.raises(
        BandMismatch, match="no band 'trees', in which the project file sees the class tree: did you mean"
    ):
        open_labels(scene_with(tmp_path / "l.tif", grid), dataset_with(rule))


def test_the_cache_counts_each_class_and_keeps_unlabelled_ground_apart(tmp_path: Path) -> None:
    grid = make_grid(32, 32)
    make_raster(tmp_path / "a.tif", grid, bands=("red",))
    values = np.zeros((1, 32, 32), dtype=np.uint8)
    values[0, :16, :16], values[0, :8, :8], values[0, 16:, :16] = 1, 3, 9
    write_raster(tmp_path / "l.tif", values, grid, ["label"])
    scene = Scene(
        "a", Imagery((str(tmp_path / "a.tif"),), ("red",)), str(tmp_path / "l.tif"), "a", grid, (grid.window,)
    )
    rule = LabelRule("ids", (("1", "3"), ("3",), ()), ("9",), overlapping=True)
    for cache_gb in (1.0, 0.0):
        folder = tmp_path / f"cache_{cache_gb}"
        with training_scenes(dataset_with(rule, scene), folder, cache_gb=cache_gb, fill=[7.0]) as (opened,):
            assert opened.counts.tolist() == [
                [[256, 0], [0, 0]],
                [[64, 0], [0, 0]],
                [[0, 0], [0, 0]],
                [[256, 256], [0, 256]],
            ]
            labels = opened.read(grid.window)[1]
            assert (labels == np.where(values[0] == 9, 255, values[0])).all()


def test_reduced_overlapping_labels_keep_both_classes(tmp_path: Path) -> None:
    grid = make_grid(32, 32)
    make_raster(tmp_path / "a.tif", grid, bands=("red",))
    write_raster(tmp_path / "l.tif", np.full((1, 32, 32), 3, dtype=np.uint8), grid, ["label"])
    scene = Scene(
        "a", Imagery((str(tmp_path / "a.tif"),), ("red",)), str(tmp_path / "l.tif"), "a", grid, (grid.window,)
    )
    rule = LabelRule("ids", (("3",), ("3",), ()), overlapping=True)
    opened = training_scenes(
        dataset_with(rule, scene), tmp_path / "c", cache_gb=1, fill=[7.0], working=lambda _: Working(reduction=2)
    )
    with opened as (reduced,):
        assert (reduced.read(Window(0, 0, 16, 16))[1] == 3).all()
