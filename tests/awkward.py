"""Makers of awkward rasters: every way to say that a pixel holds nothing, and every way to say where pixels lie."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.control import GroundControlPoint
from rasterio.enums import ColorInterp
from rasterio.errors import NotGeoreferencedWarning
from rasterio.shutil import copy as copy_raster

from terraseg.core.grid import Grid
from tests.makers import make_grid

RGB = ("red", "green", "blue")
MASKINGS = ("nodata", "nan", "alpha", "undeclared alpha", "internal mask", "external mask")
"""Ways in which a file says which of its pixels are valid."""


def write_tiff(path: Path, pixels: NDArray[Any], grid: Grid | None = None, **profile: Any) -> Path:
    """A plain GeoTIFF of (bands, height, width); `profile` is rasterio's, `colors` its colour interpretation."""
    colors = profile.pop("colors", None)
    count, height, width = pixels.shape
    shape = {"count": count, "height": height, "width": width, "dtype": str(pixels.dtype)}
    where = {} if grid is None else {"crs": grid.crs, "transform": Affine(*grid.transform)}
    with silent(), rasterio.open(path, "w", **({"driver": "GTiff"} | shape | where | profile)) as dataset:
        dataset.write(pixels)
        if colors is not None:
            dataset.colorinterp = colors
    return path


@contextmanager
def silent() -> Iterator[None]:
    """That a raster has no place is what some tests want."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        yield


def write_masked(path: Path, pixels: NDArray[Any], valid: NDArray[np.bool_], how: str, grid: Grid) -> Path:
    """Three bands of which only the `valid` pixels are imagery, said in one of the ways `MASKINGS`; fills are 0 or NaN."""
    kept = np.where(valid, pixels, np.nan if how == "nan" else 0).astype("float32" if how == "nan" else pixels.dtype)
    if how in {"nodata", "nan"}:
        return write_tiff(path, kept, grid, nodata=np.nan if how == "nan" else 0, photometric="rgb")
    if "alpha" in how:
        alpha = np.where(valid, 255, 0).astype(pixels.dtype)
        declared = ColorInterp.alpha if how == "alpha" else ColorInterp.undefined
        # Masked pixels keep their colours: only alpha tells.
        stacked = np.concatenate([pixels, alpha[None]])
        return write_tiff(
            path, stacked, grid, colors=(*(ColorInterp[name] for name in RGB), declared), photometric="rgb"
        )
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=how == "internal mask"):
        write_tiff(path, pixels, grid, photometric="rgb")
        with rasterio.open(path, "r+") as dataset:
            dataset.write_mask(valid)
    return path


def write_palette(path: Path, entries: NDArray[Any], table: Mapping[int, tuple[int, ...]], **profile: Any) -> Path:
    """A picture of one band of entries in a colour table."""
    height, width = entries.shape
    shape = {"driver": "GTiff", "count": 1, "height": height, "width": width, "dtype": str(entries.dtype)}
    with silent(), rasterio.open(path, "w", **(shape | profile)) as dataset:
        dataset.write(entries[None])
        dataset.write_colormap(1, dict(table))
    return path


def write_points(path: Path, pixels: NDArray[Any], grid: Grid, *, count: int = 5, **profile: Any) -> Path:
    """A raster without a transform, placed on its grid by `count` x `count` ground control points."""
    rows, cols = (np.linspace(0, size, count) for size in (grid.height, grid.width))
    points = [
        GroundControlPoint(row=r, col=c, x=float(x), y=float(y))
        for r in rows
        for c in cols
        for x, y in [grid.to_map(r, c)]
    ]
    number, height, width = pixels.shape
    shape = {"driver": "GTiff", "count": number, "height": height, "width": width, "dtype": str(pixels.dtype)}
    with silent(), rasterio.open(path, "w", **shape, **profile) as dataset:
        dataset.gcps = (points, rasterio.CRS.from_user_input(grid.crs))
        dataset.write(pixels)
    return path


def write_scaled(
    path: Path, pixels: NDArray[Any], grid: Grid, scales: Sequence[float], offsets: Sequence[float]
) -> Path:
    """A raster whose bands declare a scale and an offset."""
    write_tiff(path, pixels, grid)
    with rasterio.open(path, "r+") as dataset:
        dataset.scales, dataset.offsets = tuple(scales), tuple(offsets)
    return path


def band_nodata_vrt(path: Path, source: Path, nodata: Sequence[float | None]) -> Path:
    """A VRT over a raster whose bands declare a nodata value each."""
    copy_raster(source, path, driver="VRT")
    text = path.read_text()
    for number, value in enumerate(nodata, 1):
        if value is not None:
            mark = f'band="{number}"'
            place = text.index(">", text.index(mark)) + 1
            text = f"{text[:place]}<NoDataValue>{value!r}</NoDataValue>{text[place:]}"
    path.write_text(text)
    return path


def turned(grid: Grid, angle: float, *, stretch: float = 1.0, flip: bool = False) -> Grid:
    """A grid turned about its corner by `angle` degrees; pixels `stretch` times as high as wide, rows upwards if `flip`."""
    size = grid.pixel_size[1]
    c, s = size * np.cos(np.radians(angle)), size * np.sin(np.radians(angle))
    up = stretch if flip else -stretch
    x, y = grid.transform[2], grid.transform[5]
    return Grid(grid.crs, (c, -s * up, x, s, c * up, y), grid.height, grid.width)


def hole(grid: Grid | None = None) -> NDArray[np.bool_]:
    """Valid pixels of a grid with an empty collar on the left and a hole in the middle."""
    grid = grid or make_grid()
    valid = np.ones((grid.height, grid.width), dtype=np.bool_)
    valid[:, : grid.width // 6] = False
    valid[grid.height // 3 : grid.height // 2, grid.width // 2 : grid.width // 2 + 9] = False
    return valid
