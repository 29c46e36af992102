"""Two maps of the same ground side by side: which is better, and whether that is more than noise."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from terraseg.core.classes import VOID
from terraseg.core.dataset import Dataset, Scene
from terraseg.core.window import Window
from terraseg.errors import EmptyDataset
from terraseg.evaluate.cells import block_side, count_cells, side_within
from terraseg.evaluate.evaluate import fitting_part, scored_windows
from terraseg.evaluate.ground import Ground, open_ground
from terraseg.evaluate.intervals import LEAST_BLOCKS, Difference, differences
from terraseg.evaluate.options import EvaluateOptions


@dataclass(frozen=True)
class Comparison:
    """The scores of two maps over the pixels that both predict, drawn from `blocks` blocks `side_px` pixels wide.

    `rows` begin with overall accuracy and mean IoU; the classes' IoU follows.
    """

    one: str
    two: str
    part: str
    scenes: tuple[str, ...]
    blocks: int
    side_px: int
    rows: tuple[Difference, ...]

    @property
    def sentence(self) -> str:
        """What to make of it: whether the two differ in mean IoU by more than noise."""
        row = self.rows[1]
        if row.gain is None:
            return "neither map has a mean IoU on the pixels that both predict"
        better, worse = (self.two, self.one) if row.gain >= 0 else (self.one, self.two)
        lead = f"{better} is {100 * abs(row.gain):.1f} points of mean IoU ahead of {worse}"
        if row.interval is None:
            return (
                f"{lead}; {self.blocks} blocks of ground are too few to tell that from noise, {LEAST_BLOCKS} are needed"
            )
        sign = 100 if row.gain >= 0 else -100
        low, high = sorted((sign * row.interval.low, sign * row.interval.high))
        verdict = "more than noise" if row.is_real else "no more than noise may bring"
        return f"{lead} (95 % interval {low:+.1f} to {high:+.1f}): {verdict}"

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "one": self.one,
            "two": self.two,
            "part": self.part,
            "scenes": list(self.scenes),
            "blocks": self.blocks,
            "side_px": self.side_px,
            "sentence": self.sentence,
            "rows": [row.to_json() for row in self.rows],
        }


def compare_maps(
    trios: Iterable[tuple[Scene, Path, Path]],
    dataset: Dataset,
    *,
    names: tuple[str, str],
    options: EvaluateOptions | None = None,
    correlation_px: float = 0.0,
) -> Comparison:
    """Two maps of each scene against its labels, over the labelled pixels that both predict.

    `names` are what the two are called. Raises what `evaluate_scenes` does.
    """
    chosen, trios, coding = options or EvaluateOptions(), list(trios), dataset.coding
    part = fitting_part([scene for scene, _, _ in trios]) if chosen.part == "auto" else chosen.part
    side = block_side(chosen.interval_side, correlation_px)
    found: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []
    for scene, one, two in trios:
        windows = scored_windows(scene, part)
        with open_ground(scene, one, dataset, windows) as first, open_ground(scene, two, dataset, windows) as second:
            lattice = side_within(scene.grid, side, coding)
            both = [
                count_cells(ground, coding, side=lattice, block=chosen.block)[0].counts
                for ground in (_where_both(first, second), _where_both(second, first))
            ]
        found.append((both[0], both[1]))
    counts = [np.concatenate(each) for each in zip(*found, strict=True)]
    if not counts or not len(counts[0]):
        raise EmptyDataset(
            f"no labelled pixel that both {names[0]} and {names[1]} predict ({len(trios)} scenes, part {part!r}): give maps of "
            "the same labelled scenes, or score another part (all, train, validation, test)"
        )
    rows = differences(
        counts[0], counts[1], dataset.legend.names, resamples=chosen.resamples, overlapping=coding.overlapping
    )
    return Comparison(*names, part, tuple(scene.name for scene, _, _ in trios), len(counts[0]), side, rows)


def _where_both(ground: Ground, other: Ground) -> Ground:
    """The ground of one map where the other predicts as well."""

    def mapped(window: Window) -> NDArray[np.uint8]:
        own = ground.mapped(window)
        return np.where(other.mapped(window) == VOID, np.uint8(VOID), own)

    return Ground(ground.grid, ground.windows, ground.truth, mapped)
