"""Every awkward raster that other projects keep for their own tests: read as GDAL reads it, or refused in one sentence.

Each goes through check, predict and vectorize. What comes out must lie where GDAL says, to the pixel: CRS, transform, shape and
valid area; a raster without a transform is held against GDAL's own warp of it. `python docs/tricky_table.py` writes what
happened to each into docs/rasters.md.
"""

import contextlib
import io
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import pytest
import rasterio
import rasterio.warp
import rasterio.windows
import shapely
from numpy.typing import NDArray
from rasterio.transform import GCPTransformer, RPCTransformer

from terraseg.cli.main import run
from terraseg.core.classes import LandClass, Legend
from terraseg.core.dataset import Imagery
from terraseg.core.grid import Grid
from terraseg.core.modelspec import ModelSpec
from terraseg.core.window import Window
from terraseg.errors import TerrasegError
from terraseg.graphs.model import finished_model, normalised
from terraseg.graphs.sketch import Sketch
from terraseg.shapes.ground import same_crs
from terraseg.store.bundle import write_bundle
from terraseg.store.classmap import read_class_map
from terraseg.store.header import RasterFacts, read_facts
from terraseg.store.imagery import write_raster
from terraseg.store.raster import open_raster

TRICKY = Path(__file__).parents[2] / "shared" / "data" / "tricky"
RASTERS = sorted(str(p.relative_to(TRICKY)) for p in TRICKY.rglob("*") if p.suffix in {".tif", ".vrt", ".jpg"})
REFUSED = {
    "rasterio/compdcs.vrt": "which is nowhere: its coordinates are of another CRS",
    "rasterio/corrupt.tif": "cannot be read",
}
"""What is refused, and words of the sentence; all else is mapped."""
VAST = {"rio-tiler/cog_world.tif"}
"""Looked at through a window alone."""
SIDE = 512
LEGEND = Legend((LandClass(1, "dark", "#112233"), LandClass(2, "bright", "#FFEE99")))

pytestmark = pytest.mark.skipif(not RASTERS, reason="the shared awkward rasters are not there")


@dataclass(frozen=True)
class Reading:
    """Where GDAL says that a raster lies, and which pixels of a window of it hold something."""

    grid: Grid
    window: Window
    valid: NDArray[np.bool_]


@dataclass(frozen=True)
class Outcome:
    """What the commands made of a raster: the sentence of a refusal, or the files; `said` is all that stood on the screen."""

    facts: RasterFacts | None
    refusal: str
    said: str
    class_map: Path | None = None
    polygons: Path | None = None
    window: Window | None = None
    check: str = ""


