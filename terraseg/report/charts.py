"""Charts as inline SVG that takes the page's own fonts and colours, so that it suits a dark page and a printed one."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from terraseg.report.content import KeyEntry, ProgressRow
from terraseg.report.markup import Html, element, join
from terraseg.report.wording import clock, number, percent

WIDTH, HEIGHT = 460, 270
LEFT, RIGHT, TOP, BOTTOM = 48, 14, 14, 46
TINY = 1e-12
"""Values this close are one value to an axis."""


@dataclass(frozen=True)
class Series:
    """A named line of (x, y) points; `style` is "solid" or "dashed", so that lines differ without colour."""

    name: str
    points: tuple[tuple[float, float], ...]
    style: str = "solid"


@dataclass(frozen=True)
class Axis:
    """Ticks and how they are written; the axis runs from `low` to `high`."""

    low: float
    high: float
    ticks: tuple[float, ...]

    def place(self, value: float) -> float:
        """The value's place along the axis, from 0 to 1."""
        return (value - self.low) / (self.high - self.low)


def nice_axis(low: float, high: float, *, ticks: int = 5) -> Axis:
    """An axis over all values whose ticks are 1, 2 or 5 times a power of ten apart, about `ticks` of them.

    >>> nice_axis(0, 0.93).ticks
    (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
    """
    span = high - low if high - low > TINY else max(abs(high), 1.0)
    power = 10.0 ** math.floor(math.log10(span / ticks))
    step = min((power * m for m in (1, 2, 5, 10)), key=lambda s: abs(span / s - ticks))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    last = max(last, first + 1)
    places = tuple(float(f"{n * step:.12g}") for n in range(first, last + 1))
    return Axis(places[0], places[-1], places)


def fitted_axis(low: float, high: float) -> Axis:
    """An axis that ends exactly at the data, with round ticks inside it."""
    if high - low <= TINY:
        return Axis(low - 0.5, high + 0.5, (low,))
    inside = nice_axis(low, high).ticks
    return Axis(low, high, tuple(t for t in inside if low <= t <= high))


def training_charts(rows: Sequence[ProgressRow]) -> Html | None:
    """The curves of a training run side by side: losses, then scores; None when no curve has a point."""
    losses = (_series("Training loss", rows, "train_loss"), _series("Validation loss", rows, "val_loss", "dashed"))
    scores = (_series("Mean IoU", rows, "mean_iou"), _series("Overall accuracy", rows, "accuracy", "dashed"))
    charts = [
        line_chart(title, lines, rows, as_percent=as_percent)
        for title, lines, as_percent in (("Loss", losses, False), ("Scores on validation data", scores, True))
        if any(line.points for line in lines)
    ]
    return element("div", *charts, class_="charts") if charts else None


def _series(name: str, rows: Sequence[ProgressRow], field: str, style: str = "solid") -> Series:
    points = ((row.step, getattr(row, field)) for row in rows)
    return Series(name, tuple((x, y) for x, y in points if y is not None), style)


def line_chart(title: str, lines: Sequence[Series], rows: Sequence[ProgressRow], *, as_percent: bool) -> Html:
    """A figure with one SVG: lines over training steps, elapsed time under the steps where it is known."""
    lines = [line for line in lines if line.points]
    values = [y for line in lines for _, y in line.points]
    steps = [x for line in lines for x, _ in line.points]
    along = fitted_axis(min(steps), max(steps))
    up = nice_axis(0.0 if min(values) >= 0 else min(values), max(values))
    drawn = [grid(up, as_percent=as_percent), _step_ticks(along, rows)]
    drawn += [_line(line, along, up, place) for place, line in enumerate(lines)]
    said = "; ".join(
        f"{line.name} from {_value(line.points[0][1], as_percent)} to {_value(line.points[-1][1], as_percent)}"
        for line in lines
    )
    label = f"{title} over {number(min(steps))} to {number(max(steps))} training steps: {said}."
    svg = element("svg", *drawn, viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img", aria_label=label, class_="chart")
    names = [_line_name(line, place, as_percent) for place, line in enumerate(lines)]
    return element("figure", element("figcaption", element("strong", title), *names), svg, class_="chart-figure")


def across(share: float) -> float:
    """The place of a share of the horizontal axis, in the chart's units."""
    return round(LEFT + share * (WIDTH - LEFT - RIGHT), 1)


def upward(share: float) -> float:
    """The place of a share of the vertical axis, in the chart's units."""
    return round(HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM), 1)


