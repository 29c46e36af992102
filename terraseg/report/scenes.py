"""From a mapped scene's rasters to what the report shows of it, in bounded memory."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from terraseg.core.classes import VOID, Legend
from terraseg.core.coding import Coding
from terraseg.core.dataset import Dataset, Imagery, Scene
from terraseg.core.grid import Grid
from terraseg.core.window import Window, cut
from terraseg.errors import GridMismatch, UnknownClass, nearest
from terraseg.pixels.relabel import indices_from_ids, mask_table
from terraseg.report import figures
from terraseg.report.cartography import north_angle, pixel_sides_m, scale_bar
from terraseg.report.content import Comparison, Picture, SceneView
from terraseg.report.wording import count, length
from terraseg.store.classmap import read_class_map
from terraseg.store.labels import open_labels
from terraseg.store.layermap import is_layer_map, read_layer_map
from terraseg.store.raster import open_raster

BLOCK = 1024
ReadIndices = Callable[[Window], NDArray[np.uint8]]


@dataclass(frozen=True)
class MappedScene:
    """A scene with its finished class map; `labels` is the path of its truth where there is one."""

    name: str
    imagery: Imagery
    map_path: Path
    labels: str | None = None


@dataclass(frozen=True)
class SceneArrays:
    """A scene decimated for pictures: colours (height, width, 3), label bytes (height, width) of map and truth.

    `class_pixels` counts the map's pixels by class over the full raster, and of overlapping classes all mapped ones after
    them.
    """

    name: str
    grid: Grid
    legend: Legend
    rgb: NDArray[np.uint8]
    predicted: NDArray[np.uint8]
    truth: NDArray[np.uint8] | None
    class_pixels: tuple[int, ...]
    overlapping: bool = False


def read_scene(scene: MappedScene, dataset: Dataset | None, max_side: int) -> SceneArrays:
    """The pixels of a scene, its map and its truth at `max_side` pixels for the longer side.

    The truth is left out where the scene has no labels or there is no data set to read them by. Raises `GridMismatch`
    for a map of another size than its imagery.
    """
    overlapping = is_layer_map(scene.map_path)
    opened = read_layer_map(scene.map_path) if overlapping else read_class_map(scene.map_path)
    with opened as class_map, open_raster(scene.imagery) as raster:
        grid, legend = class_map.grid, class_map.legend
        if (grid.height, grid.width) != (raster.grid.height, raster.grid.width):
            raise GridMismatch(
                f"the map {scene.map_path} is {grid.height} x {grid.width} px and the imagery of {scene.name} "
                f"{raster.grid.height} x {raster.grid.width} px: report a map that was predicted from this imagery"
            )
        patch = raster.read_overview(max_side)
        shape = patch.valid.shape
        shape = (shape[0], shape[1])
        rgb = figures.natural_colors(patch.pixels, patch.valid, scene.imagery.bands)
        read = class_map.read if overlapping else lambda w: indices_from_ids(class_map.read(w), legend)
        predicted, counts = decimate(read, grid, shape)
    truth = None
    # Labels of the other kind of classes are no truth that a map could be held against.
    if scene.labels is not None and dataset is not None and dataset.coding.overlapping == overlapping:
        table = truth_table(dataset.legend, legend, scene.labels)
        if overlapping:
            table = mask_table(table, len(dataset.legend))
        shift = next((known.shift for known in dataset.scenes if known.name == scene.name), (0.0, 0.0))
        labelled = Scene(scene.name, scene.imagery, scene.labels, scene.name, raster.grid, shift=shift)
        with open_labels(labelled, dataset) as labels:
            truth = table[decimate(labels.read, grid, shape)[0]]
    pixels = tuple(Coding(len(legend), overlapping).totals(counts).tolist())
    return SceneArrays(scene.name, grid, legend, rgb, predicted, truth, pixels, overlapping)


def truth_table(source: Legend, target: Legend, path: str) -> NDArray[np.uint8]:
    """A lookup (256,) from class indices of the labels to those of the map, matched by name; void stays void.

    `UnknownClass` names a class of the labels that the map cannot show.
    """
    table = np.full(256, VOID, dtype=np.uint8)
    for index, name in enumerate(source.names):
        if name not in target.names:
            raise UnknownClass(
                f"the labels {path} have the class {name!r}, which the map lacks: {nearest(name, target.names)}. Leave "
                "the labels out, or map with a model of the same classes"
            )
        table[index] = target.index_of(name)
    return table


def decimate(read: ReadIndices, grid: Grid, shape: tuple[int, int]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Label bytes at the centres of `shape` equal parts of a raster, and how often each occurs in all of it.

    Reads block by block, so memory does not grow with the raster. The counts have shape (256,).
    """
    rows, cols = figures.centres(grid.height, shape[0]), figures.centres(grid.width, shape[1])
    sampled, counts = np.full(shape, VOID, dtype=np.uint8), np.zeros(256, dtype=np.int64)
    for window in cut(grid.window, BLOCK, BLOCK):
        block = read(window)
        counts += np.bincount(block.ravel(), minlength=256)
        top, bottom = np.searchsorted(rows, (window.row, window.row_stop))
        left, right = np.searchsorted(cols, (window.col, window.col_stop))
        inside = np.ix_(rows[top:bottom] - window.row, cols[left:right] - window.col)
        sampled[top:bottom, left:right] = block[inside]
    return sampled, counts


