"""Labels that lie beside what they show: the offset of each scene, and the setting that takes it away."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from terraseg.core.classes import VOID
from terraseg.core.dataset import Dataset, Scene
from terraseg.core.window import Window
from terraseg.pixels.drawn import ground_shift
from terraseg.pixels.offset import REACH, Offset, agreement, best_offset, edge_field, outline_field
from terraseg.store.labels import open_labels
from terraseg.store.placing import ground_grid
from terraseg.store.raster import open_raster

WINDOW = 1024
"""Side of the parts of a scene that are looked at, in pixels."""
PARTS = 3
"""Parts along the longer and the shorter side at most; all of them add to one answer."""
LEAST_OUTLINE = 200.0
"""Less outline than this, in summed strength, says nothing."""
LEAST_PEAK, LEAST_LEAD, LEAST_GAIN = 4.7, 0.7, 2.0
"""By how many standard deviations the best offset has to stand out, above the second best and above no offset."""
TOLERATED = 6.0
"""Offsets in pixels up to which labels count as aligned: the hand that draws outlines is no surer."""
LEAST_SIDE = 3 * REACH


@dataclass(frozen=True)
class Misalignment:
    """What was found of one scene: the offset in its pixels, and `shift` under [data] that takes it away.

    `shift` holds what the project sets already, with the offset added: metres east and north, or pixels right and up.
    `is_sure` says that the offset stands out, `is_off` that it is besides too large to be left alone.
    """

    scene: str
    offset: Offset
    shift: tuple[float, float]
    unit: str

    @property
    def is_sure(self) -> bool:
        """True where one offset is clearly better than all others."""
        return self.offset.peak >= LEAST_PEAK and self.offset.peak >= self.offset.second + LEAST_LEAD

    @property
    def is_off(self) -> bool:
        """True where the labels clearly lie beside what they show."""
        gain = self.offset.peak - self.offset.here
        return self.is_sure and self.offset.length > TOLERATED and gain >= LEAST_GAIN


def measure_offset(scene: Scene, dataset: Dataset, *, parts: int = PARTS) -> Misalignment | None:
    """The offset of a scene's labels, up to `REACH` pixels; None for a small scene and for one with hardly an outline.

    At most `parts` x `parts` windows are read.
    """
    offset = _scene_offset(scene, dataset, parts)
    return None if offset is None else _misaligned(scene, dataset, offset)


def _scene_offset(scene: Scene, dataset: Dataset, parts: int) -> Offset | None:
    total, outline = np.zeros((2 * REACH + 1, 2 * REACH + 1)), 0.0
    with open_labels(scene, dataset) as labels, open_raster(scene.imagery) as raster:
        for window in looked_at(scene.grid.window, parts):
            drawn = labels.read(window)
            if (drawn == drawn[0, 0]).all():
                continue
            patch = raster.read(window)
            with np.errstate(invalid="ignore", over="ignore"):
                grey = patch.pixels.mean(axis=0, dtype=np.float32)
            borders = outline_field(np.where(patch.valid, drawn, np.uint8(VOID)), dataset.coding)
            outline += float(np.abs(borders).sum())
            total += agreement(edge_field(grey, patch.valid), borders)
    return best_offset(total) if outline >= LEAST_OUTLINE else None


def looked_at(whole: Window, parts: int) -> Iterator[Window]:
    """The windows of a scene that are looked at, spread evenly; the middle one of 1; none of a scene that is small."""
    if min(whole.height, whole.width) < LEAST_SIDE:
        return
    starts = []
    for size in (whole.height, whole.width):
        side = min(WINDOW, size)
        count = min(parts, -(-size // WINDOW))
        starts.append((side, [round((k + 0.5) / count * (size - side)) for k in range(count)]))
    (height, rows), (width, cols) = starts
    yield from (Window(row, col, height, width) for row in rows for col in cols)


def _misaligned(scene: Scene, dataset: Dataset, offset: Offset) -> Misalignment:
    grid = ground_grid(scene.grid, dataset.rule.drawing.assume_crs)
    east, north = ground_shift(grid, offset.rows, offset.cols)
    digits = 2 if grid.crs is not None else 0
    shift = (round(scene.shift[0] + east, digits) + 0.0, round(scene.shift[1] + north, digits) + 0.0)
    return Misalignment(scene.name, offset, shift, "px" if grid.crs is None else "m")


def shift_setting(found: Sequence[Misalignment], others: Sequence[Scene] = ()) -> str:
    """The line for [data] that moves the labels of scenes by what was found; `others` keep the shift that they have.

    >>> shift_setting([Misalignment("a", Offset(0, 9, 9.0, 4.0, 1.0), (1.5, 0.0), "m")])
    'shift = {"a" = [1.5, 0.0]}'
    """
    shifts = {s.name: s.shift for s in others if any(s.shift)} | {m.scene: m.shift for m in found}
    rows = ", ".join(f"{json.dumps(name, ensure_ascii=False)} = [{x:g}, {y:g}]" for name, (x, y) in shifts.items())
    return f"shift = {{{rows}}}".replace("[0,", "[0.0,").replace(" 0]", " 0.0]")
