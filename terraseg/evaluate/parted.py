"""Objects of a map told apart where they touch, as its polygons are: what the splitting brings or costs."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from terraseg.core.classes import VOID, Legend
from terraseg.core.coding import Coding
from terraseg.core.grid import Grid
from terraseg.core.window import Window
from terraseg.errors import BadOption
from terraseg.evaluate.ground import Ground, ReadIndices
from terraseg.pixels.split import Neck, Parts, split_parts
from terraseg.store.scratch import scratch_array


@dataclass(frozen=True)
class Splitting:
    """How the map's objects part: the classes by their ids with their `necks`, and whether by the confidence as well."""

    necks: tuple[Neck, ...] = ()
    by_probability: bool = False

    def neck_of(self, class_id: int) -> Neck | None:
        """That of a class; None for one whose objects are not parted."""
        return next((neck for neck in self.necks if neck.class_id == class_id), None)


@dataclass(frozen=True, eq=False)
class _Bytes:
    """A band of bytes over a grid."""

    grid: Grid
    read: ReadIndices


@dataclass(frozen=True, eq=False)
class _OneClass:
    """The mapped pixels of one class: 1 where the map has it, 0 elsewhere."""

    ground: Ground
    legend: Legend
    index: int
    coding: Coding

    @property
    def grid(self) -> Grid:
        return self.ground.grid

    def read(self, window: Window) -> NDArray[np.uint8]:
        mapped = self.ground.mapped(window)
        return np.asarray((mapped != VOID) & self.coding.plane(mapped, self.index), dtype=np.uint8)


@contextmanager
def mapped_parts(ground: Ground, legend: Legend, index: int, *, split: Splitting, coding: Coding) -> Iterator[Parts]:
    """The mapped objects of a class, parted as polygons are, for as long as the block runs.

    They are parted on the whole map, labelled or not, and lie in a scratch file. Raises `BadOption` where they are to part
    by a confidence that the map does not have.
    """
    neck = split.neck_of(legend.ids[index])
    assert neck is not None
    if split.by_probability and ground.confidence is None:
        raise BadOption(
            'split_by = "probability" needs the confidence of the map, which is not there: predict with confidence = true '
            'under [predict], or split by "distance"'
        )
    sure = _Bytes(ground.grid, ground.confidence) if split.by_probability and ground.confidence is not None else None
    raster = _OneClass(ground, legend, index, coding)
    with scratch_array((ground.grid.height, ground.grid.width), np.int32) as numbers:
        yield split_parts(raster, [Neck(1, neck.share)], numbers, confidence=sure)