def draw_scene(arrays: SceneArrays, max_bytes: float = math.inf) -> SceneView:
    """The pictures and figures of a scene; pictures shrink until they take at most `max_bytes` together.

    They never fall below 96 pixels, which is a few kilobytes.
    """
    view = _draw(arrays)
    while (size := picture_bytes(view)) > max_bytes and max(arrays.predicted.shape) > 96:
        arrays = shrink(arrays, 0.95 * math.sqrt(max_bytes / size))
        view = _draw(arrays)
    return view


def picture_bytes(view: SceneView) -> int:
    """Bytes of all pictures of a scene, before they become text."""
    shown = [view.image, view.overlay, view.class_map]
    if view.comparison is not None:
        shown += [view.comparison.truth, view.comparison.agreement.picture]
    return sum(len(picture.data) for picture in shown)


def shrink(arrays: SceneArrays, factor: float) -> SceneArrays:
    """The same scene with sides of `factor` times as many pixels, at least 96 for the longer one."""
    height, width = arrays.predicted.shape
    factor = min(1.0, max(factor, 96 / max(height, width)))
    shape = (max(1, round(height * factor)), max(1, round(width * factor)))
    return SceneArrays(
        arrays.name,
        arrays.grid,
        arrays.legend,
        figures.shrink_colors(arrays.rgb, shape),
        figures.shrink_classes(arrays.predicted, shape),
        None if arrays.truth is None else figures.shrink_classes(arrays.truth, shape),
        arrays.class_pixels,
        arrays.overlapping,
    )


def _draw(arrays: SceneArrays) -> SceneView:
    grid, legend, name = arrays.grid, arrays.legend, arrays.name
    background = legend.background_index
    clear = frozenset() if background is None else frozenset({background})
    sides = pixel_sides_m(grid)
    each = 1.0 if sides is None else sides[0] * sides[1]
    return SceneView(
        name=name,
        facts=_facts(grid),
        image=figures.photograph(arrays.rgb, f"Imagery of {name}."),
        overlay=_picture(arrays, arrays.predicted, f"Class map of {name}, over the imagery.", clear),
        class_map=_picture(arrays, arrays.predicted, f"Class map of {name}."),
        class_sizes=tuple(each * pixels for pixels in arrays.class_pixels[: len(legend)]),
        whole_size=each * arrays.class_pixels[-1] if arrays.overlapping else None,
        on_ground=sides is not None,
        scale_bar=scale_bar(grid),
        north_deg=north_angle(grid),
        comparison=_compare(arrays),
    )


def _compare(arrays: SceneArrays) -> Comparison | None:
    if arrays.truth is None:
        return None
    return Comparison(
        _picture(arrays, arrays.truth, f"Labels of {arrays.name}."),
        figures.agreement_picture(
            arrays.truth, arrays.predicted, arrays.legend, arrays.name, overlapping=arrays.overlapping
        ),
    )


def _picture(arrays: SceneArrays, labels: NDArray[np.uint8], alt: str, clear: frozenset[int] = frozenset()) -> Picture:
    if arrays.overlapping:
        return figures.layer_picture(labels, arrays.legend, alt)
    return figures.class_picture(labels, arrays.legend, alt, clear=clear)


def _facts(grid: Grid) -> tuple[tuple[str, str], ...]:
    facts = [("Size", f"{count(grid.height)} × {count(grid.width)} px")]
    sides = pixel_sides_m(grid)
    if sides is not None:
        facts.append(("Pixel on the ground", length(math.sqrt(sides[0] * sides[1]))))
    facts.append(("CRS", crs_name(grid.crs)))
    return tuple(facts)


def crs_name(crs: str | None) -> str:
    """A CRS in a few characters: its "EPSG:n", or the name in its WKT."""
    if crs is None:
        return "none"
    quoted = crs.split('"')
    return quoted[1] if len(quoted) > 2 else crs
