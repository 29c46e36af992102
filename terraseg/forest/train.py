"""Training a forest: from a data set and a plan to a graph and its description."""

import platform
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from importlib.metadata import version
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from terraseg.core.dataset import Dataset
from terraseg.core.fingerprint import Fingerprint
from terraseg.core.modelspec import FOREST, ModelSpec
from terraseg.core.plan import Plan
from terraseg.errors import BadOption, EmptyDataset
from terraseg.forest.features import add_features, feature_count
from terraseg.forest.fit import as_trees, grow
from terraseg.forest.light import GAIN, relit
from terraseg.forest.options import ForestOptions
from terraseg.forest.sample import PER_PATCH, Patch, draw_patches, draw_pixels, pixel_weights
from terraseg.forest.trees import Trees, add_trees
from terraseg.graphs.model import assembled, finished_model, free_size, normalised, reduced, restored
from terraseg.graphs.sketch import Sketch
from terraseg.store.cache import TrainingScene, training_scenes
from terraseg.store.rundir import RunFolder

Progress = Callable[[float, str], None]
"""Called with the share of the work that is done, and what is being done."""

Drawn = tuple[NDArray[np.float32], NDArray[np.uint8]]
"""Features (n, features) and class indices (n,) of pixels."""


@dataclass(frozen=True, eq=False)
class ForestModel:
    """A grown forest: the content of `model.onnx`, its description, and its arrays for the bundle's weights.

    `absent` names the classes that no drawn pixel had: the forest gives them the probability 0.
    """

    onnx: bytes
    spec: ModelSpec
    trees: Trees
    absent: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Ground:
    """What pixels are drawn from: the open scenes, of which one thread at a time reads, how to see them, and the plan."""

    scenes: Sequence[TrainingScene]
    spec: ModelSpec
    plan: Plan
    features: Callable[[NDArray[Any]], NDArray[np.float32]]
    reading: Lock


def train_forest(
    dataset: Dataset,
    fingerprint: Fingerprint,
    plan: Plan,
    run: RunFolder,
    *,
    options: ForestOptions | None = None,
    cache_gb: float = 4.0,
    progress: Progress | None = None,
) -> ForestModel:
    """A forest on the training windows, at the plan's working resolution, tile, augmentation of light, and seed.

    The same call gives the same bytes, on any number of threads. The scenes are those of the run's cache. Raises
    `EmptyDataset` when there is nothing to train on, or pixels of one class only; `BadOption` for overlapping classes;
    `MissingExtra` without scikit-learn.
    """
    if dataset.coding.overlapping:
        raise BadOption(
            "the classes overlap under [data], and the trees of a forest give every pixel one class: train a network, without "
            "--model forest or --ensemble"
        )
    chosen = options or ForestOptions()
    say = progress or (lambda _share, _text: None)
    spec = _spec(dataset, fingerprint, plan, chosen)
    arguments: dict[str, Any] = {"cache_gb": cache_gb, "fill": spec.mean, "working": plan.working}
    with training_scenes(dataset, run.cache, **arguments) as scenes:
        patches = draw_patches(scenes, chosen.pixels, plan.seed)
        ground = Ground(scenes, spec, plan, feature_runner(spec), Lock())
        drawn = []
        for number, part in enumerate(_draw_all(ground, patches)):
            drawn.append(part)
            say(0.6 * number / len(patches), "patches of training ground")
    features, labels = (np.concatenate(parts) for parts in zip(*drawn, strict=True))
    absent = _absent(labels, dataset)
    say(0.6, f"growing {chosen.trees} trees on {len(labels):,} pixels")
    weights = pixel_weights(labels, fingerprint.class_shares)
    grown = grow(features, labels, weights, chosen, seed=plan.seed, threads=plan.threads)
    trees = as_trees(grown, len(dataset.legend))
    return ForestModel(forest_onnx(trees, spec), spec, trees, absent)


