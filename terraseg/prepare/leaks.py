"""Ground that training shares with what judges it: found, counted, and named."""

from collections.abc import Iterator, Mapping, Sequence

from terraseg.core.dataset import Dataset, Scene
from terraseg.core.split import Overlap
from terraseg.core.window import Window
from terraseg.prepare.blocks import area_of, grown, without
from terraseg.prepare.overlap import project

SHOWN = 3


def partners(name: str, overlaps: Sequence[Overlap]) -> Iterator[tuple[str, Overlap]]:
    """The scenes that share ground with a scene, by name, each with the overlap."""
    for overlap in overlaps:
        if name == overlap.one:
            yield overlap.other, overlap
        elif name == overlap.other:
            yield overlap.one, overlap


def test_cuts(scene: Scene, dataset: Dataset, overlaps: Sequence[Overlap]) -> list[tuple[str, Window]]:
    """The ground of test scenes that a labelled scene shows, in its pixels, each with the test scene's name.

    The windows may reach beyond the scene, whose own part of them is not empty.
    """
    if scene.is_test or scene.labels is None:
        return []
    by_name = {s.name: s for s in dataset.scenes}
    cuts = []
    for name, overlap in partners(scene.name, overlaps):
        test = by_name[name]
        if test.is_test:
            window = project(test.grid.window, test, scene, overlap)
            cuts += [(name, window)] if not window.intersection(scene.grid.window).is_empty else []
    return cuts


def forced_leaks(dataset: Dataset, overlaps: Sequence[Overlap]) -> tuple[list[str], int]:
    """Warnings for ground on both sides of a split, with pixel counts, and the number of training pixels that leak.

    Pixels leak that a validation scene shows too, and all of a group whose scenes stand on both sides though nothing is
    known of where they meet: parts of one flight look alike. Scenes that are themselves parted do not count: a gap keeps
    their sides apart.
    """
    whole = [s for s in dataset.scenes if s.validation and not s.train]
    training = [s for s in dataset.scenes if s.train]
    mixed = sorted({s.group for s in whole} & {s.group for s in training if not s.validation})
    warnings, total = [], sum(area_of(s.train) for s in training if s.group in mixed)
    if mixed:
        warnings.append(
            f"{len(mixed)} group(s) of scenes stand on both sides ({_few(mixed)}): {total:,} training pixels are of the ground "
            "that judges them or next to it, so the scores flatter; name whole groups under validation in [data]"
        )
    shared = {s.name: _seen_twice(s, dataset, overlaps) for s in training}
    shared = {name: pixels for name, pixels in shared.items() if pixels}
    group_of = {s.name: s.group for s in dataset.scenes}
    total += sum(pixels for name, pixels in shared.items() if group_of[name] not in mixed)
    if shared:
        warnings.append(
            f"{sum(shared.values()):,} training pixels show ground that validation scenes show too ({_few(list(shared))}), so "
            "the scores flatter; let terraseg choose the validation scenes, or name all that overlap"
        )
    return warnings, total


def near_training(dataset: Dataset, overlaps: Sequence[Overlap], patches: Mapping[str, int]) -> dict[str, int]:
    """Validation pixels by scene that lie less than a training patch away from training ground, or on it; without zeros.

    `patches` are the sides of one by scene, in its pixels. Distances are along rows and columns; ground that other scenes
    show too counts.
    """
    by_name = {s.name: s for s in dataset.scenes}
    near: dict[str, int] = {}
    for scene in dataset.scenes:
        if scene.validation:
            trained = list(scene.train)
            for name, overlap in partners(scene.name, overlaps):
                trained += [project(window, by_name[name], scene, overlap) for window in by_name[name].train]
            reached = [grown(window, patches[scene.name]) for window in trained]
            pixels = area_of(scene.validation) - area_of(without(scene.validation, reached))
            near |= {scene.name: pixels} if pixels else {}
    return near


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")


def _seen_twice(scene: Scene, dataset: Dataset, overlaps: Sequence[Overlap]) -> int:
    """Training pixels of a scene whose ground lies in validation windows of other scenes."""
    by_name = {s.name: s for s in dataset.scenes}
    seen = [
        project(window, by_name[name], scene, overlap)
        for name, overlap in partners(scene.name, overlaps)
        for window in by_name[name].validation
    ]
    return area_of(scene.train) - area_of(without(scene.train, seen))
