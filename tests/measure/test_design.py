"""How many points are planned: what the formulas and the promises say."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from terraseg.core.classes import LandClass, Legend
from terraseg.errors import BadOption, UnknownName
from terraseg.measure.accuracy import Z
from terraseg.measure.design import SampleOptions, allocate, parse_precision, plan_sample

LEGEND = Legend(
    tuple(LandClass(3 * k, name, f"#0000{k:02X}") for k, name in enumerate(("land", "water", "road", "roof")))
)
PIXELS = np.array([600_000, 0, 30_000, 4_000])


@pytest.mark.parametrize(
    ("text", "share"), [("+-5%", 0.05), ("±5%", 0.05), ("+/-2.5 %", 0.025), ("5%", 0.05), (".1", 0.1)]
)
def test_precisions_are_read(text: str, share: float) -> None:
    assert parse_precision(text) == pytest.approx(share)


@pytest.mark.parametrize("text", ["", "five", "-5%", "5%%", "5 m"])
def test_what_is_no_precision_is_refused(text: str) -> None:
    with pytest.raises(BadOption, match="cannot be read"):
        parse_precision(text)


@given(
    st.integers(0, 3000),
    st.lists(st.tuples(st.just(0.0) | st.floats(1e-9, 1), st.integers(1, 500)), min_size=1, max_size=6),
    st.integers(2, 80),
)
def test_shares_keep_to_their_bounds_and_to_the_weights(
    number: int, strata: list[tuple[float, int]], least: int
) -> None:
    weight = np.array([w for w, _ in strata])
    most = np.array([m for _, m in strata])
    points = allocate(number, weight, least=least, most=most)
    assert (points >= np.minimum(least, most)).all()
    assert (points <= most).all()
    free = (points > np.minimum(least, most)) & (points < most)
    if free.sum() > 1:
        rate = points[free] / weight[free]
        step = 1.001 / weight[free]
        assert rate.max() - rate.min() <= step.max() + 1e-6
    floor = np.minimum(least, most).sum()
    assert points.sum() <= max(number, floor) + len(strata)


def test_the_precision_that_was_asked_for_is_reached_and_not_by_far() -> None:
    for precision in (0.1, 0.05, 0.02):
        design = plan_sample(PIXELS * 0.25, PIXELS, LEGEND, SampleOptions(precision=precision, least=10))
        assert design.half_width <= precision
        assert design.half_width > 0.93 * precision
        share = np.array([s.share for s in design.strata])
        points = np.array([s.points for s in design.strata])
        variance = (share**2 * 0.7 * 0.3 / (points - 1)).sum()
        assert design.half_width == pytest.approx(Z * np.sqrt(variance))


def test_only_mapped_classes_are_strata_and_rare_ones_get_their_least() -> None:
    design = plan_sample(PIXELS * 1.0, PIXELS, LEGEND, SampleOptions(least=50))
    assert [s.class_name for s in design.strata] == ["land", "road", "roof"]
    assert [s.class_id for s in design.strata] == [0, 6, 9]
    assert design.strata[2].points == 50
    assert design.points == sum(s.points for s in design.strata)


def test_no_class_gets_more_points_than_it_has_pixels() -> None:
    pixels = np.array([5, 0, 7, 3])
    design = plan_sample(pixels * 1.0, pixels, LEGEND, SampleOptions(precision=0.001))
    assert [s.points for s in design.strata] == [5, 7, 3]


def test_neyman_gives_more_points_to_ground_that_is_less_sure() -> None:
    pixels = np.array([500_000, 500_000, 500_000, 500_000])
    classes = (("land", 0.98), ("water", 0.98), ("road", 0.5), ("roof", 0.98))
    neyman, proportional = (
        plan_sample(pixels * 1.0, pixels, LEGEND, SampleOptions(0.03, classes=classes, least=2, allocation=how))
        for how in ("neyman", "proportional")
    )
    points = [s.points for s in neyman.strata]
    assert points[2] > 3 * points[0]
    assert neyman.points < proportional.points
    assert len({s.points for s in proportional.strata}) == 1


def test_expected_areas_are_as_sure_as_a_simulation_says() -> None:
    """`share_half_width` against samples of a map that errs as it assumes."""
    share = np.array([0.7, 0.2, 0.1])
    legend = Legend(LEGEND.classes[:3])
    pixels = (share * 1e6).astype(np.int64)
    design = plan_sample(pixels.astype(np.float64), pixels, legend, SampleOptions(0.04, expected=0.8))
    points = [s.points for s in design.strata]
    rng = np.random.default_rng(0)
    rates = [np.where(np.arange(3) == i, 0.8, 0.2 * share / (1 - share[i])) for i in range(3)]
    drawn = sum(share[i] * rng.multinomial(points[i], rates[i], 4000) / points[i] for i in range(3))
    spread = Z * np.asarray(drawn).std(axis=0)
    assert [s.share_half_width for s in design.strata] == pytest.approx(spread, rel=0.05)


def test_options_that_make_no_sense_are_refused() -> None:
    for wrong in ({"precision": 0.0}, {"expected": 1.5}, {"least": 1}, {"allocation": "nyman"}):
        with pytest.raises(BadOption):
            SampleOptions(**wrong)
    with pytest.raises(UnknownName, match="road"):
        plan_sample(PIXELS * 1.0, PIXELS, LEGEND, SampleOptions(classes=(("roads", 0.5),)))
    with pytest.raises(BadOption, match="nothing but nodata"):
        plan_sample(PIXELS * 0.0, PIXELS * 0, LEGEND)
