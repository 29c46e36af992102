from itertools import product

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from terraseg.core.dataset import Dataset, Scene
from terraseg.core.split import Overlap
from terraseg.core.window import Window
from terraseg.errors import BadOption
from terraseg.prepare.blocks import STRIPS
from terraseg.prepare.split import ENOUGH_GROUPS, GAP_SHARE, measured_reach, split_dataset, usable_scenes
from terraseg.prepare.survey import LATTICE
from tests.prepare.conftest import Lay, Plot, laid


def apart(n: int, group: str, **more: object) -> Plot:
    """A plot far from the others."""
    return Plot(group, row=5000 * n, **more)  # type: ignore[arg-type]  # the fields of a plot


def test_with_enough_groups_no_group_stands_on_both_sides(lay: Lay) -> None:
    dataset, survey = lay([apart(3 * k + n, g) for k, g in enumerate("abcdef") for n in range(3)])
    split, report = split_dataset(dataset, survey)
    train = {s.group for s in split.scenes if s.train}
    validation = {s.group for s in split.scenes if s.validation}
    assert not train & validation
    assert train | validation == set("abcdef")
    assert 1 <= len(validation) <= 2
    assert report.leak_pixels == 0
    assert not report.warnings


def test_groups_that_share_ground_stand_on_one_side(lay: Lay) -> None:
    """Eight flights in a row, each half over the next by twos: four places."""
    plots = [apart(n // 2, f"flight {n}", col=48 * (n % 2)) for n in range(8)]
    dataset, survey = lay(plots)
    assert [(o.one, o.other) for o in survey.overlaps] == [("s0", "s1"), ("s2", "s3"), ("s4", "s5"), ("s6", "s7")]
    split, report = split_dataset(dataset, survey)
    for pair in zip(split.scenes[::2], split.scenes[1::2], strict=True):
        assert len({bool(s.validation) for s in pair}) == 1
    assert sorted(report.groups) == [("s0", "s1"), ("s2", "s3"), ("s4", "s5"), ("s6", "s7")]


def test_too_few_places_are_parted_within(lay: Lay) -> None:
    dataset, survey = lay([apart(n // 3, f"flight {n}", col=8 * (n % 3)) for n in range(9)])
    split, report = split_dataset(dataset, survey)
    assert ENOUGH_GROUPS > 3
    assert all(s.train for s in split.scenes)
    judging = [s for s in split.scenes if s.validation]
    assert 2 <= len(judging) < 9
    assert f"{len(judging)} of the 9 scenes judges" in report.how
    pixels = sum(w.height * w.width for s in judging for w in s.validation)
    assert 0.05 < pixels / sum(s.grid.height * s.grid.width for s in split.scenes) < 0.2


def test_one_or_two_scenes_judge_with_a_part_of_each(lay: Lay) -> None:
    dataset, survey = lay([apart(n, f"flight {n}") for n in range(2)])
    split, _ = split_dataset(dataset, survey)
    assert all(s.train and s.validation for s in split.scenes)


@settings(max_examples=40, deadline=None)
@given(height=st.integers(5, 300), width=st.integers(5, 300), seed=st.integers(0, 99))
def test_without_a_range_the_two_sides_part_all_pixels(height: int, width: int, seed: int) -> None:
    dataset, survey = laid([Plot("a", height=height, width=width), apart(1, "b")], seed=seed)
    split, _ = split_dataset(dataset, survey)
    seen = np.zeros((height, width), int)
    for window in (*split.scenes[0].train, *split.scenes[0].validation):
        seen[window.slices] += 1
    assert (seen == 1).all()
    share = sum(w.height * w.width for w in split.scenes[0].validation) / (height * width)
    assert 0 < share < 0.45


def ground_of(
    scene: Scene, windows: tuple[Window, ...], side: int = 700
) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
    """The windows on the common ground of all plots, as a mask."""
    x, y = scene.grid.transform[2], scene.grid.transform[5]
    row, col = round((4_000_000.0 - y) * 2), round((x - 500_000.0) * 2)
    mask = np.zeros((side, side), bool)
    for w in windows:
        mask[row + w.row : row + w.row_stop, col + w.col : col + w.col_stop] = True
    return mask


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    places=st.lists(st.tuples(st.integers(0, 200), st.integers(0, 200)), min_size=1, max_size=4),
    sizes=st.tuples(st.integers(80, 300), st.integers(80, 300)),
    reach=st.sampled_from([0.0, 3.0, 17.0, 500.0]),
    test=st.booleans(),
    seed=st.integers(0, 50),
)
def test_training_keeps_the_gap_to_what_judges(
    places: list[tuple[int, int]], sizes: tuple[int, int], reach: float, test: bool, seed: int
) -> None:
    """Over any scenes on common ground: no training pixel within the gap of a validation or test pixel of its own or an
    overlapping scene, counted in squares around it.
    """
    from scipy import ndimage

    height, width = sizes
    plots = [Plot(f"g{n}", row, col, height, width) for n, (row, col) in enumerate(places)]
    plots += [Plot("t", 150, 150, 60, 60, is_test=True)] * test
    dataset, survey = laid(plots, range_px=reach, seed=seed)
    split, report = split_dataset(dataset, survey)
    limit = measured_reach(usable_scenes(dataset, survey), survey)
    touching = {frozenset((o.one, o.other)) for o in survey.overlaps}
    for one, other in product(split.scenes, split.scenes):
        if not one.train or not (one is other or frozenset((one.name, other.name)) in touching):
            continue
        gap = limit.gap_of(one)
        assert gap == min(np.ceil(reach), min(height, width) // GAP_SHARE)
        judged = ground_of(other, (*other.validation, *other.windows("test")))
        near = ndimage.maximum_filter(judged.view(np.uint8), size=2 * gap + 1).view(np.bool_)
        assert not (near & ground_of(one, one.train)).any()
    for scene in split.scenes:
        seen = np.zeros((scene.grid.height, scene.grid.width), int)
        for window in (*scene.train, *scene.validation):
            assert scene.grid.window.contains(window)
            seen[window.slices] += 1
        assert seen.max() <= 1
    assert report.leak_pixels == 0


def test_ground_that_judges_just_beyond_a_scene_s_edge_keeps_its_distance_too(lay: Lay) -> None:
    dataset, survey = lay([Plot("a", 0, 0, 80, 80), Plot("b", 0, 0, 80, 80), Plot("c", 0, 20, 80, 80)], range_px=3)
    split, _ = split_dataset(dataset, survey)
    judged = ground_of(split.scenes[1], split.scenes[1].validation)
    trained = np.argwhere(ground_of(split.scenes[2], split.scenes[2].train))
    away = [np.abs(trained - place).max(axis=1).min() for place in np.argwhere(judged)]
    assert min(away) > 3


def test_pictures_of_the_same_ground_are_kept_apart_too(lay: Lay) -> None:
    """Without a CRS an overlap is two rectangles; one scene's pixels are twice as large."""
    overlap = Overlap("s0", "s1", Window(0, 100, 200, 100), Window(0, 0, 100, 50), 0.5, "picture")
    plots = [Plot("a", height=200, width=200, placed=False), Plot("b", height=100, width=100, placed=False)]
    counts = {name: np.ones((LATTICE, LATTICE, 2), int) for name in ("s0", "s1")}
    dataset, survey = lay(plots, overlaps=(overlap,), counts=counts)
    split, _ = split_dataset(dataset, survey, patch=20)
    one, other = split.scenes
    for window in one.validation:
        part = window.intersection(overlap.window_one)
        there = Window(part.row // 2, (part.col - 100) // 2, part.height // 2, part.width // 2)
        assert all(there.intersection(w).is_empty for w in other.train)


def test_the_validation_strip_has_the_mixture_of_the_scene(lay: Lay) -> None:
    blocks = np.zeros((LATTICE, LATTICE, 2), int)
    blocks[..., 0] = 80
    blocks[:, :, 1] = np.array([0, 0, 20, 80, 0]).repeat(LATTICE // STRIPS)[:, None]
    dataset, survey = lay([Plot("a", height=100, width=100)], counts={"s0": blocks})
    split, _ = split_dataset(dataset, survey, patch=10)
    (window,) = split.scenes[0].validation
    step = 100 // LATTICE
    chosen = blocks[window.row // step : window.row_stop // step, window.col // step : window.col_stop // step]
    chosen, whole = chosen.sum(axis=(0, 1)), blocks.sum(axis=(0, 1))
    assert chosen / chosen.sum() == pytest.approx(whole / whole.sum(), abs=0.05)


def test_scattered_blocks_are_taken_where_strips_do_not_stand_for_the_scene(lay: Lay) -> None:
    """Class b grows in two steps down the rows and across the columns: every strip has too much of it or too little."""
    steps = np.array([5, 5, 0, 0, 0]).repeat(LATTICE // STRIPS)
    share = steps[:, None] + steps[None, :]
    blocks = np.stack([10 - share, share], axis=2)
    dataset, survey = lay([Plot("a", height=4000, width=4000)], counts={"s0": blocks}, range_px=4.0)
    split, report = split_dataset(dataset, survey)
    windows = split.scenes[0].validation
    assert len(windows) == STRIPS
    assert all(w.height == w.width == 800 for w in windows)
    assert "blocks" in report.how


def test_a_strip_holds_a_patch_and_the_gap(lay: Lay) -> None:
    dataset, survey = lay([Plot("a", height=900, width=900)], range_px=30)
    split, report = split_dataset(dataset, survey, patch=190)
    (window,) = split.scenes[0].validation
    assert min(window.height, window.width) == 220
    assert report.gap_px == 30
    assert not report.warnings


def test_a_gap_that_would_cost_too_much_is_bounded_and_that_is_said(lay: Lay) -> None:
    dataset, survey = lay([Plot("a", height=300, width=400)], range_px=80)
    _, report = split_dataset(dataset, survey)
    assert report.gap_px == 30
    assert any("alike over 80 px in s0" in w and "30 px" in w for w in report.warnings)


def test_test_scenes_are_on_neither_side(lay: Lay) -> None:
    dataset, survey = lay([apart(0, "a"), apart(1, "b", is_test=True)])
    split, _ = split_dataset(dataset, survey)
    assert split.scenes[1].windows("test") == (split.scenes[1].grid.window,)
    assert not split.scenes[1].train
    assert not split.scenes[1].validation


@pytest.mark.parametrize("validation", [(), ("none",)])
def test_ground_of_a_test_scene_is_not_trained_on_and_counted(lay: Lay, validation: tuple[str, ...]) -> None:
    dataset, survey = lay([Plot("a", height=200, width=200), Plot("t", 0, 150, 100, 100, is_test=True)])
    split, report = split_dataset(dataset, survey, validation)
    assert not (
        ground_of(split.scenes[0], split.scenes[0].train) & ground_of(split.scenes[1], (Window(0, 0, 100, 100),))
    ).any()
    assert any("5,000 px of the ground of the test scene s1" in w for w in report.warnings)


def test_none_trains_on_everything(lay: Lay) -> None:
    split, _ = split_dataset(*lay([Plot("a")]), ("none",))
    assert split.scenes[0].train == (split.scenes[0].grid.window,)
    assert not split.scenes[0].validation


def test_named_scenes_judge_and_a_leak_is_counted(lay: Lay) -> None:
    dataset, survey = lay([apart(0, "a"), apart(1, "a"), apart(2, "b")])
    split, report = split_dataset(dataset, survey, ("s1",))
    assert [bool(s.validation) for s in split.scenes] == [False, True, False]
    assert report.leak_pixels == 64 * 96
    (warning,) = report.warnings
    assert "both sides" in warning
    assert "6,144" in warning


def test_named_scenes_that_overlap_training_leak_by_the_pixels_they_share(lay: Lay) -> None:
    plots = [Plot("a"), Plot("b", row=32, col=48), Plot("c", row=40, col=40), apart(1, "d")]
    split, report = split_dataset(*lay(plots), ("s0",))
    trained = [ground_of(s, s.train) for s in split.scenes[1:3]]
    judged = ground_of(split.scenes[0], split.scenes[0].validation)
    assert report.leak_pixels == sum(int((judged & mask).sum()) for mask in trained) == 32 * 48 + 24 * 56
    assert any("2,880 training pixels" in w for w in report.warnings)


def test_a_name_that_no_scene_has_is_refused(lay: Lay) -> None:
    with pytest.raises(BadOption, match="names no labelled scene"):
        split_dataset(*lay([Plot("a")]), ("zz",))


def test_a_scene_without_a_labelled_pixel_plays_no_part_and_is_named(lay: Lay) -> None:
    void = {"s1": np.zeros((LATTICE, LATTICE, 2), int)}
    split, report = split_dataset(*lay([apart(0, "a"), apart(1, "b")], counts=void))
    assert not split.scenes[1].train
    assert not split.scenes[1].validation
    assert any("1 scene(s) have labels without a labelled pixel" in w and "s1" in w for w in report.warnings)


def test_a_split_is_the_same_every_time(lay: Lay) -> None:
    plots = [apart(n, f"g{n}", height=50 + n) for n in range(30)]
    splits: list[Dataset] = [split_dataset(*lay(plots))[0] for _ in range(2)]
    assert splits[0] == splits[1]
