"""The project file: one TOML table per command, each read into its own options."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from terraseg.clean.options import CleanOptions
from terraseg.core.options import read_options
from terraseg.core.text import parse_toml
from terraseg.engines.options import EngineOptions
from terraseg.errors import BadOption, UnreadableFile, nearest
from terraseg.evaluate.options import EvaluateOptions
from terraseg.forest.options import ForestOptions
from terraseg.measure.options import MeasureOptions
from terraseg.plan.options import OptimizeOptions, SampleOptions, TrainingOptions, TrainOptions
from terraseg.predict.options import InputOptions, PredictOptions
from terraseg.prepare.options import DataOptions
from terraseg.report.options import ReportOptions
from terraseg.store.rundir import RunFolder
from terraseg.vectorize.options import VectorizeOptions


@dataclass(frozen=True)
class MapOptions:
    """The [map] table.

    run     folder of the run, relative to the project file
    images  patterns of further rasters to map, besides the test scenes and the scenes without labels
    baseline  also train a forest, the traditional classifier, and score it beside the network: it takes about a minute
    """

    run: str = "runs/first"
    images: tuple[str, ...] = ()
    baseline: bool = True


TABLES: dict[str, type[Any]] = {
    "data": DataOptions,
    "train": TrainOptions,
    "sample": SampleOptions,
    "optimize": OptimizeOptions,
    "forest": ForestOptions,
    "predict": PredictOptions,
    "input": InputOptions,
    "engine": EngineOptions,
    "clean": CleanOptions,
    "vectorize": VectorizeOptions,
    "measure": MeasureOptions,
    "evaluate": EvaluateOptions,
    "report": ReportOptions,
    "map": MapOptions,
}


LENGTHS = ("time_budget", "epochs", "steps")
"""Keys of [train] of which one replaces another: a flag does so with what the file says."""


@dataclass(frozen=True)
class Project:
    """A project file with its settings resolved. `root` is the file's folder, from which its paths are seen."""

    root: Path
    data: DataOptions
    train: TrainOptions
    sample: SampleOptions
    optimize: OptimizeOptions
    forest: ForestOptions
    predict: PredictOptions
    input: InputOptions
    engine: EngineOptions
    clean: CleanOptions
    vectorize: VectorizeOptions
    measure: MeasureOptions
    evaluate: EvaluateOptions
    report: ReportOptions
    map: MapOptions

    @property
    def run(self) -> RunFolder:
        """The run folder."""
        return RunFolder(self.root / self.map.run)

    @property
    def training(self) -> TrainingOptions:
        """The tables that override the training plan, the path in them seen from the project file."""
        path = self.train.pretrained_path
        rooted = replace(self.train, pretrained_path=str(self.root / path)) if path else self.train
        return TrainingOptions(rooted, self.sample, self.optimize)

    @property
    def inputs(self) -> InputOptions:
        """The table for rasters, the path in it seen from the project file."""
        return replace(self.input, aoi=str(self.root / self.input.aoi)) if self.input.aoi else self.input

    def options_json(self) -> dict[str, Any]:
        """Every option of every table as plain JSON."""
        return {name: asdict(getattr(self, name)) for name in TABLES}


def read_project(path: Path, overrides: Sequence[str] = ()) -> Project:
    """The project of a TOML file, with `table.key=value` overrides applied on top.

    Raises `UnreadableFile` when the file is missing or no TOML, `BadOption` for an unknown table or key, a value of the wrong
    type, or an override that is not of that form.
    """
    try:
        tables = parse_toml(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UnreadableFile(
            f"{path} does not exist: write it with `terraseg check FOLDER`, or pass --config"
        ) from error
    except (OSError, ValueError) as error:
        raise UnreadableFile(f"{path} is not readable as TOML: {error}") from error
    return project_from(tables, path.parent, overrides, name=path.name)


def project_from(
    tables: dict[str, Any], root: Path, overrides: Sequence[str] = (), *, name: str = "project"
) -> Project:
    """The project of plain tables, as `read_project` makes it from a file; `name` stands in messages."""
    unknown = [table for table in tables if table not in TABLES]
    if unknown:
        raise BadOption(f"{name} has the table [{unknown[0]}]: {nearest(unknown[0], TABLES)}")
    merged = {table: dict(tables.get(table, {})) for table in TABLES}
    for override in overrides:
        table, key, value = parse_override(override)
        for other in LENGTHS if table == "train" and key in LENGTHS else ():
            merged[table].pop(other, None)
        merged[table][key] = value
    if "images" not in merged["data"]:
        raise BadOption(
            f"{name} names no imagery: set images under [data], or write the file with `terraseg check FOLDER`"
        )
    for table, values in merged.items():
        _refuse_strays(table, values, name)
    options = {table: read_options(TABLES[table], merged[table], f"[{table}] in {name}") for table in TABLES}
    return Project(root=root, **options)


def _refuse_strays(table: str, values: dict[str, Any], name: str) -> None:
    """A key that belongs to another table gets the name of that table."""
    known = {title: {field.name for field in fields(kind)} for title, kind in TABLES.items()}
    for key in values.keys() - known[table]:
        homes = [title for title in known if key in known[title]]
        if homes:
            raise BadOption(f"{name} has the key {key!r} under [{table}]: it belongs under [{homes[0]}]")


def parse_override(text: str) -> tuple[str, str, Any]:
    """Table, key and value of "table.key=value"; the value is TOML, or plain text where it is no TOML.

    >>> parse_override("train.steps=200"), parse_override("train.network=unet")
    (('train', 'steps', 200), ('train', 'network', 'unet'))
    """
    place, equals, value = text.partition("=")
    table, dot, key = place.strip().partition(".")
    if not (equals and dot and key):
        raise BadOption(f"--set {text!r} cannot be read: write it as table.key=value, train.steps=500 say")
    if table not in TABLES:
        raise BadOption(f"--set {text!r} names the table {table!r}: {nearest(table, TABLES)}")
    try:
        return table, key, parse_toml(f"value = {value}")["value"]
    except ValueError:
        return table, key, value.strip()
