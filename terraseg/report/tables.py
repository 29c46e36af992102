"""The report's tables: every number that a chart shows, and its words for screen readers."""

import re
from collections.abc import Sequence
from html import unescape

from terraseg.core.classes import LandClass, Legend
from terraseg.report.content import Cell, DataLine, PlanLine, ProgressRow, ScoreSheet, StatisticsTable
from terraseg.report.markup import Html, element, join
from terraseg.report.wording import DASH, area_unit, count, duration, gain, number, percent, score

MEASURES = {
    "share": "Share",
    "objects": "Objects",
    "pixels": "Pixels",
    "area_px": "Area (px)",
    "lower": "From",
    "upper": "To",
}
"""Headings of measures whose name alone says too little."""

SIZES = {
    "total_area": "In all",
    "mean_area": "Mean",
    "smallest_area": "Smallest",
    "p5_area": "5th percentile",
    "p10_area": "10th",
    "p25_area": "25th",
    "median_area": "Median",
    "p75_area": "75th",
    "p90_area": "90th",
    "p95_area": "95th",
    "largest_area": "Largest",
}
"""Headings of the sizes of objects, without their unit, in the order of their columns."""


STACKED = 3
"""Columns beyond which a table's cells stand below each other on a narrow screen."""


def swatch(color: str) -> Html:
    """A small square in a class's colour."""
    return element("span", class_="swatch", style=f"background:{color}", aria_hidden="true")


def class_name(land_class: LandClass) -> Html:
    """A class's colour and name."""
    return join(swatch(land_class.color), land_class.name)


def table(caption: str, heads: Sequence[str | Html], rows: Sequence[Sequence[str | Html]], *, text: int = 1) -> Html:
    """A table whose first column heads its rows; columns from `text` on hold numbers and are set to the right.

    Where the screen is narrow, the cells of a wide table stand below each other, each with its heading; the roles say that it
    is a table still. What is too wide even so scrolls sideways, by keyboard too.
    """
    kinds = [None if n < text else "number" for n in range(len(heads))]
    head = [element("th", h, scope="col", role="columnheader", class_=kinds[n]) for n, h in enumerate(heads)]
    words = [_plain(h) for h in heads]
    body = []
    for row in rows:
        cells = [
            element("td", cell, role="cell", class_=kinds[n], data_head=words[n]) for n, cell in enumerate(row[1:], 1)
        ]
        body.append(element("tr", element("th", row[0], scope="row", role="rowheader"), *cells, role="row"))
    written = element(
        "table",
        element("caption", caption),
        element("thead", element("tr", *head, role="row"), role="rowgroup"),
        element("tbody", *body, role="rowgroup"),
        role="table",
        class_="stacks" if len(heads) > STACKED else None,
    )
    return element("div", written, class_="table", tabindex="0", role="region", aria_label=caption)


def _plain(head: str | Html) -> str:
    """A heading without its markup."""
    return unescape(re.sub(r"<[^>]*>", "", head)) if isinstance(head, Html) else head


def class_table(sheet: ScoreSheet) -> Html:
    """The scores of each class, those of outlines and objects where any class has them."""
    shaped = any(value is not None for line in sheet.classes for value in (line.boundary_iou, line.object_f1))
    rows = [
        (
            class_name(line.land_class),
            _bar(line.iou, line.land_class.color),
            score(line.f1),
            score(line.precision),
            score(line.recall),
            count(line.support),
            count(line.predicted),
            *((score(line.boundary_iou), score(line.object_f1)) if shaped else ()),
        )
        for line in sheet.classes
    ]
    further = ("Boundary IoU", "Object F1") if shaped else ()
    heads = ("Class", "IoU", "F1", "Precision (user’s)", "Recall (producer’s)", "Labelled px", "Mapped px", *further)
    return table("Scores by class", heads, rows)


def _bar(value: float | None, color: str, text: str | None = None) -> Html:
    width = f"{100 * min(1.0, max(0.0, value or 0.0)):.2f}%"
    fill = element("span", class_="bar-fill", style=f"width:{width};background:{color}")
    written = score(value) if text is None else text
    return element(
        "span", element("span", fill, class_="bar", aria_hidden="true"), element("span", written), class_="with-bar"
    )


