"""Facts of a data set, read from its pixels: band statistics, class counts, resolution."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from terraseg.core.classes import VOID
from terraseg.core.dataset import OUTSIDE, Dataset, Scene
from terraseg.core.fingerprint import BandFacts, Fingerprint, SceneFacts
from terraseg.core.window import Window, cut
from terraseg.errors import EmptyDataset, NoOverlap
from terraseg.pixels.statistics import BandStatistics
from terraseg.prepare.split import STRIPS, BlockCounts
from terraseg.store.labels import open_labels
from terraseg.store.raster import open_raster

BLOCK = 1024
SAMPLED_PIXELS = 32_000_000
Progress = Callable[[int, int], None]


def count_classes(dataset: Dataset, progress: Progress | None = None) -> BlockCounts:
    """Labelled pixels per class of every labelled scene, in `STRIPS` x `STRIPS` blocks; all labels are read once.

    Raises `NoOverlap` when labels meet no scene, `EmptyDataset` when none is labelled, `UnknownClass` for a label value
    that the project file does not list.
    """
    labelled = [scene for scene in dataset.scenes if scene.labels is not None]
    if not labelled:
        raise EmptyDataset(
            "no scene has labels: name label files under [data], or check that their names fit the images'"
        )
    counts = {}
    for number, scene in enumerate(labelled):
        counts[scene.name] = _count_scene(scene, dataset)
        if progress is not None:
            progress(number + 1, len(labelled))
    _labels_meet_scenes(dataset, labelled, counts)
    return counts


def _count_scene(scene: Scene, dataset: Dataset) -> NDArray[np.int64]:
    classes = len(dataset.legend)
    counts = np.zeros((STRIPS, STRIPS, classes), dtype=np.int64)
    rows = np.linspace(0, scene.grid.height, STRIPS + 1).astype(int)
    cols = np.linspace(0, scene.grid.width, STRIPS + 1).astype(int)
    with open_labels(scene, dataset) as labels, open_raster(scene.imagery) as raster:
        for i in range(STRIPS):
            for j in range(STRIPS):
                part = Window(int(rows[i]), int(cols[j]), int(rows[i + 1] - rows[i]), int(cols[j + 1] - cols[j]))
                for window in cut(part, BLOCK, BLOCK):
                    values = np.where(raster.read(window).valid, labels.read(window), VOID)
                    counts[i, j] += np.bincount(values.ravel(), minlength=256)[:classes]
    return counts


def _labels_meet_scenes(dataset: Dataset, labelled: Sequence[Scene], counts: BlockCounts) -> None:
    """Polygon labels must touch their scenes; a scene that is all background by mistake is the commonest silent error."""
    if dataset.rule.kind != "polygons":
        if not any(c.sum() for c in counts.values()):
            raise EmptyDataset(
                f"no pixel of the {len(labelled)} labelled scene(s) has a class (see {labelled[0].labels}): all values are under "
                "ignore in [data], or the labels do not lie on their imagery; check both in a GIS"
            )
        return
    outside = dataset.rule.index_of().get(OUTSIDE, VOID)
    drawn = {name: c.sum() - (c[..., outside].sum() if outside != VOID else 0) for name, c in counts.items()}
    for path in sorted({scene.labels for scene in labelled if scene.labels is not None}):
        names = [scene.name for scene in labelled if scene.labels == path]
        if sum(drawn[name] for name in names) == 0:
            raise NoOverlap(
                f"{path} covers none of its scenes ({', '.join(names[:4])}): the labels lie elsewhere on the ground, or their "
                "CRS is wrong; check both in a GIS, or leave the file out of labels under [data]"
            )


def measure_fingerprint(dataset: Dataset, counts: BlockCounts) -> Fingerprint:
    """The facts of a split data set: band statistics over (a regular sample of) the training windows, class counts, scenes."""
    train = list(dataset.labelled("train"))
    if not train:
        raise EmptyDataset(
            "no labelled scene is left to train on: fewer test or validation scenes, or more labels, are needed"
        )
    bands, valid_shares = _band_statistics(dataset, train)
    train_counts = _class_pixels(dataset, train)
    facts = []
    for scene in dataset.scenes:
        pixels = scene.grid.height * scene.grid.width
        scene_counts = (
            counts[scene.name].sum(axis=(0, 1)) if scene.name in counts else np.zeros(len(dataset.legend), int)
        )
        facts.append(
            SceneFacts(
                scene.name,
                scene.grid.height,
                scene.grid.width,
                scene.grid.gsd_m,
                valid_shares.get(scene.name, 1.0),
                float(scene_counts.sum() / pixels),
                tuple(int(n) for n in scene_counts),
            )
        )
    gsds = [f.gsd_m for f in facts if f.gsd_m is not None]
    validation = sum(w.height * w.width for _, w in dataset.labelled("validation"))
    return Fingerprint(
        dataset.dtype,
        bands,
        tuple(facts),
        dataset.legend.names,
        tuple(int(n) for n in train_counts),
        sum(w.height * w.width for _, w in train),
        validation,
        float(np.median(gsds)) if gsds else None,
    )


def _class_pixels(dataset: Dataset, windows: Sequence[tuple[Scene, Window]]) -> NDArray[np.int64]:
    total = np.zeros(len(dataset.legend), dtype=np.int64)
    for scene, whole in windows:
        with open_labels(scene, dataset) as labels:
            for window in cut(whole, BLOCK, BLOCK):
                total += np.bincount(labels.read(window).ravel(), minlength=256)[: len(total)]
    return total


def _band_statistics(
    dataset: Dataset, train: Sequence[tuple[Scene, Window]]
) -> tuple[tuple[BandFacts, ...], dict[str, float]]:
    """Per-band facts and the valid share by scene, from every k-th block so that at most `SAMPLED_PIXELS` are read."""
    blocks = [(scene, window) for scene, whole in train for window in cut(whole, BLOCK, BLOCK)]
    total = sum(w.height * w.width for _, w in blocks)
    step = max(1, -(-total // SAMPLED_PIXELS))
    statistics = BandStatistics(len(dataset.bands))
    valid: dict[str, list[float]] = {}
    for scene, window in blocks[::step]:
        with open_raster(scene.imagery) as raster:
            patch = raster.read(window)
        statistics.add(patch.pixels[:, patch.valid])
        valid.setdefault(scene.name, []).append(float(patch.valid.mean()))
    if statistics.count == 0:
        raise EmptyDataset(
            "no training pixel is valid: all are nodata; check nodata under [data] and the masks of the imagery"
        )
    percentiles = statistics.percentiles((1, 50, 99))
    facts = tuple(
        BandFacts(name, float(statistics.mean[b]), float(statistics.std[b]), *(float(v) for v in percentiles[b]))
        for b, name in enumerate(dataset.bands)
    )
    return facts, {name: float(np.mean(shares)) for name, shares in valid.items()}
