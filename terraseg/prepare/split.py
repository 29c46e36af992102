"""Training and validation apart on the ground: whole groups of scenes where there are enough, else blocks of each scene.

Random patches of one scene on both sides would put near-copies of the training pixels into validation and flatter the
scores (Roberts et al., Ecography 40, 2017; Ploton et al., Nature Communications 11, 2020; Karasiak et al., Machine
Learning 111, 2022). So scenes that show the same ground stand on one side, and within a scene a gap is left between the
sides over which pixels would still be alike.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from itertools import combinations
from math import ceil

import numpy as np
from numpy.typing import NDArray

from terraseg.core.dataset import Dataset, Scene
from terraseg.core.split import SplitReport
from terraseg.core.window import Window
from terraseg.errors import BadOption
from terraseg.prepare.blocks import area_of, choose_windows, grown, mixture_distance, pixels_in, training_windows
from terraseg.prepare.dataset import with_roles
from terraseg.prepare.leaks import forced_leaks, partners, test_cuts
from terraseg.prepare.overlap import project
from terraseg.prepare.survey import BlockCounts, Survey

VALIDATION_SHARE = 0.2
ENOUGH_GROUPS = 4
PATCH = 256
"""Side of a training patch where none is given: the largest that is planned without a GPU."""
GAP_SHARE = 10
"""A gap is at most one in so many of a scene's shorter side."""
SAME_GROUND = 0.5
HELD_SHARE = 0.1
"""Share of the labelled pixels that judge the training where they are cut from scenes that are trained on."""
FEW_SCENES = 3
DRAWS = 500
NONE = "none"

Held = Mapping[str, tuple[Window, ...]]
"""Validation windows by scene name."""


