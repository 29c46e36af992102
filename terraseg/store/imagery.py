"""Writing imagery: arrays with a grid to a tiled GeoTIFF."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.enums import ColorInterp
from rasterio.errors import NotGeoreferencedWarning

from terraseg.core.grid import Grid
from terraseg.store.rundir import replacing

COLORS = {"red": ColorInterp.red, "green": ColorInterp.green, "blue": ColorInterp.blue}


def write_raster(
    path: Path, pixels: NDArray[Any], grid: Grid, bands: Sequence[str], *, nodata: float | None = None
) -> None:
    """A GeoTIFF of (bands, height, width) pixels with named bands, deflate-compressed in 256 px blocks.

    A band named "alpha" is marked as such. The file appears whole or not at all.
    """
    count, height, width = pixels.shape
    if count != len(bands) or (height, width) != (grid.height, grid.width):
        raise ValueError(
            f"{pixels.shape} pixels for {len(bands)} bands on {grid.height} x {grid.width}: they must agree"
        )
    profile = {
        "driver": "GTiff",
        "count": count,
        "height": height,
        "width": width,
        "dtype": str(pixels.dtype),
        "crs": grid.crs,
        "transform": Affine(*grid.transform),
        "nodata": nodata,
        "compress": "deflate",
        "tiled": True,
        "blockxsize": 256,
        "blockysize": 256,
        "photometric": "rgb" if tuple(bands[:3]) == ("red", "green", "blue") else "minisblack",
    }
    if "alpha" in bands:
        profile["alpha"] = "yes"
    with replacing(path) as temporary, warnings.catch_warnings():
        # Imagery without a CRS is an ordinary case.
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(temporary, "w", **profile) as dataset:
            dataset.write(pixels)
            for index, band in enumerate(bands, start=1):
                dataset.set_band_description(index, band)
            dataset.colorinterp = [
                ColorInterp.alpha if band == "alpha" else COLORS.get(band, ColorInterp.undefined) for band in bands
            ]
