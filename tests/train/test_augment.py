"""Whole batches turned, scaled and recoloured."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from terraseg.errors import UnknownName
from terraseg.train.augment import (
    AUGMENTATIONS,
    HAZE_LEVEL,
    SCALE,
    STRENGTHS,
    Augmentation,
)
from terraseg.train.warp import _turned_singly, _turned_together, scaled, turned

RGB = ("red", "green", "blue")


def augmentation(*names: str, seed: int = 0, bands: Any = RGB, mean: float = 100.0, std: float = 40.0) -> Augmentation:
    return Augmentation(names, seed=seed, bands=bands, mean=[mean] * len(bands), std=[std] * len(bands))


def blobs(count: int, side: int, classes: int = 4, seed: int = 0, block: int = 8) -> Tensor:
    """Label squares of blocks; no two samples alike."""
    random = np.random.default_rng(seed)
    cells = random.integers(0, classes, (count, side // block, side // block))
    return torch.from_numpy(np.kron(cells, np.ones((1, block, block))).astype(np.uint8))


def test_without_names_a_batch_is_only_normalised() -> None:
    raw = torch.randint(0, 255, (2, 3, 8, 8), dtype=torch.uint8)
    images, labels = augmentation()(raw, raw[:, 0], step=0, indices=range(2), crop=8)
    assert torch.allclose(images, (raw.float() - 100) / 40, atol=1e-5)
    assert torch.equal(labels, raw[:, 0])


def test_the_eight_turns_are_those_of_a_square() -> None:
    square = torch.arange(16, dtype=torch.uint8).reshape(1, 1, 4, 4).expand(8, 1, 4, 4)
    images, labels = turned(square, square[:, 0], np.arange(8))
    assert torch.equal(images[:, 0], labels)
    wanted = {np.rot90(f, k).tobytes() for f in (square[0, 0].numpy(), square[0, 0].numpy().T) for k in range(4)}
    assert {image[0].numpy().tobytes() for image in images} == wanted


def test_all_eight_turns_are_drawn_about_alike() -> None:
    square = torch.arange(9, dtype=torch.uint8).reshape(1, 1, 3, 3).expand(800, 1, 3, 3)
    _, labels = augmentation("d4")(square, square[:, 0], step=0, indices=range(800), crop=3)
    _, counts = np.unique(labels.reshape(800, 9).numpy(), axis=0, return_counts=True)
    assert len(counts) == 8
    assert counts.min() > 60


def test_changes_of_light_are_bounded_and_leave_labels_alone() -> None:
    """At the mean a band moves by brightness, haze and noise alone, whatever is drawn; five deviations bound the noise."""
    by = STRENGTHS["photometric"]
    raw = torch.full((400, 3, 8, 8), 100, dtype=torch.uint8)
    labels = blobs(400, 8, block=2)
    images, truth = augmentation("photometric", mean=100.0)(raw, labels, step=1, indices=range(400), crop=8)
    assert torch.equal(truth, labels)
    level = 100.0 / 40.0
    gain = (by.gain - 1) * (level + by.brightness)
    most = by.brightness + gain + by.haze * (HAZE_LEVEL + by.brightness) + 5 * by.noise
    assert images.abs().max() <= most
    assert images.std() > 0.05


@pytest.mark.parametrize("shape", [(16, 3, 12, 12), (16, 12, 12)])
def test_turning_one_by_one_and_all_together_is_the_same(shape: tuple[int, ...]) -> None:
    batch = torch.randint(0, 255, shape, dtype=torch.uint8)
    elements = np.arange(16) % 8
    assert torch.equal(_turned_singly(batch, elements), _turned_together(batch, elements))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16, torch.int16, torch.float32, torch.float64])
def test_images_and_labels_stay_aligned_under_every_turn(dtype: torch.dtype) -> None:
    labels = blobs(16, 32)
    raw = labels[:, None].repeat(1, 3, 1, 1).to(dtype)
    how = augmentation("d4", mean=0.0, std=1.0)
    for step in range(5):
        images, truth = how(raw.clone(), labels.clone(), step=step, indices=range(16), crop=32)
        assert torch.equal(images[:, 0], truth.float())
    assert not torch.equal(truth, labels)


def test_images_and_labels_stay_aligned_under_scaling_away_from_edges() -> None:
    """Where bilinear interpolation meets one value only, the label is that value; most pixels are such."""
    labels = blobs(16, 40)
    how = augmentation("d4", "scale", mean=0.0, std=1.0)
    images, truth = how(labels[:, None].repeat(1, 3, 1, 1), labels, step=3, indices=range(16), crop=32)
    assert images.shape == (16, 3, 32, 32)
    assert truth.shape == (16, 32, 32)
    pure = (images[:, 0] - images[:, 0].round()).abs() < 1e-3
    same = pure & (images[:, 0].round() == truth)
    assert pure.float().mean() > 0.7
    assert same.sum() / pure.sum() > 0.97  # between two equal steps a blend may also hit a whole number
    assert how.read_size(32) == 40


def test_scale_factors_span_what_they_say_and_keep_the_centre() -> None:
    ramp = torch.arange(40.0).expand(2, 1, 40, 40).clone()
    labels = torch.zeros(2, 40, 40, dtype=torch.uint8)
    images, _ = scaled(ramp, labels, np.array([1.0, SCALE]), 32)
    assert torch.allclose(images[0, 0, 0], torch.arange(4.0, 36.0), atol=1e-4)
    assert torch.allclose(images[1, 0, 0].mean(), ramp[0, 0, 0].mean(), atol=1e-4)
    assert torch.allclose(images[1, 0, 0].diff(), torch.full((31,), 1 / SCALE), atol=1e-4)


@pytest.mark.parametrize("names", [("d4",), ("photometric",), ("radiometric",), ("d4", "scale", "photometric")])
def test_a_sample_depends_on_seed_step_and_index_alone(names: tuple[str, ...]) -> None:
    how = augmentation(*names, seed=4)
    side = how.read_size(16)
    raw = torch.randint(0, 255, (6, 3, side, side), dtype=torch.uint8)
    labels = raw[:, 0] % 3
    images, truth = how(raw.clone(), labels.clone(), step=2, indices=range(6), crop=16)
    other = augmentation(*names, seed=4)
    for index in (5, 2):
        one, alone = other(
            raw[index : index + 1].clone(), labels[index : index + 1].clone(), step=2, indices=[index], crop=16
        )
        assert torch.allclose(one[0], images[index], atol=1e-5)
        assert torch.equal(alone[0], truth[index])
    changed, _ = how(raw.clone(), labels.clone(), step=3, indices=range(6), crop=16)
    assert not torch.allclose(changed, images)


@pytest.mark.parametrize("names", list(AUGMENTATIONS))
def test_void_stays_void_and_no_class_is_invented(names: str) -> None:
    labels = torch.where(blobs(8, 40, classes=2) == 0, 255, 1).to(torch.uint8)
    how = augmentation(names)
    raw = labels[:, None].repeat(1, 3, 1, 1)[..., : how.read_size(32), : how.read_size(32)]
    _, truth = how(raw, raw[:, 0], step=0, indices=range(8), crop=32)
    assert set(truth.flatten().tolist()) == {1, 255}


def test_photometric_changes_stay_moderate_and_differ_between_samples() -> None:
    raw = torch.randint(60, 140, (32, 3, 24, 24), dtype=torch.uint8)
    plain, _ = augmentation()(raw, raw[:, 0], step=0, indices=range(32), crop=24)
    bright, _ = augmentation("photometric")(raw, raw[:, 0], step=0, indices=range(32), crop=24)
    gentle, _ = augmentation("radiometric")(raw, raw[:, 0], step=0, indices=range(32), crop=24)
    shift = (bright - plain).mean(dim=(1, 2, 3))
    assert shift.std() > 0.05
    assert (bright - plain).abs().mean() < 1.0
    assert (gentle - plain).abs().mean() < 0.6 * (bright - plain).abs().mean()
    correlation = torch.corrcoef(torch.stack([bright.flatten(), plain.flatten()]))[0, 1]
    assert correlation > 0.8


def test_saturation_touches_pictures_of_red_green_and_blue_alone() -> None:
    """Without colour mixing every band is an increasing function of itself; noise is left out by its strength."""
    raw = torch.arange(0, 256, dtype=torch.float32).reshape(1, 1, 16, 16).repeat(1, 3, 1, 1)
    raw[:, 1:] = 100.0
    draws = np.random.default_rng(0).random((1, 30))
    draws[0, 0] = 0.9
    mixed = augmentation("photometric")._recolored(raw, draws)
    apart = augmentation("photometric", bands=("nir", "swir", "red"))._recolored(raw, draws)
    assert mixed[0, 1].std() > 0.05
    assert apart[0, 1].std() < 1e-5


def test_pixels_that_are_not_finite_become_the_mean() -> None:
    raw = torch.full((1, 3, 4, 4), 140.0)
    raw[0, 0, 0, 0], raw[0, 1, 1, 1] = float("nan"), float("inf")
    images, _ = augmentation()(raw, raw[:, 0].to(torch.uint8), step=0, indices=[0], crop=4)
    assert images[0, 0, 0, 0].item() == images[0, 1, 1, 1].item() == 0.0
    assert torch.isfinite(images).all()
    changed, _ = augmentation("photometric", "d4")(raw, raw[:, 0].to(torch.uint8), step=0, indices=[0], crop=4)
    assert torch.isfinite(changed).all()


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match="did you mean 'photometric'"):
        augmentation("fotometric")


@pytest.mark.parametrize("name", ["photometric", "radiometric"])
def test_light_leaves_spectral_indices_as_they_are(name: str) -> None:
    """A vegetation index with a gain of its own would be ground that there is not; only noise reaches it."""
    raw = torch.rand(64, 5, 8, 8)
    made = Augmentation([name], seed=1, bands=["red", "green", "blue", "nir"], mean=[0.4] * 5, std=[0.2] * 5)
    images, _ = made(raw, torch.zeros(64, 8, 8, dtype=torch.uint8), step=0, indices=range(64), crop=8)
    moved = (images - (raw - 0.4) / 0.2).mean(dim=(2, 3)).abs()
    assert moved[:, 4].max() < 0.1
    assert moved[:, :4].max() > 0.1
