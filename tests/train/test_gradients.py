"""Gradients of a batch in parts, and what happens when a GPU's memory does not do."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from terraseg.core.coding import Coding
from terraseg.core.dataset import Dataset
from terraseg.core.fingerprint import Fingerprint
from terraseg.core.plan import Plan
from terraseg.errors import TrainingFailed
from terraseg.nets.loss_options import LossOptions
from terraseg.nets.losses import build_loss
from terraseg.store.rundir import RunFolder
from terraseg.train.gradients import backing_off, label_table, put_gradients
from terraseg.train.loop import train_model
from terraseg.train.module import SegmentationModule, build_module
from terraseg.train.watch import TrainEvent
from terraseg.train.world import ALONE

Easy = tuple[Dataset, Fingerprint]


def uneven() -> tuple[Tensor, Tensor]:
    """Images and labels whose samples have very different numbers of labelled pixels, one none at all."""
    torch.manual_seed(0)
    labels = torch.randint(0, 3, (6, 8, 8), dtype=torch.uint8)
    labels[0, 1:], labels[3], labels[5, :, 2:] = 255, 255, 255
    return torch.randn(6, 2, 8, 8), labels


@pytest.mark.parametrize("name", ["ce", "focal"])
@pytest.mark.parametrize("parts", [2, 3, 4, 6])
@pytest.mark.parametrize("weights", [None, (0.5, 2.0, 1.0)])
def test_pixel_losses_have_the_same_loss_and_gradients_in_any_number_of_parts(
    name: str, parts: int, weights: tuple[float, ...] | None
) -> None:
    options = LossOptions(class_weights=weights, label_smoothing=0.1)
    loss, table = build_loss(name, options), label_table(options.weights_for(3), Coding(3))
    torch.manual_seed(1)
    network = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 3, 1))
    results = []
    for count in (1, parts):
        whole = put_gradients(
            network, lambda x, y: loss(network(x), y), uneven(), table=table, parts=count, world=ALONE
        )
        results.append([whole, *(p.grad.clone() for p in network.parameters() if p.grad is not None)])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_a_training_in_parts_ends_near_one_in_whole_batches(easy: Easy, plan: Plan, tmp_path: Path) -> None:
    plain = replace(plan, steps=6, network_options={**plan.network_options, "batch_norm": False}, learning_rate=1e-3)
    one = train_model(*easy, plain, RunFolder(tmp_path / "one")).network.state_dict()
    four = train_model(*easy, replace(plain, accumulate=4), RunFolder(tmp_path / "four")).network.state_dict()
    for name in one:
        torch.testing.assert_close(four[name], one[name], rtol=1e-2, atol=2e-5)


def out_of_memory_above(most: int) -> Any:
    """A `loss_of` that fails as a GPU does when more than `most` samples come at once."""
    plain = SegmentationModule.loss_of

    def loss_of(self: SegmentationModule, images: Tensor, labels: Tensor) -> Tensor:
        if len(images) > most:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nmore")
        return plain(self, images, labels)

    return loss_of


def test_a_gpu_out_of_memory_makes_parts_until_they_fit_and_says_so_once(
    easy: Easy, plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(SegmentationModule, "loss_of", out_of_memory_above(1))
    events: list[TrainEvent] = []
    run = RunFolder(tmp_path / "run")
    trained = train_model(*easy, replace(plan, steps=3), run, progress=events.append)
    assert trained.provenance["accumulate"] == 4
    assert [bool(event.note) for event in events] == [True, False, False]
    assert "computed in 4 parts" in events[0].text
    assert [record.levelname for record in caplog.records] == ["WARNING"] * 2
    again = train_model(*easy, replace(plan, steps=3), run)
    assert again.provenance == trained.provenance


def test_a_later_sitting_begins_with_the_parts_that_fitted(
    easy: Easy, plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(SegmentationModule, "loss_of", out_of_memory_above(2))

    def stop(event: TrainEvent) -> None:
        if event.step == 2:
            raise KeyboardInterrupt

    run = RunFolder(tmp_path / "run")
    with pytest.raises(KeyboardInterrupt):
        train_model(*easy, replace(plan, steps=4), run, progress=stop)
    caplog.clear()
    assert train_model(*easy, replace(plan, steps=4), run).provenance["accumulate"] == 2
    assert not caplog.records


def test_when_not_even_one_patch_fits_training_ends_with_the_way_out(
    easy: Easy, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SegmentationModule, "loss_of", out_of_memory_above(0))
    module = build_module(*easy, plan)
    raw = torch.randint(0, 255, (4, 3, 32, 32), dtype=torch.uint8)
    with pytest.raises(TrainingFailed, match=r"in 4 parts \(CUDA out of memory.*GiB\.\): set a larger accumulate"):
        module.put_gradients((raw, raw[:, 0] % 2))


def test_backing_off_doubles_up_to_the_most() -> None:
    asked: list[int] = []

    def compute(parts: int) -> Tensor:
        asked.append(parts)
        if parts < 6:
            raise torch.cuda.OutOfMemoryError("full")
        return torch.zeros(())

    assert backing_off(compute, 1, most=6)[1] == 6
    assert asked == [1, 2, 4, 6]
