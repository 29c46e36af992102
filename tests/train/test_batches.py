"""Whole batches cut from scenes."""

from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from terraseg.core.dataset import Dataset
from terraseg.core.window import Window
from terraseg.store.cache import training_scenes
from terraseg.train.batches import Batches, cut_batch, mirrored
from terraseg.train.sampling import make_sampler


def test_a_batch_is_made_of_the_pixels_at_its_places_and_never_of_validation_pixels(
    make: Any, dataset_from: Callable[..., Dataset], tmp_path: Path
) -> None:
    """Each pixel holds its own column, and its label whether it is in the training window."""
    columns = np.broadcast_to(np.arange(100, dtype="uint8"), (3, 80, 100))
    labels = (np.broadcast_to(np.arange(100), (80, 100)) >= 60).astype("uint8")
    window = Window(0, 60, 80, 40)
    scene = make.scene("s", columns, labels, train=[window], validation=[Window(0, 0, 80, 60)])
    dataset = dataset_from(scene)
    with training_scenes(dataset, tmp_path / "cache", cache_gb=1, fill=(0, 0, 0)) as scenes:
        sampler = make_sampler(scenes, seed=0, size=24)
        for step in range(30):
            pixels, truth = cut_batch(scenes, sampler, step, range(8), "uint8")
            assert pixels.shape == (8, 3, 24, 24)
            assert (truth == 1).all()
            assert (pixels >= 60).all()
            assert (np.diff(pixels.astype(int), axis=-1) == 1).all()


def test_a_window_smaller_than_the_crop_goes_on_mirrored(
    make: Any, dataset_from: Callable[..., Dataset], tmp_path: Path
) -> None:
    labels = np.random.default_rng(0).integers(0, 2, (10, 7)).astype("uint8")
    scene = make.scene("tiny", np.stack([labels * 100] * 3), labels, train=[Window(0, 0, 10, 7)])
    with training_scenes(dataset_from(scene), tmp_path / "cache", cache_gb=1, fill=(0, 0, 0)) as scenes:
        pixels, truth = cut_batch(scenes, make_sampler(scenes, seed=0, size=32), 0, range(2), "uint8")
    assert np.array_equal(pixels[0, 0], truth[0] * 100)
    assert np.array_equal(truth[0, :10, :7], labels)
    assert np.array_equal(truth[0, :10, 7:14], labels[:, ::-1])


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 30))
def test_mirrors_repeat_the_edge_and_keep_what_is_there(height: int, width: int, size: int) -> None:
    array = np.arange(height * width).reshape(1, height, width)
    grown = mirrored(array, size)
    assert grown.shape[1:] == (max(size, height), max(size, width))
    rows = np.arange(grown.shape[1]) % (2 * height)
    rows = np.minimum(rows, 2 * height - 1 - rows)
    assert np.array_equal(grown[0, :, 0], array[0, rows, 0])


def test_a_row_of_batches_taken_up_later_goes_on_with_the_same_ones(easy: tuple[Dataset, Any], tmp_path: Path) -> None:
    with training_scenes(easy[0], tmp_path / "cache", cache_gb=1, fill=(0, 0, 0)) as scenes:
        sampler = make_sampler(scenes, seed=5, size=16)
        first = list(islice(Batches(scenes, sampler, dtype="uint8", indices=lambda _: range(3)), 6))
        later = list(islice(Batches(scenes, sampler, dtype="uint8", indices=lambda _: range(3), start=4), 2))
    for one, other in zip(first[4:], later, strict=True):
        assert torch.equal(one[0], other[0])
        assert torch.equal(one[1], other[1])
