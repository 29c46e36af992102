"""Rasters and labels of every make, drawn at random, against oracles that ask pixel by pixel.

Grids (reference system, turn, direction, shape of the pixel, size), ways to say which pixels are valid, pixel types and orders
of bands are drawn; what a model of one-pixel sight maps is known beforehand, and so is which polygon holds a pixel's centre.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pyproj import Transformer
from rasterio.enums import ColorInterp

from terraseg.core.classes import VOID, LandClass, Legend
from terraseg.core.dataset import OUTSIDE, Dataset, Imagery, LabelRule, Scene
from terraseg.core.grid import Grid
from terraseg.core.window import Window
from terraseg.pipeline.inputs import RasterInput, imagery_of
from terraseg.predict.options import InputOptions, PredictOptions
from terraseg.predict.ready import made_ready
from terraseg.predict.sweep import predict_raster
from terraseg.store.classmap import read_class_map
from terraseg.store.labels import open_labels
from tests.awkward import turned, write_tiff
from tests.makers import PointScorer, make_spec

SIZES = {"EPSG:32637": 0.5, "EPSG:3857": 2.0, "EPSG:4326": 5e-6, "EPSG:2056": 1.5, "EPSG:3413": 30.0, "EPSG:5070": 10.0}
"""Reference systems and pixels in their units: UTM, web mercator, degrees, Swiss, polar and the conic of the United States."""
PLACES = {
    "EPSG:32637": (38.0, 12.0), "EPSG:3857": (-70.0, -33.0), "EPSG:4326": (151.2, -33.9), "EPSG:2056": (7.4, 46.9),
    "EPSG:3413": (-45.0, 72.0), "EPSG:5070": (-96.0, 40.0),
}  # fmt: skip
DTYPES = ("uint8", "uint16", "int16", "int32", "float32", "float64")
WAYS = ("all", "nodata", "far nodata", "nan", "alpha", "internal mask", "external mask")
RGB = ("red", "green", "blue")
LIMIT = 60


@st.composite
def grids(draw: st.DrawFn) -> Grid:
    crs = draw(st.sampled_from(sorted(SIZES)))
    x, y = Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform(*PLACES[crs])
    size = SIZES[crs]
    plain = Grid(crs, (size, 0.0, x, 0.0, -size, y), draw(st.integers(17, 90)), draw(st.integers(17, 110)))
    turn = draw(st.sampled_from([0.0, 90.0, 180.0]) | st.floats(-180, 180))
    return turned(plain, turn, stretch=draw(st.floats(0.5, 2.0)), flip=draw(st.booleans()))


@dataclass(frozen=True)
class Made:
    """A raster file, what it holds of red, and which of its pixels are imagery."""

    path: Path
    grid: Grid
    red: NDArray[Any]
    valid: NDArray[np.bool_]


@st.composite
def rasters(draw: st.DrawFn, folder: Path) -> Made:
    grid, dtype = draw(grids()), draw(st.sampled_from(DTYPES))
    is_float = np.dtype(dtype).kind == "f"
    ways = [w for w in WAYS if (w != "nan" or is_float) and (w != "far nodata" or dtype not in ("uint8", "uint16"))]
    how = draw(st.sampled_from([w for w in ways if w != "alpha" or dtype in ("uint8", "uint16")]))
    names = draw(st.permutations([*RGB, *draw(st.lists(st.sampled_from(["nir", "swir16", "height"]), unique=True))]))
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    pixels = rng.integers(1, 120, (len(names), grid.height, grid.width)).astype(dtype)
    valid = np.ones((grid.height, grid.width), np.bool_)
    if how != "all":
        valid = rng.random(valid.shape) > draw(st.sampled_from([0.0, 0.02, 0.5]))
        valid[: draw(st.integers(0, 5))] = False
    red = pixels[names.index("red")].copy()
    return Made(written(folder / "a.tif", pixels, valid, grid, (how, names)), grid, red, valid)


def written(path: Path, pixels: NDArray[Any], valid: NDArray[np.bool_], grid: Grid, how: tuple[str, list[str]]) -> Path:
    way, names = how
    fill = {"nodata": 0, "far nodata": -9999, "nan": np.nan}.get(way)
    if fill is not None:
        pixels = np.where(valid, pixels, fill).astype(pixels.dtype)
    layers = np.concatenate([pixels, np.where(valid, 255, 0).astype(pixels.dtype)[None]]) if way == "alpha" else pixels
    colors = [ColorInterp[name] if name in RGB else ColorInterp.undefined for name in names]
    colors += [ColorInterp.alpha] * (way == "alpha")
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=way == "internal mask"):
        write_tiff(path, layers, grid, nodata=fill, tiled=True, blockxsize=16, blockysize=16, photometric="minisblack")
        with rasterio.open(path, "r+") as dataset:
            dataset.colorinterp = colors
            for band, name in enumerate(names, 1):
                dataset.set_band_description(band, name)
            if "mask" in way:
                dataset.write_mask(valid)
    return path


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_what_is_mapped_is_what_every_pixel_holds(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Class by class and pixel by pixel, on the raster's own grid; nothing where nothing is."""
    made = data.draw(rasters(tmp_path_factory.mktemp("p")))
    spec = make_spec(dtype=str(made.red.dtype), tile=32, gsd_m=None)
    imagery, _ = imagery_of(RasterInput("a", str(made.path)), spec, InputOptions())
    out = made.path.with_name("map.tif")
    with made_ready(imagery, PointScorer(spec, middle=LIMIT + 0.5, width=1.0)) as ready:
        predict_raster(ready.source, ready.scorer, out, options=PredictOptions(threads=1))
    expected = np.where(made.valid, made.red > LIMIT, VOID)
    with read_class_map(out) as raster:
        assert raster.grid.same_place(made.grid)
        assert np.allclose(raster.grid.transform, made.grid.transform, rtol=1e-12, atol=0)
        assert np.array_equal(raster.read(raster.grid.window), expected)


