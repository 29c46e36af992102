"""Image, labels, map and polygons stay within half a pixel of each other on every path, on grids of any kind.

Each example is a bright ellipse on the ground. It is painted into an image, drawn as a label in another file, and found again
behind each path; its middle must be where it was.
"""

import json
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import rasterio
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pyproj import Transformer

from terraseg.core.dataset import ANY, OUTSIDE, Dataset, Imagery, LabelRule, Scene
from terraseg.core.grid import Grid
from terraseg.core.polygons import VectorLabels
from terraseg.core.scale import Scale, Working
from terraseg.measure.zones import ground_by_zone, zones_of_districts
from terraseg.predict.options import PredictOptions
from terraseg.predict.ready import made_ready
from terraseg.predict.sweep import predict_raster
from terraseg.store.cache import training_scenes
from terraseg.store.classmap import read_class_map, write_class_map
from terraseg.store.imagery import write_raster
from terraseg.store.labels import open_labels
from terraseg.store.raster import open_raster
from terraseg.vectorize.options import VectorizeOptions
from terraseg.vectorize.polygons import polygons_of
from tests.awkward import turned, write_points, write_tiff
from tests.makers import LAND_AND_ROOF, PointScorer, make_spec

HEIGHT, WIDTH, GSD = 72, 88, 0.5
DARK, BRIGHT = 40, 200
ON_GROUND = {"EPSG:32637": GSD, "EPSG:3857": GSD, "EPSG:4326": GSD / 111_000}
POLYGONS = LabelRule("polygons", ((OUTSIDE,), (ANY,)))
IDS = LabelRule("ids", ((str(DARK),), (str(BRIGHT),)))
BANDS = ("band_1",)
SIZES = [Fraction(1), Fraction(3, 2), Fraction(8, 7), Fraction(5, 7), Fraction(1, 2)]


@dataclass(frozen=True)
class Example:
    """A grid, and a shape in its pixel coordinates (x = column, y = row)."""

    grid: Grid
    shape: shapely.Polygon

    @property
    def on_map(self) -> shapely.Polygon:
        """The shape in map coordinates, with corners so near to each other that they are the same in any CRS."""
        return shapely.transform(self.shape, lambda p: np.column_stack(self.grid.to_map(p[:, 1], p[:, 0])))

    def painted(self, grid: Grid | None = None) -> NDArray[np.uint8]:
        """The pixels (height, width) of a grid whose centres lie in the shape are bright: the oracle."""
        grid = grid or self.grid
        xs, ys = grid.to_map(*(np.mgrid[0 : grid.height, 0 : grid.width] + 0.5))
        if grid.crs != self.grid.crs:
            xs, ys = Transformer.from_crs(grid.crs, self.grid.crs, always_xy=True).transform(xs, ys)
        return np.where(shapely.contains_xy(self.on_map, xs, ys), BRIGHT, DARK).astype(np.uint8)


@st.composite
def examples(draw: st.DrawFn) -> Example:
    crs = draw(st.sampled_from(sorted(ON_GROUND)))
    size = ON_GROUND[crs]
    x, y = Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform(38.0, 12.0)
    plain = Grid(crs, (size, 0.0, x, 0.0, -size, y), HEIGHT, WIDTH)
    grid = turned(plain, draw(st.floats(-180, 180)), stretch=draw(st.floats(0.6, 1.6)), flip=draw(st.booleans()))
    angle = np.linspace(0, 2 * np.pi, 120, endpoint=False)
    col, row = draw(st.floats(30, WIDTH - 30)), draw(st.floats(28, HEIGHT - 28))
    wide, high = draw(st.floats(9, 22)), draw(st.floats(9, 22))
    return Example(grid, shapely.Polygon(np.column_stack([col + wide * np.cos(angle), row + high * np.sin(angle)])))


