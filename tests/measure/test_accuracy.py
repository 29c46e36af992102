"""The estimator against the figures of its own paper, against simulated samples from known truth, and against itself."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from terraseg.core.classes import LandClass, Legend
from terraseg.core.classreader import ClassArray
from terraseg.core.grid import Grid
from terraseg.core.survey import SurveyPoints
from terraseg.errors import BadOption
from terraseg.measure.accuracy import HonestAreas, Z, estimate_from_blocks, estimate_from_points
from terraseg.measure.design import SampleOptions, plan_sample
from terraseg.measure.draw import count_points, draw_points


def legend_of(*names: str) -> Legend:
    return Legend(tuple(LandClass(number, name, f"#0000{number:02X}") for number, name in enumerate(names)))


# The worked example of Olofsson et al. 2014, section 5: tables 8 and 9, areas in hectares.
FORESTS = legend_of("deforestation", "forest gain", "stable forest", "stable non-forest")
COUNTS = np.array([[66, 0, 5, 4], [0, 55, 8, 12], [1, 0, 153, 11], [2, 1, 9, 313]])
MAPPED_HA = np.array([200_000, 150_000, 3_200_000, 6_450_000]) * 0.09


def test_the_worked_example_of_the_paper() -> None:
    found = estimate_from_points(COUNTS, MAPPED_HA, FORESTS)
    halves = [round(Z * c.area.standard_error) for c in found.classes]
    assert [round(c.area.value) for c in found.classes] == [21_158, 11_686, 285_770, 581_386]
    assert halves == pytest.approx([6_158, 3_756, 15_510, 16_282], abs=1)
    users = [(c.users.value, Z * c.users.standard_error) for c in found.classes if c.users]
    assert np.round(users, 2).tolist() == [[0.88, 0.07], [0.73, 0.10], [0.93, 0.04], [0.96, 0.02]]
    producers = [(c.producers.value, Z * c.producers.standard_error) for c in found.classes if c.producers]
    assert np.round(producers, 2).tolist() == [[0.75, 0.21], [0.85, 0.25], [0.93, 0.03], [0.96, 0.02]]
    assert (found.overall.value, Z * found.overall.standard_error) == pytest.approx((0.947, 0.018), abs=5e-4)


def test_estimated_areas_add_up_to_what_was_observed() -> None:
    found = estimate_from_points(COUNTS, MAPPED_HA, FORESTS)
    assert sum(c.area.value for c in found.classes) == pytest.approx(MAPPED_HA.sum())
    assert all(c.area.low <= c.area.value <= c.area.high for c in found.classes)


def test_points_that_are_blocks_of_their_own_give_the_same() -> None:
    """One pixel a block: the linearized variance differs by n / (n - 1) of a stratum from the exact one."""
    blocks = [
        np.eye(16, dtype=np.int64)[4 * i + k].reshape(4, 4)
        for i in range(4)
        for k in range(4)
        for _ in range(COUNTS[i, k])
    ]
    exact = estimate_from_points(COUNTS, MAPPED_HA, FORESTS)
    linear = estimate_from_blocks(blocks, MAPPED_HA, FORESTS)
    assert linear.confusion == exact.confusion
    assert linear.overall.standard_error == pytest.approx(exact.overall.standard_error, rel=0.01)
    for one, two in zip(exact.classes, linear.classes, strict=True):
        for a, b in ((one.area, two.area), (one.users, two.users), (one.producers, two.producers)):
            assert a is not None
            assert b is not None
            assert (b.value, b.standard_error) == pytest.approx((a.value, a.standard_error), rel=0.01)


def test_pixels_that_err_together_do_not_count_as_many() -> None:
    """A hundred copies of every pixel in its block say no more than one: the interval stays."""
    rng = np.random.default_rng(4)
    blocks = rng.multinomial(50, (COUNTS / COUNTS.sum()).ravel(), 30).reshape(30, 4, 4)
    once = estimate_from_blocks(blocks, MAPPED_HA, FORESTS)
    often = estimate_from_blocks(100 * blocks, MAPPED_HA, FORESTS)
    pairs = zip(once.classes, often.classes, strict=True)
    assert all(a.area.standard_error == pytest.approx(b.area.standard_error) for a, b in pairs)


def test_a_class_that_is_not_mapped_gets_an_area_all_the_same() -> None:
    legend = legend_of("land", "water", "pond")
    counts = np.array([[90, 5, 5], [1, 49, 0], [0, 0, 0]])
    found = estimate_from_points(counts, np.array([800.0, 200.0, 0.0]), legend)
    pond = found.classes[2]
    assert pond.area.value == pytest.approx(800 * 5 / 100)
    assert (pond.users, pond.points, pond.mapped_area) == (None, 0, 0.0)
    assert pond.producers is not None
    assert pond.producers.value == 0
    assert found.rows()[2]["users_accuracy"] is None
    assert len({tuple(row) for row in found.rows()}) == 1


def test_a_sample_without_an_error_does_not_claim_that_there_is_none() -> None:
    legend = legend_of("land", "water")
    found = estimate_from_points(np.array([[60, 0], [0, 40]]), np.array([900.0, 100.0]), legend)
    land, water = found.classes
    assert found.overall.value == 1
    assert land.users is not None
    # Of 60 right ones in a row the chance is 0.025 when 6 % are wrong.
    assert (1 - land.users.low) == pytest.approx(1 - 0.025 ** (1 / 60))
    assert water.area.value == 100
    assert water.area.high == pytest.approx(100 + 900 * -np.log(0.025) / 60)
    assert water.producers is not None
    # A little lower yet: the mapped water, too, may be less than all water.
    assert 100 / water.area.high - 0.002 < water.producers.low < 100 / water.area.high
    assert found.overall.low < 0.96


def test_rare_misses_are_inside_the_interval_as_often_as_is_said() -> None:
    """One point in a hundred of the land is water that is not mapped: most samples of 60 points show none of it."""
    legend = legend_of("land", "water")
    areas = np.array([900.0, 100.0])
    rng = np.random.default_rng(0)
    held = 0
    for missed in rng.binomial(60, 0.01, 1000):
        found = estimate_from_points(np.array([[60 - missed, missed], [0, 40]]), areas, legend)
        held += found.classes[1].area.low <= 109 <= found.classes[1].area.high
    assert held >= 930


def test_a_mapped_class_without_points_is_named() -> None:
    with pytest.raises(BadOption, match="mapped as water"):
        estimate_from_points(np.array([[5, 1], [1, 0]]), np.array([1.0, 1.0]), legend_of("land", "water"))
    with pytest.raises(BadOption, match="nothing but nodata"):
        estimate_from_points(np.array([[5, 1], [1, 5]]), np.array([0.0, 0.0]), legend_of("land", "water"))
    with pytest.raises(BadOption, match="two at least"):
        estimate_from_blocks([np.array([[5, 1], [1, 5]])], np.array([1.0, 1.0]), legend_of("land", "water"))


@pytest.mark.parametrize("missed", [0.02, 0.03, 0.05])
def test_few_errors_in_a_large_stratum_are_inside_the_interval_as_often_as_is_said(missed: float) -> None:
    """The normal interval is too narrow where a sample happens to show few of them, and that is half of the samples."""
    legend = legend_of("land", "water")
    areas, points = np.array([850.0, 150.0]), (150, 50)
    true = 850 * missed + 150 * 0.9
    rng = np.random.default_rng(1)
    held = dict.fromkeys(("area", "users", "producers", "overall", "normal"), 0)
    for lost, right in zip(rng.binomial(points[0], missed, 1000), rng.binomial(points[1], 0.9, 1000), strict=True):
        found = estimate_from_points(np.array([[150 - lost, lost], [50 - right, right]]), areas, legend)
        water = found.classes[1]
        truths = {"area": true, "users": 0.9, "producers": 135 / true, "overall": (850 * (1 - missed) + 135) / 1000}
        for name, value in truths.items():
            ends = found.overall if name == "overall" else getattr(water, name)
            held[name] += ends.low <= value <= ends.high
        held["normal"] += abs(water.area.value - true) <= Z * water.area.standard_error
    assert all(930 <= held[name] <= 985 for name in ("area", "producers", "overall")), held
    assert held["users"] >= 920, held  # Of 50 points one rate cannot be hit better (Brown, Cai and DasGupta 2001).
    assert held["normal"] < held["area"]


@settings(deadline=None)
@given(st.lists(st.integers(0, 30), min_size=9, max_size=9), st.lists(st.floats(0, 900), min_size=3, max_size=3))
def test_ends_lie_around_their_figures_whatever_was_counted(found: list[int], areas: list[float]) -> None:
    counts = np.array(found).reshape(3, 3) + np.diag([1, 1, 1]) * 2 * (np.array(areas) > 0)[:, None]
    if not any(areas):
        areas = [1.0, *areas[1:]]
        counts[0, 0] += 2
    result = estimate_from_points(counts, np.array(areas), legend_of("a", "b", "c"))
    for figure in (
        result.overall,
        *(f for c in result.classes for f in (c.share, c.users, c.producers) if f is not None),
    ):
        assert 0 <= figure.low <= figure.value + 1e-12
        assert figure.value <= figure.high + 1e-12
        assert figure.high <= 1


def blotches(seed: int, side: int, shares: tuple[float, ...]) -> NDArray[np.uint8]:
    """Smooth patches of classes with given shares."""
    noise = np.random.default_rng(seed).normal(size=(side, side))
    spectrum = np.fft.rfft2(noise)
    away = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None])
    smooth = np.fft.irfft2(spectrum / (0.02 + away) ** 2, s=noise.shape)
    return np.searchsorted(np.quantile(smooth, np.cumsum(shares)[:-1]), smooth).astype(np.uint8)


def test_intervals_hold_the_truth_as_often_as_they_say_and_pixel_counts_do_not() -> None:
    """1,000 samples, each drawn from the map and labelled by the truth: the way from `plan_sample` to `estimate_from_points`."""
    legend = legend_of("field", "wood", "town")
    truth = blotches(1, 100, (0.5, 0.3, 0.2))
    rng = np.random.default_rng(2)
    # The map has too much town, at the cost of the rest, and noise.
    mapped = np.where((truth < 2) & (rng.random(truth.shape) < 0.1), 2, truth).astype(np.uint8)
    mapped = np.where(rng.random(truth.shape) < 0.05, rng.integers(0, 3, truth.shape), mapped).astype(np.uint8)
    raster = ClassArray(Grid(None, (1, 0, 0, 0, 1, 0), *truth.shape), legend, mapped)
    areas = np.bincount(mapped.ravel(), minlength=3).astype(np.float64)
    true = np.bincount(truth.ravel(), minlength=3).astype(np.float64)
    held, widths = np.zeros(3), np.zeros(3)
    right = (mapped == truth).mean()
    overall = 0
    design = plan_sample(areas, areas.astype(np.int64), legend, SampleOptions(precision=0.04, expected=0.8))
    for seed in range(1000):
        points = draw_points(raster, replace(design, options=replace(design.options, seed=seed)))
        labelled = SurveyPoints(points.x, points.y, points.stratum, found_at(truth, points), None)
        counts, _ = count_points(raster, labelled)
        found = estimate_from_points(counts, areas, legend, unit="px")
        low, high = ends(found)
        held += (low <= true) & (true <= high)
        widths += high - low
        overall += found.overall.low <= right <= found.overall.high
    assert ((held / 1000 >= 0.93) & (held / 1000 <= 0.97)).all(), held
    assert 0.93 <= overall / 1000 <= 0.97
    # What the map shows of town and field lies outside even twice the mean interval around the truth.
    assert (np.abs(areas - true)[[0, 2]] > (widths / 1000)[[0, 2]]).all()


def ends(found: HonestAreas) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return np.array([c.area.low for c in found.classes]), np.array([c.area.high for c in found.classes])


def test_intervals_of_blocks_hold_the_truth_where_blocks_are_drawn_at_random() -> None:
    legend = legend_of("field", "wood", "town")
    truth = blotches(3, 512, (0.5, 0.3, 0.2))
    error = blotches(4, 512, (0.85, 0.15))
    mapped = np.where((error == 1) & (truth < 2), 2, truth).astype(np.uint8)
    code = (mapped.astype(np.int64) * 3 + truth).reshape(32, 16, 32, 16).swapaxes(1, 2).reshape(1024, 256)
    counts = np.stack([np.bincount(c, minlength=9).reshape(3, 3) for c in code])
    areas, true = counts.sum(axis=(0, 2)).astype(np.float64), counts.sum(axis=(0, 1)).astype(np.float64)
    rng = np.random.default_rng(5)
    held = np.zeros(3)
    for _ in range(400):
        chosen = counts[rng.choice(1024, 150, replace=True)]
        low, high = ends(estimate_from_blocks(chosen, areas, legend))
        held += (low <= true) & (true <= high)
    assert (held / 400 > 0.9).all(), held


def found_at(truth: NDArray[np.uint8], points: SurveyPoints) -> NDArray[np.int16]:
    return np.asarray(truth[points.y.astype(int), points.x.astype(int)], dtype=np.int16)
