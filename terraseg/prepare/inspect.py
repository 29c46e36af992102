"""A project's data, looked through before anything is trained: every scene, every label file, the split and what follows."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from terraseg.core.dataset import Dataset, Scene
from terraseg.core.scale import scale_text
from terraseg.core.split import Overlap, SplitReport
from terraseg.core.window import Window
from terraseg.errors import TerrasegError
from terraseg.prepare.align import Misalignment, measure_offset, shift_setting
from terraseg.prepare.blocks import area_of
from terraseg.prepare.labelfacts import LabelFacts, declared_class_notes, label_facts
from terraseg.prepare.leaks import near_training
from terraseg.prepare.nodata import look_at_nodata
from terraseg.prepare.split import patch_sides, split_dataset
from terraseg.prepare.survey import Survey, survey_dataset
from terraseg.store.labels import open_labels
from terraseg.store.raster import open_raster

NEAR_DUPLICATE = 0.9
"""Scenes that share so much of the smaller one's ground are the same picture twice."""
SURE_ENOUGH = 1.5
"""Offsets in pixels from which a setting is offered to those who ask."""
SHOWN = 5
SLIGHT = 0.01
"""Less than this is what a map projection does to lengths."""
FAR = 8.0
"""Prediction resamples by at most this factor (see docs/fit.md)."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class SceneCheck:
    """One scene: what its files hold, its part in training, its shares of valid and labelled pixels, and of each class
    among the labelled.

    `nodata` is the value that means so, "alpha" where a band says it, None where nothing does. `offset_px` is by how many
    pixels down and right its labels lie beside what they show, None where that cannot be told. `brought` says how training
    changes the size of its pixels, "" where it does not.
    """

    name: str
    image: str
    labels: str | None
    height: int
    width: int
    gsd_m: float | None
    crs: str | None
    bands: tuple[str, ...]
    dtype: str
    nodata: float | str | None
    role: str
    valid_share: float | None = None
    labelled_share: float | None = None
    class_shares: tuple[float, ...] = ()
    offset_px: tuple[int, int] | None = None
    brought: str = ""


@dataclass(frozen=True)
class Inspection:
    """What was found of a project: rows by scene and by label file, the split, and sentences of three weights.

    `problems` would make training wrong or impossible, `warnings` may flatter scores or cost quality, `notes` tell of what
    is done. `settings` are lines for [data] that are offered. `near_pixels` are validation pixels less than a training patch
    away from training ground, `leak_pixels` training pixels of ground that judges them.
    """

    scenes: tuple[SceneCheck, ...]
    labels: tuple[LabelFacts, ...]
    classes: tuple[str, ...]
    class_pixels: tuple[int, ...] = ()
    train_pixels: int = 0
    validation_pixels: int = 0
    leak_pixels: int = 0
    near_pixels: int = 0
    overlaps: tuple[Overlap, ...] = ()
    split: str = ""
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self) | {"overlaps": [overlap.to_json() for overlap in self.overlaps]}


@dataclass
class _Said:
    """The sentences, as they come up."""

    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    settings: list[str] = field(default_factory=list)


_Header = tuple[str, float | str | None]
"""The pixel type in a scene's files, and what means nodata there: a value, "alpha", or None."""


@dataclass(frozen=True)
class _Found:
    """What was found of single scenes, by name."""

    headers: dict[str, _Header]
    offsets: dict[str, Misalignment]


def inspect_dataset(
    dataset: Dataset,
    validation: Sequence[str] = (),
    *,
    patch: int,
    align: bool = False,
    progress: Progress | None = None,
) -> Inspection:
    """What training would make of a data set, and what would go wrong; nothing is raised for what is wrong with the data.

    `validation` and `patch` are those of `split_dataset`. With `align` the offset of labels is measured over whole scenes,
    and a setting is offered for small ones too; otherwise one window a scene is looked at.
    """
    said = _Said()
    files = _inspect_labels(dataset, said)
    usable, headers = _without_unreadable(dataset, said)
    usable = _inspect_nodata(usable, said)
    _inspect_sizes(usable, said)
    found = _Found(headers, _inspect_offsets(usable, said, thorough=align))
    survey = _surveyed(usable, said, progress)
    if survey is None:
        return _inspected(dataset, files, found, said)
    try:
        split, report = split_dataset(usable, survey, validation, patch=patch)
    except TerrasegError as error:
        said.problems.append(str(error))
        return _inspected(usable, files, found, said, survey)
    near = _inspect_split(split, survey, report, patch, said)
    inspection = _inspected(split, files, found, said, survey)
    return replace(
        inspection, split=report.how, leak_pixels=report.leak_pixels, near_pixels=near, overlaps=survey.overlaps
    )


def _inspect_labels(dataset: Dataset, said: _Said) -> tuple[LabelFacts, ...]:
    if dataset.rule.kind != "polygons":
        said.notes += declared_class_notes(dataset)
        return ()
    facts = []
    for path in dict.fromkeys(s.labels for s in dataset.scenes if s.labels is not None):
        try:
            found = label_facts([s for s in dataset.scenes if s.labels == path], dataset)
        except TerrasegError as error:
            said.problems.append(str(error))
            continue
        facts.append(found)
        said.notes += found.notes()
        problem = found.problem(dataset.rule)
        said.problems += [] if problem is None else [problem]
    return tuple(facts)


