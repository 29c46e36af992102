"""How a data set was parted into training, validation and test, and which scenes share ground."""

from dataclasses import dataclass
from typing import Any, Literal

from terraseg.core.window import Window

Evidence = Literal["map", "picture"]


@dataclass(frozen=True)
class Overlap:
    """Ground that two scenes both show.

    `window_one` and `window_other` are the smallest rectangles that hold it in the pixels of each. `share` is its part of
    the smaller scene's valid ground. `evidence` says how it was found: by the scenes' places on the "map", or because
    their "picture" is the same.
    """

    one: str
    other: str
    window_one: Window
    window_other: Window
    share: float
    evidence: Evidence

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "one": self.one,
            "other": self.other,
            "window_one": self.window_one.to_json(),
            "window_other": self.window_other.to_json(),
            "share": self.share,
            "evidence": self.evidence,
        }

    @staticmethod
    def from_json(value: dict[str, Any]) -> "Overlap":
        """The inverse of `to_json`."""
        windows = {name: Window.from_json(value[name]) for name in ("window_one", "window_other")}
        return Overlap(**{**value, **windows})


@dataclass(frozen=True)
class SplitReport:
    """How a split was made, and what to know of it.

    `how` is one sentence, `warnings` are further ones. `leak_pixels` counts the training pixels that validation or test
    sees as well, or that belong to a group on both sides. `groups` holds the names of the scenes that were kept together,
    those that share ground among them. `gap_px` is the widest strip left out between the sides of one scene.
    """

    how: str
    warnings: tuple[str, ...] = ()
    leak_pixels: int = 0
    groups: tuple[tuple[str, ...], ...] = ()
    gap_px: int = 0

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "how": self.how,
            "warnings": list(self.warnings),
            "leak_pixels": self.leak_pixels,
            "groups": [list(names) for names in self.groups],
            "gap_px": self.gap_px,
        }

    @staticmethod
    def from_json(value: dict[str, Any]) -> "SplitReport":
        """The inverse of `to_json`."""
        groups = tuple(tuple(names) for names in value["groups"])
        return SplitReport(value["how"], tuple(value["warnings"]), value["leak_pixels"], groups, value["gap_px"])
