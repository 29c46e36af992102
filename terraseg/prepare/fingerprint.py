"""Facts of a data set, read from its pixels: band statistics, class counts, resolution, objects, shared ground."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from terraseg.core.classes import VOID
from terraseg.core.coding import Coding
from terraseg.core.dataset import Dataset, Role, Scene
from terraseg.core.fingerprint import BandFacts, Fingerprint, ObjectFacts, SceneFacts
from terraseg.core.imagery import QUANTILES, ImageryFacts
from terraseg.core.window import Window, cut
from terraseg.errors import EmptyDataset
from terraseg.pixels.objects import ObjectSizes, object_sizes
from terraseg.pixels.statistics import BandStatistics, cell_shares
from terraseg.prepare.split import measured_reach, usable_scenes
from terraseg.prepare.survey import Survey
from terraseg.store.labels import open_labels
from terraseg.store.raster import open_raster

BLOCK = 1024
SAMPLED_PIXELS = 32_000_000
OBJECT_PIXELS = 12_000_000
MOSTLY_WHOLE = 0.5
FEWEST_CELLS = 24
"""Cells of 256 px below which nothing is said of how colours usually stand to each other."""


def measure_fingerprint(dataset: Dataset, survey: Survey) -> Fingerprint:
    """The facts of a split data set: statistics over (a regular sample of) the training windows, class counts, scenes."""
    train = list(dataset.labelled("train"))
    if not train:
        raise EmptyDataset(
            "no labelled scene is left to train on: fewer test or validation scenes, or more labels, are needed"
        )
    bands, imagery = band_facts(dataset, train)
    labelled = [scene for scene in dataset.scenes if scene.labels is not None]
    pixels = sum(s.grid.height * s.grid.width for s in labelled)
    valid = sum(survey.valid.get(s.name, s.grid.height * s.grid.width) for s in labelled)
    gsds = [gsd for s in dataset.scenes if (gsd := s.grid.gsd_m) is not None]
    on_ground = bool(train) and all(scene.grid.crs is not None for scene, _ in train)
    size, reach = dataset.usual_pixel, measured_reach(usable_scenes(dataset, survey), survey)
    classes, trained = len(dataset.legend), _kind_pixels(dataset, survey, "train")
    totals = [survey.counts[s.name].sum(axis=(0, 1))[:classes] for s in labelled]
    return Fingerprint(
        dtype=dataset.dtype,
        bands=bands,
        scenes=tuple(_scene_facts(scene, dataset, survey) for scene in dataset.scenes),
        class_names=dataset.legend.names,
        class_pixels=trained[:classes],
        train_pixels=sum(w.height * w.width for _, w in train),
        validation_pixels=sum(w.height * w.width for _, w in dataset.labelled("validation")),
        gsd_m=None if size is None else size.gsd_m,
        gsd_range_m=(min(gsds), max(gsds)) if gsds else None,
        validation_class_pixels=_kind_pixels(dataset, survey, "validation")[:classes],
        class_scenes=tuple(int(n) for n in np.sum([total > 0 for total in totals], axis=0)),
        valid_pixels=valid,
        nodata_share=1 - valid / pixels,
        autocorrelation_px=reach.px,
        autocorrelation_m=reach.m,
        object_unit="m" if on_ground else "px",
        objects=_object_facts(dataset, train, on_ground=on_ground),
        overlaps=survey.overlaps,
        overlapping=dataset.coding.overlapping,
        labelled_pixels=_labelled(trained, dataset),
        imagery=imagery,
        sensed_dtype="" if dataset.indices is None else dataset.indices.dtype,
        brought_pixels=_brought(train, dataset),
    )


def _brought(train: Sequence[tuple[Scene, Window]], dataset: Dataset) -> int:
    """Training pixels once each scene is brought to the usual size."""
    scales = dataset.scales()
    whole = [w.reduced(scales[scene.name].rows, scales[scene.name].cols) for scene, w in train]
    return sum(w.height * w.width for w in whole)


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
    counts = (0,) * dataset.coding.kinds if found is None else tuple(int(n) for n in found.sum(axis=(0, 1)))
    return SceneFacts(
        scene.name,
        scene.grid.height,
        scene.grid.width,
        scene.grid.gsd_m,
        survey.valid.get(scene.name, pixels) / pixels,
        _labelled(counts, dataset) / pixels,
        counts[: len(dataset.legend)],
    )


def _labelled(kinds: tuple[int, ...], dataset: Dataset) -> int:
    """All labelled pixels from those of each kind, of which a pixel of several classes has several."""
    return kinds[-1] if dataset.coding.overlapping else sum(kinds)


def _kind_pixels(dataset: Dataset, survey: Survey, role: Role) -> tuple[int, ...]:
    """Labelled pixels of each kind in the windows of a role; only the labels of parted scenes are read again."""
    total = np.zeros(dataset.coding.kinds, dtype=np.int64)
    for scene in dataset.scenes:
        windows = scene.windows(role) if scene.labels is not None else ()
        if windows == (scene.grid.window,):
            total += survey.counts[scene.name].sum(axis=(0, 1))
        elif windows:
            total += _count_windows(scene, dataset, windows)
    return tuple(int(n) for n in total)


def _count_windows(scene: Scene, dataset: Dataset, windows: Sequence[Window]) -> NDArray[np.int64]:
    total = np.zeros(dataset.coding.kinds, dtype=np.int64)
    with open_labels(scene, dataset) as labels, open_raster(scene.imagery) as raster:
        for window in (block for whole in windows for block in cut(whole, BLOCK, BLOCK)):
            values = np.where(raster.read(window).valid, labels.read(window), VOID)
            total += dataset.coding.count(values)
    return total


def _sampled(windows: Sequence[tuple[Scene, Window]], most: int) -> list[tuple[Scene, Window]]:
    """Every k-th block of the windows, so that at most about `most` pixels are read."""
    blocks = [(scene, block) for scene, whole in windows for block in cut(whole, BLOCK, BLOCK)]
    total = sum(w.height * w.width for _, w in blocks)
    return blocks[:: max(1, -(-total // most))]


def band_facts(dataset: Dataset, train: Sequence[tuple[Scene, Window]]) -> tuple[tuple[BandFacts, ...], ImageryFacts]:
    """Statistics of each band over training windows (a regular sample of them), and what a model keeps of their look."""
    statistics = BandStatistics(len(dataset.bands))
    shares: list[float] = []
    for scene, window in _sampled(train, SAMPLED_PIXELS):
        with open_raster(scene.imagery) as raster:
            patch = raster.read(window)
        statistics.add(patch.pixels[:, patch.valid])
        if {"red", "blue"} <= set(dataset.bands):
            red, blue = (patch.pixels[dataset.bands.index(name)] for name in ("red", "blue"))
            shares += cell_shares(red, blue, patch.valid)
    if statistics.count == 0:
        raise EmptyDataset(
            "no training pixel is valid: all are nodata; check nodata under [data] and the masks of the imagery"
        )
    size = dataset.usual_pixel
    quantiles = tuple(tuple(float(v) for v in band) for band in statistics.percentiles(QUANTILES))
    imagery = ImageryFacts(quantiles, _typical(shares), _gsd_range(train), 1.0 if size is None else size.aspect)
    facts = zip(dataset.bands, statistics.mean, statistics.std, *(imagery.at(p) for p in (1, 50, 99)), strict=True)
    return tuple(BandFacts(name, *(float(value) for value in values)) for name, *values in facts), imagery


def _typical(shares: Sequence[float]) -> tuple[float, float] | None:
    """The 10th and the 90th percentile of the cells' shares; None where cells are too few to tell what is usual."""
    if len(shares) < FEWEST_CELLS:
        return None
    low, high = np.percentile(shares, (10, 90))
    return float(low), float(high)


