"""Outlines and objects of a scene, read strip by strip: boundary IoU and object scores of every class."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from terraseg.core.classes import VOID, Legend
from terraseg.core.coding import Coding
from terraseg.core.window import Window, cut
from terraseg.evaluate.ground import Ground
from terraseg.evaluate.objects import ClassShapes, object_scores
from terraseg.evaluate.options import EvaluateOptions
from terraseg.evaluate.parted import Splitting, mapped_parts
from terraseg.pixels.boundary import boundary_counts
from terraseg.pixels.pairing import ObjectPairs, StripPair, pair_objects
from terraseg.pixels.pieces import STRIP_PIXELS
from terraseg.pixels.split import Parts
from terraseg.shapes.pixelarea import PixelAreas


def class_shapes(
    ground: Ground,
    legend: Legend,
    options: EvaluateOptions,
    *,
    overlapping: bool = False,
    on_ground: bool = False,
    split: Splitting | None = None,
) -> tuple[ClassShapes, ...]:
    """Boundary IoU and object scores of each class over the ground's windows.

    Objects are made of the pixels that are labelled and mapped; what the edge of a window cuts is an object as far as it is
    there. With `on_ground` their areas are in square metres, which takes a CRS, else in pixels. The classes of a `split` are
    scored again with their mapped objects parted, against the same true ones.
    """
    coding = Coding(len(legend), overlapping)
    seams = scene_boundary(ground, coding, options)
    areas = _areas(ground) if on_ground else None
    unit = 1.0 if areas is None else areas.unit_m2
    whole = None if overlapping else pair_objects(_strips(ground, coding, None, areas))
    shapes = []
    for index, land_class in enumerate(legend.classes):
        objects = parted = None
        if overlapping or index != legend.background_index:
            pairs: ObjectPairs = whole or pair_objects(_strips(ground, coding, index, areas))
            objects = object_scores(pairs, index, unit=unit, least=options.least_object)
            if split is not None and split.neck_of(land_class.id) is not None:
                with mapped_parts(ground, legend, index, split=split, coding=coding) as parts:
                    pairs = pair_objects(_strips(ground, coding, index, areas, parts))
                parted = object_scores(pairs, index, unit=unit, least=options.least_object)
        true, mapped, both = seams[index].tolist()
        shapes.append(ClassShapes(land_class, (true, mapped, both), objects, parted))
    return tuple(shapes)


def scene_boundary(ground: Ground, coding: Coding, options: EvaluateOptions) -> NDArray[np.int64]:
    """Seam pixels of each class in the truth, in the map and in both, (classes, 3), whatever the side of the blocks."""
    counts = np.zeros((coding.classes, 3), dtype=np.int64)
    reach = options.boundary_px
    for window in ground.windows:
        for block in cut(window, options.block, options.block):
            wide = Window(block.row - reach, block.col - reach, block.height + 2 * reach, block.width + 2 * reach)
            wide = wide.intersection(ground.grid.window)
            core = block.shifted(-wide.row, -wide.col).slices
            counts += boundary_counts(ground.truth(wide), ground.mapped(wide), coding, distance=reach, core=core)
    return counts


def _areas(ground: Ground) -> PixelAreas | None:
    grid = ground.grid
    return None if grid.crs is None else PixelAreas(grid.crs, grid.transform, grid.height, grid.width)


def _strips(
    ground: Ground, coding: Coding, index: int | None, areas: PixelAreas | None, parts: Parts | None = None
) -> Iterator[StripPair]:
    """The rectangle around the windows in strips, void outside them; all classes, or the one with an index."""
    if not ground.windows:
        return
    row, col = (min(getattr(w, side) for w in ground.windows) for side in ("row", "col"))
    row_stop, col_stop = (max(getattr(w, side) for w in ground.windows) for side in ("row_stop", "col_stop"))
    rows = max(1, STRIP_PIXELS // (col_stop - col))
    for strip in cut(Window(row, col, row_stop - row, col_stop - col), rows, col_stop - col):
        truth = np.full((strip.height, strip.width), VOID, dtype=np.uint8)
        mapped = truth.copy()
        for window in ground.windows:
            part = window.intersection(strip)
            if part.is_empty:
                continue
            place = part.shifted(-strip.row, -strip.col).slices
            true, guess = ground.truth(part), ground.mapped(part)
            known = (true != VOID) & (guess != VOID)
            for target, values in ((truth, true), (mapped, guess)):
                if index is not None:
                    values = np.where(coding.plane(values, index), index, VOID)
                target[place] = np.where(known, values, VOID)
        sizes = None if areas is None else areas.read(strip.row, strip.col, strip.height, strip.width)
        yield StripPair(truth, mapped, sizes, None if parts is None else parts.read(strip))
