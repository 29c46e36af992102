"""One pass over the labelled scenes: class pixels by place, a small picture, the ground they share and how far pixels agree."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from terraseg.core.classes import VOID
from terraseg.core.coding import Coding
from terraseg.core.dataset import OUTSIDE, Dataset, Scene
from terraseg.core.split import Overlap
from terraseg.core.window import Window, cut
from terraseg.errors import EmptyDataset, NoOverlap
from terraseg.pixels.variogram import class_planes, correlation_range, correlogram
from terraseg.prepare.overlap import find_overlaps
from terraseg.store.features import count_features, read_features
from terraseg.store.labels import open_labels
from terraseg.store.placing import ground_grid, likely_crs
from terraseg.store.raster import Patch, open_raster

LATTICE = 10
"""Cells per side in which a scene's class pixels are counted."""
BLOCK = 1024
SKETCH_SIDE, SMALL_SKETCH_SIDE, MANY_SCENES = 336, 160, 150
"""Longer side of the median scene's small picture, and what it is with many scenes."""
FINEST_LAG = 3.0
"""A range below this many pixels of the small picture is measured again on full pixels."""
CLOSE_SIDE = 512
CLOSE_SCENES = 12

BlockCounts = Mapping[str, NDArray[np.int64]]
"""Class pixels by scene name, in equal cells: shape (rows, columns, kinds), see `Coding`."""
Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Sketch:
    """A scene made small by a whole `factor`: `grey` (h, w) of float32, the mean of the bands, NaN where no pixel is valid,
    and label bytes `classes` (h, w) at the centres of its pixels, void outside the labels.
    """

    factor: int
    grey: NDArray[np.float32]
    classes: NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Survey:
    """What one reading of the labelled scenes tells, by scene name.

    `counts` holds class pixels in a lattice of cells, `valid` the number of valid pixels. `range_px` is the distance over
    which pixels and labels stay alike, in each scene's own pixels; 0 where nothing is known of it. `compared` is false
    when scenes without a CRS were too many to look for the same ground in them.
    """

    counts: BlockCounts
    valid: Mapping[str, int] = field(default_factory=dict)
    sketches: Mapping[str, Sketch] = field(default_factory=dict)
    overlaps: tuple[Overlap, ...] = ()
    range_px: Mapping[str, float] = field(default_factory=dict)
    compared: bool = True


def survey_dataset(dataset: Dataset, progress: Progress | None = None) -> Survey:
    """The survey of a data set; imagery and labels of every labelled scene are read once.

    Raises `NoOverlap` when labels meet no scene, `EmptyDataset` when none is labelled, `UnknownClass` for a label value
    that the project file does not list.
    """
    labelled = _labelled(dataset)
    factors = sketch_factors(labelled)
    counts, valid, sketches = {}, {}, {}
    for number, scene in enumerate(labelled):
        counts[scene.name], valid[scene.name], sketches[scene.name] = _read_scene(scene, dataset, factors[scene.name])
        if progress is not None:
            progress(number + 1, len(labelled))
    _labels_meet_scenes(dataset, labelled, counts)
    found = find_overlaps(labelled, {name: (s.factor, s.grey) for name, s in sketches.items()})
    ranges = measure_ranges(labelled, sketches, dataset)
    return Survey(counts, valid, sketches, found or (), ranges, found is not None)


def count_classes(dataset: Dataset) -> BlockCounts:
    """Labelled pixels per class of every labelled scene, in `LATTICE` x `LATTICE` cells; raises as `survey_dataset` does."""
    labelled = _labelled(dataset)
    counts = {scene.name: _read_scene(scene, dataset, None)[0] for scene in labelled}
    _labels_meet_scenes(dataset, labelled, counts)
    return counts


def _labelled(dataset: Dataset) -> list[Scene]:
    labelled = [scene for scene in dataset.scenes if scene.labels is not None]
    if not labelled:
        raise EmptyDataset(
            "no scene has labels: name label files under [data], or check that their names fit the images'"
        )
    return labelled


