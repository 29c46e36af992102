"""A scene's truth beside its map, read together by windows."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from terraseg.core.classes import VOID, Legend
from terraseg.core.dataset import Dataset, Scene
from terraseg.core.grid import Grid
from terraseg.core.window import Window
from terraseg.errors import GridMismatch, UnknownClass, nearest
from terraseg.pixels.relabel import indices_from_ids, mask_table
from terraseg.store.classmap import ClassMapReader, open_confidence, read_class_map
from terraseg.store.labels import open_labels
from terraseg.store.layermap import LayerMapReader, read_layer_map

ReadIndices = Callable[[Window], NDArray[np.uint8]]
"""Label bytes (height, width) of a window, see `core.Coding`; 255 where there is none."""


@dataclass(frozen=True, eq=False)
class Ground:
    """An open scene: what is true and what is mapped in a window, and the disjoint `windows` that are scored.

    `confidence` reads the bytes of the certainty raster beside the map, and is None where there is none.
    """

    grid: Grid
    windows: tuple[Window, ...]
    truth: ReadIndices
    mapped: ReadIndices
    confidence: ReadIndices | None = None


@contextmanager
def open_ground(scene: Scene, path: str | Path, dataset: Dataset, windows: Sequence[Window]) -> Iterator[Ground]:
    """The labels of a scene and a map of it, opened for the block.

    Raises `GridMismatch` for a map that does not lie on the scene's grid and `UnknownClass` for one with a class that the data
    set lacks.
    """
    overlapping = dataset.coding.overlapping
    with ExitStack() as stack:
        class_map: ClassMapReader | LayerMapReader
        enter = stack.enter_context
        class_map = enter(read_layer_map(path)) if overlapping else enter(read_class_map(path))
        labels = stack.enter_context(open_labels(scene, dataset))
        if not class_map.grid.same_place(scene.grid):
            raise GridMismatch(
                f"the map {path} ({class_map.grid.height} x {class_map.grid.width} px) does not lie on the grid of scene "
                f"{scene.name} ({scene.grid.height} x {scene.grid.width} px): predict the scene itself, without "
                "resampling or cropping"
            )
        table = class_table(class_map.legend, dataset.legend, path)
        if overlapping:
            table = mask_table(table, len(class_map.legend))

        def mapped(window: Window) -> NDArray[np.uint8]:
            values = class_map.read(window)
            return table[values if overlapping else indices_from_ids(values, class_map.legend)]

        confidence = None
        beside = Path(path).with_name(f"{Path(path).stem}_confidence.tif")
        if beside.exists():
            reader = stack.enter_context(open_confidence(beside))
            confidence = reader.read if reader.grid.same_place(scene.grid) else None
        yield Ground(scene.grid, tuple(windows), labels.read, mapped, confidence)


def class_table(source: Legend, target: Legend, path: str | Path) -> NDArray[np.uint8]:
    """A lookup (256,) from the class indices of a map's legend to those of the labels, matched by name.

    `UnknownClass` names a class of the map that the labels do not have.
    """
    table = np.full(256, VOID, dtype=np.uint8)
    for index, name in enumerate(source.names):
        if name not in target.names:
            raise UnknownClass(
                f"the map {path} has the class {name!r}, which the labels lack: {nearest(name, target.names)}. Score it "
                "against labels of the same classes"
            )
        table[index] = target.index_of(name)
    return table
