"""Where samples are cut."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from terraseg.core.coding import Coding
from terraseg.core.dataset import Imagery, Scene
from terraseg.core.window import Window
from terraseg.errors import EmptyDataset
from terraseg.store.blocks import Block
from terraseg.store.cache import cell_counts
from terraseg.train.sampling import make_sampler, places
from tests.makers import make_grid

VOID = 255


@dataclass
class InMemory:
    """A training scene of labels alone."""

    scene: Scene
    labels: NDArray[np.uint8]

    @property
    def counts(self) -> NDArray[np.uint16]:
        return cell_counts(self.labels, Coding(3))

    def read(self, window: Window) -> Block:
        return self.labels[window.slices][None], self.labels[window.slices]


def scene_of(labels: NDArray[np.uint8], train: Sequence[Window]) -> InMemory:
    scene = Scene("s", Imagery(("x",), ("b",)), "l", "g", make_grid(*labels.shape), tuple(train))
    return InMemory(scene, labels)


def zeros(height: int, width: int) -> NDArray[np.uint8]:
    return np.zeros((height, width), dtype=np.uint8)


@st.composite
def windows_in(draw: st.DrawFn, height: int = 150, width: int = 120) -> Window:
    row, col = draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))
    return Window(row, col, draw(st.integers(1, height - row)), draw(st.integers(1, width - col)))


@settings(max_examples=60, deadline=None)
@given(st.lists(windows_in(), min_size=1, max_size=4), st.integers(1, 80), st.integers(0, 5), st.floats(0, 1))
def test_every_place_lies_in_one_training_window_at_full_size(
    windows: list[Window], size: int, seed: int, share: float
) -> None:
    labels = np.random.default_rng(seed).integers(0, 3, (150, 120)).astype(np.uint8)
    sampler = make_sampler([scene_of(labels, windows)], seed=seed, size=size, centred_share=share)
    for scene, *box in places(sampler, 4, range(16)).tolist():
        place = Window(*box)
        around = [w for w in windows if w.contains(place)]
        assert scene == 0
        assert any((min(size, w.height), min(size, w.width)) == (place.height, place.width) for w in around)


def test_a_place_is_a_function_of_seed_step_and_index_alone() -> None:
    scenes = [scene_of(zeros(200, 200), [Window(0, 0, 200, 150)])]
    sampler = make_sampler(scenes, seed=1, size=32)
    whole = places(sampler, 9, range(12))
    again = make_sampler(scenes, seed=1, size=32)
    assert np.array_equal(places(again, 9, [7, 3]), whole[[7, 3]])
    assert not np.array_equal(places(sampler, 10, range(12)), whole)
    assert not np.array_equal(places(make_sampler(scenes, seed=2, size=32), 9, range(12)), whole)


def test_samples_come_to_cover_every_training_pixel_and_no_other() -> None:
    windows = [Window(0, 0, 64, 40), Window(10, 50, 40, 46)]
    sampler = make_sampler([scene_of(zeros(64, 96), windows)], seed=0, size=16, centred_share=0.2)
    seen = np.zeros((64, 96), dtype=int)
    for step in range(300):
        for _, *box in places(sampler, step, range(16)).tolist():
            seen[Window(*box).slices] += 1
    wanted = np.zeros((64, 96), dtype=bool)
    for window in windows:
        wanted[window.slices] = True
    assert np.array_equal(seen > 0, wanted)


def test_windows_are_drawn_by_their_areas() -> None:
    scenes = [scene_of(zeros(64, 64), [Window(0, 0, 64, 64)]), scene_of(zeros(64, 64), [Window(0, 0, 32, 32)])]
    sampler = make_sampler(scenes, seed=0, size=8, centred_share=0.0)
    drawn = np.concatenate([places(sampler, step, range(100))[:, 0] for step in range(50)])
    assert abs(drawn.mean() - 0.2) < 0.03


def test_centred_samples_find_a_rare_class() -> None:
    labels = zeros(512, 512)
    labels[96:112, 400:416] = 2
    scenes = [scene_of(labels, [Window(0, 0, 512, 512)])]

    def share(centred: float) -> float:
        sampler = make_sampler(scenes, seed=0, size=32, centred_share=centred)
        hits = [
            (labels[Window(*box).slices] == 2).any()
            for step in range(40)
            for _, *box in places(sampler, step, range(16)).tolist()
        ]
        return float(np.mean(hits))

    assert share(0.0) < 0.05
    assert 0.45 < share(1.0) < 0.6  # one of the two classes present


def test_classes_beside_the_training_windows_have_no_say() -> None:
    labels = zeros(128, 128)
    labels[:, 64:] = 1
    sampler = make_sampler([scene_of(labels, [Window(0, 0, 128, 70)])], seed=0, size=16)
    assert len(sampler.centres) == 1


def test_places_without_labels_are_mostly_avoided() -> None:
    labels = np.full((256, 256), VOID, dtype=np.uint8)
    labels[:, :128] = 1
    sampler = make_sampler([scene_of(labels, [Window(0, 0, 256, 256)])], seed=0, size=16, centred_share=0.0)
    drawn = np.concatenate([places(sampler, step, range(64)) for step in range(20)])
    assert np.mean(drawn[:, 2] >= 128) < 0.1


def test_nothing_to_train_on_is_said_plainly() -> None:
    with pytest.raises(EmptyDataset, match="no labelled scene has a training window"):
        make_sampler([scene_of(zeros(32, 32), [])], seed=0, size=16)
    void = np.full((64, 64), VOID, dtype=np.uint8)
    with pytest.raises(EmptyDataset, match="none of the 1 training windows has a labelled pixel"):
        make_sampler([scene_of(void, [Window(0, 0, 64, 64)])], seed=0, size=16)