def confusion_table(sheet: ScoreSheet) -> Html:
    """The confusion matrix, each row as shares of the true class, with the counts in small."""
    names = [line.land_class for line in sheet.classes]
    corner = element("th", "True class ↓ mapped as →", scope="col", class_="corner")
    head = element("tr", corner, *[element("th", class_name(c), scope="col") for c in names])
    body = []
    for index, (land_class, row) in enumerate(zip(names, sheet.confusion, strict=True)):
        total = sum(row)
        cells = [_confusion_cell(n, total, place == index) for place, n in enumerate(row)]
        body.append(element("tr", element("th", class_name(land_class), scope="row"), *cells))
    caption = "Confusion matrix: where each true class went, in shares of its row, pixels below"
    written = element("table", element("caption", caption), element("thead", head), element("tbody", *body))
    return element("div", written, class_="table confusion", tabindex="0", role="region", aria_label="Confusion matrix")


def _confusion_cell(pixels: int, total: int, right: bool) -> Html:
    if not total:
        return element("td", DASH, class_="number")
    share = pixels / total
    kind = "number right" if right else "number"
    return element("td", percent(share), element("small", count(pixels)), class_=kind, style=f"--v:{share:.4f}")


def scene_scores_table(sheets: Sequence[ScoreSheet]) -> Html:
    """The scores of each scene, with its part in training where that is known."""
    with_role = any(sheet.role for sheet in sheets)
    heads = ("Scene", *(("In training",) if with_role else ()), "Mean IoU", "Accuracy", "Kappa", "Pixels scored")
    rows = [
        (
            sheet.name,
            *((sheet.role or DASH,) if with_role else ()),
            score(sheet.mean_iou),
            percent(sheet.accuracy),
            score(sheet.kappa),
            count(sheet.pixels),
        )
        for sheet in sheets
    ]
    return table("Scores by scene", heads, rows, text=2 if with_role else 1)


def baseline_table(sheet: ScoreSheet, baseline: ScoreSheet) -> Html:
    """The network's scores beside a forest's, over all classes and class by class."""
    by_name = {line.land_class.name: line.iou for line in baseline.classes}
    rows: list[tuple[str | Html, str, str, str]] = [
        ("Mean IoU", score(sheet.mean_iou), score(baseline.mean_iou), gain(sheet.mean_iou, baseline.mean_iou)),
        ("Accuracy", score(sheet.accuracy), score(baseline.accuracy), gain(sheet.accuracy, baseline.accuracy)),
    ]
    for line in sheet.classes:
        other = by_name.get(line.land_class.name)
        label = join("IoU of ", class_name(line.land_class))
        rows.append((label, score(line.iou), score(other), gain(line.iou, other)))
    return table("The network beside a forest", ("Score", "Network", "Forest", "Gain"), rows)


def statistics_table(statistics: StatisticsTable, legend: Legend) -> Html:
    """Measured values by class: first areas and shares, then the sizes of objects where there are any."""
    sizes = [place for place, name in enumerate(statistics.columns) if _size_name(name) in SIZES]
    sizes.sort(key=lambda place: list(SIZES).index(_size_name(statistics.columns[place])))
    others = [place for place in range(len(statistics.columns)) if place not in sizes]
    measured = _class_rows(_columns_at(statistics, others, statistics.name), legend) if others else None
    if not sizes:
        return join(measured)
    return join(measured, _class_rows(_columns_at(statistics, sizes, f"{statistics.name}: sizes of objects"), legend))


def _size_name(column: str) -> str:
    return column.removesuffix("_m2").removesuffix("_px")


def _columns_at(statistics: StatisticsTable, places: Sequence[int], name: str) -> StatisticsTable:
    """Some columns of a table, as a table of that name, without the rows that hold nothing in them."""
    rows = tuple((key, tuple(values[place] for place in places)) for key, values in statistics.rows)
    told = tuple(row for row in rows if any(value not in (None, 0) for value in row[1]))
    return StatisticsTable(name, tuple(statistics.columns[place] for place in places), told)


