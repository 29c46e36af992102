"""A forest from data to graph: what it gives is what scikit-learn gives, and what it says of itself is true."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from terraseg.core.modelspec import ModelSpec
from terraseg.core.window import Window
from terraseg.errors import EmptyDataset
from terraseg.forest.features import feature_count
from terraseg.forest.fit import as_trees, grow
from terraseg.forest.light import relit
from terraseg.forest.options import ForestOptions
from terraseg.forest.train import feature_runner, forest_onnx, train_forest
from terraseg.forest.trees import Trees
from tests.forest.conftest import BANDS, LEGEND, Made, make_blocks, make_data, make_plan, make_scene

SMALL = ForestOptions(pixels=3000, trees=8, leaf=5)


def make_spec(dtype: str = "uint8", reduction: int = 1) -> ModelSpec:
    return ModelSpec("forest", LEGEND, BANDS, dtype, (100.0,) * 3, (40.0,) * 3, 0.5, 128, 32, 1, reduction=reduction)


def score(graph: bytes, pixels: NDArray[Any]) -> NDArray[np.float32]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(["probabilities"], {"image": pixels})[0])


@pytest.mark.parametrize("known", [(0, 1, 2), (0, 2)])
def test_the_graph_gives_what_scikit_learn_gives_on_the_same_features(known: tuple[int, ...]) -> None:
    """With a class that was never seen, too: it has the probability 0."""
    spec = make_spec()
    pixels, blocks = make_blocks(1, 80, 90, classes=len(known))
    labels = np.array(known, dtype=np.uint8)[blocks]
    features = feature_runner(spec)(pixels)
    rows = features.reshape(len(features), -1).T.copy()
    forest = grow(rows, labels.ravel(), np.ones(labels.size), SMALL, seed=0, threads=1)
    expected = np.zeros((labels.size, 3))
    expected[:, list(known)] = forest.predict_proba(rows)
    found = score(forest_onnx(as_trees(forest, 3), spec), pixels[None])[0]
    np.testing.assert_allclose(found.reshape(3, -1).T, expected, atol=1e-5)


def test_a_feature_on_the_threshold_falls_on_the_same_side() -> None:
    """scikit-learn keeps thresholds in 64 bits, the graph in 32: rounding must move no pixel."""
    random = np.random.default_rng(0)
    rows = random.normal(size=(400, 1)).astype(np.float32)
    forest = grow(rows, (rows[:, 0] > 0.1).astype(np.uint8), np.ones(400), replace(SMALL, leaf=1), seed=0, threads=1)
    trees = as_trees(forest, 2)
    cuts = np.concatenate([one.tree_.threshold[one.tree_.feature >= 0] for one in forest.estimators_])
    near = cuts.astype(np.float32)
    values = np.concatenate([near, np.nextafter(near, np.float32(9)), np.nextafter(near, np.float32(-9))])[:, None]
    found = np.mean([walk(trees, tree, values) for tree in range(trees.count)], axis=0)
    np.testing.assert_allclose(found, forest.predict_proba(values), atol=1e-6)


def walk(trees: Trees, tree: int, values: NDArray[np.float32]) -> NDArray[np.float32]:
    """The votes of one tree for rows of features, by the arrays' description."""
    start = int(trees.starts[tree])
    leaf_number = np.cumsum(trees.feature < 0) - 1
    votes = []
    for row in values:
        node = start
        while trees.feature[node] >= 0:
            low = row[trees.feature[node]] <= trees.threshold[node]
            node = start + int(trees.low[node] if low else trees.high[node])
        votes.append(trees.votes[leaf_number[node]])
    return np.array(votes)


def test_it_learns_an_easy_task_and_gives_probabilities(made: Made, tmp_path: Path) -> None:
    forest = train_forest(made.dataset, made.facts, make_plan(), made.run, options=SMALL)
    pixels, labels = make_blocks(9, 100, 121 // 10 * 10)
    found = score(forest.onnx, pixels[None])
    assert found.shape == (1, 3, 100, 120)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)
    assert (found[0].argmax(axis=0) == labels).mean() > 0.95


def test_the_same_seed_gives_the_same_bytes_on_any_number_of_threads(made: Made) -> None:
    def graph(seed: int, threads: int) -> bytes:
        plan = make_plan(seed=seed, threads=threads, augment=("photometric",))
        return train_forest(made.dataset, made.facts, plan, made.run, options=SMALL).onnx

    first = graph(0, 1)
    assert graph(0, 3) == first
    assert graph(1, 1) != first


