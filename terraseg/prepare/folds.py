"""Cross-validation over the ground: the data set parted several times, so that every labelled pixel judges once."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from terraseg.core.dataset import Dataset, Scene
from terraseg.core.window import Window
from terraseg.errors import BadOption
from terraseg.prepare.blocks import pixels_in
from terraseg.prepare.split import PATCH, assign, joined_groups, measured_reach, patch_sides, usable_scenes
from terraseg.prepare.survey import Survey, lattice_edges

LEAST_STRIP = 64
"""Scenes whose strips would be narrower than this, in pixels, judge as a whole."""

Part = tuple[Scene, Window]


def fold_splits(dataset: Dataset, survey: Survey, folds: int, *, patch: int = PATCH) -> tuple[Dataset, ...]:
    """The data set in `folds` splits: each labelled pixel is in the validation windows of exactly one of them.

    With as many groups that share no ground as folds, whole groups judge; else strips across every scene, with gaps to
    the training part as in `split_dataset`. Classes are spread over the folds greedily, the rarest weighing as much as the
    commonest (after the iterative stratification of Sechidis et al., ECML 2011). Raises `BadOption` for fewer than two
    folds, or more than there are places to hold out.
    """
    if folds < 2:
        raise BadOption(
            f"{folds} fold(s) were asked for: cross-validation needs at least 2, one to judge and one to learn"
        )
    usable = usable_scenes(dataset, survey)
    joined = joined_groups(usable, survey)
    groups = sorted(set(joined.values()))
    if len(groups) >= folds:
        units = [[(s, s.grid.window) for s in usable if joined[s.name] == group] for group in groups]
        bound = [[n] for n in range(len(units))]
    else:
        units, bound = _strips(usable, survey, folds, patch_sides(dataset, patch))
    if len(units) < folds:
        raise BadOption(
            f"{folds} folds of {len(units)} small scene(s): pass --folds {max(2, len(units))}, or larger scenes"
        )
    sizes = np.array([_class_pixels(unit, survey) for unit in units])
    of = spread(sizes, bound, folds)
    splits = []
    for fold in range(folds):
        held: dict[str, tuple[Window, ...]] = {}
        for unit in np.flatnonzero(of == fold):
            for scene, window in units[unit]:
                held[scene.name] = (*held.get(scene.name, ()), window)
        splits.append(assign(dataset, survey, usable, held)[0])
    return tuple(splits)


def _strips(
    usable: Sequence[Scene], survey: Survey, folds: int, patches: Mapping[str, int]
) -> tuple[list[list[Part]], list[list[int]]]:
    """Every scene in strips across its longer side; and for each scene the units that must go to different folds.

    Long scenes give two strips a fold, which spreads their classes better.
    """
    reach = measured_reach(usable, survey)
    units: list[list[Part]] = []
    bound: list[list[int]] = []
    for scene in usable:
        whole = scene.grid.window
        longer = max(whole.height, whole.width)
        if longer < folds * LEAST_STRIP:
            units.append([(scene, whole)])
            bound.append([len(units) - 1])
            continue
        rounds = 2 if longer >= 2 * folds * (patches[scene.name] + 2 * reach.gap_of(scene)) else 1
        edges = lattice_edges(longer, rounds * folds).tolist()
        for turn in range(rounds):
            first = len(units)
            for start, stop in zip(edges[turn * folds :][:folds], edges[turn * folds + 1 :][:folds], strict=True):
                if whole.height >= whole.width:
                    window = Window(start, 0, stop - start, whole.width)
                else:
                    window = Window(0, start, whole.height, stop - start)
                units.append([(scene, window)])
            bound.append(list(range(first, len(units))))
    return units, bound


def _class_pixels(unit: Sequence[Part], survey: Survey) -> NDArray[np.float64]:
    parts = [pixels_in(survey.counts[scene.name], scene.grid.window, window) for scene, window in unit]
    return np.asarray(np.sum(parts, axis=0), dtype=np.float64)


def spread(sizes: NDArray[np.float64], bound: Sequence[Sequence[int]], folds: int) -> NDArray[np.int64]:
    """The fold of each unit, shape (units,): classes spread as evenly as a greedy choice can, every fold with a unit.

    `sizes` (units, classes) are class pixels. Units bound together go to different folds, as far as there are folds. The
    largest come first; each goes where it brings the folds' shares of the classes nearest to even.
    """
    totals = np.maximum(sizes.sum(axis=0), 1.0)
    shares = np.column_stack([sizes / totals, sizes.sum(axis=1) / max(1.0, float(sizes.sum()))])
    together = {unit: set(units) for units in bound for unit in units}
    of = np.full(len(sizes), -1, dtype=np.int64)
    filled = np.zeros((folds, shares.shape[1]))
    order = sorted(range(len(sizes)), key=lambda unit: (-float(shares[unit].sum()), unit))
    for place, unit in enumerate(order):
        taken = {int(of[other]) for other in together[unit] if of[other] >= 0}
        free = [fold for fold in range(folds) if fold not in taken] or list(range(folds))
        empty = [fold for fold in free if not (of == fold).any()]
        if empty and len(order) - place <= folds - len(set(of[of >= 0].tolist())):
            free = empty
        costs = [(float((((filled[fold] + shares[unit]) ** 2) - filled[fold] ** 2).sum()), fold) for fold in free]
        fold = min(costs)[1]
        of[unit] = fold
        filled[fold] += shares[unit]
    return of
