"""Makers of test data: small rasters, labels and data sets, written where a test wants them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from terraseg.core.grid import Grid
from terraseg.store.imagery import write_raster

UTM = "EPSG:32637"


def make_grid(height: int = 64, width: int = 96, *, gsd: float = 0.5, crs: str | None = UTM) -> Grid:
    """A north-up grid of `gsd` metres in a UTM zone, or without a CRS."""
    transform = (gsd, 0.0, 500_000.0, 0.0, -gsd, 4_000_000.0) if crs else (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
    return Grid(crs, transform, height, width)


def make_pixels(grid: Grid, bands: int = 3, *, dtype: str = "uint8", seed: int = 0) -> NDArray[np.generic]:
    """Noise over the lower half of the type's range, shape (bands, height, width)."""
    generator = np.random.default_rng(seed)
    high = 120 if dtype == "uint8" else 2000
    return generator.integers(1, high, (bands, grid.height, grid.width)).astype(dtype)


def make_raster(
    path: Path,
    grid: Grid | None = None,
    *,
    bands: Sequence[str] = ("red", "green", "blue"),
    dtype: str = "uint8",
    pixels: NDArray[np.generic] | None = None,
    nodata: float | None = None,
) -> Path:
    """A raster file of the given pixels, or of noise."""
    grid = grid or make_grid()
    content = make_pixels(grid, len(bands), dtype=dtype) if pixels is None else pixels
    write_raster(path, content, grid, bands, nodata=nodata)
    return path


def make_labels(path: Path, grid: Grid | None = None, *, values: Sequence[int] = (0, 1)) -> Path:
    """A label raster in which each value has a vertical stripe of equal width."""
    grid = grid or make_grid()
    stripes = np.array(values)[np.arange(grid.width) * len(values) // grid.width]
    pixels = np.broadcast_to(stripes, (grid.height, grid.width)).astype("uint8")[None]
    write_raster(path, pixels, grid, ["label"])
    return path
