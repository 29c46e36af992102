"""The section on accuracy: scores by class and scene, objects, confidences, the worst places, and other models."""

from collections.abc import Sequence

from terraseg.report.content import Accuracy, ModelComparison, ObjectLine, ReportContent, ScoreSheet, WorstPlace
from terraseg.report.gallery import image
from terraseg.report.markup import Html, element, join
from terraseg.report.plots import object_chart, reliability_chart
from terraseg.report.tables import (
    baseline_table,
    class_name,
    class_table,
    confusion_table,
    scene_scores_table,
    table,
)
from terraseg.report.wording import DASH, UNIT_SIGNS, count, gain, number, percent, score

PARTS = {
    "all": "all labelled pixels of the mapped scenes",
    "train": "the parts of the scenes that were trained on",
    "validation": "the validation parts of the scenes",
    "test": "the scenes held out from training",
    "windows": "chosen windows of the scenes",
}

WORTH_IT = 1.0
"""Points of mean IoU below which a difference between two models says little."""
SIZE_STEP = 4.0
"""From the least area of a size class to its largest."""


def accuracy_section(content: ReportContent) -> Html | None:
    """How right the map is, as far as it was held against labels; None where it was not."""
    parts = []
    if content.accuracy is not None:
        parts.append(_scores(content.accuracy))
    if content.comparison is not None:
        parts.append(_comparison(content.comparison))
    return join(*parts) if parts else None


def _scores(accuracy: Accuracy) -> Html:
    total = accuracy.total
    where = PARTS.get(accuracy.part, accuracy.part)
    note = f"Counted over {where}; void and nodata are left out. Mean IoU is taken over the classes that occur in the "
    note += "labels or in the map; a dash stands where a score is not defined."
    if total.unpredicted:
        note += f" {count(total.unpredicted)} labelled pixels have no prediction and are in no score."
    note = " ".join((note, *accuracy.certainty))
    roles = any(sheet.role for sheet in accuracy.scenes)
    charts = [object_chart(accuracy.objects)] if any(line.curve for line in accuracy.objects) else []
    if accuracy.reliability is not None:
        charts.append(reliability_chart(accuracy.reliability))
    return join(
        element("p", note, class_="note"),
        class_table(total),
        confusion_table(total) if total.confusion else None,
        scene_scores_table(accuracy.scenes) if len(accuracy.scenes) > 1 or roles else None,
        element("div", *charts, class_="charts") if charts else None,
        _objects(accuracy) if accuracy.objects else None,
        _worst(accuracy.worst) if accuracy.worst else None,
        _baseline(total, accuracy.baseline) if accuracy.baseline is not None else None,
    )


def _objects(accuracy: Accuracy) -> Html:
    """How many objects were found, in all and by size."""
    lines, unit = accuracy.objects, UNIT_SIGNS[accuracy.size_unit]
    rows = [row for line in lines for row in _object_rows(line)]
    heads = ("Class", "True objects", "Mapped objects", "Precision", "Recall", "F1")
    every = table("Objects: found means an overlap (IoU) of at least one half, as SpaceNet counts", heads, rows)
    if any(line.split for line in lines):
        words = "Split: touching objects of the map are parted as in its polygons; the true objects are the same."
        every = join(every, element("p", words, class_="note"))
    sizes = sorted({low for line in lines for low, _, _ in line.sizes})
    if not sizes:
        return every
    by_size = [
        (f"{number(low)} to {number(SIZE_STEP * low)} {unit}", *[_recall(line, low) for line in lines]) for low in sizes
    ]
    names = [class_name(line.land_class) for line in lines]
    recall = table("Share of the true objects that were found, by their size", ("True area", *names), by_size)
    return join(every, element("details", element("summary", "Recall by size of object"), recall))


def _object_rows(line: ObjectLine) -> list[tuple[Html | str, ...]]:
    """The row of a class, and where it is split another one with the splitting."""
    name, truth = class_name(line.land_class), count(line.truth)
    found = [(name, line.mapped, line.precision, line.recall, line.f1)]
    if line.split is not None:
        found.append((join(name, ", split"), *line.split))
    return [(said, truth, count(mapped), *(score(value) for value in values)) for said, mapped, *values in found]


def _recall(line: ObjectLine, low: float) -> Html | str:
    found = next(((truth, hits) for least, truth, hits in line.sizes if least == low), None)
    if found is None or not found[0]:
        return DASH
    return join(percent(found[1] / found[0]), " ", element("small", f"of {count(found[0])}"))


def _worst(places: Sequence[WorstPlace]) -> Html:
    """The pictures of the places with the most wrong pixels."""
    figures = [
        element("figure", image(place.picture), element("figcaption", f"{number}. {place.caption}"))
        for number, place in enumerate(places, 1)
    ]
    words = "The places with the most wrong pixels: image, truth and map side by side, grey where nothing is known."
    first, rest = figures[:4], figures[4:]
    more = None
    if rest:
        said = f"{len(rest)} more places"
        more = element("details", element("summary", said), element("div", *rest, class_="worst"))
    heading = element("h3", "Where the map is worst")
    return join(heading, element("p", words, class_="note"), element("div", *first, class_="worst"), more)


def _comparison(found: ModelComparison) -> Html:
    """Two models side by side, and whether they differ by more than noise."""
    rows = [
        (
            row.name,
            score(row.one),
            score(row.two),
            gain(row.two, row.one),
            DASH if row.interval is None else " to ".join(f"{end:+.3f}".replace("-", "−") for end in row.interval),
            DASH if row.p_value is None else f"{row.p_value:.3f}",
            DASH if row.interval is None else "yes" if row.is_real else "no",
        )
        for row in found.rows
    ]
    heads = ("Score", found.one, found.two, "Difference", "95 % interval", "p", "More than noise")
    words = f"{found.sentence[:1].upper()}{found.sentence[1:]}."
    return join(element("h3", "Two models side by side"), element("p", words), table("Paired bootstrap", heads, rows))


def _baseline(total: ScoreSheet, forest: ScoreSheet) -> Html:
    """Whether the network was worth its training: its scores beside those of a forest that takes a minute."""
    words = "A forest of decision trees on colour and texture, trained in about a minute on the same ground, "
    if total.mean_iou is None or forest.mean_iou is None:
        words += "was scored on the same pixels."
    else:
        points = 100 * (total.mean_iou - forest.mean_iou)
        words += f"reaches a mean IoU of {score(forest.mean_iou)} on the same pixels; the network reaches "
        words += f"{score(total.mean_iou)}. {verdict(points)}"
    return join(element("h3", "Did deep learning pay?"), element("p", words), baseline_table(total, forest))


def verdict(points: float) -> str:
    """What to make of the network's lead over a forest, in points of mean IoU.

    >>> verdict(7.4)
    'Deep learning paid: it brought 7.4 points.'
    """
    if points >= WORTH_IT:
        return f"Deep learning paid: it brought {points:.1f} points."
    if points > -WORTH_IT:
        return "The two are within a point of each other, so the network has not paid yet: train it longer, or average both."
    return (
        f"The network is {-points:.1f} points behind: it needs more training or more labels; use the forest till then."
    )
