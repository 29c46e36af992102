"""What the pixels of a map can be: the classes, their ids, names and colours."""

import re
from dataclasses import dataclass
from typing import Any

from terraseg.errors import BadOption, UnknownName, nearest

VOID = 255
"""Label and map value of a pixel that is no class: void, unlabelled, or nodata."""

# Twelve colours that stay apart for colour-blind eyes and on a satellite image (after Okabe and Ito, 2008, and Tol, 2021).
PALETTE = (
    "#D55E00", "#0072B2", "#009E73", "#F0E442", "#CC79A7", "#56B4E9",
    "#E69F00", "#882255", "#44AA99", "#999933", "#AA4499", "#332288",
)  # fmt: skip


@dataclass(frozen=True)
class LandClass:
    """One class: the id written into maps (0 to 254), its name and its colour as "#RRGGBB"."""

    id: int
    name: str
    color: str

    def __post_init__(self) -> None:
        if not 0 <= self.id < VOID:
            raise BadOption(f"class {self.name!r} has the id {self.id}: a class map is 8 bit, pass an id from 0 to 254")
        if not re.fullmatch(r"#[0-9A-Fa-f]{6}", self.color):
            raise BadOption(f"class {self.name!r} has the colour {self.color!r}: pass it as '#RRGGBB'")

    @property
    def rgb(self) -> tuple[int, int, int]:
        """Red, green and blue from 0 to 255."""
        return int(self.color[1:3], 16), int(self.color[3:5], 16), int(self.color[5:7], 16)


@dataclass(frozen=True)
class Legend:
    """The classes in the order of the network's outputs: channel k of a model is `classes[k]`.

    A class's place in the legend is its **index**; what stands in a map is its **id**. They differ where the labels have
    ids with gaps. Inside terraseg, label arrays hold indices; map files hold ids; both use 255 for void.
    """

    classes: tuple[LandClass, ...]

    def __post_init__(self) -> None:
        for what, values in (("id", [str(c.id) for c in self.classes]), ("name", [c.name for c in self.classes])):
            twice = sorted({v for v in values if values.count(v) > 1})
            if twice:
                raise BadOption(f"two classes share the {what} {twice[0]}: give every class its own")

    def __len__(self) -> int:
        return len(self.classes)

    @property
    def names(self) -> tuple[str, ...]:
        """Class names by index."""
        return tuple(c.name for c in self.classes)

    @property
    def ids(self) -> tuple[int, ...]:
        """Map ids by index."""
        return tuple(c.id for c in self.classes)

    def index_of(self, name: str) -> int:
        """The index of a class by name; `UnknownName` lists the known ones."""
        if name not in self.names:
            raise UnknownName(f"there is no class {name!r}: {nearest(name, self.names)}")
        return self.names.index(name)

    def by_id(self) -> dict[int, LandClass]:
        """Each class by its map id."""
        return {c.id: c for c in self.classes}

    @property
    def background_index(self) -> int | None:
        """The index of the class that stands for "nothing of interest", by its name; None when there is none."""
        for index, name in enumerate(self.names):
            if name.lower() in {"background", "other", "none", "clear", "no cloud"}:
                return index
        return None

    def to_json(self) -> list[dict[str, Any]]:
        """Plain JSON."""
        return [{"id": c.id, "name": c.name, "color": c.color} for c in self.classes]

    @staticmethod
    def from_json(value: list[dict[str, Any]]) -> "Legend":
        """The inverse of `to_json`."""
        return Legend(tuple(LandClass(int(c["id"]), str(c["name"]), str(c["color"])) for c in value))