@dataclass(frozen=True)
class Reach:
    """How far pixels stay alike: in pixels, and in metres where every scene has a CRS."""

    px: float
    m: float | None

    def gap_of(self, scene: Scene) -> int:
        """The gap between the sides of a scene, in its pixels: the reach, bounded by a tenth of the scene."""
        return min(self.wanted_of(scene), min(scene.grid.height, scene.grid.width) // GAP_SHARE)

    def wanted_of(self, scene: Scene) -> int:
        """The reach in a scene's pixels."""
        gsd = scene.grid.gsd_m
        # A hundredth of a pixel is the difference in scale across a map, not reach.
        return int(np.ceil((self.px if self.m is None or gsd is None else self.m / gsd) - 0.01))


def split_dataset(
    dataset: Dataset, survey: Survey, validation: Sequence[str] = (), *, patch: int = PATCH
) -> tuple[Dataset, SplitReport]:
    """The data set with the parts of every labelled scene filled in, and how that was done.

    `validation` are scene names or patterns, ("none",) to train on everything, or empty to choose: with at least
    `ENOUGH_GROUPS` groups that share no ground, whole groups that hold about a fifth of the labelled pixels in the mixture
    of the whole; else about a fifth of some scenes, a tenth of all ground, in blocks that hold a patch of `patch` of the
    model's pixels, with a gap between the sides. Ground that a test scene shows is never trained on.
    """
    usable = usable_scenes(dataset, survey)
    if tuple(validation) == (NONE,):
        how = "all labelled scenes are trained on, none judges the training"
        return _reported(dataset, survey, usable, {}, how)
    if validation:
        return _by_name(dataset, survey, usable, validation)
    joined = joined_groups(usable, survey)
    groups = sorted(set(joined.values()))
    if len(groups) >= ENOUGH_GROUPS:
        chosen = choose_groups(groups, joined, survey.counts)
        held: Held = {s.name: (s.grid.window,) for s in usable if joined[s.name] in chosen}
        how = f"{len(chosen)} of {len(groups)} groups of scenes ({len(held)} scenes) judge the training"
        return _reported(dataset, survey, usable, held, how)
    held = _fewest(_within(usable, survey, patch_sides(dataset, patch)), usable, survey)
    blocks = max(len(windows) for windows in held.values()) if held else 0
    what = "a strip of about a fifth" if blocks <= 1 else "about a fifth, in strips or blocks,"
    which = "every scene judges" if len(held) == len(usable) else f"{len(held)} of the {len(usable)} scenes judges"
    how = f"with {len(groups)} group(s) of scenes, {what} of {which} the training"
    return _reported(dataset, survey, usable, held, how)


def patch_sides(dataset: Dataset, patch: int) -> dict[str, int]:
    """By scene the side in its own pixels of a patch of `patch` pixels of the size to which training brings it."""
    return {name: ceil(patch * scale.mean) for name, scale in dataset.scales().items()}


def usable_scenes(dataset: Dataset, survey: Survey) -> list[Scene]:
    """The scenes that can be trained on: labelled, not held out for testing, with at least one labelled pixel."""
    return [s for s in dataset.scenes if s.labels is not None and not s.is_test and survey.counts[s.name].sum() > 0]


def joined_groups(scenes: Sequence[Scene], survey: Survey) -> dict[str, str]:
    """The group of each scene by name, groups joined that share ground, by union-find; named after their first group."""
    parent = {s.group: s.group for s in scenes}

    def root(group: str) -> str:
        while parent[group] != group:
            group = parent[group]
        return group

    group_of = {s.name: s.group for s in scenes}
    for overlap in survey.overlaps:
        if overlap.one in group_of and overlap.other in group_of:
            first, second = sorted((root(group_of[overlap.one]), root(group_of[overlap.other])))
            parent[second] = first
    return {s.name: root(s.group) for s in scenes}


def measured_reach(scenes: Sequence[Scene], survey: Survey) -> Reach:
    """How far pixels stay alike in the median scene."""
    known = [(survey.range_px[s.name], s.grid.gsd_m) for s in scenes if survey.range_px.get(s.name, 0.0) > 0]
    if not known:
        return Reach(0.0, None)
    metres = [px * gsd for px, gsd in known if gsd is not None]
    return Reach(
        float(np.median([px for px, _ in known])), float(np.median(metres)) if len(metres) == len(known) else None
    )


def choose_groups(groups: Sequence[str], joined: Mapping[str, str], counts: BlockCounts) -> set[str]:
    """The groups whose labelled pixels come nearest to a fifth of all, in the mixture of the whole.

    `joined` is the group of each scene by name.
    """
    classes = next(iter(counts.values())).shape[-1]
    totals = {group: np.zeros(classes) for group in groups}
    for name, group in joined.items():
        totals[group] += counts[name].sum(axis=(0, 1))
    everything = np.sum(list(totals.values()), axis=0)
    size = max(1, round(len(groups) * VALIDATION_SHARE))
    generator = np.random.default_rng(0)
    if len(groups) <= 24:
        candidates: list[list[str]] = [
            list(c) for k in (size, size + 1) for c in combinations(groups, k) if k < len(groups)
        ][:5000]
    else:
        candidates = [sorted(generator.choice(list(groups), size, replace=False).tolist()) for _ in range(500)]

    def cost(chosen: Iterable[str]) -> float:
        part = np.sum([totals[group] for group in chosen], axis=0)
        share = float(part.sum() / everything.sum())
        return abs(share - VALIDATION_SHARE) + mixture_distance(part, everything)

    return set(min(candidates, key=cost))


def _within(usable: Sequence[Scene], survey: Survey, patches: Mapping[str, int]) -> dict[str, tuple[Window, ...]]:
    """Validation windows of every scene; a scene that mostly shows the ground of an earlier one takes the same ground."""
    reach = measured_reach(usable, survey)
    by_name = {scene.name: scene for scene in usable}
    held: dict[str, tuple[Window, ...]] = {}
    for scene in usable:
        same = [
            project(window, by_name[name], scene, overlap).intersection(scene.grid.window)
            for name, overlap in partners(scene.name, survey.overlaps)
            if name in held and overlap.share >= SAME_GROUND
            for window in held[name]
        ]
        whole = scene.grid.window
        windows = tuple(
            w
            for w in same
            if min(w.height, w.width) >= min(patches[scene.name], whole.height // 4, whole.width // 4) > 0
        )
        disjoint = all(a.intersection(b).is_empty for a, b in combinations(windows, 2))
        if not windows or not disjoint or area_of(windows) > area_of((whole,)) // 3:
            windows = choose_windows(
                whole, survey.counts[scene.name], patch=patches[scene.name], gap=reach.gap_of(scene)
            )
        held[scene.name] = windows
    return held


def _fewest(held: Held, usable: Sequence[Scene], survey: Survey) -> Held:
    """The validation windows of as many scenes as hold a tenth of the labelled pixels in the mixture of the whole.

    Every strip costs the training a gap besides itself. With fewer than `FEW_SCENES` each scene keeps its own.
    """
    if len(usable) < FEW_SCENES:
        return held
    names = [scene.name for scene in usable]
    grids = {scene.name: scene.grid.window for scene in usable}
    parts = np.array([sum(pixels_in(survey.counts[n], grids[n], w) for w in held[n]) for n in names], dtype=np.float64)
    everything = sum(survey.counts[name].sum(axis=(0, 1)) for name in names)
    generator = np.random.default_rng(0)

    def cost(chosen: NDArray[np.int64]) -> float:
        part = parts[chosen].sum(axis=0)
        return abs(float(part.sum() / everything.sum()) - HELD_SHARE) + mixture_distance(part, everything)

    sizes = [k for k in range(2, len(names) + 1) if k * parts.sum() / len(names) <= 2 * HELD_SHARE * everything.sum()]
    draws = [generator.permutation(len(names))[: sizes[n % len(sizes)]] for n in range(DRAWS)] if sizes else []
    best = min(draws, key=cost, default=np.arange(len(names)))
    return {names[n]: held[names[n]] for n in sorted(best.tolist())}


def _by_name(
    dataset: Dataset, survey: Survey, usable: Sequence[Scene], validation: Sequence[str]
) -> tuple[Dataset, SplitReport]:
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
    return _reported(dataset, survey, usable, held, f"{len(held)} named scenes judge the training", forced=True)


def assign(
    dataset: Dataset, survey: Survey, usable: Sequence[Scene], held: Held, *, forced: bool = False
) -> tuple[Dataset, int]:
    """The data set with these validation windows, everything else trained on but for the gaps; and the widest gap.

    Training keeps clear of the validation windows of its own scene and of those that show the same ground, and of test
    scenes. With `forced`, the user has named the validation scenes, and only test ground is cut away.
    """
    reach = measured_reach(usable, survey)
    by_name = {scene.name: scene for scene in dataset.scenes}
    names = {scene.name for scene in usable}
    scenes, widest = [], 0
    for scene in dataset.scenes:
        own = held.get(scene.name, ())
        if scene.name not in names or own == (scene.grid.window,):
            scenes.append(replace(scene, train=(), validation=own))
            continue
        holes = [window for _, window in test_cuts(scene, dataset, survey.overlaps)]
        if not forced:
            holes += own
            for name, overlap in partners(scene.name, survey.overlaps):
                holes += [project(window, by_name[name], scene, overlap) for window in held.get(name, ())]
        gap = reach.gap_of(scene)
        kept_off = [grown(hole, gap) for hole in holes]
        train = training_windows(scene.grid.window, kept_off)
        if train != (scene.grid.window,):
            widest = max(widest, gap)
        scenes.append(replace(scene, train=train, validation=own))
    return with_roles(dataset, scenes), widest


def _reported(
    dataset: Dataset, survey: Survey, usable: Sequence[Scene], held: Held, how: str, *, forced: bool = False
) -> tuple[Dataset, SplitReport]:
    split, gap = assign(dataset, survey, usable, held, forced=forced)
    warnings, pixels = split_warnings(split, survey, usable)
    if gap:
        how += f"; training keeps up to {gap} px away from {'it' if held else 'test ground'}"
    joined = joined_groups(usable, survey)
    groups: dict[str, list[str]] = {}
    for name, group in joined.items():
        groups.setdefault(group, []).append(name)
    return split, SplitReport(how, tuple(warnings), pixels, tuple(tuple(g) for g in groups.values()), gap)


def split_warnings(split: Dataset, survey: Survey, usable: Sequence[Scene]) -> tuple[list[str], int]:
    """What to know of a split, a sentence each, and the number of training pixels that leak."""
    warnings, leaked = forced_leaks(split, survey.overlaps)
    for scene in split.scenes:
        if scene.validation == (scene.grid.window,):
            continue
        for test, window in test_cuts(scene, split, survey.overlaps):
            left = "" if scene.train else ", and nothing of it is left"
            gone = area_of((window.intersection(scene.grid.window),))
            warnings.append(
                f"{scene.name} shows {gone:,} px of the ground of the test scene {test}: they are not trained on{left}"
            )
    reach = measured_reach(usable, survey)
    parted = [s for s in split.scenes if s.train and s.validation]
    narrow = [s for s in parted if reach.gap_of(s) < reach.wanted_of(s)]
    if narrow:
        s = narrow[0]
        warnings.append(
            f"pixels stay alike over {reach.wanted_of(s)} px in {s.name}, and the gap between its sides is {reach.gap_of(s)} px, "
            f"a tenth of the scene ({len(narrow)} of {len(parted)} scenes): validation may flatter a little"
        )
    blank = [s.name for s in split.scenes if s.labels is not None and survey.counts[s.name].sum() == 0]
    if blank:
        shown = ", ".join(blank[:4]) + (", ..." if len(blank) > 4 else "")
        unsaid = split.rule.kind == "polygons" and not split.rule.drawing.extent
        why = "; if they are true negatives, say so by an extent under [data]" if unsaid else ""
        warnings.append(f"{len(blank)} scene(s) have labels without a labelled pixel and play no part: {shown}{why}")
    if not survey.compared:
        warnings.append(
            "the scenes have no CRS and are too many to compare by their looks: scenes of the same ground may stand on both "
            "sides; name groups by folders, or the validation scenes under [data]"
        )
    return warnings, leaked
