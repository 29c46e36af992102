"""Writing class maps: cells in any order into plain scratch files, finished as cloud-optimised GeoTIFFs.

A map in the making lies in a hidden folder beside its final place, `.NAME.part/`: one uncompressed GeoTIFF a layer, all
its blocks in place from the start, so that a cell is written where it will stay. The folder is locked by the process that
works in it.
"""

import fcntl
import json
import shutil
import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import rasterio
import rasterio.shutil
import rasterio.windows
from numpy.typing import NDArray
from rasterio._err import CPLE_BaseError
from rasterio.errors import NotGeoreferencedWarning, RasterioError

from terraseg.core.classes import VOID, Legend
from terraseg.core.grid import Grid
from terraseg.core.machine import cores_available
from terraseg.core.window import Window
from terraseg.errors import BadOption, StaleRun, UnwritableFile
from terraseg.store.sidecar import legend_sidecar

LEGEND_TAG = "TERRASEG_LEGEND"
"""Dataset tag that holds a class map's legend as JSON."""
CACHE_BYTES = 64 * 2**20
"""Bound on GDAL's block cache, which else grows to a twentieth of the machine's memory."""
BLOCK = 512


@dataclass(frozen=True)
class MapLayers:
    """What is written beside the classes, and how: `tags` go into every file, `threads` (None: all cores) compress."""

    confidence: bool = False
    probabilities: bool = False
    tags: Mapping[str, str] = field(default_factory=dict)
    compression: Literal["deflate", "zstd"] = "deflate"
    threads: int | None = None


def layer_path(map_path: Path, layer: str) -> Path:
    """Where a layer of a class map lies: the map itself for "classes", else NAME_confidence.tif and NAME_probabilities.tif.

    >>> layer_path(Path("maps/scene.tif"), "confidence").name
    'scene_confidence.tif'
    """
    return map_path if layer == "classes" else map_path.with_name(f"{map_path.stem}_{layer}.tif")


class MapWriter:
    """A class map in the making: `write` cells, then `finish`. Made by `map_writer`."""

    def __init__(self, out: Path, scratch: Path, grid: Grid, legend: Legend, layers: MapLayers) -> None:
        self._out = out
        self._scratch = scratch
        self._grid = grid
        self._legend = legend
        self._layers = layers
        self._open = ExitStack()
        self._datasets: dict[str, Any] = {}

    @property
    def names(self) -> frozenset[str]:
        """The layers that each cell must have."""
        extra = {"confidence": self._layers.confidence, "probabilities": self._layers.probabilities}
        return frozenset({"classes", *(name for name, wanted in extra.items() if wanted)})

    def write(self, window: Window, layers: Mapping[str, NDArray[np.uint8]]) -> None:
        """Writes finished pixels of a window: (height, width) a layer, (classes, height, width) for "probabilities".

        Pixels never written stay nodata. One thread at a time.
        """
        place = rasterio.windows.Window(window.col, window.row, window.width, window.height)
        for name in self.names:
            values = layers[name]
            with _refused(self._out):
                self._datasets[name].write(values if values.ndim == 3 else values[None], window=place)

    def finish(self) -> tuple[Path, ...]:
        """Makes the final files and gives their paths, the class map first. The map itself is renamed last."""
        self.close()
        names = sorted(self.names)
        with _refused(self._out), warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            for name in names:
                self._compress(name)
            sidecar = self._scratch / "sidecar.xml"
            sidecar.write_text(legend_sidecar(self._legend), encoding="utf-8")
            sidecar.replace(self._out.with_name(f"{self._out.name}.aux.xml"))
            for name in reversed(names):
                (self._scratch / f"{name}.cog.tif").replace(layer_path(self._out, name))
        return tuple(layer_path(self._out, name) for name in names)

    def create(self, block: int) -> None:
        """The scratch files, full of nodata, open for writing. `UnwritableFile` when there is no room for them."""
        with _refused(self._out), warnings.catch_warnings():
            # A map of imagery without a CRS has none either.
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            self._check_room()
            for name in sorted(self.names):
                path = self._scratch / f"{name}.tif"
                with rasterio.open(path, "w", **self._profile(name, block)) as dataset:
                    self._describe(name, dataset)
                self._datasets[name] = self._open.enter_context(rasterio.open(path, "r+"))

    def close(self) -> None:
        """Lets go of the scratch files."""
        with _refused(self._out):
            self._open.close()
        self._datasets = {}

    def _check_room(self) -> None:
        bands = len(self.names) + (len(self._legend) - 1 if "probabilities" in self.names else 0)
        # Half as much again for the finished files, whose compression is not known yet.
        needed = self._grid.height * self._grid.width * bands * 3 // 2
        free = shutil.disk_usage(self._scratch).free
        if free < needed:
            raise UnwritableFile(
                f"{self._out} needs about {needed / 1e9:.2f} GB beside it while it is made and the disk has "
                f"{free / 1e9:.2f} GB left: make room, or pass an output on another disk"
            )

    def _profile(self, name: str, block: int) -> dict[str, Any]:
        grid = self._grid
        profile = {"driver": "GTiff", "dtype": "uint8", "nodata": VOID, "height": grid.height, "width": grid.width}
        profile |= {"count": len(self._legend) if name == "probabilities" else 1, "interleave": "band"}
        profile |= {"tiled": True, "blockxsize": block, "blockysize": block, "BIGTIFF": "YES"}
        if grid.crs is not None:
            profile["crs"] = rasterio.CRS.from_user_input(grid.crs)
        transform = rasterio.Affine(*grid.transform)
        if transform != rasterio.Affine.identity():
            profile["transform"] = transform
        return profile

    def _describe(self, name: str, dataset: Any) -> None:
        dataset.update_tags(**self._layers.tags)
        if name == "classes":
            dataset.update_tags(**{LEGEND_TAG: json.dumps(self._legend.to_json(), ensure_ascii=False)})
            colors = dict.fromkeys(range(256), (0, 0, 0, 0)) | {c.id: (*c.rgb, 255) for c in self._legend.classes}
            dataset.write_colormap(1, colors)
            dataset.set_band_description(1, "class")
        elif name == "confidence":
            dataset.set_band_description(1, "confidence")
            dataset.scales = (1 / 254,)
        else:
            dataset.descriptions = self._legend.names
            dataset.scales = (1 / 254,) * len(self._legend)

    def _compress(self, name: str) -> None:
        options = {
            "COMPRESS": self._layers.compression.upper(),
            "BLOCKSIZE": str(BLOCK),
            "OVERVIEW_RESAMPLING": "MODE" if name == "classes" else "AVERAGE",
            "NUM_THREADS": str(self._layers.threads or cores_available()),
            "BIGTIFF": "IF_SAFER",
        }
        source = self._scratch / f"{name}.tif"
        rasterio.shutil.copy(source, self._scratch / f"{name}.cog.tif", driver="COG", **options)
        source.unlink()


