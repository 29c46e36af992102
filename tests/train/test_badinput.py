"""Input that cannot be trained on as it is: one sentence with the way out, and nothing lost."""

import errno
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from terraseg.core.classes import LandClass, Legend
from terraseg.core.dataset import Dataset, LabelRule
from terraseg.core.fingerprint import Fingerprint
from terraseg.core.plan import Plan
from terraseg.core.window import Window
from terraseg.errors import BadOption, TrainingFailed, UnknownClass, UnknownName
from terraseg.nets.loss_options import balanced_weights
from terraseg.store.cache import training_scenes
from terraseg.store.rundir import RunFolder
from terraseg.train import afford, conduct
from terraseg.train.loop import train_model

Easy = tuple[Dataset, Fingerprint]
HALVES = {"train": [Window(0, 0, 64, 64)], "validation": [Window(0, 64, 64, 32)]}


def test_a_label_that_is_no_class_is_refused_before_any_loss(
    make: Any, dataset_from: Callable[..., Dataset], facts_from: Callable[..., Fingerprint], plan: Plan, tmp_path: Path
) -> None:
    labels = np.zeros((64, 96))
    labels[30, 40] = 7
    dataset = dataset_from(make.scene("s", np.zeros((3, 64, 96), dtype="uint8"), labels, **HALVES))
    with pytest.raises(UnknownClass, match="7"):
        train_model(dataset, facts_from(dataset), plan, RunFolder(tmp_path / "run"))


def test_a_rule_that_knows_more_classes_than_the_legend_is_refused_before_any_loss(
    easy: Easy, plan: Plan, tmp_path: Path
) -> None:
    short = replace(easy[0], legend=Legend((LandClass(0, "field", "#998877"),)))
    opening = training_scenes(short, tmp_path / "cache", cache_gb=1, fill=(0, 0, 0))
    with pytest.raises(UnknownClass, match="class index 1, and the legend has 1 classes"):
        opening.__enter__()


def test_a_class_without_a_pixel_and_one_without_weight_do_no_harm(
    make: Any, dataset_from: Callable[..., Dataset], facts_from: Callable[..., Fingerprint], plan: Plan, tmp_path: Path
) -> None:
    scene = make.easy()
    legend = Legend(
        (LandClass(0, "field", "#998877"), LandClass(1, "roof", "#FF0000"), LandClass(2, "lake", "#0000FF"))
    )
    rule = LabelRule("ids", (("0",), ("1",), ("2",)), ignore=("9",))
    dataset = replace(dataset_from(scene), legend=legend, rule=rule)
    facts = replace(facts_from(dataset), class_names=legend.names, class_pixels=(70, 30, 0))
    weights = balanced_weights(facts.class_pixels)
    assert weights[2] == 0
    full = replace(plan, steps=6, class_weights=weights, loss={"ce": 1, "dice": 1}, augment=("d4", "copy-paste"))
    trained = train_model(dataset, facts, full, RunFolder(tmp_path / "run"))
    assert all(torch.isfinite(t).all() for t in trained.network.state_dict().values())
    assert trained.provenance["validation"]["iou"][2] is None


def test_a_scene_of_void_alone_among_others_is_trained_around(
    make: Any, dataset_from: Callable[..., Dataset], facts_from: Callable[..., Fingerprint], plan: Plan, tmp_path: Path
) -> None:
    void = make.scene("void", np.zeros((3, 64, 96), dtype="uint8"), np.full((64, 96), 9), **HALVES)
    dataset = dataset_from(make.easy(), void)
    trained = train_model(dataset, facts_from(dataset), replace(plan, steps=6), RunFolder(tmp_path / "run"))
    assert trained.provenance["best_step"] is not None


def test_class_weights_of_another_number_and_unknown_names_are_refused(easy: Easy, plan: Plan, tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    with pytest.raises(BadOption, match="3 class weights for 2 classes"):
        train_model(*easy, replace(plan, class_weights=(1.0, 1.0, 1.0)), run)
    with pytest.raises(UnknownName, match="did you mean 'poly'"):
        train_model(*easy, replace(plan, schedule="pole"), run)
    with pytest.raises(UnknownName, match="did you mean 'cutout'"):
        train_model(*easy, replace(plan, augment=("cutouts",)), run)


def test_a_budget_too_small_for_one_validation_names_the_smallest_that_would_do(
    easy: Easy, plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A validation is made to take a minute; the budget that is proposed then holds it."""
    monkeypatch.setattr(afford, "_trial_seconds", lambda *_: 60.0)
    timed = replace(plan, steps=None, time_budget_s=30.0)
    with pytest.raises(TrainingFailed, match=r"time budget of 30 s is too small.*--time-budget (\d+)s") as failure:
        train_model(*easy, timed, RunFolder(tmp_path / "run"))
    proposed = int(str(failure.value).split("--time-budget ")[1].split("s")[0])
    assert 120 < proposed < 600


def test_a_batch_norm_left_with_one_value_is_refused_with_the_way_out(easy: Easy, plan: Plan, tmp_path: Path) -> None:
    deep = replace(plan, network="unet-light", network_options={"encoder": "test_resnet"}, crop=32, batch=2)
    for lonely in (replace(deep, batch=1), replace(deep, accumulate=2)):
        with pytest.raises(BadOption, match=r"one patch of 32 px at a time.*larger crop"):
            train_model(*easy, lonely, RunFolder(tmp_path / "run"))


def test_a_disk_that_fills_up_keeps_what_was_trained_and_the_same_command_goes_on(
    easy: Easy, plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conduct, "CHECKPOINT_SECONDS", 0.0)
    save, calls = torch.save, 0

    def full(content: object, path: Path) -> None:
        nonlocal calls
        calls += 1
        if calls > 9:
            path.write_bytes(b"half")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        save(content, path)

    run = RunFolder(tmp_path / "broken")
    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(TrainingFailed, match="make room on the disk"):
        train_model(*easy, plan, run)
    assert not list(run.checkpoints.glob(".*"))
    monkeypatch.setattr(torch, "save", save)
    seen: list[int] = []
    again = train_model(*easy, plan, run, progress=lambda event: seen.append(event.step))
    assert 1 < seen[0] < 10
    whole = train_model(*easy, plan, RunFolder(tmp_path / "whole")).network.state_dict()
    assert all(torch.equal(tensor, whole[name]) for name, tensor in again.network.state_dict().items())
