"""The section on areas and objects: what was measured, how it is distributed, and how sure the areas are."""

from collections.abc import Sequence

from terraseg.core.classes import Legend
from terraseg.report.charts import share_bar
from terraseg.report.content import EstimatedAreas, Range, ReportContent, SceneMeasures, StatisticsTable
from terraseg.report.gallery import class_shares, color_key
from terraseg.report.markup import Html, element, join
from terraseg.report.plots import area_chart, histogram_chart
from terraseg.report.tables import class_name, measures_table, statistics_table, table
from terraseg.report.wording import DASH, area_unit, count, number, percent, plural

MOST_CHARTS = 8
"""Distributions of one scene that are drawn, the commonest things first."""


def areas_section(content: ReportContent) -> Html | None:
    """All that was measured; None when nothing was."""
    if not (content.statistics or content.measures):
        return None
    tables = [statistics_table(each, content.legend) for each in content.statistics]
    more = None
    if len(tables) > 1:
        more = element("details", element("summary", "Scene by scene"), *tables[1:])
    several = len(content.scenes) > 1 and not any(scene.whole_size is not None for scene in content.scenes)
    return join(
        _scene_shares(content) if several else None,
        *tables[:1],
        more,
        _estimates(content),
        _things(content.measures),
        _distributions(content.measures),
        _zones(content.measures),
    )


def _scene_shares(content: ReportContent) -> Html:
    rows, entries = [], []
    for scene in content.scenes:
        shares = class_shares(scene.class_sizes, content.legend, scene.mapped_size)
        entries = [(entry, None) for entry, _ in shares]
        rows.append(element("div", element("p", scene.name, class_="note"), share_bar(shares)))
    return element("div", *rows, color_key(entries), class_="scene-shares")


def _estimates(content: ReportContent) -> Html | None:
    """The areas corrected for the map's errors, scene by scene."""
    found = [(each.name, each.estimated) for each in content.measures if each.estimated is not None]
    if not found:
        return None
    note = (
        "Pixel counts carry the map’s errors. These areas are corrected by places whose truth is known, with 95 % confidence "
        "intervals (the stratified estimator of Olofsson et al. 2014)."
    )
    colors = {land_class.name: land_class.color for land_class in content.legend.classes}
    parts = []
    for name, areas in found:
        reference = plural(sum(c.points for c in areas.classes), "point" if areas.source == "points" else "pixel")
        if areas.source == "blocks":
            reference += f" in {plural(areas.clusters, 'block')}"
        said = f"{name}: from {reference} of known truth; overall accuracy {_range_percent(areas.overall)}."
        parts += [element("p", said), element("div", area_chart(areas, colors), class_="charts single")]
        parts.append(estimates_table(areas, content.legend, f"Corrected areas of {name}"))
    heading = element("h3", "Areas with the map’s errors taken out")
    return join(heading, element("p", note, class_="note"), *parts)


def estimates_table(areas: EstimatedAreas, legend: Legend, caption: str) -> Html:
    """Each class's area as mapped and as estimated, and its accuracies, all with intervals."""
    size, unit = (1.0, "px")
    if areas.unit == "m2":
        size, unit = area_unit([c.area.high for c in areas.classes])
    by_name = {land_class.name: land_class for land_class in legend.classes}
    rows = [
        (
            class_name(by_name[c.name]) if c.name in by_name else c.name,
            number(c.mapped / size),
            _with_range(*(number(value / size) for value in (c.area.value, c.area.low, c.area.high))),
            _cell_percent(c.share),
            _cell_percent(c.users),
            _cell_percent(c.producers),
            count(c.points),
        )
        for c in areas.classes
    ]
    heads = (
        "Class", f"Mapped ({unit})", f"Estimated ({unit})", "Share", "User’s accuracy", "Producer’s accuracy", "Points",
    )  # fmt: skip
    return table(caption, heads, rows)


def _range_percent(found: Range) -> str:
    return f"{percent(found.value)} ({percent(found.low)} to {percent(found.high)})"


def _cell_percent(found: Range | None) -> Html | str:
    return DASH if found is None else _with_range(percent(found.value), percent(found.low), percent(found.high))


def _with_range(value: str, low: str, high: str) -> Html:
    """A figure with its interval in small below it."""
    return element("span", value, element("small", f"{low} to {high}"), class_="with-range")


def _things(measures: Sequence[SceneMeasures]) -> Html | None:
    """Buildings, streets and trees: one row a scene."""
    told = [each for each in measures if each.figures]
    if not told:
        return None
    columns = tuple(dict.fromkeys(key for each in told for key, _ in each.figures))
    rows = tuple((each.name, tuple(dict(each.figures).get(key) for key in columns)) for each in told)
    shown = StatisticsTable("Scene by scene", columns, rows)
    return join(element("h3", "Buildings, streets and trees"), measures_table(shown, "Scene"))


def _distributions(measures: Sequence[SceneMeasures]) -> Html | None:
    told = [each for each in measures if each.distributions]
    if not told:
        return None
    blocks = []
    for each in told:
        chosen = sorted(each.distributions, key=lambda d: -sum(d.counts))[:MOST_CHARTS]
        kept = [d for d in each.distributions if d in chosen]
        blocks.append(element("div", *[histogram_chart(d) for d in kept], class_="charts"))
    first, rest = blocks[0], [join(element("h4", e.name), b) for e, b in zip(told[1:], blocks[1:], strict=True)]
    name = element("p", told[0].name, class_="note") if rest else None
    more = element("details", element("summary", "The other scenes"), *rest) if rest else None
    return join(element("h3", "How sizes are distributed"), name, first, more)


def _zones(measures: Sequence[SceneMeasures]) -> Html | None:
    told = [each for each in measures if each.zones is not None]
    if not told:
        return None
    parts = []
    for each in told:
        if each.zones is not None:
            parts.append(measures_table(each.zones, "Part"))
        if each.zones_left_out:
            parts.append(
                element("p", f"{plural(each.zones_left_out, 'more part')} in the scene’s own tables.", class_="note")
            )
    return join(element("h3", "Part by part"), element("details", element("summary", "Districts or cells"), *parts))
