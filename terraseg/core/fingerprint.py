"""What the data are like: the facts from which a plan is made."""

from dataclasses import asdict, dataclass
from typing import Any

from terraseg.core.imagery import ImageryFacts
from terraseg.core.scale import simple
from terraseg.core.split import Overlap


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
class ObjectFacts:
    """Sizes of the objects of one class, connected pieces of it in sampled windows of the training labels.

    `count` is their number. Areas are in square metres and widths in metres where all scenes have a CRS, else in pixels.
    A tenth, half and nine tenths of the class's ground lie in objects up to the three sizes, so that specks have little
    say; 0 where there is no object. `cut_share` is the part of the ground that lies in objects cut by a window's border:
    while it is less than half these have no say in the areas, else the areas are lower bounds.
    """

    name: str
    count: int
    area: tuple[float, float, float]
    width: tuple[float, float, float]
    cut_share: float


@dataclass(frozen=True)
class Fingerprint:
    """The facts of a data set: bands, pixel type, scenes, and how many training pixels each class has.

    `gsd_m` is the ground sample distance of the middle one of the scenes that have a CRS, to which training brings the
    others; `gsd_range_m` are the smallest and the largest. `brought_pixels` are the training pixels at `gsd_m`.
    `class_scenes` counts the scenes in which each class occurs. `valid_pixels` and `nodata_share` are over the labelled
    scenes. `autocorrelation_px` is the distance at which two pixels have little more in common than any two (median over
    the scenes; 0 when it was not measured), `autocorrelation_m` the same on the ground. Objects are in `object_unit`. Where
    classes are `overlapping` a pixel counts for each of its classes, and `labelled_pixels` are the labelled training pixels.
    `imagery` is what a model keeps of the training imagery's look, None in fingerprints that do not say. `sensed_dtype` is
    the pixel type on disk, where indices have made it another; "" where it is `dtype`.
    """

    dtype: str
    bands: tuple[BandFacts, ...]
    scenes: tuple[SceneFacts, ...]
    class_names: tuple[str, ...]
    class_pixels: tuple[int, ...]
    train_pixels: int
    validation_pixels: int
    gsd_m: float | None
    gsd_range_m: tuple[float, float] | None = None
    validation_class_pixels: tuple[int, ...] = ()
    class_scenes: tuple[int, ...] = ()
    valid_pixels: int = 0
    nodata_share: float = 0.0
    autocorrelation_px: float = 0.0
    autocorrelation_m: float | None = None
    object_unit: str = "px"
    objects: tuple[ObjectFacts, ...] = ()
    overlaps: tuple[Overlap, ...] = ()
    overlapping: bool = False
    labelled_pixels: int = 0
    imagery: ImageryFacts | None = None
    sensed_dtype: str = ""
    brought_pixels: int = 0

    @property
    def aspect(self) -> float:
        """A pixel's width on the ground over its height; 1 where that is not known."""
        return 1.0 if self.imagery is None else self.imagery.aspect

    @property
    def model_pixels(self) -> int:
        """Training pixels of the size that the model will know."""
        return self.brought_pixels or self.train_pixels

    @property
    def scene_sides(self) -> tuple[tuple[int, int], ...]:
        """Height and width of each scene in pixels of the size that the model will know."""
        return tuple(_sides(scene, self.gsd_m) for scene in self.scenes)

    @property
    def class_shares(self) -> tuple[float, ...]:
        """Share of each class among the labelled training pixels."""
        total = max(1, self.labelled_pixels if self.overlapping else sum(self.class_pixels))
        return tuple(pixels / total for pixels in self.class_pixels)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)

    @staticmethod
    def from_json(value: dict[str, Any]) -> "Fingerprint":
        """The inverse of `to_json`."""
        fields = dict(value)
        fields["bands"] = tuple(BandFacts(**b) for b in value["bands"])
        fields["scenes"] = tuple(SceneFacts(**{**s, "class_pixels": tuple(s["class_pixels"])}) for s in value["scenes"])
        for name in ("class_names", "class_pixels", "validation_class_pixels", "class_scenes"):
            fields[name] = tuple(value.get(name, ()))
        span = value.get("gsd_range_m")
        fields["gsd_range_m"] = None if span is None else (span[0], span[1])
        look = value.get("imagery")
        fields["imagery"] = None if look is None else ImageryFacts.from_json(look)
        objects = value.get("objects", ())
        fields["objects"] = tuple(
            ObjectFacts(**{**o, "area": tuple(o["area"]), "width": tuple(o["width"])}) for o in objects
        )
        fields["overlaps"] = tuple(Overlap.from_json(o) for o in value.get("overlaps", ()))
        return Fingerprint(**fields)


def _sides(scene: SceneFacts, gsd_m: float | None) -> tuple[int, int]:
    factor = 1 if gsd_m is None or scene.gsd_m is None else simple(gsd_m / scene.gsd_m)
    return max(1, int(scene.height / factor)), max(1, int(scene.width / factor))
