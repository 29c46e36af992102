"""Facts of a data set, read from its pixels: band statistics, class counts, resolution, objects, shared ground."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from terraseg.core.classes import VOID
from terraseg.core.dataset import Dataset, Role, Scene
from terraseg.core.fingerprint import BandFacts, Fingerprint, ObjectFacts, SceneFacts
from terraseg.core.window import Window, cut
from terraseg.errors import EmptyDataset
from terraseg.pixels.objects import ObjectSizes, object_sizes
from terraseg.pixels.statistics import BandStatistics
from terraseg.prepare.split import measured_reach, usable_scenes
from terraseg.prepare.survey import Survey
from terraseg.store.labels import open_labels
from terraseg.store.raster import open_raster

BLOCK = 1024
SAMPLED_PIXELS = 32_000_000
OBJECT_PIXELS = 12_000_000
MOSTLY_WHOLE = 0.5


def measure_fingerprint(dataset: Dataset, survey: Survey) -> Fingerprint:
    """The facts of a split data set: statistics over (a regular sample of) the training windows, class counts, scenes."""
    train = list(dataset.labelled("train"))
    if not train:
        raise EmptyDataset(
            "no labelled scene is left to train on: fewer test or validation scenes, or more labels, are needed"
        )
    bands = _band_facts(dataset, train)
    labelled = [scene for scene in dataset.scenes if scene.labels is not None]
    pixels = sum(s.grid.height * s.grid.width for s in labelled)
    valid = sum(survey.valid.get(s.name, s.grid.height * s.grid.width) for s in labelled)
    gsds = [gsd for s in dataset.scenes if (gsd := s.grid.gsd_m) is not None]
    on_ground = bool(train) and all(scene.grid.crs is not None for scene, _ in train)
    reach = measured_reach(usable_scenes(dataset, survey), survey)
    totals = [survey.counts[s.name].sum(axis=(0, 1)) for s in labelled]
    return Fingerprint(
        dtype=dataset.dtype,
        bands=bands,
        scenes=tuple(_scene_facts(scene, dataset, survey) for scene in dataset.scenes),
        class_names=dataset.legend.names,
        class_pixels=_class_pixels(dataset, survey, "train"),
        train_pixels=sum(w.height * w.width for _, w in train),
        validation_pixels=sum(w.height * w.width for _, w in dataset.labelled("validation")),
        gsd_m=float(np.median(gsds)) if gsds else None,
        gsd_range_m=(min(gsds), max(gsds)) if gsds else None,
        validation_class_pixels=_class_pixels(dataset, survey, "validation"),
        class_scenes=tuple(int(n) for n in np.sum([total > 0 for total in totals], axis=0)),
        valid_pixels=valid,
        nodata_share=1 - valid / pixels,
        autocorrelation_px=reach.px,
        autocorrelation_m=reach.m,
        object_unit="m" if on_ground else "px",
        objects=_object_facts(dataset, train, on_ground=on_ground),
        overlaps=survey.overlaps,
    )


def class_warnings(facts: Fingerprint) -> tuple[str, ...]:
    """A sentence for each class that has no training pixel: training goes on, and the model will never map it."""
    warnings = []
    for name, trained, judged in zip(facts.class_names, facts.class_pixels, facts.validation_class_pixels, strict=True):
        if trained:
            continue
        where = "only where the training is judged" if judged else "nowhere in what can be trained on"
        warnings.append(
            f"no training pixel is labelled {name} ({where}), so the model will never map it: label some, choose validation "
            "and test scenes that leave it to training, or take the class out of [data]"
        )
    return tuple(warnings)


def _scene_facts(scene: Scene, dataset: Dataset, survey: Survey) -> SceneFacts:
    pixels = scene.grid.height * scene.grid.width
    found = survey.counts.get(scene.name)
    counts = np.zeros(len(dataset.legend), dtype=np.int64) if found is None else found.sum(axis=(0, 1))
    return SceneFacts(
        scene.name,
        scene.grid.height,
        scene.grid.width,
        scene.grid.gsd_m,
        survey.valid.get(scene.name, pixels) / pixels,
        float(counts.sum() / pixels),
        tuple(int(n) for n in counts),
    )


def _class_pixels(dataset: Dataset, survey: Survey, role: Role) -> tuple[int, ...]:
    """Labelled pixels of each class in the windows of a role; only the labels of parted scenes are read again."""
    total = np.zeros(len(dataset.legend), dtype=np.int64)
    for scene in dataset.scenes:
        windows = scene.windows(role) if scene.labels is not None else ()
        if windows == (scene.grid.window,):
            total += survey.counts[scene.name].sum(axis=(0, 1))
        elif windows:
            total += _count_windows(scene, dataset, windows)
    return tuple(int(n) for n in total)


def _count_windows(scene: Scene, dataset: Dataset, windows: Sequence[Window]) -> NDArray[np.int64]:
    classes = len(dataset.legend)
    total = np.zeros(classes, dtype=np.int64)
    with open_labels(scene, dataset) as labels, open_raster(scene.imagery) as raster:
        for window in (block for whole in windows for block in cut(whole, BLOCK, BLOCK)):
            values = np.where(raster.read(window).valid, labels.read(window), VOID)
            total += np.bincount(values.ravel(), minlength=256)[:classes]
    return total


def _sampled(windows: Sequence[tuple[Scene, Window]], most: int) -> list[tuple[Scene, Window]]:
    """Every k-th block of the windows, so that at most about `most` pixels are read."""
    blocks = [(scene, block) for scene, whole in windows for block in cut(whole, BLOCK, BLOCK)]
    total = sum(w.height * w.width for _, w in blocks)
    return blocks[:: max(1, -(-total // most))]


def _band_facts(dataset: Dataset, train: Sequence[tuple[Scene, Window]]) -> tuple[BandFacts, ...]:
    statistics = BandStatistics(len(dataset.bands))
    for scene, window in _sampled(train, SAMPLED_PIXELS):
        with open_raster(scene.imagery) as raster:
            patch = raster.read(window)
        statistics.add(patch.pixels[:, patch.valid])
    if statistics.count == 0:
        raise EmptyDataset(
            "no training pixel is valid: all are nodata; check nodata under [data] and the masks of the imagery"
        )
    percentiles = statistics.percentiles((1, 50, 99))
    return tuple(
        BandFacts(name, float(statistics.mean[b]), float(statistics.std[b]), *(float(v) for v in percentiles[b]))
        for b, name in enumerate(dataset.bands)
    )


def _object_facts(
    dataset: Dataset, train: Sequence[tuple[Scene, Window]], *, on_ground: bool
) -> tuple[ObjectFacts, ...]:
    """Sizes of the objects of each class in sampled blocks; on the ground each by its own scene's pixel size."""
    classes = len(dataset.legend)
    found: list[list[ObjectSizes]] = [[] for _ in range(classes)]
    for scene, window in _sampled(train, OBJECT_PIXELS):
        side = (scene.grid.gsd_m or 1.0) if on_ground else 1.0
        with open_labels(scene, dataset) as labels:
            sizes = object_sizes(labels.read(window), classes)
        for k, of_class in enumerate(sizes):
            found[k].append(ObjectSizes(of_class.area * side**2, of_class.width * side, of_class.cut))
    return tuple(_percentiles(name, parts) for name, parts in zip(dataset.legend.names, found, strict=True))


