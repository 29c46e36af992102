"""Axes and lines of the charts."""

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from terraseg.report import charts
from terraseg.report.content import KeyEntry, ProgressRow

values = st.floats(-1e6, 1e6).filter(lambda v: v == 0 or abs(v) > 1e-6)


@settings(deadline=None)
@given(values, values)
def test_axes_hold_their_values_with_even_ticks(one: float, other: float) -> None:
    low, high = sorted((one, other))
    axis = charts.nice_axis(low, high)
    slack = 1e-6 * max(abs(low), abs(high), 1e-6)
    assert axis.low <= low + slack
    assert axis.high >= high - slack
    assert 2 <= len(axis.ticks) <= 12
    assert axis.low < axis.high


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=60))
def test_every_point_of_a_line_lies_inside_the_chart(scores: list[float]) -> None:
    rows = [ProgressRow(10.0 * n, mean_iou=value) for n, value in enumerate(scores, 1)]
    drawn = charts.training_charts(rows)
    assert drawn is not None
    path = re.search(r'<path d="(M[^"]*)"></path>(<circle|</g>)', drawn)
    assert path is not None
    points = [tuple(map(float, p.split())) for p in path[1][1:].split("L")]
    assert len(points) == len(scores)
    for x, y in points:
        assert charts.LEFT <= x <= charts.WIDTH - charts.RIGHT
        assert charts.TOP <= y <= charts.HEIGHT - charts.BOTTOM


def test_lines_differ_without_colour_and_say_their_numbers() -> None:
    rows = [ProgressRow(1, 10, train_loss=2.0, val_loss=3.0), ProgressRow(2, 20, train_loss=1.0, val_loss=None)]
    drawn = charts.training_charts(rows)
    assert drawn is not None
    assert drawn.count("<svg viewBox") >= 1
    assert "Training loss from 2 to 1; Validation loss from 3 to 3" in drawn
    assert 'class="line line-0 solid"' in drawn
    assert 'class="line line-1 dashed"' in drawn


def test_without_a_number_there_is_no_chart() -> None:
    assert charts.training_charts([]) is None
    assert charts.training_charts([ProgressRow(5, 3.0, lr=0.1)]) is None


def test_a_share_bar_leaves_out_what_is_not_there() -> None:
    bar = charts.share_bar([(KeyEntry("a", "#112233"), 1.0), (KeyEntry("b", "#445566"), 0.0)])
    assert "#112233" in bar
    assert "#445566" not in bar
