"""Training on overlapping classes: both are learnt where they meet, and the bundle says so to every engine."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from terraseg.core.classes import LandClass, Legend
from terraseg.core.coding import Coding
from terraseg.core.dataset import Dataset, LabelRule, Scene
from terraseg.core.fingerprint import Fingerprint
from terraseg.core.modelspec import ModelSpec
from terraseg.core.plan import Plan
from terraseg.core.window import Window
from terraseg.engines.onnx import open_onnx
from terraseg.engines.torch import open_torch
from terraseg.errors import BadOption, UnknownName
from terraseg.export.onnx import onnx_bytes
from terraseg.nets.scoring import Scoring, mapped_labels
from terraseg.store.bundle import read_spec, write_bundle
from terraseg.store.cache import training_scenes
from terraseg.store.rundir import RunFolder
from terraseg.train.gradients import label_table, put_gradients
from terraseg.train.loop import train_model
from terraseg.train.mixing import paste
from terraseg.train.module import build_module
from terraseg.train.validation import Score, arrange, validate
from terraseg.train.watch import TrainEvent
from terraseg.train.world import ALONE

LEGEND = Legend((LandClass(0, "shadow", "#222244"), LandClass(1, "grass", "#33AA33")))
RULE = LabelRule("ids", (("1", "3"), ("2", "3")), ("9",), overlapping=True)
SIDE = 96


def meadow(make: Any, seed: int = 0) -> Scene:
    """Grass is green and shadow takes a share of the light, so that shaded grass shows both; a corner is not labelled."""
    random = np.random.default_rng(seed)
    shadow, grass = (np.kron(random.integers(0, 2, (12, 12)), np.ones((8, 8))).astype(bool) for _ in range(2))
    pixels = np.stack([80 - 40 * grass, 80 + 80 * grass, 80 - 40 * grass]) * np.where(shadow, 0.4, 1.0)
    pixels = np.clip(pixels + random.normal(0, 4, pixels.shape), 0, 255).astype("uint8")
    labels = shadow * 1 + grass * 2
    labels[:8, :8] = 9
    split = SIDE * 2 // 3
    windows = {"train": [Window(0, 0, SIDE, split)], "validation": [Window(0, split, SIDE, SIDE - split)]}
    scene: Scene = make.scene("meadow", pixels, labels, **windows)
    return scene


def dataset_of(scene: Scene) -> Dataset:
    return Dataset((scene,), LEGEND, RULE, scene.imagery.bands, "uint8")


@pytest.fixture
def task(make: Any, facts_from: Callable[..., Fingerprint], plan: Plan) -> tuple[Dataset, Fingerprint, Plan]:
    dataset = dataset_of(meadow(make))
    facts = replace(facts_from(dataset, mean=80.0), class_names=LEGEND.names, overlapping=True, labelled_pixels=5000)
    return dataset, facts, replace(plan, steps=60, batch=8, loss={"bce": 1.0, "dice": 1.0}, augment=("d4",))


def test_both_classes_are_learnt_where_they_overlap(task: tuple[Dataset, Fingerprint, Plan], tmp_path: Path) -> None:
    events: list[TrainEvent] = []
    run = RunFolder(tmp_path / "run")
    trained = train_model(*task, run, progress=events.append)
    judged = trained.provenance["validation"]
    assert min(judged["iou"]) > 0.9
    assert judged["mean_iou"] == pytest.approx(np.mean(judged["iou"]))
    assert trained.spec.overlapping
    rows = run.progress.read_text().splitlines()
    assert float(rows[-1].split(",")[rows[0].split(",").index("mean_iou")]) > 0.85
    dataset, facts, plan = task
    module = build_module(dataset, facts, plan, network=lambda: trained.network)
    with training_scenes(dataset, run.cache, cache_gb=1, fill=[80.0] * 3) as (scene,):
        raw, labels = scene.read(Window(0, 64, SIDE, 32))
    with torch.inference_mode():
        logits = module.network(module.normalised(torch.from_numpy(np.array(raw[None]))))
    mapped = mapped_labels(logits, overlapping=True)[0].numpy()
    shared = labels == 3
    assert shared.sum() > 200
    assert (mapped[shared] == 3).mean() > 0.9
    folder = tmp_path / "model"
    weights = {name: tensor.numpy() for name, tensor in trained.network.state_dict().items()}
    write_bundle(folder, trained.spec, onnx=onnx_bytes(trained.network, trained.spec), weights=weights)
    assert read_spec(folder) == trained.spec
    expected = torch.sigmoid(logits).numpy()
    for scorer in (open_onnx(folder, threads=1), open_torch(folder, device="cpu", threads=1)):
        np.testing.assert_allclose(scorer.score(np.array(raw[None])), expected, atol=1e-4)


def test_validation_counts_each_class_and_ground_of_none(
    task: tuple[Dataset, Fingerprint, Plan], tmp_path: Path
) -> None:
    """The scores of a network of known answers, by a direct count over whole windows; ground of no class counts too."""

    class Threshold(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return torch.stack([-images[:, 0] - 0.5, images[:, 1] - 0.2], dim=1)

    dataset, facts, plan = task
    module = build_module(dataset, facts, plan, network=Threshold)
    with training_scenes(dataset, tmp_path / "c", cache_gb=1, fill=[80.0] * 3) as scenes:
        tiles = arrange(scenes, replace(plan, tile=20))
        score = validate(module, scenes, tiles)
        raw, labels = scenes[0].read(Window(0, 64, SIDE, 32))
    bands = (raw.astype(float) - 80) / 40
    guess = [bands[0] <= -0.5, bands[1] >= 0.2]
    assert score.pixels == (labels != 255).sum()
    for index in range(2):
        true = labels >> index & 1 == 1
        both = (guess[index] & true).sum() / (guess[index] | true).sum()
        assert score.iou[index] == pytest.approx(both)
    right = [(guess[k] == (labels >> k & 1 == 1)).mean() for k in range(2)]
    assert score.accuracy == pytest.approx(np.mean(right))


def test_a_score_of_nothing_has_no_numbers() -> None:
    score = Score(0.0, np.zeros((2, 4), dtype=np.int64), 0, overlapping=True)
    assert np.isnan(score.accuracy)
    assert np.isnan(score.mean_iou)


def test_tiles_of_ground_without_any_class_are_judged_too(
    make: Any, facts_from: Callable[..., Fingerprint], plan: Plan, tmp_path: Path
) -> None:
    labels = np.zeros((64, 64))
    scene = make.scene("bare", np.full((3, 64, 64), 90, dtype="uint8"), labels, validation=[Window(0, 0, 64, 64)])
    with training_scenes(dataset_of(scene), tmp_path / "c", cache_gb=1, fill=[80.0] * 3) as scenes:
        assert sum(len(batch) for batch in arrange(scenes, replace(plan, tile=32))) == 4


@pytest.mark.parametrize("name", ["bce", "focal"])
def test_a_batch_in_parts_has_the_gradient_of_the_whole(name: str, task: tuple[Dataset, Fingerprint, Plan]) -> None:
    dataset, facts, plan = task
    module = build_module(dataset, facts, replace(plan, loss={name: 1.0}), network=lambda: torch.nn.Conv2d(3, 2, 1))
    random = torch.Generator().manual_seed(1)
    images = torch.randn(4, 3, 8, 8, generator=random)
    labels = torch.randint(0, 4, (4, 8, 8), generator=random).to(torch.uint8)
    labels[0, :5], labels[2] = 255, 255
    table = label_table((1.0, 1.0), Coding(2, overlapping=True))
    found = []
    for parts in (1, 3):
        loss = put_gradients(module.network, module.loss_of, (images, labels), table=table, parts=parts, world=ALONE)
        gradients = [p.grad.clone() for p in module.network.parameters() if p.grad is not None]
        found.append((loss, *gradients))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)


def test_pasting_takes_all_classes_of_a_rare_pixel_along() -> None:
    labels = torch.zeros((2, 4, 4), dtype=torch.uint8)
    labels[1, 0, 0], labels[1, 1, 1], labels[1, 2, 2], labels[0, 3, 3] = 3, 2, 255, 255
    images = torch.zeros((2, 3, 4, 4), dtype=torch.uint8)
    images[1] = 200
    changed, truth = paste(images, labels, [1, -1], [0], overlapping=True)
    assert truth[0, 0, 0] == 3
    assert changed[0, :, 0, 0].tolist() == [200] * 3
    assert (truth[0] != 0).nonzero().tolist() == [[0, 0], [3, 3]]


def test_one_class_by_itself_can_be_learnt(task: tuple[Dataset, Fingerprint, Plan]) -> None:
    dataset, facts, plan = task
    legend = Legend(LEGEND.classes[:1])
    single = replace(dataset, legend=legend, rule=replace(RULE, values=(("1", "3"),), ignore=("2", "9")))
    facts = replace(facts, class_names=legend.names, class_pixels=(1,))
    module = build_module(single, facts, plan)
    assert module.network(torch.zeros(1, 3, 32, 32)).shape[1] == 1
    exclusive = replace(single, rule=replace(single.rule, overlapping=False))
    with pytest.raises(BadOption, match="a network needs two"):
        build_module(exclusive, facts, replace(plan, loss={"ce": 1.0}))


def test_cross_entropy_of_the_other_kind_is_no_loss_here(task: tuple[Dataset, Fingerprint, Plan]) -> None:
    dataset, facts, plan = task
    with pytest.raises(UnknownName, match="no loss 'ce': did you mean 'bce'"):
        build_module(dataset, facts, replace(plan, loss={"ce": 1.0}))


def test_a_bundle_written_before_classes_could_overlap_still_reads_and_gives_shares_that_sum_to_1() -> None:
    spec = ModelSpec("unet", LEGEND, ("a",), "uint8", (1.0,), (1.0,), None, 64, 8, 2)
    old = json.loads(json.dumps(spec.to_json()))
    del old["overlapping"]
    assert ModelSpec.from_json(old) == spec
    network = torch.nn.Conv2d(1, 2, 1)
    raw = torch.randint(0, 255, (1, 1, 5, 5), dtype=torch.uint8)
    with torch.no_grad():
        torch.testing.assert_close(Scoring(network, ModelSpec.from_json(old))(raw).sum(1), torch.ones(1, 5, 5))
        each = Scoring(network, replace(spec, overlapping=True))(raw)
        torch.testing.assert_close(each, torch.sigmoid(network((raw.float() - 1) / 1)))