def _percentiles(name: str, parts: Sequence[ObjectSizes]) -> ObjectFacts:
    area, width, is_cut = (
        np.concatenate([getattr(part, field) for part in parts]) for field in ("area", "width", "cut")
    )
    if not len(area):
        return ObjectFacts(name, 0, (0.0, 0.0, 0.0), (0.0, 0.0, 0.0), 0.0)
    cut_share = float(area[is_cut].sum() / area.sum())
    whole = ~is_cut if cut_share < MOSTLY_WHOLE else np.ones(len(area), dtype=np.bool_)
    areas = weighted_percentiles(area[whole], area[whole])
    return ObjectFacts(name, len(area), areas, weighted_percentiles(width, area), cut_share)


def weighted_percentiles(values: NDArray[np.float64], weights: NDArray[np.float64]) -> tuple[float, float, float]:
    """The values below which a tenth, half and nine tenths of the weight lie; at least one value.

    >>> weighted_percentiles(np.array([1.0, 9.0]), np.array([1.0, 99.0]))
    (9.0, 9.0, 9.0)
    """
    order = np.argsort(values, kind="stable")
    upto = np.cumsum(weights[order]) / weights.sum()
    low, middle, high = (float(values[order[np.searchsorted(upto, share)]]) for share in (0.1, 0.5, 0.9))
    return low, middle, high
