"""From a scene's statistics file to what a report says of its things: figures, distributions, corrected areas, parts."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from terraseg.core.classes import Legend
from terraseg.errors import UnreadableFile
from terraseg.report.content import (
    Cell,
    Distribution,
    EstimatedAreas,
    EstimatedClass,
    Range,
    SceneMeasures,
    StatisticsTable,
)
from terraseg.store.rundir import read_json

MOST_ZONES = 60
"""So many parts of a scene are listed; all of them are in its tables."""
FEWEST = 3
"""Fewer things than this have no distribution worth a picture."""
DETAILS = {
    "building_gaps": "Gaps between buildings",
    "street_widths": "Widths of street segments",
    "crown_diameters": "Diameters of tree crowns",
}


def read_measures(path: Path, name: str, legend: Legend) -> SceneMeasures | None:
    """What a statistics file holds beside its table of classes; None where it does not exist or holds nothing of it.

    Raises `UnreadableFile` for a file that holds something else.
    """
    if not path.exists():
        return None
    value = read_json(path)
    if not isinstance(value, Mapping):
        return None
    try:
        found = SceneMeasures(
            name,
            _figures(value.get("figures")),
            tuple(_distributions(value, legend)),
            None if value.get("honest") is None else _estimated(value["honest"]),
            _zones(value.get("zones") or (), name),
            max(0, len(value.get("zones") or ()) - MOST_ZONES),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UnreadableFile(f"{path} does not hold statistics ({error!r}): run terraseg measure again") from error
    return None if found == SceneMeasures(name) else found


def _figures(value: Mapping[str, Cell] | None) -> tuple[tuple[str, Cell], ...]:
    return tuple((key, cell) for key, cell in (value or {}).items() if cell is not None)


def _distributions(value: Mapping[str, Any], legend: Legend) -> Iterator[Distribution]:
    """The sizes of each class's objects, then the gaps, widths and diameters of things."""
    length = str(value.get("unit", "px"))
    area = "m2" if length == "m" else "px"
    colors = {land_class.name: land_class.color for land_class in legend.classes}
    for name, sizes in (value.get("distributions") or {}).items():
        if sizes["count"] >= FEWEST:
            yield _distribution(f"Areas of {name}", area, sizes, colors.get(name))
    for key, title in DETAILS.items():
        sizes = (value.get("details") or {}).get(key)
        if sizes is not None and sizes["count"] >= FEWEST:
            yield _distribution(title, length, sizes, None)


def _distribution(name: str, unit: str, sizes: Mapping[str, Any], color: str | None) -> Distribution:
    histogram = sizes["histogram"]
    edges = tuple(float(edge) for edge in histogram["edges"])
    return Distribution(name, unit, edges, tuple(int(n) for n in histogram["counts"]), sizes["median"], color)


def _estimated(value: Mapping[str, Any]) -> EstimatedAreas:
    classes = tuple(
        EstimatedClass(
            str(c["class_name"]),
            int(c["points"]),
            float(c["mapped_area"]),
            _range(c["area"]),
            _range(c["share"]),
            None if c["users"] is None else _range(c["users"]),
            None if c["producers"] is None else _range(c["producers"]),
        )
        for c in value["classes"]
    )
    unit = "m2" if value["unit"] == "m" else "px"
    return EstimatedAreas(unit, _range(value["overall"]), str(value["source"]), int(value["clusters"]), classes)


def _range(value: Mapping[str, float]) -> Range:
    return Range(float(value["value"]), float(value["low"]), float(value["high"]))


def _zones(rows: Any, name: str) -> StatisticsTable | None:
    """The first parts of a scene: their ground, the share of each class, and the figures; areas follow from shares."""
    if not rows:
        return None
    shares = {key.removesuffix("_share") for key in rows[0] if key.endswith("_share")}
    spoken = {f"{share}{ending}" for share in shares for ending in ("_m2", "_px", "_objects", "_mean_m2", "_mean_px")}
    columns = tuple(
        key
        for key in rows[0]
        if key not in {"zone", *spoken} and any(row[key] is not None for row in rows[:MOST_ZONES])
    )
    lines = tuple((str(row["zone"]), tuple(row[key] for key in columns)) for row in rows[:MOST_ZONES])
    return StatisticsTable(f"{name}, part by part", columns, lines)
