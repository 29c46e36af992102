"""One confusion matrix over the validation windows."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from terraseg.core.dataset import Dataset
from terraseg.core.fingerprint import Fingerprint
from terraseg.core.plan import Plan
from terraseg.core.window import Window
from terraseg.store.cache import training_scenes
from terraseg.train.module import build_module
from terraseg.train.validation import FEW_PIXELS, Score, Tile, arrange, batch_limit, tiled, validate


class Threshold(torch.nn.Module):
    """Calls a pixel a roof where its first band, normalised, is above 0; it looks at nothing around."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.stack([-images[:, 0], images[:, 0]], dim=1)


@given(st.integers(1, 70), st.integers(1, 70), st.integers(1, 40))
def test_tiles_count_every_pixel_of_a_window_once(height: int, width: int, side: int) -> None:
    window = Window(3, 5, height, width)
    seen = np.zeros((height + 3, width + 5), dtype=int)
    for tile in tiled(0, window, side):
        assert window.contains(tile.window)
        assert (tile.window.height, tile.window.width) == (min(side, height), min(side, width))
        part = seen[tile.window.slices]
        part[tile.top :, tile.left :] += 1
    assert (seen[window.slices] == 1).all()
    assert seen.sum() == height * width


def test_scores_equal_a_brute_force_count_over_whole_windows(
    make: Any,
    dataset_from: Callable[..., Dataset],
    facts_from: Callable[..., Fingerprint],
    plan: Plan,
    tmp_path: Path,
) -> None:
    random = np.random.default_rng(0)
    scenes, truth, guess = [], [], []
    for name, window in (("a", Window(5, 7, 61, 83)), ("b", Window(0, 0, 20, 90)), ("c", Window(40, 3, 33, 17))):
        labels = random.choice([0, 1, 9], size=(80, 96), p=[0.5, 0.3, 0.2]).astype("uint8")
        pixels = random.integers(0, 255, (3, 80, 96)).astype("uint8")
        scenes.append(make.scene(name, pixels, labels, validation=[window]))
        known = labels[window.slices] != 9
        truth.append(labels[window.slices][known])
        guess.append((pixels[0][window.slices] > 120).astype(int)[known])
    dataset = dataset_from(*scenes)
    module = build_module(dataset, facts_from(dataset), replace(plan, tile=32), network=Threshold)
    with training_scenes(dataset, tmp_path / "cache", cache_gb=1, fill=(0, 0, 0)) as opened:
        tiles = arrange(opened, replace(plan, tile=32))
        score = validate(module, opened, tiles)
        part = validate(module, opened, tiles, most_s=0.0)
    t, g = np.concatenate(truth), np.concatenate(guess)
    matrix = np.array([[np.sum((t == a) & (g == b)) for b in (0, 1)] for a in (0, 1)])
    assert np.array_equal(score.matrix, matrix)
    assert score.accuracy == pytest.approx(np.mean(t == g))
    iou = [np.sum((t == k) & (g == k)) / np.sum((t == k) | (g == k)) for k in (0, 1)]
    assert score.iou == pytest.approx(iou)
    assert score.mean_iou == pytest.approx(np.mean(iou))
    assert module.network.training
    assert part.batches == 1 < score.batches == len(tiles)


def test_the_mean_is_over_the_classes_that_the_truth_holds() -> None:
    score = Score(0.0, np.array([[6, 2, 0], [0, 0, 0], [1, 0, 3]]), 1)
    assert np.isnan(score.iou[1])
    assert score.mean_iou == pytest.approx((6 / 9 + 3 / 4) / 2)
    assert score.summary()["iou"][1] is None


def test_without_labelled_pixels_there_is_no_score() -> None:
    score = Score(0.0, np.zeros((2, 2), dtype=np.int64), 0)
    assert np.isnan(score.mean_iou)
    assert np.isnan(score.accuracy)


def test_tiles_of_void_alone_are_left_out_and_the_order_is_the_seeds(
    make: Any, dataset_from: Callable[..., Dataset], plan: Plan, tmp_path: Path
) -> None:
    labels = np.zeros((64, 256))
    labels[:, 128:] = 9
    scene = make.scene("v", np.zeros((3, 64, 256), dtype="uint8"), labels, validation=[Window(0, 0, 64, 256)])
    with training_scenes(dataset_from(scene), tmp_path / "cache", cache_gb=1, fill=(0, 0, 0)) as scenes:
        small = replace(plan, tile=16, batch=1, crop=16)
        tiles = [tile for batch in arrange(scenes, small) for tile in batch]
        assert arrange(scenes, small) == arrange(scenes, small) != arrange(scenes, replace(small, seed=9))
    assert len(tiles) == 32
    assert all(tile.window.col_stop <= 128 for tile in tiles)


def test_large_windows_are_swept_in_part_when_a_run_is_short(plan: Plan) -> None:
    batches = [tuple(Tile(0, Window(0, 0, 512, 512)) for _ in range(2))] * 50
    assert batch_limit(batches[:2], plan) == 2  # few pixels: all of them
    assert batch_limit(batches, plan) == FEW_PIXELS // (2 * 512 * 512)
    assert batch_limit(batches, replace(plan, steps=100_000, batch=16, crop=256)) == 50
