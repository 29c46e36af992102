"""What the data are like: the facts from which a plan is made."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class BandFacts:
    """Statistics of one band over the valid pixels of the training windows, in raw pixel values."""

    name: str
    mean: float
    std: float
    p01: float
    p50: float
    p99: float


@dataclass(frozen=True)
class SceneFacts:
    """One scene: size in pixels, ground sample distance (None without a CRS), share of valid and of labelled pixels."""

    name: str
    height: int
    width: int
    gsd_m: float | None
    valid_share: float
    labelled_share: float
    class_pixels: tuple[int, ...]


@dataclass(frozen=True)
class Fingerprint:
    """The facts of a data set: bands, pixel type, scenes, and how many training pixels each class has."""

    dtype: str
    bands: tuple[BandFacts, ...]
    scenes: tuple[SceneFacts, ...]
    class_names: tuple[str, ...]
    class_pixels: tuple[int, ...]
    train_pixels: int
    validation_pixels: int
    gsd_m: float | None

    @property
    def class_shares(self) -> tuple[float, ...]:
        """Share of each class among the labelled training pixels."""
        total = max(1, sum(self.class_pixels))
        return tuple(pixels / total for pixels in self.class_pixels)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)

    @staticmethod
    def from_json(value: dict[str, Any]) -> "Fingerprint":
        """The inverse of `to_json`."""
        scenes = (SceneFacts(**{**s, "class_pixels": tuple(s["class_pixels"])}) for s in value["scenes"])
        return Fingerprint(
            value["dtype"],
            tuple(BandFacts(**b) for b in value["bands"]),
            tuple(scenes),
            tuple(value["class_names"]),
            tuple(value["class_pixels"]),
            value["train_pixels"],
            value["validation_pixels"],
            value["gsd_m"],
        )