def _without_unreadable(dataset: Dataset, said: _Said) -> tuple[Dataset, dict[str, _Header]]:
    """The data set without the scenes of which one pixel cannot be read, each of them a problem; and what headers say."""
    kept, headers = [], {}
    for scene in dataset.scenes:
        corner = Window(0, 0, 1, 1)
        try:
            with open_raster(scene.imagery) as raster:
                raster.read(corner)
                headers[scene.name] = (raster.file_dtype, raster.declared)
            if scene.labels is not None:
                with open_labels(scene, dataset) as labels:
                    labels.read(corner)
        except TerrasegError as error:
            # What is wrong with a file of polygons has been said once for all its scenes.
            if not any(scene.labels is not None and problem.startswith(scene.labels) for problem in said.problems):
                said.problems.append(str(error))
            continue
        kept.append(scene)
    return replace(dataset, scenes=tuple(kept)), headers


def _inspect_nodata(dataset: Dataset, said: _Said) -> Dataset:
    """Says what is wrong with nodata; the data set without the scenes that cannot be read after all."""
    borders: list[str] = []
    kept: list[Scene] = []
    for scene in dataset.scenes:
        try:
            found = look_at_nodata(scene)
        except TerrasegError as error:
            said.problems.append(str(error))
            continue
        kept.append(scene)
        if found is not None and found.is_wrong:
            said.problems.append(found.text)
        elif found is not None:
            borders.append(found.text)
    more = f" ({len(borders)} scenes have such borders)" if len(borders) > 1 else ""
    said.warnings += [borders[0] + more] if borders else []
    return replace(dataset, scenes=tuple(kept))


def _inspect_sizes(dataset: Dataset, said: _Said) -> None:
    """Says what becomes of scenes whose pixels are of another size than those of the middle one."""
    size, brought = dataset.usual_pixel, _brought(dataset)
    if size is None:
        return
    told = [f"{name} {text}" for name, text in brought.items() if text]
    if told:
        more = f" and {len(told) - SHOWN} more" if len(told) > SHOWN else ""
        said.notes.append(
            f"training works on one ground sample distance, {size.gsd_m:.3g} m, that of the middle scene: "
            f"{', '.join(told[:SHOWN])}{more}; their maps keep their own grids"
        )
    kept = [s.grid.gsd_m or size.gsd_m for s in dataset.scenes if not brought[s.name]]
    off = max((abs(gsd / size.gsd_m - 1) for gsd in kept), default=0.0)
    if off > SLIGHT:
        said.notes.append(f"pixels that differ from {size.gsd_m:.3g} m by up to {off:.0%} are trained on as they are")
    far = [s.name for s in dataset.scenes if 1 / dataset.scales()[s.name].mean > FAR]
    if far:
        said.warnings.append(
            f"{', '.join(far[:SHOWN])}: more than {FAR:.0f} times coarser than the middle scene's {size.gsd_m:.3g} m: its "
            "objects are less than a pixel; train a model of its own on it, or leave it out under images"
        )


def _brought(dataset: Dataset) -> dict[str, str]:
    """By scene how the size of its pixels is changed."""
    size, scales = dataset.usual_pixel, dataset.scales()
    if size is None:
        return dict.fromkeys(scales, "")
    return {s.name: scale_text(scales[s.name], s.grid.gsd_m or size.gsd_m, size) for s in dataset.scenes}


def _inspect_offsets(dataset: Dataset, said: _Said, *, thorough: bool) -> dict[str, Misalignment]:
    found: dict[str, Misalignment] = {}
    for scene in dataset.scenes:
        if scene.labels is None:
            continue
        try:
            measured = measure_offset(scene, dataset) if thorough else measure_offset(scene, dataset, parts=1)
        except TerrasegError:
            # What is wrong with its labels is said by the survey, which reads all of them.
            continue
        if measured is not None and measured.is_sure:
            found[scene.name] = measured
    off = [m for m in found.values() if m.is_off]
    if off:
        first = off[0]
        which = f"the labels of {first.scene} lie" if len(off) == 1 else f"the labels of {len(off)} scenes lie"
        example = "" if len(off) == 1 else f", those of {first.scene}"
        said.problems.append(
            f"{which} beside what they show{example} by {first.offset.length:.0f} px ({_where(first)}): check the CRS of both "
            f"in a GIS, or move the labels with the line {shift_setting(off, _shifted(dataset))} under [data]"
        )
    worth = [m for m in found.values() if m.offset.length >= SURE_ENOUGH] if thorough else off
    if worth:
        said.settings.append(shift_setting(worth, _shifted(dataset)))
    elif thorough:
        said.notes.append(
            f"the labels of {len(found)} scenes lie on what they show, to a pixel or two: no shift is needed"
        )
    return found


def _shifted(dataset: Dataset) -> list[Scene]:
    return [scene for scene in dataset.scenes if any(scene.shift)]