def call(*arguments: str | Path) -> tuple[int, str, str]:
    """A command line's exit code, and what it said on standard output and standard error; a warning is an error."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), warnings.catch_warnings():
        warnings.simplefilter("error")
        code = run([str(a) for a in arguments])
    assert "Traceback" not in err.getvalue()
    assert "internal error" not in err.getvalue()
    return code, out.getvalue(), err.getvalue()


@lru_cache(maxsize=64)
def model_for(folder: Path, bands: tuple[str, ...], dtype: str) -> Path:
    """A bundle that calls a pixel bright where its first band is above 100."""
    spec = ModelSpec("unet", LEGEND, bands, dtype, (100.0,) * len(bands), (50.0,) * len(bands), None, 256, 32, 1)
    return write_bright(folder / f"{'_'.join(bands)}_{dtype}", spec)


def write_bright(target: Path, spec: ModelSpec) -> Path:
    """A bundle that calls a pixel bright where its first band is above the mean that the spec gives."""
    sketch = Sketch()
    first = sketch.add("Slice", normalised(sketch, spec), sketch.sizes(0), sketch.sizes(1), sketch.sizes(1))
    bright = sketch.add("Sigmoid", first)
    both = sketch.add("Concat", sketch.add("Sub", sketch.constant(1.0), bright), bright, axis=1)
    write_bundle(target, spec, onnx=finished_model(sketch, both, spec), weights={"none": np.zeros(1, np.float32)})
    return target


def work_window(grid: Grid) -> Window:
    """All of a small raster, the middle of one with a CRS that is large."""
    if grid.crs is None or grid.height * grid.width <= 2 * SIDE**2:
        return grid.window
    height, width = min(SIDE, grid.height), min(SIDE, grid.width)
    return Window((grid.height - height) // 2, (grid.width - width) // 2, height, width)


def examine(path: Path, folder: Path) -> Outcome:
    """Runs check, predict and vectorize on a raster."""
    folder.mkdir(parents=True, exist_ok=True)
    project, class_map, polygons = folder / "terraseg.toml", folder / "map.tif", folder / "map.gpkg"
    try:
        facts = read_facts(path)
    except TerrasegError as error:
        code, _, err = call("check", path, "--config", project)
        model = model_for(folder.parent / "models", ("red", "green", "blue"), "uint8")
        assert call("predict", path, "--model", model, "--out", class_map, "--engine", "onnx")[0] == 2
        assert code == 2
        return Outcome(None, str(error), err)
    window = work_window(facts.grid)
    if str(path.relative_to(TRICKY)) in VAST:
        code, out, _ = call("check", path, "--config", project)
        return Outcome(facts, "", out, window=window, check=out)
    model = model_for(folder.parent / "models", facts.bands, facts.dtype)
    flags = ["--engine", "onnx", "--resample", "off", "--fresh", *area_flags(facts.grid, window, folder)]
    code, _, said = call("predict", path, "--model", model, "--out", class_map, *flags)
    if code:
        assert not class_map.exists()
        return Outcome(facts, said.splitlines()[-1], said)
    kept = ["--simplify", "0", "--min-area", "0", "--class", "dark", "--class", "bright"]
    code, _, err = call("vectorize", class_map, "--out", polygons, *kept)
    assert code == 0, err
    return Outcome(facts, "", said, class_map, polygons, window, check_with_labels(path, facts, folder))


def area_flags(grid: Grid, window: Window, folder: Path) -> list[str]:
    """An area of interest over the window of a large raster."""
    if window == grid.window:
        return []
    xs, ys = grid.to_map([window.row, window.row, window.row_stop, window.row_stop], [window.col, window.col_stop] * 2)
    shape = shapely.Polygon(np.column_stack([xs, ys])[[0, 1, 3, 2]])
    path = folder / "area.gpkg"
    wkb = shapely.to_wkb(np.array([shape], dtype=object))
    pyogrio.raw.write(str(path), wkb, [], [], geometry_type="Polygon", crs=grid.crs, driver="GPKG")
    return ["--aoi", str(path)]


def check_with_labels(path: Path, facts: RasterFacts, folder: Path) -> str:
    """What check says of the raster with labels in two stripes; those of large rasters are left to their headers."""
    small = facts.grid.height * facts.grid.width <= SIDE**2 // 2
    labels = folder / "labels.tif"
    if small:
        stripes = np.broadcast_to(np.arange(facts.grid.width) % 2, (facts.grid.height, facts.grid.width))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            write_raster(labels, stripes.astype("uint8")[None], facts.grid, ["label"])
    flags = ["--labels", str(labels)] if small else []
    code, out, err = call("check", path, "--config", folder / "terraseg.toml", *flags)
    assert code == (2 if "problem" in out or "terraseg:" in err else 0), out + err
    return out


def gdal_reading(path: Path, window: Window | None) -> Reading:
    """GDAL's own answer, through rasterio and without terraseg's readers."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        dataset = stack.enter_context(rasterio.open(path))
        points, crs = dataset.gcps
        if dataset.transform.is_identity and (points or dataset.rpcs is not None):
            return warped_reading(dataset, points, crs, window)
        grid = grid_from(dataset.crs, dataset.transform, dataset.shape)
        window = window or grid.window
        place = rasterio.windows.Window(window.col, window.row, window.width, window.height)
        valid = dataset.dataset_mask(window=place) > 0
        if np.dtype(dataset.dtypes[0]).kind == "f":
            valid &= np.isfinite(dataset.read(window=place)).all(axis=0)
        return Reading(grid, window, valid)


