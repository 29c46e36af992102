"""Training and validation apart on the ground: whole groups of scenes where there are enough, else a block of each scene.

Random patches of one scene on both sides would put near-copies of the training pixels into validation and flatter the
scores (Roberts et al., Ecography 40, 2017; Karasiak et al., Machine Learning 111, 2022).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatch
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from terraseg.core.dataset import Dataset, Scene
from terraseg.core.window import Window
from terraseg.errors import BadOption
from terraseg.prepare.dataset import with_roles

VALIDATION_SHARE = 0.2
STRIPS = 5
ENOUGH_GROUPS = 4
NONE = "none"

BlockCounts = Mapping[str, NDArray[np.int64]]
"""Class pixels by scene name, in `STRIPS` x `STRIPS` equal blocks: shape (rows, columns, classes)."""


def split_dataset(dataset: Dataset, counts: BlockCounts, validation: Sequence[str]) -> tuple[Dataset, str]:
    """The data set with the parts of every labelled scene filled in, and a sentence on how it was split.

    `validation` are scene names or patterns, ("none",) to train on everything, or empty to choose: with at least
    `ENOUGH_GROUPS` groups, whole groups that hold about a fifth of the labelled pixels in the mixture of the whole; else
    of every scene the fifth, a strip along one side, whose mixture is nearest to the scene's own.
    """
    usable = [s for s in dataset.scenes if s.labels is not None and not s.is_test and counts[s.name].sum() > 0]
    if tuple(validation) == (NONE,):
        return _assign(dataset, usable, {}), "all labelled scenes are trained on, none judges the training"
    if validation:
        return _by_name(dataset, usable, validation)
    groups = sorted({scene.group for scene in usable})
    if len(groups) >= ENOUGH_GROUPS:
        chosen = choose_groups(groups, usable, counts)
        held = {s.name: (s.grid.window,) for s in usable if s.group in chosen}
        why = f"{len(chosen)} of {len(groups)} groups of scenes ({len(held)} scenes) judge the training"
        return _assign(dataset, usable, held), why
    held = {s.name: (choose_strip(s, counts[s.name]),) for s in usable}
    why = f"with {len(groups)} group(s) of scenes, a strip of a fifth of every scene judges the training"
    return _assign(dataset, usable, held), why


def _by_name(dataset: Dataset, usable: Sequence[Scene], validation: Sequence[str]) -> tuple[Dataset, str]:
    held: dict[str, tuple[Window, ...]] = {}
    for pattern in validation:
        found = [
            s for s in usable if fnmatch(s.name, pattern) or any(fnmatch(p, f"*{pattern}") for p in s.imagery.paths)
        ]
        if not found:
            known = ", ".join(s.name for s in usable[:8])
            raise BadOption(
                f"validation = {pattern!r} under [data] names no labelled scene: pass a name such as {known}"
            )
        held |= {s.name: (s.grid.window,) for s in found}
    mixed = {s.group for s in usable if s.name in held} & {s.group for s in usable if s.name not in held}
    leak = f"; scenes of the group {sorted(mixed)[0]} stand on both sides, so its scores flatter" if mixed else ""
    return _assign(dataset, usable, held), f"{len(held)} named scenes judge the training{leak}"


def _assign(dataset: Dataset, usable: Sequence[Scene], held: Mapping[str, tuple[Window, ...]]) -> Dataset:
    names = {scene.name for scene in usable}
    scenes = []
    for scene in dataset.scenes:
        validation = held.get(scene.name, ())
        train = remainder(scene.grid.window, validation) if scene.name in names else ()
        scenes.append(replace(scene, train=train, validation=validation))
    return with_roles(dataset, scenes)


def remainder(whole: Window, taken: Sequence[Window]) -> tuple[Window, ...]:
    """What is left of a window when a strip across its full height or width is taken; at most two windows.

    >>> remainder(Window(0, 0, 10, 10), [Window(0, 4, 10, 2)])
    (Window(row=0, col=0, height=10, width=4), Window(row=0, col=6, height=10, width=4))
    """
    if not taken:
        return (whole,)
    strip = taken[0]
    if strip.width == whole.width:
        parts = (
            Window(whole.row, whole.col, strip.row - whole.row, whole.width),
            Window(strip.row_stop, whole.col, whole.row_stop - strip.row_stop, whole.width),
        )
    else:
        parts = (
            Window(whole.row, whole.col, whole.height, strip.col - whole.col),
            Window(whole.row, strip.col_stop, whole.height, whole.col_stop - strip.col_stop),
        )
    return tuple(part for part in parts if not part.is_empty)


def choose_strip(scene: Scene, counts: NDArray[np.int64]) -> Window:
    """The strip of a fifth of the scene, along either side, whose class mixture is nearest to the scene's own.

    Strips at the scene's border come first among equals: they leave the training part in one piece.
    """
    grid = scene.grid
    rows = np.linspace(0, grid.height, STRIPS + 1).astype(int)
    cols = np.linspace(0, grid.width, STRIPS + 1).astype(int)
    whole = _mixture(counts.sum(axis=(0, 1)))
    best, best_cost = grid.window, np.inf
    for k in range(STRIPS):
        inner = 0.05 * (0 < k < STRIPS - 1)
        across = Window(int(rows[k]), 0, int(rows[k + 1] - rows[k]), grid.width)
        along = Window(0, int(cols[k]), grid.height, int(cols[k + 1] - cols[k]))
        for window, part in ((across, counts[k].sum(axis=0)), (along, counts[:, k].sum(axis=0))):
            cost = _distance(_mixture(part), whole) + inner if part.sum() else np.inf
            if cost < best_cost and not window.is_empty:
                best, best_cost = window, cost
    return best


def choose_groups(groups: Sequence[str], scenes: Sequence[Scene], counts: BlockCounts) -> set[str]:
    """The groups whose labelled pixels come nearest to a fifth of all, in the mixture of the whole."""
    totals = {g: sum(counts[s.name].sum(axis=(0, 1)) for s in scenes if s.group == g) for g in groups}
    everything = np.sum(list(totals.values()), axis=0)
    size = max(1, round(len(groups) * VALIDATION_SHARE))
    generator = np.random.default_rng(0)
    if len(groups) <= 24:
        candidates: list[list[str]] = [
            list(c) for k in {size, size + 1} for c in combinations(groups, k) if k < len(groups)
        ][:5000]
    else:
        candidates = [sorted(generator.choice(list(groups), size, replace=False).tolist()) for _ in range(500)]

    def cost(chosen: Iterable[str]) -> float:
        part = np.sum([totals[group] for group in chosen], axis=0)
        share = float(part.sum() / everything.sum())
        return abs(share - VALIDATION_SHARE) + _distance(_mixture(part), _mixture(everything))

    return set(min(candidates, key=cost))


def _mixture(pixels: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.asarray(pixels / max(1, int(pixels.sum())), dtype=np.float64)


def _distance(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Half the summed difference of two mixtures: 0 for equal ones, 1 for disjoint ones."""
    return float(np.abs(one - other).sum() / 2)