def _where(found: Misalignment) -> str:
    """Which way the labels lie off: the opposite of where they have to go."""
    rows, cols = found.offset.rows, found.offset.cols
    parts = [f"{abs(cols)} px {'left' if cols > 0 else 'right'}"] if cols else []
    parts += [f"{abs(rows)} px {'up' if rows > 0 else 'down'}"] if rows else []
    return " and ".join(parts)


def _surveyed(dataset: Dataset, said: _Said, progress: Progress | None) -> Survey | None:
    """The survey of the scenes; None where one cannot be read, and where what was wrong has left no labelled one."""
    if said.problems and not any(scene.labels is not None for scene in dataset.scenes):
        return None
    try:
        return survey_dataset(dataset, progress)
    except TerrasegError as error:
        said.problems += [] if str(error) in said.problems else [str(error)]
        return None


def _inspect_split(split: Dataset, survey: Survey, report: SplitReport, patch: int, said: _Said) -> int:
    """Says what the split gives rise to; the number of validation pixels near training ground."""
    said.warnings += report.warnings
    near = near_training(split, survey.overlaps, patch_sides(split, patch))
    total = sum(area_of(s.validation) for s in split.scenes)
    if near:
        names = ", ".join(list(near)[:SHOWN]) + (", ..." if len(near) > SHOWN else "")
        said.notes.append(
            f"{sum(near.values()):,} of {total:,} validation pixels lie within a training patch ({patch} px) of training ground "
            f"({names}); the gap between them is as wide as pixels stay alike"
        )
    twins = [o for o in survey.overlaps if o.share >= NEAR_DUPLICATE]
    if twins:
        pairs = "; ".join(f"{o.one} and {o.other}" for o in twins[:SHOWN])
        said.warnings.append(
            f"{len(twins)} pairs of scenes show nearly the same ground ({pairs}): one of each is enough"
        )
    partly = len(survey.overlaps) - len(twins)
    if partly:
        said.notes.append(f"{partly} pairs of scenes share some ground: they stand on one side of the split")
    pixels = _class_pixels(split, survey)
    missing = [name for name, count in zip(split.legend.names, pixels, strict=True) if count == 0]
    if missing:
        said.problems.append(f"no pixel is labelled {', '.join(missing)}: remove the class or mend its labels")
    if not any(s.train for s in split.scenes):
        said.problems.append("no labelled scene is left to train on: fewer test or validation scenes are needed")
    return sum(near.values())


def _class_pixels(dataset: Dataset, survey: Survey) -> tuple[int, ...]:
    counts = [c.sum(axis=(0, 1)) for c in survey.counts.values()]
    total = np.sum(counts, axis=0) if counts else np.zeros(len(dataset.legend), dtype=np.int64)
    return tuple(int(n) for n in total[: len(dataset.legend)])


def _inspected(
    dataset: Dataset,
    files: tuple[LabelFacts, ...],
    found: _Found,
    said: _Said,
    survey: Survey | None = None,
) -> Inspection:
    windows = {role: [area_of(s.windows(role)) for s in dataset.scenes] for role in ("train", "validation")}
    brought = _brought(dataset)
    return Inspection(
        scenes=tuple(
            replace(_row(scene, dataset, found, survey), brought=brought[scene.name]) for scene in dataset.scenes
        ),
        labels=files,
        classes=dataset.legend.names,
        class_pixels=() if survey is None else _class_pixels(dataset, survey),
        train_pixels=sum(windows["train"]),
        validation_pixels=sum(windows["validation"]),
        problems=tuple(said.problems),
        warnings=tuple(said.warnings),
        notes=tuple(said.notes),
        settings=tuple(said.settings),
    )


def _row(scene: Scene, dataset: Dataset, found: _Found, survey: Survey | None) -> SceneCheck:
    grid = scene.grid
    both = "train and validation" if scene.validation else "train"
    role = "test" if scene.is_test else both if scene.train else "validation" if scene.validation else "map only"
    imagery = scene.imagery
    dtype, declared = found.headers.get(scene.name, ("-", None))
    row = SceneCheck(
        name=scene.name,
        image=imagery.paths[0],
        labels=scene.labels,
        height=grid.height,
        width=grid.width,
        gsd_m=grid.gsd_m,
        crs=grid.crs,
        bands=imagery.bands,
        dtype=dtype,
        nodata=declared if imagery.nodata is None else imagery.nodata,
        role=role,
    )
    if scene.name in found.offsets:
        offset = found.offsets[scene.name].offset
        row = replace(row, offset_px=(offset.rows, offset.cols))
    if survey is None or scene.name not in survey.counts:
        return row
    kinds, pixels = survey.counts[scene.name].sum(axis=(0, 1)), grid.height * grid.width
    labelled = int(kinds[-1] if dataset.coding.overlapping else kinds.sum())
    shares = tuple(float(n) / max(1, labelled) for n in kinds[: len(dataset.legend)])
    valid = survey.valid.get(scene.name, pixels) / pixels
    return replace(row, valid_share=valid, labelled_share=labelled / pixels, class_shares=shares)
