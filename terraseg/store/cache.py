"""Training scenes as uncompressed arrays on disk: made once, mapped into memory, read anywhere at memory speed."""

import hashlib
import json
import logging
import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.lib import format as npy
from numpy.typing import DTypeLike, NDArray

from terraseg.core.classes import VOID
from terraseg.core.coding import Coding
from terraseg.core.dataset import Dataset, Scene
from terraseg.core.grid import Grid
from terraseg.core.scale import UNTOUCHED, Working
from terraseg.core.window import Window, cut
from terraseg.errors import GridMismatch
from terraseg.store.blocks import Block, BlockSource, fill_values
from terraseg.store.labels import open_labels
from terraseg.store.raster import open_raster

FORMAT = 2
CELL = 16
"""Side in pixels of the cells in which class pixels are counted."""
BLOCK = 64 * CELL
BLOCK_BYTES = 128 * 2**20
SPARE_DISK = 256 * 2**20

log = logging.getLogger(__name__)


class TrainingScene(Protocol):
    """A scene open for training, however it is stored.

    `counts` (kinds, ceil(height / CELL), ceil(width / CELL)) of uint16 holds the labelled pixels of each class in each cell
    of `CELL` x `CELL` pixels; where classes overlap its last plane holds all labelled ones.
    """

    @property
    def scene(self) -> Scene:
        """The scene, with its windows."""
        ...

    @property
    def counts(self) -> NDArray[np.uint16]:
        """Class pixels per cell."""
        ...

    def read(self, window: Window) -> Block:
        """Raw pixels (bands, height, width) and label bytes (height, width) of a window inside the scene.

        Where a pixel is not valid its label is 255 and its value the fill of its band. The arrays may be read-only.
        """
        ...


@dataclass(frozen=True, eq=False)
class CachedScene:
    """A scene whose arrays are mapped from the cache; `read` gives views."""

    scene: Scene
    pixels: NDArray[Any]
    labels: NDArray[np.uint8]
    counts: NDArray[np.uint16]

    def read(self, window: Window) -> Block:
        """See `TrainingScene.read`."""
        rows, cols = window.slices
        return self.pixels[:, rows, cols], self.labels[rows, cols]


@dataclass(frozen=True, eq=False)
class WindowedScene:
    """A scene read window by window from its own files, whose handles stay open."""

    scene: Scene
    source: BlockSource
    counts: NDArray[np.uint16]

    def read(self, window: Window) -> Block:
        """See `TrainingScene.read`."""
        return self.source.read(window)


@dataclass(frozen=True)
class CachePlace:
    """Where a scene lies in the cache, how it is brought to working pixels, and whether its arrays are kept `whole`."""

    entry: Path
    scene: Scene
    working: Working
    whole: bool


Sizing = Callable[[Grid], Working]
"""Tells of a scene's grid how it is brought to working pixels."""


def as_it_is(grid: Grid) -> Working:  # noqa: ARG001  # a Sizing
    """Every pixel for itself."""
    return UNTOUCHED


@contextmanager
def training_scenes(
    dataset: Dataset,
    folder: Path,
    *,
    cache_gb: float,
    fill: Sequence[float],
    working: Sizing = as_it_is,
    note: Callable[[str], None] | None = None,
) -> Iterator[tuple[TrainingScene, ...]]:
    """The labelled scenes that have training or validation windows, open, in the order of the data set.

    Scenes are copied into `folder` while they fit into `cache_gb` (10^9 bytes) and on the disk; the others are read from
    their own files. A copy is reused while its files, the label rule, the bands and the fill stay the same; copies of
    anything else are removed. `fill` holds a value a band for pixels that are not valid. `working` tells for a grid how a
    scene is brought to working pixels: the scenes come with grid and windows in these. `note` hears a line for each scene
    that is being copied or is left out of the cache. Raises `GridMismatch` for a scene smaller than one working pixel.
    """
    say = note if note is not None else log.info
    labelled = [s for s in dataset.scenes if s.labels is not None and (s.train or s.validation)]
    factors = [working(scene.grid) for scene in labelled]
    sizes = [scene_bytes(_worked(s, k), dataset) for s, k in zip(labelled, factors, strict=True)]
    whole = fitting(sizes, round(cache_gb * 1e9))
    wanted = [
        CachePlace(folder / entry_name(s, dataset, fill, whole=w, working=k), s, k, w)
        for s, k, w in zip(labelled, factors, whole, strict=True)
    ]
    folder.mkdir(parents=True, exist_ok=True)
    _remove_others(folder, {place.entry.name for place in wanted})
    with ExitStack() as stack:
        scenes: list[TrainingScene] = []
        for place in wanted:
            if not place.whole:
                say(f"scene {place.scene.name} does not fit into the cache: it is read from its own files")
            elif not place.entry.exists():
                say(f"copying scene {place.scene.name} into the cache")
            scenes.append(_open(place, dataset, fill, stack))
        yield tuple(scenes)