@contextmanager
def map_writer(
    out: Path, grid: Grid, legend: Legend, layers: MapLayers | None = None, block: int = BLOCK
) -> Iterator[MapWriter]:
    """A writer for a class map at `out`. What it has written when the block ends without `finish` is thrown away.

    Windows that start and end on multiples of `block` (where that is a multiple of 16) are written fastest. Within the
    block GDAL's cache is bounded. Raises `BadOption` when `out` is no TIFF, `UnwritableFile` when it cannot be written or
    the disk has no room, `StaleRun` while another process writes the same map.
    """
    if out.suffix.lower() not in {".tif", ".tiff"}:
        raise BadOption(f"a class map is a GeoTIFF and {out} is named otherwise: pass a name that ends in .tif")
    scratch = out.with_name(f".{out.stem}.part")
    with _locked(scratch, out), rasterio.Env(GDAL_CACHEMAX=CACHE_BYTES):
        writer = MapWriter(out, scratch, grid, legend, layers or MapLayers())
        try:
            writer.create(block if block % 16 == 0 else BLOCK)
            yield writer
        finally:
            writer.close()


@contextmanager
def _locked(scratch: Path, out: Path) -> Iterator[None]:
    """An empty scratch folder that is this process's alone; gone afterwards. A killed run's leavings are cleared first."""
    with _refused(out):
        scratch.mkdir(parents=True, exist_ok=True)
        lock = (scratch / "lock").open("w")
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StaleRun(f"another process is writing {out}: wait for it, or pass another output") from error
        for left in scratch.iterdir():
            if left.name != "lock":
                left.unlink()
        try:
            yield
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def _refused(out: Path) -> Iterator[None]:
    """Library errors on writing, raised as `UnwritableFile` with one sentence."""
    try:
        yield
    except (RasterioError, CPLE_BaseError, OSError) as error:
        reason = str(error.__cause__ or error).splitlines()[0].removesuffix(".")
        raise UnwritableFile(
            f"{out} cannot be written ({reason}): check that the folder may be written to and the disk has room, or pass "
            f"another output"
        ) from error