def sketch_factors(scenes: Sequence[Scene]) -> dict[str, int]:
    """By how much each scene is made small: those without a CRS all alike, so that the same ground looks the same."""
    side = SKETCH_SIDE if len(scenes) <= MANY_SCENES else SMALL_SKETCH_SIDE
    longer = {s.name: max(s.grid.height, s.grid.width) for s in scenes}
    placeless = [longer[s.name] for s in scenes if s.grid.crs is None]
    alike = max(1, round(float(np.median(placeless)) / side), -(-max(placeless) // (4 * side))) if placeless else 1
    return {s.name: alike if s.grid.crs is None else max(1, -(-longer[s.name] // side)) for s in scenes}


def _read_scene(scene: Scene, dataset: Dataset, factor: int | None) -> tuple[NDArray[np.int64], int, Sketch]:
    """Class pixels in cells, valid pixels, and the sketch, empty without a `factor`."""
    coding, grid = dataset.coding, scene.grid
    counts = np.zeros((LATTICE, LATTICE, coding.kinds), dtype=np.int64)
    shape = (0, 0) if factor is None else (-(-grid.height // factor), -(-grid.width // factor))
    grey, small = np.full(shape, np.nan, dtype=np.float32), np.full(shape, VOID, dtype=np.uint8)
    valid, side = 0, BLOCK if factor is None else max(1, BLOCK // factor) * factor
    with open_labels(scene, dataset) as labels, open_raster(scene.imagery) as raster:
        for window in cut(grid.window, side, side):
            patch = raster.read(window)
            values = np.where(patch.valid, labels.read(window), VOID)
            _count(values, window, coding, (grid.height, grid.width), counts)
            valid += int(patch.valid.sum())
            if factor is not None:
                top, left = window.row // factor, window.col // factor
                part = _averaged(patch, factor)
                grey[top : top + part.shape[0], left : left + part.shape[1]] = part
                rows, cols = (np.minimum(np.arange(0, n, factor) + factor // 2, n - 1) for n in values.shape)
                small[top : top + len(rows), left : left + len(cols)] = values[np.ix_(rows, cols)]
    return counts, valid, Sketch(factor or 1, grey, small)


def lattice_edges(size: int, cells: int) -> NDArray[np.int_]:
    """Where the cells of a side of `size` pixels begin and end, shape (cells + 1,).

    >>> lattice_edges(7, 3).tolist()
    [0, 2, 4, 7]
    """
    return np.linspace(0, size, cells + 1).astype(int)


def _count(
    values: NDArray[np.uint8], window: Window, coding: Coding, shape: tuple[int, int], counts: NDArray[np.int64]
) -> None:
    """Adds the class pixels of a window to the cells that it touches."""
    rows, cols = lattice_edges(shape[0], counts.shape[0]), lattice_edges(shape[1], counts.shape[1])
    for i in range(counts.shape[0]):
        top, bottom = max(rows[i], window.row) - window.row, min(rows[i + 1], window.row_stop) - window.row
        if bottom <= top:
            continue
        for j in range(counts.shape[1]):
            left, right = max(cols[j], window.col) - window.col, min(cols[j + 1], window.col_stop) - window.col
            if right > left:
                part = values[top:bottom, left:right]
                counts[i, j] += coding.count(part)


def _averaged(patch: Patch, factor: int) -> NDArray[np.float32]:
    """The mean of the bands in blocks of `factor` pixels, of about sixteen of them each; NaN where none is valid."""
    step = max(1, factor // 4)
    valid = patch.valid[::step, ::step]
    grey = np.where(valid, _grey(patch.pixels[:, ::step, ::step]), np.float32(0))
    starts = [np.arange(0, n, factor) // step for n in patch.valid.shape]
    sums = np.add.reduceat(np.add.reduceat(grey, starts[0], axis=0), starts[1], axis=1)
    known = np.add.reduceat(np.add.reduceat(valid.astype(np.float32), starts[0], axis=0), starts[1], axis=1)
    return np.asarray(np.where(known > 0, sums / np.maximum(known, 1), np.nan), dtype=np.float32)


def _grey(pixels: NDArray[Any]) -> NDArray[np.float32]:
    """The mean of the bands; pixels that are not valid may hold infinities and the largest number of their type."""
    with np.errstate(invalid="ignore", over="ignore"):
        return np.asarray(pixels.mean(axis=0, dtype=np.float32))


def _labels_meet_scenes(dataset: Dataset, labelled: Sequence[Scene], counts: BlockCounts) -> None:
    """Polygon labels must touch their scenes; a scene that is all background by mistake is the commonest silent error."""
    if dataset.rule.kind != "polygons":
        if not any(c[..., : len(dataset.legend)].sum() for c in counts.values()):
            raise EmptyDataset(
                f"no pixel of the {len(labelled)} labelled scene(s) has a class (see {labelled[0].labels}): all values are under "
                "ignore in [data], or the labels do not lie on their imagery; check both in a GIS"
            )
        return
    classes = [index for index, values in enumerate(dataset.rule.values) if OUTSIDE not in values]
    drawn = {name: c[..., classes].sum() for name, c in counts.items()}
    for path in sorted({scene.labels for scene in labelled if scene.labels is not None}):
        names = [scene.name for scene in labelled if scene.labels == path]
        # A file without a feature is of ground without an object, which counts where an extent says so.
        if sum(drawn[name] for name in names) == 0 and count_features(path) > 0:
            looks = looks_like([scene for scene in labelled if scene.labels == path], dataset)
            where = "or their CRS is wrong"
            if looks is not None:
                where = f"and their coordinates look like {looks}: if they are, set that (ogr2ogr -a_srs)"
            raise NoOverlap(
                f"{path} covers none of its scenes ({', '.join(names[:4])}): the labels lie elsewhere on the ground, {where}; "
                "check both in a GIS, or leave the file out of labels under [data]"
            )


def looks_like(scenes: Sequence[Scene], dataset: Dataset) -> str | None:
    """The CRS in which the polygons of scenes' one label file would lie on one of them; None when none does."""
    drawing = dataset.rule.drawing
    labels = read_features(str(scenes[0].labels), width=drawing.width)
    boxes = shapely.bounds(labels.geometry)
    points = np.column_stack([boxes[:, [0, 2]].mean(axis=1), boxes[:, [1, 3]].mean(axis=1)])
    grids = (ground_grid(scene.grid, drawing.assume_crs) for scene in scenes)
    named = labels.crs or drawing.assume_crs
    return next((found for grid in grids if (found := likely_crs(points, named, grid)) is not None), None)


def measure_ranges(scenes: Sequence[Scene], sketches: Mapping[str, Sketch], dataset: Dataset) -> dict[str, float]:
    """The range of autocorrelation of each scene, in its pixels: the longer one of its grey values and its labels.

    Measured on the small picture; where that is too coarse, on a window of full pixels, for a dozen scenes at most. A
    scene in which nothing varies takes the median of the others.
    """
    ranges: dict[str, float] = {}
    looked = 0
    for scene in scenes:
        sketch = sketches[scene.name]
        found = _range_of(sketch.grey, sketch.classes, dataset.coding)
        if found < FINEST_LAG and sketch.factor > 1 and looked < CLOSE_SCENES:
            looked += 1
            ranges[scene.name] = _close_range(scene, dataset)
        else:
            ranges[scene.name] = found * sketch.factor
    known = [value for value in ranges.values() if np.isfinite(value)]
    usual = float(np.median(known)) if known else 0.0
    return {name: value if np.isfinite(value) else usual for name, value in ranges.items()}


def _close_range(scene: Scene, dataset: Dataset) -> float:
    """The range on the full pixels of the scene's middle."""
    height, width = min(CLOSE_SIDE, scene.grid.height), min(CLOSE_SIDE, scene.grid.width)
    window = Window((scene.grid.height - height) // 2, (scene.grid.width - width) // 2, height, width)
    with open_labels(scene, dataset) as labels, open_raster(scene.imagery) as raster:
        patch = raster.read(window)
        grey = np.where(patch.valid, _grey(patch.pixels), np.float32(np.nan))
        return _range_of(grey, np.where(patch.valid, labels.read(window), VOID), dataset.coding)


def _range_of(grey: NDArray[np.float32], labels: NDArray[np.uint8], coding: Coding) -> float:
    valid, known = np.isfinite(grey), labels != VOID
    seen = correlation_range(correlogram(np.where(valid, grey, np.float32(0))[None], valid))
    planes = class_planes(labels, coding)
    present = planes.any(axis=(1, 2))
    drawn = correlation_range(correlogram(planes[present], known)) if present.any() else np.nan
    both = [value for value in (seen, drawn) if np.isfinite(value)]
    return max(both) if both else float("nan")
