"""Scores on the screen: of pixels, outlines and objects, of two models, and of many views."""

from typing import TYPE_CHECKING

from rich.table import Table

from terraseg.cli.tables import console

if TYPE_CHECKING:
    from terraseg.evaluate.compare import Comparison
    from terraseg.evaluate.evaluate import Evaluation
    from terraseg.evaluate.intervals import Interval
    from terraseg.evaluate.objects import ClassShapes
    from terraseg.evaluate.scores import Scores
    from terraseg.pipeline.gain import Gain


def print_evaluation(evaluation: "Evaluation") -> None:
    """The scores over all scenes, and where a forest was scored on them the lead over it."""
    total, forest, sure = evaluation.total, evaluation.baseline, evaluation.intervals
    print_scores(total, evaluation.shapes)
    screen = console()
    _print_split(evaluation.shapes)
    if sure is not None:
        screen.print(
            f"95 % intervals over {sure.blocks} blocks of {sure.side_px} px: overall accuracy {_range(sure.accuracy)}, "
            f"mean IoU {_range(sure.mean_iou)}"
        )
    certain = evaluation.reliability
    if certain is not None and certain.ece is not None:
        screen.print(f"expected calibration error of the confidence {_percent(certain.ece)}")
    if forest is None or forest.total.mean_iou is None or total.mean_iou is None:
        return
    lead = 100 * (total.mean_iou - forest.total.mean_iou)
    screen.print(
        f"the forest beside it: overall accuracy {_percent(forest.total.accuracy)}, mean IoU "
        f"{_percent(forest.total.mean_iou)}; the network is {abs(lead):.1f} points {'ahead' if lead >= 0 else 'behind'}"
    )


def _print_split(shapes: "tuple[ClassShapes, ...]") -> None:
    """What splitting does to the objects of the classes that are split, at IoU 0.5; nothing where none is."""
    rows = [(shape.land_class.name, shape.objects, shape.split) for shape in shapes]
    if not any(split for _, _, split in rows):
        return
    table = _table("objects", "true", "mapped", "precision", "recall", "F1")
    for name, plain, split in rows:
        for how, scores in (("as mapped", plain), ("split", split)):
            if split is not None and scores is not None:
                values = [_percent(v) for v in (scores.precision, scores.recall, scores.f1)]
                table.add_row(f"{name}, {how}", f"{scores.truth:,}", f"{scores.mapped:,}", *values)
    console().print(table)


def print_gain(gain: "Gain") -> None:
    """What a model scores in one view of each tile and in many, and what the views cost."""
    table = _table("views", "accuracy", "mean IoU", "seconds")
    for name, found, seconds in (
        ("one", gain.plain.total, gain.plain_s),
        (gain.tta, gain.averaged.total, gain.averaged_s),
    ):
        table.add_row(name, _percent(found.accuracy), _percent(found.mean_iou), f"{seconds:.1f}")
    console().print(table)
    console().print(gain.sentence)


def print_scores(scores: "Scores", shapes: "tuple[ClassShapes, ...]" = ()) -> None:
    """Accuracy, mean IoU and the table per class, outlines and objects beside pixels where they were scored."""
    further = ("boundary IoU", "objects", "object F1") if shapes else ()
    table = _table("class", "IoU", "F1", "precision", "recall", "pixels", *further)
    for number, c in enumerate(scores.classes):
        values = [_percent(v) for v in (c.iou, c.f1, c.precision, c.recall)]
        table.add_row(c.land_class.name, *values, f"{c.support:,}", *(_shape_cells(shapes[number]) if shapes else ()))
    screen = console()
    screen.print(table)
    screen.print(f"overall accuracy {_percent(scores.accuracy)}, mean IoU {_percent(scores.mean_iou)}")


def print_comparison(comparison: "Comparison") -> None:
    """Two models side by side: their scores, the difference in points, its interval, and whether it is more than noise."""
    table = _table("score", comparison.one, comparison.two, "points", "95 % interval", "p", "more than noise")
    for row in comparison.rows:
        gain = "-" if row.gain is None else f"{100 * row.gain:+.1f}"
        p_value = "-" if row.p_value is None else f"{row.p_value:.3f}"
        verdict = "-" if row.interval is None else "yes" if row.is_real else "no"
        table.add_row(
            row.name, _percent(row.one), _percent(row.two), gain, _range(row.interval, "+.1f"), p_value, verdict
        )
    screen = console()
    screen.print(table)
    blocks = f"{len(comparison.scenes)} scenes, {comparison.blocks} blocks of {comparison.side_px} px"
    screen.print(f"{comparison.sentence} ({blocks})", markup=False)


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left")
    return table


def _shape_cells(shape: "ClassShapes") -> tuple[str, str, str]:
    objects = shape.objects
    if objects is None:
        return _percent(shape.boundary_iou), "-", "-"
    return _percent(shape.boundary_iou), f"{objects.truth:,}", _percent(objects.f1)


def _range(interval: "Interval | None", form: str = ".1f") -> str:
    return "-" if interval is None else f"{100 * interval.low:{form}} to {100 * interval.high:{form}}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"
