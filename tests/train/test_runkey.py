"""What tells one training from another: data and settings, not the place where they lie."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from terraseg.core.dataset import Dataset, Imagery
from terraseg.core.fingerprint import Fingerprint
from terraseg.core.plan import Plan
from terraseg.store.rundir import RunFolder
from terraseg.train.loop import train_model
from terraseg.train.runkey import run_key
from terraseg.train.watch import TrainEvent

Easy = tuple[Dataset, Fingerprint]


def moved(dataset: Dataset, folder: Path) -> Dataset:
    """The data set with all its files moved into another folder."""
    scenes = []
    for scene in dataset.scenes:
        paths = [str(shutil.move(path, folder)) for path in scene.imagery.paths]
        labels = str(shutil.move(scene.labels or "", folder))
        scenes.append(replace(scene, imagery=Imagery(tuple(paths), scene.imagery.bands), labels=labels))
    return replace(dataset, scenes=tuple(scenes))


def test_the_key_follows_what_is_learnt_and_nothing_else(easy: Easy, plan: Plan) -> None:
    key = run_key(*easy, plan)
    free = replace(plan, threads=8, reasons={"crop": "other"}, device="cuda", accumulate=2)
    assert run_key(*easy, free) == key
    others = [
        run_key(*easy, replace(plan, learning_rate=1.0)),
        run_key(*easy, replace(plan, average="ema")),
        run_key(easy[0], replace(easy[1], gsd_m=1.0), plan),
        run_key(replace(easy[0], scenes=()), easy[1], plan),
    ]
    assert len({key, *others}) == 5


@pytest.mark.parametrize("which", ["imagery", "labels", "mask", "weights"])
def test_a_changed_file_changes_the_key(easy: Easy, plan: Plan, tmp_path: Path, which: str) -> None:
    scene = easy[0].scenes[0]
    weights = tmp_path / "weights.safetensors"
    weights.write_bytes(b"1")
    started = replace(plan, network_options={"pretrained_path": str(tmp_path)})
    before = run_key(*easy, started)
    if which == "mask":
        Path(f"{scene.imagery.paths[0]}.msk").write_bytes(b"")
    else:
        os.utime(
            {"imagery": scene.imagery.paths[0], "labels": scene.labels or "", "weights": str(weights)}[which], (1, 1)
        )
    assert run_key(*easy, started) != before


def test_a_project_that_was_moved_half_way_goes_on(easy: Easy, plan: Plan, tmp_path: Path) -> None:
    dataset, facts = easy
    weights = tmp_path / "weights.safetensors"
    weights.write_bytes(b"1")
    started = replace(plan, network_options={"pretrained_path": str(weights)})
    before = run_key(dataset, facts, started)

    def stop(event: TrainEvent) -> None:
        if event.step == 2:
            raise KeyboardInterrupt

    run, new = RunFolder(tmp_path / "run"), tmp_path / "elsewhere"
    with pytest.raises(KeyboardInterrupt):
        train_model(dataset, facts, replace(plan, steps=3), run, progress=stop)
    new.mkdir()
    dataset = moved(dataset, new)
    shutil.move(run.root, new)
    shutil.move(weights, new)
    there = replace(plan, network_options={"pretrained_path": str(new / weights.name)})
    assert run_key(dataset, facts, there) == before
    seen: list[int] = []
    again = RunFolder(new / "run")
    train_model(dataset, facts, replace(plan, steps=3), again, progress=lambda event: seen.append(event.step))
    assert seen == [3]


def test_files_that_cannot_be_asked_count_by_their_whole_address(easy: Easy, plan: Plan) -> None:
    def at(address: str) -> str:
        scene = replace(easy[0].scenes[0], imagery=Imagery((address,), easy[0].bands))
        return run_key(replace(easy[0], scenes=(scene,)), easy[1], plan)

    assert at("/vsicurl/https://a.example/x.tif") != at("/vsicurl/https://b.example/x.tif")
