"""Tables of measurements on the screen."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from terraseg.cli.tables import console

if TYPE_CHECKING:
    from terraseg.measure.accuracy import Estimate, HonestAreas
    from terraseg.measure.design import SampleDesign
    from terraseg.measure.stats import Statistics


def print_figures(statistics: "Statistics") -> None:
    """The figures of buildings, streets and trees in a line, and how many zones were measured."""
    row = {} if statistics.figures is None else statistics.figures.row(statistics.unit)
    known = {name: value for name, value in row.items() if value is not None}
    if known:
        console().print(", ".join(f"{name} {value:,.4g}" for name, value in known.items()))
    if statistics.zones:
        console().print(f"{len(statistics.zones)} zones with mapped ground")


def print_honest(honest: "HonestAreas", notes: Sequence[str]) -> None:
    """Areas with their intervals beside those that the map shows, and the accuracies."""
    unit = "m2" if honest.unit == "m" else "px"
    table = Table(box=None, pad_edge=False)
    heads = ("class", "points", f"mapped {unit}", f"area {unit}", "95 % interval", "share", "user's", "producer's")
    for place, head in enumerate(heads):
        table.add_column(head, justify="left" if place == 0 else "right")
    for c in honest.classes:
        interval = f"{c.area.low:,.4g} to {c.area.high:,.4g}"
        figures = (f"{c.mapped_area:,.4g}", f"{c.area.value:,.4g}", interval, _percent(c.share))
        table.add_row(c.class_name, str(c.points), *figures, _percent(c.users), _percent(c.producers))
    screen = console()
    screen.print(table)
    screen.print(f"overall accuracy {_percent(honest.overall)}")
    for note in notes:
        screen.print(f"note: {note}", markup=False)


def _percent(found: "Estimate | None") -> str:
    if found is None:
        return "-"
    return f"{100 * found.value:.1f} % ({100 * found.low:.1f} to {100 * found.high:.1f})"


def print_design(design: "SampleDesign", drawn: int, product: Path, path: Path) -> None:
    """How many points to label on each class, and what they will tell."""
    table = Table(box=None, pad_edge=False)
    for place, head in enumerate(("class", "share", "thought right", "points", "share will be known to")):
        table.add_column(head, justify="left" if place == 0 else "right")
    for s in design.strata:
        known = f"+-{100 * s.share_half_width:.1f} points"
        table.add_row(s.class_name, f"{s.share:.1%}", f"{s.expected:.0%}", str(s.points), known)
    screen = console()
    screen.print(table)
    screen.print(
        f"{drawn} points: if the map is as right as thought, its overall accuracy will be known to "
        f"+-{100 * design.half_width:.1f} per cent points"
    )
    screen.print(
        f"open {path} in QGIS over the imagery, pick the class of each point under truth, then: terraseg measure {product} "
        f"--sample {path}",
        markup=False,
    )