LEGEND = Legend((LandClass(0, "land", "#998877"), LandClass(1, "house", "#D7301F"), LandClass(2, "water", "#2F7FC1")))
RULE = LabelRule("polygons", ((OUTSIDE,), ("house",), ("lake", "pond")), ("unknown",), "kind")
ORDER = {"house": 1, "lake": 2, "pond": 2, "unknown": VOID}
"""The label byte of each value: of two polygons the higher one wins."""


@st.composite
def polygons(draw: st.DrawFn, grid: Grid) -> list[tuple[str, shapely.Polygon]]:
    """Ragged polygons, some with a hole, over and beside a raster, in its pixels."""
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    found = []
    for kind in draw(st.lists(st.sampled_from(sorted(ORDER)), min_size=1, max_size=7)):
        middle = rng.uniform([-10, -10], [grid.width + 10, grid.height + 10])
        angle = np.linspace(0, 2 * np.pi, rng.integers(3, 12), endpoint=False)
        far = rng.uniform(0.3, 1, len(angle)) * rng.uniform(4, 40)
        shape = shapely.Polygon(middle + np.column_stack([np.cos(angle), np.sin(angle)]) * far[:, None])
        if rng.random() < 0.4:
            shape = shape.difference(shapely.affinity.scale(shape, 0.4, 0.4))
        found.append((kind, shape))
    return found


def carried(shape: shapely.Geometry, grid: Grid, crs: str) -> shapely.Geometry:
    """A shape in pixels as a file in another CRS has it."""
    way = Transformer.from_crs(str(grid.crs), crs, always_xy=True)

    def project(points: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.column_stack(way.transform(*grid.to_map(points[:, 1], points[:, 0])))

    return shapely.transform(shape, project)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_labels_are_what_holds_each_pixels_centre(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Point in polygon, asked in the labels' own CRS for every pixel; those on an outline, to a hundredth, may go either way."""
    grid = data.draw(grids())
    crs = data.draw(st.sampled_from([str(grid.crs), "EPSG:4326"]))
    drawn = [(kind, carried(shape, grid, crs)) for kind, shape in data.draw(polygons(grid))]
    folder = tmp_path_factory.mktemp("l")
    features = [
        {"type": "Feature", "properties": {"kind": kind}, "geometry": json.loads(shapely.to_geojson(shape))}
        for kind, shape in drawn
    ]
    named = {"type": "name", "properties": {"name": f"urn:ogc:def:crs:EPSG::{crs[5:]}"}}
    crs_of = {} if crs == "EPSG:4326" else {"crs": named}
    (folder / "l.geojson").write_text(json.dumps({"type": "FeatureCollection", **crs_of, "features": features}))
    scene = Scene("a", Imagery(("a.tif",), ("red",)), str(folder / "l.geojson"), "a", grid)
    with open_labels(scene, Dataset((scene,), LEGEND, RULE, ("red",), "uint8")) as labels:
        burnt = labels.read(grid.window)
        part = Window(3, 5, 11, 9)
        assert (labels.read(part) == burnt[part.slices]).all()
    expected, doubtful, touched = oracle(grid, crs, drawn)
    if not touched:
        assert (burnt == VOID).all()
        return
    assert (burnt == expected)[~doubtful].all()
    assert doubtful.mean() < 0.1


def oracle(
    grid: Grid, crs: str, drawn: list[tuple[str, shapely.Geometry]]
) -> tuple[NDArray[np.uint8], NDArray[np.bool_], bool]:
    """Label bytes by asking for each centre, centres on an outline, and whether any polygon touches the raster at all."""
    rows, cols = np.mgrid[: grid.height, : grid.width] + 0.5
    xs, ys = Transformer.from_crs(str(grid.crs), crs, always_xy=True).transform(*grid.to_map(rows, cols))
    points = shapely.points(xs, ys)
    step = np.hypot(xs[0, 1] - xs[0, 0], ys[0, 1] - ys[0, 0])
    found, doubtful = np.zeros(xs.shape, np.uint8), np.zeros(xs.shape, np.bool_)
    for kind, shape in sorted(drawn, key=lambda pair: ORDER[pair[0]]):
        found[shapely.contains(shape, points)] = ORDER[kind]
        doubtful |= shapely.distance(shape.boundary, points) < 1e-2 * step
    outline = carried(shapely.box(0, 0, grid.width, grid.height), grid, crs)
    return found, doubtful, any(shapely.intersects(shape, outline) for _, shape in drawn)
