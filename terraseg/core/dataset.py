"""Labelled scenes and how their labels are read: what `check` finds and every later stage works on."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from terraseg.core.classes import VOID, Legend
from terraseg.core.coding import Coding
from terraseg.core.drawing import AS_THEY_ARE, Drawing
from terraseg.core.grid import Grid
from terraseg.core.scale import SAME, PixelSize, Scale, scale_to, usual_pixel
from terraseg.core.spectral import SpectralIndices
from terraseg.core.window import Window

LabelKind = Literal["ids", "colors", "polygons", "bands"]
Role = Literal["train", "validation", "test"]

ANY = "*"
"""A label value that stands for every polygon, whatever its attributes."""
OUTSIDE = ""
"""A label value that stands for the ground outside every polygon."""
NO_CLASS: dict[str, str] = {"ids": "0", "colors": "#000000"}
"""Label values that are of no class where classes overlap."""


@dataclass(frozen=True)
class LabelRule:
    """How the values in label files become the bytes of label arrays (see `Coding`).

    `values[k]` are the label values of the class with index k, as text: "3" for an id, "#RRGGBB" for a colour, an attribute
    value for polygons, `ANY` for every polygon, `OUTSIDE` for the ground beside them, the name or the number of a band that
    is not 0 where the class is. `ignore` holds the values that mean "not labelled". `field` is the attribute that names a
    polygon's class, None when every polygon is of one class. Where classes are `overlapping` a pixel may be of several, and
    a value may stand for several. `drawing` says where labels are complete and what becomes of lines and points.
    """

    kind: LabelKind
    values: tuple[tuple[str, ...], ...]
    ignore: tuple[str, ...] = ()
    field: str | None = None
    overlapping: bool = False
    drawing: Drawing = AS_THEY_ARE

    def __post_init__(self) -> None:
        if self.kind not in get_args(LabelKind):
            raise ValueError(f"label kind {self.kind!r}: one of {', '.join(get_args(LabelKind))}")
        Coding(len(self.values), self.overlapping)

    def code_of(self) -> dict[str, int]:
        """The byte by label value: the class's index, or the bits of the classes that it stands for; without ignored values.

        Where classes overlap, the id 0 and black are of no class unless the rule says otherwise.
        """
        coding = Coding(len(self.values), self.overlapping)
        codes = {NO_CLASS[self.kind]: 0} if self.overlapping and self.kind in NO_CLASS else {}
        for index, values in enumerate(self.values):
            for value in values:
                code = coding.code(index)
                codes[value] = code | codes.get(value, 0) if self.overlapping else code
        return {value: code for value, code in codes.items() if value not in self.ignore}

    @property
    def outside_code(self) -> int:
        """The byte of the ground outside every polygon: void where no class stands for it, of no class where they overlap."""
        unnamed = 0 if self.overlapping and OUTSIDE not in self.ignore else VOID
        return self.code_of().get(OUTSIDE, unnamed)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        values = [list(v) for v in self.values]
        plain: dict[str, Any] = {"kind": self.kind, "values": values, "ignore": list(self.ignore), "field": self.field}
        if self.overlapping:
            plain["overlapping"] = True
        return plain if self.drawing == AS_THEY_ARE else plain | {"drawing": self.drawing.to_json()}

    @staticmethod
    def from_json(value: dict[str, Any]) -> "LabelRule":
        """The inverse of `to_json`."""
        values = tuple(tuple(v) for v in value["values"])
        overlapping = value.get("overlapping", False)
        drawing = Drawing.from_json(value["drawing"]) if "drawing" in value else AS_THEY_ARE
        return LabelRule(value["kind"], values, tuple(value["ignore"]), value["field"], overlapping, drawing)


@dataclass(frozen=True)
class Imagery:
    """How to read a scene's pixels: one file with all bands, or one file a band in the order of `bands`.

    `bands` are the names of the channels that come out; with one file they are found by band description, else taken by
    position (an alpha band is never a channel). `channels` says instead where they are: for each band the number of its
    channel in the file, from 1; then the files may hold any others. `nodata` overrides what the files say. `indices` are
    channels computed from the bands, which come after them. With `stored` the numbers come as they stand in the files,
    whatever scale these declare.
    """

    paths: tuple[str, ...]
    bands: tuple[str, ...]
    nodata: float | None = None
    channels: tuple[int, ...] = ()
    indices: SpectralIndices | None = None
    stored: bool = False

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        plain: dict[str, Any] = {"paths": list(self.paths), "bands": list(self.bands), "nodata": self.nodata}
        if self.channels:
            plain["channels"] = list(self.channels)
        if self.stored:
            plain["stored"] = True
        return plain if self.indices is None else plain | {"indices": self.indices.to_json()}

    @staticmethod
    def from_json(value: dict[str, Any]) -> "Imagery":
        """The inverse of `to_json`."""
        channels, indices = tuple(value.get("channels", ())), value.get("indices")
        known = None if indices is None else SpectralIndices.from_json(indices)
        return Imagery(
            tuple(value["paths"]), tuple(value["bands"]), value["nodata"], channels, known, value.get("stored", False)
        )


@dataclass(frozen=True)
class Scene:
    """One raster with its labels and its part in training.

    `name` is unique and fit for a file name. Scenes of one `group` (the parts of a tile, the flights over a site) never
    stand on both sides of a split. `train` and `validation` are disjoint windows of the scene; a scene that is held out
    for testing has neither, and `is_test` true. Its labels are moved by `shift` before they are read: metres east and
    north, pixels right and up where it has no CRS.
    """

    name: str
    imagery: Imagery
    labels: str | None
    group: str
    grid: Grid
    train: tuple[Window, ...] = ()
    validation: tuple[Window, ...] = ()
    is_test: bool = False
    shift: tuple[float, float] = (0.0, 0.0)

    def windows(self, role: Role) -> tuple[Window, ...]:
        """The parts of the scene that play a role; all of it for a test scene's "test"."""
        if role == "test":
            return (self.grid.window,) if self.is_test else ()
        return self.train if role == "train" else self.validation

    def reduced(self, scale: Scale) -> "Scene":
        """The scene in pixels of another size, with the windows that are left of its own."""
        if scale == SAME:
            return self
        rows, cols = scale.rows, scale.cols
        train, validation = (
            tuple(small for w in windows if not (small := w.reduced(rows, cols)).is_empty)
            for windows in (self.train, self.validation)
        )
        return replace(self, grid=self.grid.reduced(rows, cols), train=train, validation=validation)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        plain = {
            "name": self.name,
            "imagery": self.imagery.to_json(),
            "labels": self.labels,
            "group": self.group,
            "grid": self.grid.to_json(),
            "train": [w.to_json() for w in self.train],
            "validation": [w.to_json() for w in self.validation],
            "is_test": self.is_test,
        }
        return plain | {"shift": list(self.shift)} if any(self.shift) else plain

    @staticmethod
    def from_json(value: dict[str, Any]) -> "Scene":
        """The inverse of `to_json`."""
        east, north = value.get("shift", (0.0, 0.0))
        return Scene(
            value["name"],
            Imagery.from_json(value["imagery"]),
            value["labels"],
            value["group"],
            Grid.from_json(value["grid"]),
            tuple(Window.from_json(w) for w in value["train"]),
            tuple(Window.from_json(w) for w in value["validation"]),
            value["is_test"],
            (east, north),
        )


