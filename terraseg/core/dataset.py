"""Labelled scenes and how their labels are read: what `check` finds and every later stage works on."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from terraseg.core.classes import Legend
from terraseg.core.grid import Grid
from terraseg.core.window import Window

LabelKind = Literal["ids", "colors", "polygons"]
Role = Literal["train", "validation", "test"]

ANY = "*"
"""A label value that stands for every polygon, whatever its attributes."""
OUTSIDE = ""
"""A label value that stands for the ground outside every polygon."""


@dataclass(frozen=True)
class LabelRule:
    """How the values in label files become class indices.

    `values[k]` are the label values of the class with index k, as text: "3" for an id, "#RRGGBB" for a colour, an attribute
    value for polygons, `ANY` for every polygon, `OUTSIDE` for the ground beside them. `ignore` holds the values that mean
    "not labelled". `field` is the attribute that names a polygon's class, None when every polygon is of one class.
    """

    kind: LabelKind
    values: tuple[tuple[str, ...], ...]
    ignore: tuple[str, ...] = ()
    field: str | None = None

    def __post_init__(self) -> None:
        if self.kind not in get_args(LabelKind):
            raise ValueError(f"label kind {self.kind!r}: one of {', '.join(get_args(LabelKind))}")

    def index_of(self) -> dict[str, int]:
        """Class index by label value; ignored values are not in it."""
        return {value: index for index, values in enumerate(self.values) for value in values}

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        values = [list(v) for v in self.values]
        return {"kind": self.kind, "values": values, "ignore": list(self.ignore), "field": self.field}

    @staticmethod
    def from_json(value: dict[str, Any]) -> "LabelRule":
        """The inverse of `to_json`."""
        values = tuple(tuple(v) for v in value["values"])
        return LabelRule(value["kind"], values, tuple(value["ignore"]), value["field"])


@dataclass(frozen=True)
class Imagery:
    """How to read a scene's pixels: one file with all bands, or one file a band in the order of `bands`.

    `bands` are the names of the channels that come out; with one file they are found by band description, else taken by
    position (an alpha band is never a channel). `nodata` overrides what the files say.
    """

    paths: tuple[str, ...]
    bands: tuple[str, ...]
    nodata: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {"paths": list(self.paths), "bands": list(self.bands), "nodata": self.nodata}

    @staticmethod
    def from_json(value: dict[str, Any]) -> "Imagery":
        """The inverse of `to_json`."""
        return Imagery(tuple(value["paths"]), tuple(value["bands"]), value["nodata"])


@dataclass(frozen=True)
class Scene:
    """One raster with its labels and its part in training.

    `name` is unique and fit for a file name. Scenes of one `group` (the parts of a tile, the flights over a site) never
    stand on both sides of a split. `train` and `validation` are disjoint windows of the scene; a scene that is held out
    for testing has neither, and `is_test` true.
    """

    name: str
    imagery: Imagery
    labels: str | None
    group: str
    grid: Grid
    train: tuple[Window, ...] = ()
    validation: tuple[Window, ...] = ()
    is_test: bool = False

    def windows(self, role: Role) -> tuple[Window, ...]:
        """The parts of the scene that play a role; all of it for a test scene's "test"."""
        if role == "test":
            return (self.grid.window,) if self.is_test else ()
        return self.train if role == "train" else self.validation

    def reduced(self, factor: int) -> "Scene":
        """The scene in pixels of `factor` times the size, with the windows that are left of its own."""
        if factor == 1:
            return self
        train, validation = (
            tuple(small for w in windows if not (small := w.reduced(factor)).is_empty)
            for windows in (self.train, self.validation)
        )
        return replace(self, grid=self.grid.reduced(factor), train=train, validation=validation)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "name": self.name,
            "imagery": self.imagery.to_json(),
            "labels": self.labels,
            "group": self.group,
            "grid": self.grid.to_json(),
            "train": [w.to_json() for w in self.train],
            "validation": [w.to_json() for w in self.validation],
            "is_test": self.is_test,
        }

    @staticmethod
    def from_json(value: dict[str, Any]) -> "Scene":
        """The inverse of `to_json`."""
        return Scene(
            value["name"],
            Imagery.from_json(value["imagery"]),
            value["labels"],
            value["group"],
            Grid.from_json(value["grid"]),
            tuple(Window.from_json(w) for w in value["train"]),
            tuple(Window.from_json(w) for w in value["validation"]),
            value["is_test"],
        )


@dataclass(frozen=True)
class Dataset:
    """All scenes of a project with one legend, one label rule, one band list and one pixel type."""

    scenes: tuple[Scene, ...]
    legend: Legend
    rule: LabelRule
    bands: tuple[str, ...]
    dtype: str

    def labelled(self, role: Role) -> Iterator[tuple[Scene, Window]]:
        """Every labelled window that plays a role, scene by scene."""
        for scene in self.scenes:
            if scene.labels is not None:
                for window in scene.windows(role):
                    yield scene, window

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "scenes": [s.to_json() for s in self.scenes],
            "legend": self.legend.to_json(),
            "rule": self.rule.to_json(),
            "bands": list(self.bands),
            "dtype": self.dtype,
        }

    @staticmethod
    def from_json(value: dict[str, Any]) -> "Dataset":
        """The inverse of `to_json`."""
        return Dataset(
            tuple(Scene.from_json(s) for s in value["scenes"]),
            Legend.from_json(value["legend"]),
            LabelRule.from_json(value["rule"]),
            tuple(value["bands"]),
            value["dtype"],
        )
