"""Charts of measurements and scores as inline SVG: histograms, curves of objects, reliability, areas with intervals."""

from collections.abc import Sequence

from terraseg.report.charts import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Axis, across, grid, nice_axis, upward
from terraseg.report.content import Distribution, EstimatedAreas, ObjectLine, Reliability
from terraseg.report.markup import Html, element, join
from terraseg.report.wording import UNIT_SIGNS, area_unit, count, number, percent

UNIT = Axis(0.0, 1.0, (0.0, 0.2, 0.4, 0.6, 0.8, 1.0))
SPACENET = 0.5
ROW, NAME_WIDTH, HEAD = 34, 118, 10
LONGEST_NAME = 17


def chart_figure(title: str, said: str, drawn: Sequence[Html | None], *, key: Html | None = None) -> Html:
    """A figure of one SVG with its title, what it shows in words, and a key of its lines."""
    svg = element("svg", *drawn, viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img", aria_label=said, class_="chart")
    return element("figure", element("figcaption", element("strong", title), key), svg, class_="chart-figure")


def histogram_chart(sizes: Distribution) -> Html:
    """How many things have which size: a bar for each step, whose width on the page says nothing."""
    up = nice_axis(0.0, float(max(sizes.counts)))
    step = (WIDTH - LEFT - RIGHT) / len(sizes.counts)
    base = HEIGHT - BOTTOM
    bars = [
        element(
            "rect",
            element("title", f"{number(low)} to {number(high)} {UNIT_SIGNS[sizes.unit]}: {count(things)}"),
            x=round(LEFT + place * step + 1, 1),
            y=upward(up.place(things)),
            width=round(step - 2, 1),
            height=round(base - upward(up.place(things)), 1),
            style=None if sizes.color is None else f"fill:{sizes.color}",
            class_="column",
        )
        for place, (things, low, high) in enumerate(zip(sizes.counts, sizes.edges[:-1], sizes.edges[1:], strict=True))
    ]
    # Labels of eight characters need 44 px: where steps are narrower, only every second, third ... edge has one.
    every = max(1, -(-44 // int(max(1.0, step))))
    edges = [
        element("text", number(edge), x=round(LEFT + place * step, 1), y=base + 17, text_anchor="middle")
        for place, edge in enumerate(sizes.edges)
        if place % every == 0
    ]
    unit = element("text", UNIT_SIGNS[sizes.unit], x=WIDTH - RIGHT, y=base + 34, text_anchor="end", class_="unit")
    middle = "" if sizes.median is None else f", median {number(sizes.median)} {UNIT_SIGNS[sizes.unit]}"
    things = f"{count(sum(sizes.counts))} in all{middle}"
    return chart_figure(
        sizes.name,
        f"{sizes.name}: {things}.",
        [grid(up, as_percent=False), *bars, *edges, unit],
        key=element("span", things, class_="last"),
    )


def reliability_chart(found: Reliability) -> Html:
    """The share of right pixels over the confidence, and how many pixels have which confidence along the base.

    On the dotted line a confidence means what it says. Source: Guo et al., ICML 2017.
    """
    whole = sum(pixels for _, _, pixels in found.points)
    places = [(across(sure), upward(right)) for sure, right, _ in found.points]
    base = HEIGHT - BOTTOM
    columns = [
        element(
            "rect",
            x=round(across(sure) - 9, 1),
            y=round(base - 0.3 * (base - TOP) * pixels / whole, 1),
            width=18,
            height=round(0.3 * (base - TOP) * pixels / whole, 1),
            class_="column faint",
        )
        for sure, _, pixels in found.points
    ]
    ideal = element("path", d=f"M{across(0)} {upward(0)}L{across(1)} {upward(1)}", class_="ideal")
    key = join(
        element("span", f"Calibration error {percent(found.ece)}; ", class_="last"),
        element("span", "dotted: as sure as right; columns: how many pixels", class_="last"),
    )
    said = "; ".join(f"of pixels {percent(sure)} sure {percent(right)} are right" for sure, right, _ in found.points)
    drawn = [grid(UNIT, as_percent=True), *columns, ideal, _dotted_line(places, None, 0), _percent_ticks("confidence")]
    return chart_figure("Are the confidences right?", f"Reliability: {said}.", drawn, key=key)


def object_chart(lines: Sequence[ObjectLine]) -> Html:
    """The F1 of each class's objects over the IoU from which an object counts as found."""
    drawn: list[Html] = [grid(UNIT, as_percent=True)]
    x = across(SPACENET)
    drawn.append(element("path", d=f"M{x} {TOP}V{HEIGHT - BOTTOM}", class_="ideal"))
    names = []
    for place, line in enumerate(lines):
        color = line.land_class.color
        drawn.append(_dotted_line([(across(iou), upward(f1)) for iou, f1 in line.curve], color, place))
        swatch = element("span", class_="swatch", style=f"background:{color}", aria_hidden="true")
        names.append(element("span", swatch, line.land_class.name, class_="line-name"))
    drawn.append(_percent_ticks("overlap (IoU) from which an object counts as found"))
    known = [f"{line.land_class.name} {percent(line.f1)}" for line in lines if line.f1 is not None]
    return chart_figure(
        "F1 of objects", f"F1 of objects at an IoU of 0.5: {', '.join(known)}.", drawn, key=join(*names)
    )


def _dotted_line(places: Sequence[tuple[float, float]], color: str | None, place: int) -> Html:
    """A line with a mark at each place; a class's own colour is set off from the page by an edge."""
    path = "M" + "L".join(f"{x} {y}" for x, y in places) if places else "M0 0"
    marks = [element("circle", cx=x, cy=y, r=2.6) for x, y in places]
    edge = None if color is None else element("path", d=path, class_="edge")
    style = None if color is None else f"color:{color}"
    dash = "dashed" if place % 2 else "solid"
    return element("g", edge, element("path", d=path), *marks, class_=f"line line-0 {dash}", style=style)


def _percent_ticks(unit: str) -> Html:
    base = HEIGHT - BOTTOM
    ticks = [element("text", number(t), x=across(t), y=base + 17, text_anchor="middle") for t in UNIT.ticks]
    name = element("text", unit, x=WIDTH - RIGHT, y=base + 34, text_anchor="end", class_="unit")
    return join(*ticks, name)


def area_chart(areas: EstimatedAreas, colors: dict[str, str]) -> Html:
    """Each class's estimated area with its interval, and a ring where the map puts it."""
    size, unit = area_unit([c.area.high for c in areas.classes]) if areas.unit == "m2" else (1.0, "px")
    top = max(max(c.area.high, c.mapped) for c in areas.classes) / size
    axis = nice_axis(0.0, top)
    height = HEAD + ROW * len(areas.classes) + 40

    def x(value: float) -> float:
        return round(NAME_WIDTH + axis.place(value / size) * (WIDTH - NAME_WIDTH - RIGHT), 1)

    base = HEAD + ROW * len(areas.classes)
    drawn = [element("line", x1=x(t * size), x2=x(t * size), y1=HEAD, y2=base, class_="gridline") for t in axis.ticks]
    drawn += [element("text", number(t), x=x(t * size), y=base + 17, text_anchor="middle") for t in axis.ticks]
    drawn.append(element("text", unit, x=WIDTH - RIGHT, y=base + 33, text_anchor="end", class_="unit"))
    for place, c in enumerate(areas.classes):
        y = HEAD + ROW * place + ROW / 2
        name = c.name if len(c.name) <= LONGEST_NAME else f"{c.name[: LONGEST_NAME - 1]}…"
        drawn.append(element("text", name, x=NAME_WIDTH - 10, y=y + 4, text_anchor="end"))
        low, high = x(max(0.0, c.area.low)), x(c.area.high)
        whisker = element("path", d=f"M{low} {y - 5}v10M{high} {y - 5}v10M{low} {y}H{high}")
        dot = element("circle", cx=x(c.area.value), cy=y, r=5)
        drawn.append(
            element(
                "g",
                element("g", whisker, class_="line"),
                dot,
                style=f"color:{colors.get(c.name, '#666666')}",
                class_="estimate",
            )
        )
        drawn.append(element("circle", cx=x(c.mapped), cy=y, r=7.5, class_="mapped"))
    said = "; ".join(
        f"{c.name} {number(c.area.value / size)} {unit}, between {number(c.area.low / size)} and {number(c.area.high / size)}"
        for c in areas.classes
    )
    svg = element("svg", *drawn, viewBox=f"0 0 {WIDTH} {height}", role="img", aria_label=f"{said}.", class_="chart")
    key = element("span", "dot: estimated, with its 95 % interval; ring: as the map has it", class_="last")
    caption = element("figcaption", element("strong", "How large each class is"), key)
    return element("figure", caption, svg, class_="chart-figure")
