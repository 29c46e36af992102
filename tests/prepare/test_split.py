from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from terraseg.core.classes import LandClass, Legend
from terraseg.core.dataset import Dataset, Imagery, LabelRule, Scene
from terraseg.errors import BadOption
from terraseg.prepare.split import STRIPS, split_dataset
from tests.makers import make_grid

LEGEND = Legend((LandClass(0, "a", "#000000"), LandClass(1, "b", "#FFFFFF")))


def scene(name: str, group: str, *, is_test: bool = False, height: int = 64, width: int = 96) -> Scene:
    return Scene(
        name, Imagery((f"{name}.tif",), ("red",)), f"{name}.png", group, make_grid(height, width), is_test=is_test
    )


def dataset(scenes: Sequence[Scene]) -> Dataset:
    return Dataset(tuple(scenes), LEGEND, LabelRule("ids", (("0",), ("1",))), ("red",), "uint8")


def counts(scenes: Sequence[Scene], seed: int = 0) -> dict[str, NDArray[np.int64]]:
    generator = np.random.default_rng(seed)
    return {s.name: generator.integers(1, 100, (STRIPS, STRIPS, 2)) for s in scenes}


def test_with_enough_groups_no_group_stands_on_both_sides() -> None:
    scenes = [scene(f"{g}{n}", g) for g in "abcdef" for n in range(3)]
    split, _ = split_dataset(dataset(scenes), counts(scenes), ())
    train = {s.group for s in split.scenes if s.train}
    validation = {s.group for s in split.scenes if s.validation}
    assert not train & validation
    assert train | validation == set("abcdef")
    assert 1 <= len(validation) <= 2


@settings(max_examples=40, deadline=None)
@given(height=st.integers(5, 300), width=st.integers(5, 300), seed=st.integers(0, 99))
def test_within_a_scene_the_two_sides_part_all_pixels(height: int, width: int, seed: int) -> None:
    scenes = [scene("a", "a", height=height, width=width), scene("b", "b")]
    split, _ = split_dataset(dataset(scenes), counts(scenes, seed), ())
    seen = np.zeros((height, width), int)
    for window in (*split.scenes[0].train, *split.scenes[0].validation):
        seen[window.slices] += 1
    assert (seen == 1).all()
    share = sum(w.height * w.width for w in split.scenes[0].validation) / (height * width)
    assert 0 < share < 0.45


def test_the_validation_strip_has_the_mixture_of_the_scene() -> None:
    one = scene("a", "a", height=100, width=100)
    blocks = np.zeros((STRIPS, STRIPS, 2), int)
    blocks[..., 0] = 80
    blocks[:, :, 1] = np.array([0, 0, 20, 80, 0])[:, None]
    split, _ = split_dataset(dataset([one]), {"a": blocks}, ())
    window = split.scenes[0].validation[0]
    chosen = blocks[window.row // 20 : window.row_stop // 20, window.col // 20 : window.col_stop // 20].sum(axis=(0, 1))
    whole = blocks.sum(axis=(0, 1))
    assert chosen / chosen.sum() == pytest.approx(whole / whole.sum(), abs=0.05)


def test_test_scenes_are_on_neither_side() -> None:
    scenes = [scene("a", "a"), scene("b", "b", is_test=True)]
    split, _ = split_dataset(dataset(scenes), counts(scenes), ())
    assert split.scenes[1].windows("test") == (split.scenes[1].grid.window,)
    assert not split.scenes[1].train
    assert not split.scenes[1].validation


def test_none_trains_on_everything() -> None:
    scenes = [scene("a", "a")]
    split, _ = split_dataset(dataset(scenes), counts(scenes), ("none",))
    assert split.scenes[0].train == (split.scenes[0].grid.window,)
    assert not split.scenes[0].validation


def test_named_scenes_judge_and_a_leak_is_said() -> None:
    scenes = [scene("a1", "a"), scene("a2", "a"), scene("b", "b")]
    split, how = split_dataset(dataset(scenes), counts(scenes), ("a2",))
    assert [bool(s.validation) for s in split.scenes] == [False, True, False]
    assert "both sides" in how


def test_a_name_that_no_scene_has_is_refused() -> None:
    scenes = [scene("a", "a")]
    with pytest.raises(BadOption, match="names no labelled scene"):
        split_dataset(dataset(scenes), counts(scenes), ("zz",))


def test_a_scene_without_a_labelled_pixel_plays_no_part() -> None:
    scenes = [scene("a", "a"), scene("b", "b")]
    blocks = counts(scenes)
    blocks["b"][:] = 0
    split, _ = split_dataset(dataset(scenes), blocks, ())
    assert not split.scenes[1].train
    assert not split.scenes[1].validation