def warped_reading(dataset: Any, points: Sequence[Any], crs: Any, window: Window | None) -> Reading:
    """The mask of a raster that only control points or RPCs place, on the grid that gdalwarp would choose: for each of its
    pixels the one of the raster that holds its centre, by the points' polynomial or the RPCs themselves.
    """
    crs = crs or rasterio.CRS.from_epsg(4326)
    how: dict[str, Any] = {"gcps": points} if points else {"rpcs": dataset.rpcs}
    if not points:
        how["RPC_HEIGHT"] = str(dataset.rpcs.height_off)
    transform, width, height = rasterio.warp.calculate_default_transform(crs, crs, dataset.width, dataset.height, **how)
    grid = grid_from(crs, transform, (height, width))
    window = window or grid.window
    rows, cols = (part.ravel() for part in np.mgrid[window.slices])
    xs, ys = grid.to_map(rows + 0.5, cols + 0.5)
    with GCPTransformer(points) if points else RPCTransformer(dataset.rpcs, RPC_HEIGHT=how["RPC_HEIGHT"]) as way:
        down, across = (np.floor(part).astype(int) for part in way.rowcol(xs, ys, op=lambda part: part))
    inside = (down >= 0) & (down < dataset.height) & (across >= 0) & (across < dataset.width)
    valid = np.zeros(inside.shape, np.bool_)
    valid[inside] = dataset.dataset_mask()[down[inside], across[inside]] > 0
    return Reading(grid, window, valid.reshape(window.height, window.width))


def grid_from(crs: Any, transform: Any, shape: tuple[int, int]) -> Grid:
    a, b, c, d, e, f = tuple(transform)[:6]
    return Grid(None if crs is None else crs.to_wkt(), (a, b, c, d, e, f), *shape)


def assert_same_place(found: Grid, expected: Grid) -> None:
    assert (found.height, found.width) == (expected.height, expected.width)
    assert same_crs(found.crs, expected.crs) or rasterio.CRS.from_user_input(found.crs) == rasterio.CRS.from_wkt(
        str(expected.crs)
    )
    assert np.allclose(found.transform, expected.transform, rtol=1e-9, atol=1e-9)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tricky")


@pytest.mark.parametrize("name", [name for name in RASTERS if name not in VAST])
def test_every_raster_is_mapped_where_gdal_sees_it_or_refused_in_one_sentence(name: str, folder: Path) -> None:
    path = TRICKY / name
    outcome = examine(path, folder / name.replace("/", "_"))
    if name in REFUSED:
        assert REFUSED[name] in outcome.refusal
        assert path.name in outcome.refusal
        assert "; " in outcome.refusal or ": " in outcome.refusal
        return
    assert outcome.refusal == ""
    assert outcome.class_map is not None
    assert outcome.facts is not None
    reading = gdal_reading(path, outcome.window)
    with read_class_map(outcome.class_map) as raster:
        assert_same_place(raster.grid, reading.grid)
        assert raster.grid.same_place(outcome.facts.grid)
        mapped = raster.read(reading.window) != 255
        assert raster.grid.window == reading.window or not (raster.read(Window(0, 0, 1, 1)) != 255).any()
    assert (mapped != reading.valid).sum() == 0
    assert_polygons_cover(outcome, reading.grid, mapped)


def assert_polygons_cover(outcome: Outcome, grid: Grid, mapped: NDArray[np.bool_]) -> None:
    """All polygons together have the area of the mapped pixels, in the map's own plane, and lie within its bounds."""
    meta, _, wkb, _ = pyogrio.raw.read(outcome.polygons, layer="map")
    shapes = np.asarray(shapely.from_wkb(wkb), dtype=object)
    a, b, _, d, e, _ = grid.transform
    pixel = abs(a * e - b * d)
    assert float(shapely.area(shapes).sum()) == pytest.approx(mapped.sum() * pixel, rel=1e-6, abs=1e-9)
    if len(shapes):
        left, bottom, right, top = shapely.total_bounds(shapes)
        slack = 1e-6 * max(grid.pixel_size)
        assert min(left - grid.bounds[0], bottom - grid.bounds[1]) >= -slack
        assert max(right - grid.bounds[2], top - grid.bounds[3]) <= slack
    if grid.crs is not None:
        found = rasterio.CRS.from_user_input(meta["crs"])
        assert found == rasterio.CRS.from_wkt(grid.crs) or same_crs(meta["crs"], grid.crs)


@pytest.mark.parametrize("name", sorted(VAST & set(RASTERS)))
def test_a_vast_raster_is_read_by_windows(name: str, folder: Path) -> None:
    """36,000 x 18,000 px on 3 MB of disk: check reads its header, and a window costs no more than a window."""
    path = TRICKY / name
    outcome = examine(path, folder / name.replace("/", "_"))
    assert "36000 x 18000" in outcome.check
    assert outcome.facts is not None
    reading = gdal_reading(path, outcome.window)
    assert_same_place(outcome.facts.grid, reading.grid)
    with open_raster(Imagery((str(path),), outcome.facts.bands)) as raster:
        assert (raster.read(reading.window).valid == reading.valid).all()