def feature_runner(spec: ModelSpec) -> Callable[[NDArray[Any]], NDArray[np.float32]]:
    """A function from raw pixels (bands, height, width) at the working resolution to features (features, height, width)."""
    import onnxruntime

    sketch = Sketch()
    result = add_features(sketch, normalised(sketch, spec), spec)
    output = free_size(result, 1, feature_count(len(spec.bands)))
    model = assembled(sketch.nodes, sketch.constants.values(), spec, output)
    settings = onnxruntime.SessionOptions()
    # One thread a session: patches run side by side, and no sum depends on how a machine shares it out.
    settings.intra_op_num_threads = settings.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), settings, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def run(pixels: NDArray[Any]) -> NDArray[np.float32]:
        return np.asarray(session.run(None, {name: np.ascontiguousarray(pixels[None])})[0][0], dtype=np.float32)

    return run


def forest_onnx(trees: Trees, spec: ModelSpec) -> bytes:
    """The whole graph: raw pixels at full resolution to class probabilities."""
    sketch = Sketch()
    images = reduced(sketch, normalised(sketch, spec), spec.reduction)
    votes = add_trees(sketch, add_features(sketch, images, spec), trees)
    return finished_model(sketch, restored(sketch, votes, spec.reduction), spec)


def _draw_all(ground: Ground, patches: Sequence[Patch]) -> Iterator[Drawn]:
    with ThreadPoolExecutor(max(1, ground.plan.threads)) as pool:
        yield from pool.map(lambda patch: _draw(ground, patch), patches)


def _draw(ground: Ground, patch: Patch) -> Drawn:
    random = np.random.default_rng([ground.plan.seed, patch.number])
    with ground.reading:
        pixels, labels = ground.scenes[patch.scene].read(patch.outer)
    rows, cols = patch.inner.shifted(-patch.outer.row, -patch.outer.col).slices
    chosen = draw_pixels(labels[rows, cols], PER_PATCH, random)
    if not len(chosen):
        return np.zeros((0, feature_count(len(pixels))), dtype=np.float32), np.zeros(0, dtype=np.uint8)
    sensed = len(ground.spec.sensed_bands)
    lit = relit(pixels, ground.plan.augment, ground.spec.std, random, sensed=sensed)
    found = ground.features(lit)[:, rows, cols]
    return found.reshape(len(found), -1)[:, chosen].T.copy(), labels[rows, cols].ravel()[chosen]


def _absent(labels: NDArray[np.uint8], dataset: Dataset) -> tuple[str, ...]:
    counts = np.bincount(labels, minlength=len(dataset.legend))
    present = [name for name, count in zip(dataset.legend.names, counts, strict=True) if count]
    if len(present) < min(2, len(dataset.legend)):
        what = f"only {present[0]}" if present else "no class at all"
        raise EmptyDataset(
            f"the {len(labels)} training pixels that were drawn show {what}: a forest needs two classes; check the labels"
        )
    return tuple(name for name in dataset.legend.names if name not in present)


def _spec(dataset: Dataset, fingerprint: Fingerprint, plan: Plan, options: ForestOptions) -> ModelSpec:
    packages = ("terraseg", "scikit-learn", "numpy", "onnxruntime")
    return ModelSpec(
        network=FOREST,
        legend=dataset.legend,
        bands=dataset.bands,
        dtype=dataset.dtype,
        mean=tuple(band.mean for band in fingerprint.bands),
        std=tuple(band.std if band.std > 0 else 1.0 for band in fingerprint.bands),
        gsd_m=fingerprint.gsd_m,
        tile=plan.tile,
        overlap=plan.overlap,
        stride=plan.reduction,
        network_options=asdict(options) | {"features": feature_count(len(dataset.bands))},
        provenance={
            "seed": plan.seed,
            "augment": [name for name in plan.augment if name in GAIN],
            "train_pixels": fingerprint.train_pixels,
            "class_shares": dict(zip(fingerprint.class_names, fingerprint.class_shares, strict=True)),
            "scenes": [scene.name for scene in dataset.scenes if scene.train],
            "versions": {"python": platform.python_version(), **{name: version(name) for name in packages}},
        },
        reduction=plan.reduction,
        imagery=fingerprint.imagery,
        indices=dataset.indices,
        stored=dataset.stored,
    )
