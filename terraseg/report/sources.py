"""From the files of a run folder to the values of a report; what does not exist comes back empty."""

import math
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from terraseg.core.dataset import Dataset, Scene
from terraseg.core.plan import Plan
from terraseg.errors import BrokenBundle, UnreadableFile
from terraseg.report.cartography import pixel_sides_m
from terraseg.report.content import (
    Cell,
    DataLine,
    FactGroup,
    PlanLine,
    ProgressRow,
    StatisticsTable,
)
from terraseg.report.wording import DASH, count, length, number
from terraseg.store.bundle import bundle_hash, read_spec
from terraseg.store.rundir import read_csv, read_json

PACKAGES = ("terraseg", "numpy", "scipy", "rasterio", "shapely", "pyproj", "onnxruntime", "torch", "lightning", "timm")
NOT_MEASURES = frozenset({"class_id", "class_name", "id", "name", "class", "color", "layer"})


def scene_role(scene: Scene) -> str:
    """A scene's part in training, in words."""
    if scene.is_test:
        return "held out"
    if scene.train:
        return "partly trained on" if scene.validation else "trained on"
    return "validation" if scene.validation else "not used"


def read_progress(path: Path) -> tuple[ProgressRow, ...]:
    """The rows of a `progress.csv` that have a step; a field that is no finite number becomes None."""
    rows = []
    for line in read_csv(path):
        values = {name: _finite(line.get(name)) for name in ProgressRow.__dataclass_fields__}
        step = values.pop("step")
        if step is not None:
            rows.append(ProgressRow(step, **values))
    return tuple(sorted(rows, key=lambda row: row.step))