def test_a_class_without_a_pixel_is_named_and_never_mapped(made: Made) -> None:
    forest = train_forest(made.dataset, made.facts, make_plan(), made.run, options=SMALL)
    assert forest.absent == ("lake",)
    pixels = np.random.default_rng(0).integers(0, 255, (1, 3, 40, 40)).astype("uint8")
    assert (score(forest.onnx, pixels)[:, 2] == 0).all()


def test_nothing_beside_the_training_windows_is_learnt(tmp_path: Path) -> None:
    """Labels and pixels outside may change: the forest does not."""
    pixels, labels = make_blocks(4, 160, 240)
    window = Window(0, 0, 160, 112)
    graphs = []
    for name in ("before", "after"):
        folder = tmp_path / name
        folder.mkdir()
        made = make_data(folder, make_scene(folder, "scene", pixels, labels, (window,)))
        graphs.append(train_forest(made.dataset, made.facts, make_plan(), made.run, options=SMALL).onnx)
        pixels[:, :, 112:], labels[:, 112:] = 255 - pixels[:, :, 112:], 1 - labels[:, 112:]
    assert graphs[0] == graphs[1]


def test_the_working_resolution_is_that_of_the_plan(made: Made) -> None:
    forest = train_forest(made.dataset, made.facts, make_plan(reduction=2), made.run, options=SMALL)
    assert (forest.spec.reduction, forest.spec.stride) == (2, 2)
    pixels, labels = make_blocks(9, 100, 120)
    found = score(forest.onnx, pixels[None, :, :99, :117])
    assert found.shape == (1, 3, 99, 117)
    assert (found[0].argmax(axis=0) == labels[:99, :117]).mean() > 0.9


def test_float_imagery_with_gaps_trains_and_predicts(tmp_path: Path) -> None:
    pixels, labels = make_blocks(5)
    soft = (pixels / 255).astype("float32")
    soft[0, 20:40, 20:40] = np.nan
    scene = make_scene(tmp_path, "soft", soft, labels)
    made = make_data(tmp_path, scene, dtype="float32")
    bands = tuple(replace(band, mean=0.4, std=0.15) for band in made.facts.bands)
    facts = replace(made.facts, bands=bands)
    forest = train_forest(made.dataset, facts, make_plan(augment=("radiometric",)), made.run, options=SMALL)
    found = score(forest.onnx, soft[None])
    assert np.isfinite(found).all()
    known = np.ones(labels.shape, dtype=bool)
    known[10:50, 10:50] = False
    assert (found[0].argmax(axis=0) == labels)[known].mean() > 0.95


def test_one_class_alone_is_refused(tmp_path: Path) -> None:
    pixels, labels = make_blocks(5)
    made = make_data(tmp_path, make_scene(tmp_path, "scene", pixels, np.zeros_like(labels)))
    with pytest.raises(EmptyDataset, match="show only field: a forest needs two classes"):
        train_forest(made.dataset, made.facts, make_plan(), made.run, options=SMALL)


def test_arrays_come_back_as_they_went(made: Made) -> None:
    forest = train_forest(made.dataset, made.facts, make_plan(), made.run, options=SMALL)
    again = Trees.from_arrays(forest.trees.arrays())
    assert forest_onnx(again, forest.spec) == forest.onnx
    assert (again.count, again.classes) == (SMALL.trees, 3)
    assert forest.trees.feature.max() < feature_count(3)


@pytest.mark.parametrize(("augment", "most"), [((), 0.0), (("d4", "radiometric"), 0.12), (("photometric",), 0.9)])
def test_light_changes_as_far_as_the_plan_says(augment: tuple[str, ...], most: float) -> None:
    pixels = np.full((3, 4, 4), 1000, dtype=np.uint16)
    changes = []
    for seed in range(50):
        changed = relit(pixels, augment, (100.0,) * 3, np.random.default_rng(seed))
        assert changed.dtype == np.uint16
        assert (np.ptp(changed, axis=(1, 2)) == 0).all()
        changes.append(np.abs(changed[:, 0, 0] / 1000.0 - 1).max())
    assert max(changes) <= most
    assert max(changes) >= most / 3
    bright = relit(np.full((3, 2, 2), 250, dtype=np.uint8), augment, (60.0,) * 3, np.random.default_rng(1))
    assert bright.dtype == np.uint8


def test_light_leaves_indices_as_they_are() -> None:
    pixels = np.random.default_rng(0).uniform(0.1, 1, (3, 8, 8)).astype(np.float32)
    lit = relit(pixels, ["photometric"], [0.1] * 3, np.random.default_rng(1), sensed=2)
    assert np.array_equal(lit[2], pixels[2])
    assert not np.isclose(lit[:2], pixels[:2]).any()
    whole = relit(pixels, ["photometric"], [0.1] * 3, np.random.default_rng(1))
    assert np.array_equal(whole[:2], lit[:2])