def _gsd_range(train: Sequence[tuple[Scene, Window]]) -> tuple[float, float] | None:
    """The range of ground sample distances, None without a CRS."""
    gsds = [gsd for scene, _ in train if (gsd := scene.grid.gsd_m) is not None]
    return (min(gsds), max(gsds)) if gsds else None


def _object_facts(
    dataset: Dataset, train: Sequence[tuple[Scene, Window]], *, on_ground: bool
) -> tuple[ObjectFacts, ...]:
    """Sizes of the objects of each class in sampled blocks; on the ground each by its own scene's pixel size."""
    classes = len(dataset.legend)
    found: list[list[ObjectSizes]] = [[] for _ in range(classes)]
    for scene, window in _sampled(train, OBJECT_PIXELS):
        side = (scene.grid.gsd_m or 1.0) if on_ground else 1.0
        with open_labels(scene, dataset) as labels:
            sizes = _sizes(labels.read(window), dataset.coding)
        for k, of_class in enumerate(sizes):
            found[k].append(ObjectSizes(of_class.area * side**2, of_class.width * side, of_class.cut))
    return tuple(_percentiles(name, parts) for name, parts in zip(dataset.legend.names, found, strict=True))


def _sizes(labels: NDArray[np.uint8], coding: Coding) -> tuple[ObjectSizes, ...]:
    """The objects of each class; where classes overlap each has its own edges."""
    if not coding.overlapping:
        return object_sizes(labels, coding.classes)
    planes = (np.where(labels == VOID, VOID, coding.plane(labels, k)).astype(np.uint8) for k in range(coding.classes))
    return tuple(object_sizes(plane, 2)[1] for plane in planes)


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
