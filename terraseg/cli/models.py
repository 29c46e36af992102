"""terraseg models"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from terraseg.nets.catalogue import EncoderRow, NetworkRow

LOG_WIDTH = 180


def run(
    encoder: Annotated[str | None, typer.Option(help="A timm encoder, for the networks that take one.")] = None,
    bands: Annotated[int, typer.Option(min=1, help="Input bands.")] = 3,
    classes: Annotated[int, typer.Option(min=1, help="Classes.")] = 2,
    match: Annotated[str, typer.Option(metavar="TEXT", help="Only networks with this in name or description.")] = "",
    encoders: Annotated[str | None, typer.Option(metavar="TEXT", help="Lists timm's encoders with this name.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Prints plain JSON.")] = False,
) -> None:
    """Lists the networks with their parameters, arithmetic and pretrained weights, or timm's encoders."""
    from terraseg.engines.choose import require_training

    require_training()
    from terraseg.nets.catalogue import list_encoders, list_networks

    if encoders is not None:
        found, total = list_encoders(encoders)
        _print_encoders(found, total, json=json)
        return
    rows = list_networks(encoder=encoder, bands=bands, classes=classes, match=match)
    _print_networks(rows, f"{bands} bands, {classes} classes", json=json)


def _print_networks(rows: "tuple[NetworkRow, ...]", what: str, *, json: bool) -> None:
    if json:
        _print_json([row.to_json() for row in rows])
        return
    lines = [
        (
            row.name,
            row.encoder or "-",
            _millions(row.parameters),
            "-" if row.gflops_per_megapixel is None else f"{row.gflops_per_megapixel:.0f}",
            "-" if row.stride is None else str(row.stride),
            row.pretrained or "-",
            row.summary,
        )
        for row in rows
    ]
    print(f"{what}; GFLOP/Mpx: billions of operations per million pixels, an addition and a multiplication are two")
    _print_table(("network", "encoder", "Mparam", "GFLOP/Mpx", "stride", "pretrained encoder", "what it is"), lines)
    for row in rows:
        if row.refused:
            print(f"note: {row.refused}")


def _print_encoders(rows: "tuple[EncoderRow, ...]", total: int, *, json: bool) -> None:
    if json:
        _print_json({"total": total, "encoders": [row.to_json() for row in rows]})
    else:
        lines = [(row.name, _millions(row.parameters), row.pretrained or "-") for row in rows]
        _print_table(("encoder", "Mparam", "pretrained"), lines)
        if total > len(rows):
            print(f"{len(rows)} of {total}: name more of the encoder to see the others")


def _millions(count: int | None) -> str:
    return "-" if count is None else f"{count / 1e6:.2f}"


def _print_table(titles: tuple[str, ...], lines: Iterable[tuple[str, ...]]) -> None:
    from rich.console import Console
    from rich.table import Table

    numbers = {"Mparam", "GFLOP/Mpx", "stride"}
    table = Table(box=None, pad_edge=False)
    for title in titles:
        table.add_column(title, justify="right" if title in numbers else "left", overflow="fold")
    for line in lines:
        table.add_row(*line)
    screen = Console(highlight=False, markup=False)
    (screen if screen.is_terminal else Console(highlight=False, markup=False, width=LOG_WIDTH)).print(table)


def _print_json(content: object) -> None:
    from json import dumps

    print(dumps(content, indent=2))
