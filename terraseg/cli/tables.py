"""Tables on the screen, and the statistics of a map."""

from typing import Any

from rich.console import Console
from rich.table import Table


def console() -> Console:
    """Standard output; 120 columns wide when it is no terminal, so that a log keeps whole lines."""
    screen = Console(highlight=False)
    return screen if screen.is_terminal else Console(highlight=False, width=120)


def print_statistics(rows: list[dict[str, Any]]) -> None:
    """The statistics of a map, a line a class."""
    table = Table(box=None, pad_edge=False)
    shown = [key for key in rows[0] if key != "class_id"][:8] if rows else []
    for key in shown:
        table.add_column(key, justify="left" if key == "class_name" else "right")
    for row in rows:
        table.add_row(
            *("-" if row[k] is None else f"{row[k]:,.4g}" if isinstance(row[k], float) else str(row[k]) for k in shown)
        )
    console().print(table)
