"""Tables for a notebook: rows that show themselves, and go on to CSV, to a dictionary or to pandas."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from terraseg.errors import missing_extra
from terraseg.evaluate.scores import Scores
from terraseg.store.rundir import write_csv

if TYPE_CHECKING:
    import pandas

Value = str | int | float | None
DASH = "–"


@dataclass(frozen=True, repr=False)
class Table:
    """Rows of values under the names of `columns`; the first column names the row. None is "not defined".

    >>> table = Table(("class", "iou"), (("roof", 0.5), ("road", None)))
    >>> table
    class    iou
    roof   0.500
    road       –
    >>> table.to_dict()["roof"]["iou"]
    0.5
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[Value, ...], ...]
    caption: str = ""

    def to_dict(self) -> dict[str, dict[str, Value]]:
        """The values by row name and column name."""
        return {str(row[0]): dict(zip(self.columns[1:], row[1:], strict=True)) for row in self.rows}

    def to_csv(self, path: str | Path) -> Path:
        """Writes the rows under their header; None becomes an empty field."""
        write_csv(Path(path), [dict(zip(self.columns, row, strict=True)) for row in self.rows])
        return Path(path)

    def frame(self) -> "pandas.DataFrame":
        """The table as a pandas frame, indexed by the first column; `MissingExtra` where pandas is not installed."""
        try:
            import pandas
        except ImportError as error:
            raise missing_extra("a table as a pandas frame", "geo") from error
        return pandas.DataFrame(list(self.rows), columns=list(self.columns)).set_index(self.columns[0])

    def _repr_html_(self) -> str:
        """The table as HTML: what notebooks ask a value for."""
        head, *body = (self._html_row(row) for row in self._shown_rows)
        caption = f"<caption>{escape(self.caption)}</caption>" if self.caption else ""
        return f"<table>{caption}<thead>{head}</thead><tbody>{''.join(body)}</tbody></table>"

    def __repr__(self) -> str:
        lines = self._shown_rows
        widths = [max(len(line[k]) for line in lines) for k in range(len(self.columns))]
        texts = [
            "  ".join(
                value.ljust(width) if is_text else value.rjust(width)
                for value, width, is_text in zip(line, widths, self._are_texts, strict=True)
            ).rstrip()
            for line in lines
        ]
        return "\n".join([*texts, *([self.caption] if self.caption else [])])

    @property
    def _are_texts(self) -> tuple[bool, ...]:
        """For each column, whether it holds words, which stand left; numbers stand right."""
        return tuple(any(isinstance(row[k], str) for row in self.rows) for k in range(len(self.columns)))

    @property
    def _shown_rows(self) -> list[list[str]]:
        """The header and the rows as they are read."""
        return [list(self.columns), *([shown(value) for value in row] for row in self.rows)]

    def _html_row(self, values: Sequence[str]) -> str:
        cells = (
            f'<td style="text-align:{"left" if is_text else "right"}">{escape(value)}</td>'
            for value, is_text in zip(values, self._are_texts, strict=True)
        )
        return f"<tr>{''.join(cells)}</tr>"


def shown(value: Value) -> str:
    """A value for reading.

    >>> shown(0.12345), shown(1234567), shown(None), shown("roof")
    ('0.123', '1,234,567', '–', 'roof')
    """
    if value is None:
        return DASH
    if isinstance(value, float):
        return f"{value:.3f}"
    return f"{value:,}" if isinstance(value, int) else value


def class_table(scores: Scores, where: str) -> Table:
    """Precision, recall, F1, IoU and true pixels of each class; `where` says in the caption what was scored."""
    rows = tuple((c.land_class.name, c.precision, c.recall, c.f1, c.iou, c.support) for c in scores.classes)
    summary = f"mean IoU {shown(scores.mean_iou)}, accuracy {shown(scores.accuracy)} over {scores.pixels:,} pixels"
    return Table(("class", "precision", "recall", "f1", "iou", "pixels"), rows, f"{summary} of {where}")
