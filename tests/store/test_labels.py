"""Labels of every kind come out as class indices on the grid of their scene."""

from pathlib import Path

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from terraseg.core.classes import VOID, LandClass, Legend
from terraseg.core.dataset import Dataset, Imagery, LabelRule, Scene
from terraseg.core.grid import Grid
from terraseg.core.window import Window, cut
from terraseg.errors import GridMismatch, UnknownClass
from terraseg.pixels.burn import BurnLayer
from terraseg.store.imagery import write_raster
from terraseg.store.labels import open_labels
from tests.makers import UTM, make_grid, make_labels

LEGEND = Legend((LandClass(0, "land", "#AA8844"), LandClass(3, "water", "#0000FF")))


def scene_with(labels: Path, grid: Grid) -> Scene:
    return Scene("a", Imagery(("a.tif",), ("red",)), str(labels), "a", grid)


def dataset_with(rule: LabelRule) -> Dataset:
    return Dataset((), LEGEND, rule, ("red",), "uint8")


IDS = dataset_with(LabelRule("ids", (("0",), ("3",)), ("9",)))


def test_ids_become_indices_and_ignored_ones_void(tmp_path: Path) -> None:
    grid = make_grid(10, 30)
    path = make_labels(tmp_path / "l.tif", grid, values=(0, 3, 9))
    with open_labels(scene_with(path, grid), IDS) as labels:
        assert labels.read(Window(0, 0, 1, 30)).tolist() == [[0] * 10 + [1] * 10 + [VOID] * 10]


def test_an_unlisted_id_is_named(tmp_path: Path) -> None:
    grid = make_grid(10, 30)
    path = make_labels(tmp_path / "l.tif", grid, values=(0, 5))
    with open_labels(scene_with(path, grid), IDS) as labels, pytest.raises(UnknownClass, match="the value 5"):
        labels.read(grid.window)


def test_a_label_raster_in_another_crs_is_laid_on_the_image_grid(tmp_path: Path) -> None:
    """A mask in degrees, warped: its edge must stand within a pixel of where it is on the ground."""
    from pyproj import Transformer

    grid = make_grid(100, 100, gsd=2.0)
    left, bottom, right, top = grid.bounds
    transformer = Transformer.from_crs(UTM, "EPSG:4326", always_xy=True)
    corners = [transformer.transform(x, y) for x in (left, right) for y in (bottom, top)]
    west, east = min(x for x, _ in corners), max(x for x, _ in corners)
    south, north = min(y for _, y in corners), max(y for _, y in corners)
    size = 400
    own = Grid("EPSG:4326", ((east - west) / size, 0.0, west, 0.0, (south - north) / size, north), size, size)
    rows, cols = np.mgrid[0:size, 0:size] + 0.5
    xs, _ = Transformer.from_crs("EPSG:4326", UTM, always_xy=True).transform(*own.to_map(rows, cols))
    values = np.where(xs < (left + right) / 2, 0, 3).astype("uint8")
    write_raster(tmp_path / "l.tif", values[None], own, ["label"])
    with open_labels(scene_with(tmp_path / "l.tif", grid), IDS) as labels:
        read = labels.read(Window(5, 5, 90, 90))
    assert (read[:, :44] == 0).all()
    assert (read[:, 46:] == 1).all()


def test_ground_that_a_label_raster_does_not_cover_is_void(tmp_path: Path) -> None:
    grid = make_grid(40, 40)
    half = grid.crop(Window(0, 0, 40, 20))
    path = make_labels(tmp_path / "l.tif", half, values=(0, 3))
    with open_labels(scene_with(path, grid), IDS) as labels:
        read = labels.read(grid.window)
    assert (read[:, 20:] == VOID).all()
    assert (read[:, :20] != VOID).all()


def test_a_label_raster_of_another_size_and_no_place_is_refused(tmp_path: Path) -> None:
    path = make_labels(tmp_path / "l.tif", make_grid(10, 30, crs=None))
    with pytest.raises(GridMismatch, match=r"10 x 30 px and its image 10 x 31 px"):
        open_labels(scene_with(path, make_grid(10, 31, crs=None)), IDS)


@settings(max_examples=30, deadline=None)
@given(
    triangles=st.lists(st.lists(st.tuples(st.floats(-5, 35), st.floats(-5, 25)), min_size=3, max_size=3), max_size=4),
    block=st.tuples(st.integers(1, 25), st.integers(1, 25)),
)  # fmt: skip
def test_burning_agrees_with_asking_every_pixel_centre(
    triangles: list[list[tuple[float, float]]], block: tuple[int, int]
) -> None:
    """The oracle: a pixel has the highest class of all polygons that hold its centre; and blocks change nothing."""
    grid = Grid(UTM, (1.0, 0.0, 0.0, 0.0, -1.0, 20.0), 20, 30)
    shapes = [shapely.Polygon(t) for t in triangles]
    shapes = [s for s in shapes if s.area > 1e-3]
    indices = np.arange(len(shapes), dtype=np.uint8) % 3
    layer = BurnLayer(np.array(shapes, dtype=object), indices, grid, outside=VOID)
    burnt = np.full((20, 30), 77, np.uint8)
    for window in cut(grid.window, *block):
        burnt[window.slices] = layer.burn(window)
    xs, ys = grid.to_map(*(np.mgrid[0:20, 0:30] + 0.5))
    expected = np.full((20, 30), VOID, np.uint8)
    unsure = np.zeros((20, 30), bool)
    for index in range(3):
        for shape, own in zip(shapes, indices, strict=True):
            if own == index:
                expected[shapely.contains_xy(shape, xs, ys)] = index
                unsure |= shapely.distance(shape.boundary, shapely.points(xs, ys)) < 1e-6
    assert (burnt == expected)[~unsure].all()