def cells_of(window: Window, *, whole: bool) -> tuple[slice, slice]:
    """The rows and columns of the cells that a window touches, or with `whole` of those that lie in it altogether.

    >>> cells_of(Window(8, 16, 40, 16), whole=True)
    (slice(1, 3, None), slice(1, 2, None))
    """
    up = CELL - 1
    if whole:
        rows = slice((window.row + up) // CELL, window.row_stop // CELL)
        return rows, slice((window.col + up) // CELL, window.col_stop // CELL)
    rows = slice(window.row // CELL, (window.row_stop + up) // CELL)
    return rows, slice(window.col // CELL, (window.col_stop + up) // CELL)


def scene_bytes(scene: Scene, dataset: Dataset) -> int:
    """What a scene takes in the cache, pixels and labels."""
    return scene.grid.height * scene.grid.width * (len(dataset.bands) * np.dtype(dataset.dtype).itemsize + 1)


def fitting(sizes: Sequence[int], limit: int) -> list[bool]:
    """Which sizes are taken, in their order, so that their sum stays within the limit.

    >>> fitting([4, 7, 3], 8)
    [True, False, True]
    """
    taken, left = [], limit
    for size in sizes:
        taken.append(size <= left)
        left -= size if size <= left else 0
    return taken


def _worked(scene: Scene, working: Working) -> Scene:
    """The scene in working pixels."""
    total, window = working.total, scene.grid.window
    if window.reduced(total.rows, total.cols).is_empty:
        raise GridMismatch(
            f"{scene.name} has {window.height} x {window.width} pixels, and {float(total.rows):.3g} x {float(total.cols):.3g} "
            "of them make one that training works on: leave it out under images, or set sample.reduction = 1"
        )
    return scene.reduced(total)


def entry_name(
    scene: Scene, dataset: Dataset, fill: Sequence[float], *, whole: bool, working: Working = UNTOUCHED
) -> str:
    """The cache folder of a scene: its name and a hash of all that its arrays are made from."""
    scale = working.total
    size = scale.whole or [str(scale.rows), str(scale.cols), working.reduction]
    files = [*scene.imagery.paths, *(f"{p}.msk" for p in scene.imagery.paths), scene.labels or ""]
    files += [str(Path(scene.labels or "").with_suffix(".dbf")), *dataset.rule.drawing.extent]
    source = {
        "format": [FORMAT, CELL, whole, size],
        "files": [[name, *_stamp(name)] for name in files],
        "imagery": scene.imagery.to_json(),
        "grid": scene.grid.to_json(),
        "rule": dataset.rule.to_json(),
        "shift": list(scene.shift),
        "classes": len(dataset.legend),
        "dtype": dataset.dtype,
        "fill": [float(v) for v in fill],
    }
    digest = hashlib.sha256(json.dumps(source, sort_keys=True).encode()).hexdigest()
    return f"{scene.name}-{digest[:16]}"


def _stamp(name: str) -> tuple[int, int]:
    """Size and modification time of a file, zeros for one that is absent or remote."""
    try:
        status = os.stat(name)  # noqa: PTH116  # names may be GDAL paths, which pathlib would normalise
    except OSError:
        return 0, 0
    return status.st_size, status.st_mtime_ns


def _remove_others(folder: Path, names: set[str]) -> None:
    for path in folder.iterdir():
        ours = re.fullmatch(r".+-[0-9a-f]{16}|\..+-[0-9a-f]{16}\.part", path.name)
        if ours and path.name not in names:
            shutil.rmtree(path)


def _open(place: CachePlace, dataset: Dataset, fill: Sequence[float], stack: ExitStack) -> TrainingScene:
    """The scene from its cache entry, which is written first where it is missing."""
    entry, scene = place.entry, place.scene.reduced(place.working.total)
    if not entry.exists():
        with ExitStack() as files:
            _write_entry(scene, _source(place, dataset, fill, files), entry, whole=place.whole)
    counts: NDArray[np.uint16] = np.load(entry / "counts.npy")
    if not (place.whole and (entry / "pixels.npy").exists()):
        return WindowedScene(scene, _source(place, dataset, fill, stack), counts)
    # A plain array over the mapping: slices of np.memmap cost ten times as much.
    pixels = np.asarray(np.load(entry / "pixels.npy", mmap_mode="r"))
    return CachedScene(scene, pixels, np.asarray(np.load(entry / "labels.npy", mmap_mode="r")), counts)


def _source(place: CachePlace, dataset: Dataset, fill: Sequence[float], stack: ExitStack) -> BlockSource:
    scene = place.scene
    raster = stack.enter_context(open_raster(scene.imagery))
    labels = stack.enter_context(open_labels(scene, dataset))
    values = fill_values(fill, dataset.dtype)
    return BlockSource(raster, labels, values, scene.name, dataset.coding, place.working)


def _write_entry(scene: Scene, source: BlockSource, entry: Path, *, whole: bool) -> None:
    """Writes counts, and with `whole` the arrays where the disk has room for them."""
    part = entry.with_name(f".{entry.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    height, width = scene.grid.height, scene.grid.width
    try:
        arrays: Block | None = None
        if whole:
            arrays = _reserve(part, (len(source.fill), height, width), source.fill.dtype)
        counts = np.zeros((source.coding.kinds, -(-height // CELL), -(-width // CELL)), dtype=np.uint16)
        for block in _blocks(scene, source):
            pixels, labels = source.read(block)
            rows, cols = block.slices
            if arrays is not None:
                arrays[0][:, rows, cols], arrays[1][rows, cols] = pixels, labels
            cells = cell_counts(labels, source.coding)
            top, left = block.row // CELL, block.col // CELL
            counts[:, top : top + cells.shape[1], left : left + cells.shape[2]] = cells
        np.save(part / "counts.npy", counts)
        del arrays
        part.rename(entry)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _blocks(scene: Scene, source: BlockSource) -> Iterator[Window]:
    """The scene in strips of full width, which suits line-wise formats; narrower where a strip would be too large."""
    column = BLOCK * source.bytes_a_pixel
    width = max(BLOCK, BLOCK_BYTES // column // CELL * CELL)
    return cut(scene.grid.window, BLOCK, width)


def _reserve(folder: Path, shape: tuple[int, int, int], dtype: DTypeLike) -> Block | None:
    """Writable maps for pixels and labels with their room on the disk already taken; None when there is not enough.

    Writing through a map on a full disk would kill the process.
    """
    kind = np.dtype(dtype)
    needed = int(np.prod(shape)) * kind.itemsize + shape[1] * shape[2]
    if shutil.disk_usage(folder).free < needed + SPARE_DISK:
        log.warning("no room in %s for %.1f GB: the scene is read from its own files", folder, needed / 1e9)
        return None
    maps = []
    for name, size, kind_of in (("pixels.npy", shape, kind), ("labels.npy", shape[1:], np.dtype(np.uint8))):
        array = npy.open_memmap(folder / name, mode="w+", dtype=kind_of, shape=size)
        with (folder / name).open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, (folder / name).stat().st_size)
        maps.append(array)
    return maps[0], maps[1]


def cell_counts(labels: NDArray[np.uint8], coding: Coding) -> NDArray[np.uint16]:
    """Pixels of each kind in each cell, (kinds, ceil(h / CELL), ceil(w / CELL))."""
    height, width = labels.shape
    rows, cols = -(-height // CELL), -(-width // CELL)
    padded = np.full((rows * CELL, cols * CELL), VOID, dtype=np.uint8)
    padded[:height, :width] = labels
    cells = padded.reshape(rows, CELL, cols, CELL)
    counts = [np.count_nonzero(coding.plane(cells, kind), axis=(1, 3)) for kind in range(coding.kinds)]
    return np.array(counts, dtype=np.uint16).reshape(coding.kinds, rows, cols)