def _value(value: float, as_percent: bool) -> str:
    return percent(value) if as_percent else number(value)


def grid(axis: Axis, *, as_percent: bool) -> Html:
    """Level lines at the ticks of the vertical axis, with what they stand for."""
    parts = []
    for tick in axis.ticks:
        y = upward(axis.place(tick))
        text = f"{100 * tick:.4g} %" if as_percent else number(tick)
        parts.append(element("line", x1=LEFT, x2=WIDTH - RIGHT, y1=y, y2=y, class_="gridline"))
        parts.append(element("text", text, x=LEFT - 8, y=y + 4, text_anchor="end"))
    return join(*parts)


def _step_ticks(axis: Axis, rows: Sequence[ProgressRow]) -> Html:
    base = HEIGHT - BOTTOM
    parts = [element("text", "steps", x=LEFT - 8, y=base + 17, text_anchor="end", class_="unit")]
    timed = sorted((row.step, row.seconds) for row in rows if row.seconds is not None)
    if timed:
        parts.append(element("text", "time", x=LEFT - 8, y=base + 34, text_anchor="end", class_="unit"))
    last = -math.inf
    for tick in axis.ticks:
        x = across(axis.place(tick))
        if x - last < 44:
            continue
        last = x
        anchor = "end" if x > WIDTH - RIGHT - 20 else "middle"
        parts.append(element("text", number(tick), x=x, y=base + 17, text_anchor=anchor))
        if timed:
            elapsed = clock(_seconds_at(tick, timed))
            parts.append(element("text", elapsed, x=x, y=base + 34, text_anchor=anchor, class_="unit"))
    return join(*parts)


def _seconds_at(step: float, timed: Sequence[tuple[float, float]]) -> float:
    """Elapsed seconds at a step, by straight lines between the rows that say it; training starts at 0, 0."""
    before = (0.0, 0.0)
    for here in timed:
        if step <= here[0]:
            share = (step - before[0]) / (here[0] - before[0]) if here[0] > before[0] else 1.0
            return before[1] + share * (here[1] - before[1])
        before = here
    return before[1]


def _line(line: Series, along: Axis, up: Axis, place: int) -> Html:
    places = [(across(along.place(x)), upward(up.place(y))) for x, y in line.points]
    path = "M" + "L".join(f"{x} {y}" for x, y in places)
    marks = [element("circle", cx=x, cy=y, r=2.4) for x, y in places] if len(places) <= 40 else []
    return element("g", element("path", d=path), *marks, class_=f"line line-{place} {line.style}")


def _line_name(line: Series, place: int, as_percent: bool) -> Html:
    swatch = element("path", d="M0 5H22", class_="stroke")
    picture = element("svg", swatch, viewBox="0 0 22 10", aria_hidden="true", class_=f"dash line-{place} {line.style}")
    last = element("span", _value(line.points[-1][1], as_percent), class_="last")
    return element("span", picture, line.name, " ", last, class_="line-name")


def share_bar(shares: Sequence[tuple[KeyEntry, float]]) -> Html:
    """Shares of a whole as one bar, with what it shows in words for those who cannot see it."""
    said = ", ".join(f"{entry.label} {percent(share)}" for entry, share in shares)
    parts = [
        element("span", class_="share-part", style=f"flex-grow:{share:.6f};background:{entry.color}")
        for entry, share in shares
        if share > 0
    ]
    return element("div", *parts, class_="share-bar", role="img", aria_label=f"Shares: {said}.")
