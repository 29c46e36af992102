"""Makers of test data: small rasters, labels and data sets, written where a test wants them."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from terraseg.core.classes import LandClass, Legend
from terraseg.core.grid import Grid
from terraseg.core.modelspec import ModelSpec
from terraseg.store.imagery import write_raster

UTM = "EPSG:32637"

TINY_RUN = """
[train]
network = "simple-unet"
steps = 4

[sample]
crop = 64
batch = 2

[predict]
tile = 128
overlap = 32

[map]
run = "runs/a"
"""
"""The tables of a project that trains a small network for a few steps."""


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


LAND_AND_ROOF = Legend((LandClass(0, "land", "#112233"), LandClass(1, "roof", "#FF0000")))


def make_spec(
    bands: Sequence[str] = ("red", "green", "blue"), *, dtype: str = "uint8", tile: int = 64, **facts: Any
) -> ModelSpec:
    """A model of two classes that reads some bands; `facts` are further fields of it, `gsd_m` 0.5 where they say nothing."""
    means, stds = (60.0,) * len(bands), (30.0,) * len(bands)
    gsd_m = facts.pop("gsd_m", 0.5)
    return ModelSpec("point", LAND_AND_ROOF, tuple(bands), dtype, means, stds, gsd_m, tile, tile // 4, 4, **facts)


@dataclass
class PointScorer:
    """A scorer that looks at one pixel alone: the brighter its first band, the likelier it is a roof."""

    spec: ModelSpec
    middle: float = 60.0
    width: float = 10.0
    device: str = "a test"
    shapes: list[tuple[int, ...]] = field(default_factory=list)

    def score(self, batch: NDArray[Any]) -> NDArray[np.float32]:
        """Probabilities (n, 2, height, width)."""
        self.shapes.append(batch.shape)
        roof = 1 / (1 + np.exp((self.middle - batch[:, 0].astype(np.float32)) / self.width))
        return np.stack([1 - roof, roof], axis=1).astype(np.float32)


def copy_files(root: Path, folder: Path, *patterns: str) -> Path:
    """Copies of the files below `root` that match a pattern, at their places below the folder."""
    for pattern in patterns:
        for path in sorted(root.glob(pattern)):
            target = folder / path.relative_to(root)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
    return folder


def forest_project(data: str, classes: Sequence[str], *, pixels: int, trees: int) -> str:
    """A project file over `images` and `labels` whose classes have the ids 0, 1, ... in label rasters, quick to train.

    `data` holds further lines of [data].
    """
    listed = "".join(f'\n[[data.classes]]\nname = "{name}"\nlabels = ["{n}"]\n' for n, name in enumerate(classes))
    return (
        f'[data]\nimages = ["images/*.tif"]\nlabels = ["labels/*.tif"]\n{data}\n{listed}\n[train]\nsteps = 2\n\n'
        f"[sample]\ncrop = 64\nbatch = 2\n\n[forest]\npixels = {pixels}\ntrees = {trees}\n"
    )