def _finite(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def read_plan(path: Path) -> tuple[PlanLine, ...]:
    """The settings of a `plan.json` with their reasons; none when it does not exist."""
    if not path.exists():
        return ()
    try:
        plan = Plan.from_json(read_json(path))
    except (KeyError, TypeError) as error:
        raise UnreadableFile(f"{path} does not hold a plan ({error}): run terraseg plan again") from error
    settings = {k: v for k, v in plan.to_json().items() if k != "reasons" and v is not None}
    lines = [PlanLine(k.replace("_", " "), _written(v), plan.reasons.get(k, "")) for k, v in settings.items()]
    more = (PlanLine(k.replace("_", " "), "", reason) for k, reason in plan.reasons.items() if k not in settings)
    return (*lines, *more)


def _written(value: Any) -> str:
    """A plain JSON value in one line."""
    if value is None or value == "" or value == [] or value == {}:
        return DASH
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return number(value)
    if isinstance(value, list | tuple):
        return ", ".join(_written(v) for v in value)
    if isinstance(value, Mapping):
        return ", ".join(f"{k} = {_written(v)}" for k, v in value.items())
    return str(value)


def read_statistics(path: Path, name: str) -> StatisticsTable | None:
    """The rows under "classes" in a scene's statistics; None when the file does not exist or has none.

    Every measure is taken that is a number or text, in the file's order; groups of measures are flattened with "_".
    """
    if not path.exists():
        return None
    value = read_json(path)
    rows = value.get("classes") if isinstance(value, Mapping) else None
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        return None
    flat = [(str(row.get("class_name", row.get("name", "?"))), _flat(row)) for row in rows]
    columns = tuple(dict.fromkeys(k for _, measures in flat for k, v in measures.items() if v is not None))
    if not columns:
        return None
    return StatisticsTable(name, columns, tuple((n, tuple(m.get(c) for c in columns)) for n, m in flat))


def _flat(row: Mapping[str, Any], prefix: str = "") -> dict[str, Cell]:
    measures: dict[str, Cell] = {}
    for key, value in row.items():
        if not prefix and key in NOT_MEASURES:
            continue
        if isinstance(value, Mapping):
            measures.update(_flat(value, f"{prefix}{key}_"))
        elif value is None or isinstance(value, str | int | float):
            measures[f"{prefix}{key}"] = value
    return measures


def total_statistics(tables: Sequence[StatisticsTable]) -> StatisticsTable | None:
    """Area, share and objects over several scenes; None when fewer than two say their areas.

    Means and medians do not add up, so they stay with their scenes.
    """
    unit = next((u for u in ("area_m2", "area_px") if all(u in t.columns for t in tables)), None)
    if len(tables) < 2 or unit is None:
        return None
    names, whole = list(dict.fromkeys(name for t in tables for name, _ in t.rows)), 0.0
    areas, objects = dict.fromkeys(names, 0.0), dict.fromkeys(names, 0.0)
    for t in tables:
        for name, values in t.rows:
            row = dict(zip(t.columns, values, strict=True))
            areas[name] += _number_or_zero(row.get(unit))
            objects[name] += _number_or_zero(row.get("objects"))
        whole += observed(t, unit)
    whole = whole or 1.0
    counted = any("objects" in t.columns for t in tables)
    columns = (unit, "share", "objects") if counted else (unit, "share")
    rows = tuple((n, (areas[n], areas[n] / whole, objects[n] or None)[: len(columns)]) for n in names)
    return StatisticsTable("All scenes together", columns, rows)


def observed(table: StatisticsTable, unit: str) -> float:
    """The ground that the shares in a table are parts of, in the unit of its areas; without shares the sum of the areas."""
    rows = [dict(zip(table.columns, values, strict=True)) for _, values in table.rows]
    pairs = [(_number_or_zero(row.get(unit)), _number_or_zero(row.get("share"))) for row in rows]
    area, share = max(pairs, key=lambda pair: pair[1], default=(0.0, 0.0))
    return area / share if share > 0 else sum(area for area, _ in pairs)


def _number_or_zero(value: Cell) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def data_lines(dataset: Dataset | None) -> tuple[DataLine, ...]:
    """The scenes of a data set in words."""
    return () if dataset is None else tuple(_data_line(scene) for scene in dataset.scenes)


def _data_line(scene: Scene) -> DataLine:
    sides = pixel_sides_m(scene.grid)
    first, more = Path(scene.imagery.paths[0]).name, len(scene.imagery.paths) - 1
    return DataLine(
        name=scene.name,
        imagery=f"{first} and {more} more" if more else first,
        size=f"{count(scene.grid.height)} × {count(scene.grid.width)} px",
        gsd=DASH if sides is None else length(math.sqrt(sides[0] * sides[1])),
        labels=DASH if scene.labels is None else Path(scene.labels).name,
        role=scene_role(scene),
    )


def read_provenance(model: Path) -> tuple[FactGroup, ...]:
    """What made the map: the model and how it was trained, and the versions at work; the model only where it exists."""
    groups = []
    if model.is_dir():
        groups = _model_facts(model)
    versions = [("python", platform.python_version())]
    versions += [(name, found) for name in PACKAGES if (found := _version(name)) is not None]
    return (*groups, FactGroup("Versions that wrote this report", tuple(versions)))


def _model_facts(model: Path) -> list[FactGroup]:
    try:
        spec, digest = read_spec(model), bundle_hash(model)
    except BrokenBundle as error:
        return [FactGroup("Model", (("Not readable", str(error)),))]
    facts = [
        ("Network", spec.network),
        ("Model hash (SHA-256 of the ONNX file, first 16 digits)", digest),
        ("Bands", f"{', '.join(spec.bands)} ({spec.dtype})"),
        ("Ground sample distance", "unknown" if spec.gsd_m is None else length(spec.gsd_m)),
        ("Tile and overlap", f"{spec.tile} px, {spec.overlap} px"),
    ]
    facts += [(_heading(k), _written(v)) for k, v in spec.network_options.items()]
    groups = [FactGroup("Model", tuple(facts))]
    if spec.provenance:
        groups.append(FactGroup("Training", tuple((_heading(k), _written(v)) for k, v in spec.provenance.items())))
    return groups


def _heading(key: str) -> str:
    return key.replace("_", " ").capitalize()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