@dataclass(frozen=True)
class Dataset:
    """All scenes of a project with one legend, one label rule, one band list and one pixel type.

    `bands` are the channels that come out of every scene, spectral indices last, and `dtype` is their type.
    """

    scenes: tuple[Scene, ...]
    legend: Legend
    rule: LabelRule
    bands: tuple[str, ...]
    dtype: str

    @property
    def coding(self) -> Coding:
        """What the bytes of its label arrays mean."""
        return Coding(len(self.legend), self.rule.overlapping)

    @property
    def indices(self) -> SpectralIndices | None:
        """The spectral indices among the bands, the same in every scene; None where there are none."""
        return self.scenes[0].imagery.indices if self.scenes else None

    @property
    def stored(self) -> bool:
        """Whether numbers are read as they are stored, whatever scale the files declare."""
        return bool(self.scenes) and self.scenes[0].imagery.stored

    @property
    def sensed_bands(self) -> tuple[str, ...]:
        """The bands that the files hold, without the indices."""
        return self.bands if self.indices is None else self.bands[: -len(self.indices.names) or None]

    @property
    def usual_pixel(self) -> PixelSize | None:
        """The pixel of its middle scene by size, to which training brings the others; None where no scene has a CRS."""
        return usual_pixel(scene.grid for scene in self.scenes)

    def scales(self) -> dict[str, Scale]:
        """By scene how training brings its pixels to the usual one."""
        size = self.usual_pixel
        return {scene.name: SAME if size is None else scale_to(size, scene.grid) for scene in self.scenes}

    @property
    def files(self) -> tuple[str, ...]:
        """Every file that the scenes and their labels are read from, each once."""
        own = (path for scene in self.scenes for path in (*scene.imagery.paths, scene.labels) if path is not None)
        return tuple(dict.fromkeys((*own, *self.rule.drawing.extent)))

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