def middle(bright: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The mean place (column, row) of pixels, in pixel coordinates."""
    rows, cols = np.nonzero(bright)
    assert len(rows) > 20
    return np.array([cols.mean(), rows.mean()]) + 0.5


def apart(one: NDArray[np.float64], other: NDArray[np.float64] | shapely.Geometry) -> float:
    """How far two middles lie from each other, in pixels."""
    if isinstance(other, shapely.Geometry):
        other = np.array(shapely.centroid(other).coords[0])
    return float(np.hypot(*(one - other)))


def scene_of(example: Example, folder: Path, labels: Path) -> Scene:
    path = folder / "image.tif"
    if not path.exists():
        write_tiff(path, example.painted()[None], example.grid)
    grid = example.grid
    return Scene("a", Imagery((str(path),), BANDS), str(labels), "a", grid, (grid.window,))


def write_polygon(example: Example, path: Path) -> Path:
    """The shape in degrees, as GeoJSON has it."""
    way = Transformer.from_crs(str(example.grid.crs), "EPSG:4326", always_xy=True)
    degrees = shapely.transform(example.on_map, lambda p: np.column_stack(way.transform(p[:, 0], p[:, 1])))
    feature = {"type": "Feature", "properties": {}, "geometry": json.loads(shapely.to_geojson(degrees))}
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    return path


def dataset_of(scene: Scene, rule: LabelRule) -> Dataset:
    return Dataset((scene,), LAND_AND_ROOF, rule, BANDS, "uint8")


on_many = settings(max_examples=12, deadline=None)


@on_many
@given(example=examples())
def test_polygons_in_degrees_are_burnt_where_the_image_shows_them(
    tmp_path_factory: pytest.TempPathFactory, example: Example
) -> None:
    folder = tmp_path_factory.mktemp("a")
    scene = scene_of(example, folder, write_polygon(example, folder / "l.geojson"))
    with open_labels(scene, dataset_of(scene, POLYGONS)) as labels:
        burnt = labels.read(scene.grid.window) == 1
    assert apart(middle(burnt), example.shape) < 0.5
    differ = burnt != (example.painted() == BRIGHT)
    assert differ.sum() <= 2


@on_many
@given(example=examples(), crs=st.sampled_from(sorted(ON_GROUND)), finer=st.floats(0.5, 3.0))
def test_label_rasters_on_other_grids_are_laid_where_the_image_is(
    tmp_path_factory: pytest.TempPathFactory, example: Example, crs: str, finer: float
) -> None:
    """Another CRS, another resolution, another origin: by nearest neighbour within half a pixel of the coarser one."""
    folder = tmp_path_factory.mktemp("b")
    way = Transformer.from_crs(str(example.grid.crs), crs, always_xy=True)
    xs, ys = example.grid.to_map([0, 0, HEIGHT, HEIGHT], [0, WIDTH, 0, WIDTH])
    xs, ys = (np.asarray(v) for v in way.transform(xs, ys))
    size = ON_GROUND[crs] / finer
    own = Grid(
        crs,
        (size, 0.0, float(xs.min()), 0.0, -size, float(ys.max())),
        int(np.ptp(ys) / size) + 2,
        int(np.ptp(xs) / size) + 2,
    )
    write_raster(folder / "l.tif", example.painted(own)[None], own, ["label"])
    scene = scene_of(example, folder, folder / "l.tif")
    with open_labels(scene, dataset_of(scene, IDS)) as labels:
        laid = labels.read(scene.grid.window) == 1
    coarsest = max(
        1.0, size / ON_GROUND[crs] * GSD / (min(example.grid.pixel_size) / ON_GROUND[str(example.grid.crs)] * GSD)
    )
    assert apart(middle(laid), example.shape) < 0.5 * coarsest


@on_many
@given(example=examples())
def test_a_raster_placed_by_points_shows_what_the_polygons_say(
    tmp_path_factory: pytest.TempPathFactory, example: Example
) -> None:
    folder = tmp_path_factory.mktemp("c")
    image = write_points(folder / "image.tif", example.painted()[None], example.grid)
    with open_raster(Imagery((str(image),), BANDS)) as raster:
        grid = raster.grid
        patch = raster.read(grid.window)
    scene = replace(scene_of(example, folder, write_polygon(example, folder / "l.geojson")), grid=grid)
    with open_labels(scene, dataset_of(scene, POLYGONS)) as labels:
        burnt = labels.read(grid.window) == 1
    seen = patch.valid & (patch.pixels[0] > (DARK + BRIGHT) / 2)
    assert apart(middle(burnt), middle(seen)) < 0.5


@on_many
@given(example=examples(), reduction=st.integers(1, 3), rows=st.sampled_from(SIZES), cols=st.sampled_from(SIZES))
def test_training_sees_labels_on_what_they_name(
    tmp_path_factory: pytest.TempPathFactory, example: Example, reduction: int, rows: Fraction, cols: Fraction
) -> None:
    """At every scale that scenes are brought to, by a factor of its own along either axis."""
    folder = tmp_path_factory.mktemp("d")
    scene = scene_of(example, folder, write_polygon(example, folder / "l.geojson"))
    dataset, way = dataset_of(scene, POLYGONS), Working(Scale(rows, cols), reduction)
    with training_scenes(dataset, folder / "cache", cache_gb=1.0, fill=(0.0,), working=lambda _: way) as (copied,):
        pixels, labels = copied.read(copied.scene.grid.window)
        bright = pixels[0] > (DARK + BRIGHT) / 2
        assert apart(middle(bright), middle(labels == 1)) < 0.5
        factors = np.array([float(way.total.cols), float(way.total.rows)])
        assert apart(middle(labels == 1) * factors, example.shape) < 0.5 * max(1.0, *factors)


@settings(max_examples=8, deadline=None)
@given(example=examples(), coarser=st.sampled_from([None, 0.4, 1.0, 2.0, 3.0]))
def test_maps_and_polygons_lie_where_the_image_is(
    tmp_path_factory: pytest.TempPathFactory, example: Example, coarser: float | None
) -> None:
    """Also where the model's pixels are larger or smaller, and each tile is resampled on its way there and back.

    A disc drawn in such pixels lies beside itself by a part of one of them; half of one is what a wrong corner would cost.
    """
    folder, limit = tmp_path_factory.mktemp("e"), max(0.5, 0.3 * (coarser or 0.0))
    scene = scene_of(example, folder, folder / "none")
    gsd = None if coarser is None else (example.grid.gsd_m or GSD) * coarser
    scorer = PointScorer(make_spec(BANDS, tile=32, gsd_m=gsd), middle=(DARK + BRIGHT) / 2)
    with made_ready(scene.imagery, scorer) as ready:
        predict_raster(ready.source, ready.scorer, folder / "map.tif", options=PredictOptions(threads=1))
    with read_class_map(folder / "map.tif") as raster:
        assert np.allclose(raster.grid.transform, example.grid.transform, rtol=1e-12)
        roof = raster.read(raster.grid.window) == 1
        table = polygons_of(raster, options=VectorizeOptions(classes=("roof",)))
    assert apart(middle(roof), example.shape) < limit
    backwards = shapely.transform(
        shapely.union_all(table.geometry),
        lambda p: np.column_stack(example.grid.to_pixel(p[:, 0], p[:, 1])[::-1]),
    )
    assert apart(np.array(shapely.centroid(backwards).coords[0]), middle(roof)) < 0.5


def test_the_makers_agree_with_rasterio_about_pixel_centres(tmp_path: Path) -> None:
    """The oracle itself: rasterio's centre of a pixel is this project's."""
    grid = turned(Grid("EPSG:32637", (0.5, 0.0, 5e5, 0.0, -0.5, 4e6), 20, 30), 33.0, stretch=1.3, flip=True)
    path = write_tiff(tmp_path / "a.tif", np.zeros((1, 20, 30), np.uint8), grid)
    with rasterio.open(path) as dataset:
        x, y = dataset.xy(7, 11)
    assert (x, y) == pytest.approx(tuple(float(v) for v in grid.to_map(7.5, 11.5)))


@on_many
@given(example=examples(), side=st.integers(20, 60))
def test_an_overview_shows_things_where_they_are(
    tmp_path_factory: pytest.TempPathFactory, example: Example, side: int
) -> None:
    """The small picture by which scenes are compared, reported and shown; half of one of its pixels is what a corner costs."""
    folder = tmp_path_factory.mktemp("o")
    scene = scene_of(example, folder, folder / "none")
    with open_raster(scene.imagery) as raster:
        small = raster.read_overview(side).pixels[0].astype(np.float64) - DARK
    rows, cols = np.mgrid[: small.shape[0], : small.shape[1]] + 0.5
    found = np.array([(cols * small).sum(), (rows * small).sum()]) / small.sum()
    factors = np.array([WIDTH / small.shape[1], HEIGHT / small.shape[0]])
    assert apart(found * factors, middle(example.painted() == BRIGHT)) < 0.5


@on_many
@given(example=examples(), crs=st.sampled_from(["EPSG:4326", "EPSG:3857"]))
def test_polygons_in_another_crs_and_their_districts_are_the_same_ground(
    tmp_path_factory: pytest.TempPathFactory, example: Example, crs: str
) -> None:
    """A map becomes polygons in another CRS, these the districts by which it is measured: they hold their class alone."""
    folder = tmp_path_factory.mktemp("z")
    write_class_map(folder / "map.tif", (example.painted() == BRIGHT).astype(np.uint8), example.grid, LAND_AND_ROOF)
    with read_class_map(folder / "map.tif") as raster:
        wanted = VectorizeOptions(classes=("roof",), simplify_m=0.0, crs=crs)
        table = polygons_of(raster, options=wanted)
        labels = VectorLabels(table.geometry, np.array(["roof"] * len(table)), crs)
        zones = zones_of_districts(labels, raster.grid, source="polygons")
        ground, observed = ground_by_zone(raster, zones)
    assert ground[:, 1].sum() == pytest.approx(observed.sum(), rel=0.01)
    assert ground[:, 1].sum() == pytest.approx(table.area.sum(), rel=0.01)
