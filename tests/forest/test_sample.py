"""Where training pixels come from: never from beside the training windows, and from every class."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from terraseg.core.classes import VOID
from terraseg.core.window import Window
from terraseg.errors import EmptyDataset
from terraseg.forest.sample import MARGIN, PATCH, PER_PATCH, Patch, draw_patches, draw_pixels, pixel_weights
from terraseg.store.cache import training_scenes
from tests.forest.conftest import make_blocks, make_data, make_scene

WINDOWS = (Window(0, 0, 300, 130), Window(40, 200, 120, 31))


def patches_of(folder: Path, windows: tuple[Window, ...], *, seed: int = 0, pixels: int = 20_000) -> list[Patch]:
    image, labels = make_blocks(3, 300, 300)
    labels[60:80, 40:60] = 2
    made = make_data(folder, make_scene(folder, "scene", image, labels, windows))
    with training_scenes(made.dataset, folder / "cache", cache_gb=1, fill=(0, 0, 0)) as scenes:
        return draw_patches(scenes, pixels, seed)


def test_a_patch_and_its_surroundings_lie_in_one_training_window(tmp_path: Path) -> None:
    patches = patches_of(tmp_path, WINDOWS)
    assert len(patches) == -(-20_000 // PER_PATCH)
    for patch in patches:
        (window,) = (w for w in WINDOWS if w.contains(patch.inner))
        assert window.contains(patch.outer)
        assert patch.outer.contains(patch.inner)
        assert (patch.inner.height, patch.inner.width) == (min(PATCH, window.height), min(PATCH, window.width))
        for near, far in ((patch.outer.row, patch.inner.row), (patch.outer.col, patch.inner.col)):
            assert far - near <= MARGIN


def test_windows_get_their_share_and_rare_classes_their_patches(tmp_path: Path) -> None:
    patches = patches_of(tmp_path, WINDOWS)
    spread = patches[: round(len(patches) * 0.75)]
    in_first = sum(WINDOWS[0].contains(patch.inner) for patch in spread)
    share = 300 * 130 / (300 * 130 + 120 * 31)
    assert in_first / len(spread) == pytest.approx(share, abs=0.02)
    rare = Window(60, 40, 20, 20)
    centred = patches[len(spread) :]
    assert sum(not patch.inner.intersection(rare).is_empty for patch in centred) >= len(centred) // 3


def test_places_go_by_the_seed_alone(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert patches_of(tmp_path / "a", WINDOWS) == patches_of(tmp_path / "b", WINDOWS)
    assert patches_of(tmp_path / "a", WINDOWS, seed=1) != patches_of(tmp_path / "b", WINDOWS)


def test_windows_without_a_label_are_passed_over_and_none_at_all_is_refused(tmp_path: Path) -> None:
    image, labels = make_blocks(3)
    labels[:, 96:] = 9
    scene = make_scene(tmp_path, "half", image, labels, (Window(0, 0, 160, 96), Window(0, 112, 160, 80)))
    made = make_data(tmp_path, scene)
    with training_scenes(made.dataset, tmp_path / "cache", cache_gb=1, fill=(0, 0, 0)) as scenes:
        assert all(patch.inner.col_stop <= 96 for patch in draw_patches(scenes, 5000, 0))
    void = replace(made.dataset, scenes=(replace(scene, train=(Window(0, 112, 160, 80),)),))
    with (
        training_scenes(void, tmp_path / "cache2", cache_gb=1, fill=(0, 0, 0)) as scenes,
        pytest.raises(EmptyDataset, match="no training window has a labelled pixel"),
    ):
        draw_patches(scenes, 5000, 0)


def test_pixels_are_labelled_unique_and_nearer_to_even(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    labels = np.zeros((100, 100), dtype=np.uint8)
    labels[:10] = 1
    labels[90:] = VOID
    chosen = draw_pixels(labels, 500, random)
    assert len(set(chosen.tolist())) == 500
    found = np.bincount(labels.ravel()[chosen], minlength=256)
    assert found[VOID] == 0
    # A ninth of the labelled pixels: between that and a half.
    assert 0.2 < found[1] / 500 < 0.35
    assert len(draw_pixels(labels, 10_000, random)) == 9000


def test_a_class_weighs_as_the_root_of_its_share_however_often_it_was_drawn() -> None:
    labels = np.array([0] * 10 + [1] * 30, dtype=np.uint8)
    weights = pixel_weights(labels, (0.96, 0.04, 0.0))
    assert weights.mean() == pytest.approx(1)
    assert weights[:10].sum() / weights[10:].sum() == pytest.approx(np.sqrt(0.96 / 0.04))