def _class_rows(statistics: StatisticsTable, legend: Legend) -> Html:
    """A row a class; areas of one column share one unit, shares have a bar."""
    by_name = {land_class.name: land_class for land_class in legend.classes}
    columns = [
        _column(name, [values[place] for _, values in statistics.rows]) for place, name in enumerate(statistics.columns)
    ]
    rows = []
    for place, (name, values) in enumerate(statistics.rows):
        land_class = by_name.get(name)
        cells: list[str | Html] = [texts[place] for _, texts in columns]
        if land_class is not None and "share" in statistics.columns:
            where = statistics.columns.index("share")
            share = values[where]
            cells[where] = _bar(share if isinstance(share, int | float) else None, land_class.color, str(cells[where]))
        rows.append((name if land_class is None else class_name(land_class), *cells))
    return table(statistics.name, ("Class", *[head for head, _ in columns]), rows)


def measures_table(statistics: StatisticsTable, head: str) -> Html:
    """Measured values of scenes or parts of them, one a row, each column in a unit that suits it."""
    columns = [
        _column(name, [values[place] for _, values in statistics.rows]) for place, name in enumerate(statistics.columns)
    ]
    rows = [(name, *[texts[place] for _, texts in columns]) for place, (name, _) in enumerate(statistics.rows)]
    return table(statistics.name, (head, *[words for words, _ in columns]), rows)


def _column(name: str, values: Sequence[Cell]) -> tuple[str, list[str]]:
    """A measure's heading with its unit, and its values as text."""
    numbers = [v if isinstance(v, int | float) else None for v in values]
    if name.endswith("_m2"):
        size, unit = area_unit([v for v in numbers if v is not None])
        words = name.removesuffix("_m2")
        words = SIZES.get(words, words.replace("_", " "))
        texts = [DASH if v is None else _scaled(v / size) for v in numbers]
        return f"{words[:1].upper()}{words[1:]} ({unit})", texts
    head = MEASURES.get(name)
    if head is None:
        words, unit = name.replace("_", " "), ""
        for suffix, sign in ((" px", "px"), (" m", "m"), (" deg", "°")):
            if words.endswith(suffix):
                words, unit = words.removesuffix(suffix), f" ({sign})"
                break
        head = SIZES.get(words.replace(" ", "_"), words.capitalize()) + unit
    if name == "share" or name.endswith("_share"):
        return head, [percent(v) for v in numbers]
    return head, [str(v) if isinstance(v, str) else number(n) for v, n in zip(values, numbers, strict=True)]


def _scaled(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.1f}" if abs(value) >= 100 else f"{value:.2f}"


def plan_table(lines: Sequence[PlanLine]) -> Html:
    """The settings of the plan, each with its reason."""
    rows = [(line.name, element("code", line.value), line.reason or DASH) for line in lines]
    return table("The plan of the training", ("Setting", "Value", "Why"), rows, text=3)


def data_table(lines: Sequence[DataLine]) -> Html:
    """The scenes of the data set."""
    rows = [(d.name, d.role, d.size, d.gsd, element("code", d.imagery), element("code", d.labels)) for d in lines]
    heads = ("Scene", "Part", "Size", "Pixel", "Imagery", "Labels")
    return table("The scenes of the data set", heads, rows, text=6)


def progress_table(rows: Sequence[ProgressRow]) -> Html:
    """The numbers behind the training curves."""
    lines = [
        (
            count(row.step),
            DASH if row.seconds is None else duration(row.seconds),
            number(row.lr),
            number(row.train_loss),
            number(row.val_loss),
            score(row.mean_iou),
            percent(row.accuracy),
        )
        for row in rows
    ]
    heads = ("Step", "Time", "Learning rate", "Training loss", "Validation loss", "Mean IoU", "Accuracy")
    return table("The training, validation by validation", heads, lines)
