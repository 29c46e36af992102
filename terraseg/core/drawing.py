"""How the features of label files become ground of a class: where they are complete, and what is made of lines and points."""

from dataclasses import dataclass
from typing import Any

Width = float | str


@dataclass(frozen=True)
class Drawing:
    """What is done with labels before they are read on a scene's grid.

    `extent` are files of polygons inside which the labels are complete; empty says nothing about it, and labels count
    wherever they lie. `assume_crs` stands for the CRS of files that name none. `buffer` grows polygons by so many metres,
    and shrinks them where it is negative. `width` is the width of lines and the diameter of points in metres: a number, or
    the name of the attribute that holds it; 0 leaves lines and points out.
    """

    extent: tuple[str, ...] = ()
    assume_crs: str | None = None
    buffer: float = 0.0
    width: Width = 0.0

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "extent": list(self.extent),
            "assume_crs": self.assume_crs,
            "buffer": self.buffer,
            "width": self.width,
        }

    @staticmethod
    def from_json(value: dict[str, Any]) -> "Drawing":
        """The inverse of `to_json`."""
        return Drawing(**{**value, "extent": tuple(value["extent"])})


AS_THEY_ARE = Drawing()
"""Labels read as they lie in their files."""
