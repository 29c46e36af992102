"""Scores of objects and of outlines, class by class: what counts where a map is used building by building."""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from terraseg.core.classes import LandClass
from terraseg.pixels.boundary import BOTH, MAPPED, TRUE
from terraseg.pixels.pairing import ObjectPairs, best_iou

THRESHOLDS = tuple(step / 20 for step in range(2, 20))
"""Intersections over union from which an object counts as found: 0.1 to 0.95."""
SPACENET = THRESHOLDS.index(0.5)
SIZE_STEP = 4.0
"""Each size class reaches to four times the area, so twice the side, of where it begins: a power of four."""


@dataclass(frozen=True)
class SizeClass:
    """True objects of an area from `low` to four times that, and how many of them were found at IoU 0.5."""

    low: float
    truth: int
    found: int

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        recall = _ratio(self.found, self.truth)
        return {
            "from": self.low,
            "to": SIZE_STEP * self.low,
            "truth": self.truth,
            "found": self.found,
            "recall": recall,
        }


@dataclass(frozen=True)
class ObjectScores:
    """Objects of one class: how many there are, are mapped, and are found at each of `THRESHOLDS`.

    An object is what hangs together over pixel sides. The measures at IoU 0.5 are those of SpaceNet (arXiv:1807.01232). Sizes
    are classes of true objects by area, in square metres or pixels, from small to large. Scores of parts add up.
    """

    truth: int
    mapped: int
    found: tuple[int, ...]
    sizes: tuple[SizeClass, ...] = ()

    @property
    def precision(self) -> float | None:
        """Share of the mapped objects that are right at IoU 0.5; None without one."""
        return _ratio(self.found[SPACENET], self.mapped)

    @property
    def recall(self) -> float | None:
        """Share of the true objects that were found at IoU 0.5; None without one."""
        return _ratio(self.found[SPACENET], self.truth)

    @property
    def f1(self) -> float | None:
        """2 found / (true + mapped) at IoU 0.5; None where there is neither."""
        return self.curve[SPACENET]

    @property
    def curve(self) -> tuple[float | None, ...]:
        """The F1 at each of `THRESHOLDS`."""
        return tuple(_ratio(2 * found, self.truth + self.mapped) for found in self.found)

    def __add__(self, other: "ObjectScores") -> "ObjectScores":
        sizes = {each.low: each for each in self.sizes}
        for each in other.sizes:
            known = sizes.get(each.low, SizeClass(each.low, 0, 0))
            sizes[each.low] = replace(known, truth=known.truth + each.truth, found=known.found + each.found)
        found = tuple(one + two for one, two in zip(self.found, other.found, strict=True))
        ordered = tuple(sizes[low] for low in sorted(sizes))
        return ObjectScores(self.truth + other.truth, self.mapped + other.mapped, found, ordered)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "truth": self.truth,
            "mapped": self.mapped,
            "precision": self.precision,
            "recall": self.recall,
            "f1": self.f1,
            "iou": list(THRESHOLDS),
            "found": list(self.found),
            "f1_by_iou": list(self.curve),
            "sizes": [each.to_json() for each in self.sizes],
        }

    @staticmethod
    def from_json(value: dict[str, Any]) -> "ObjectScores":
        """The inverse of `to_json`."""
        sizes = tuple(SizeClass(each["from"], each["truth"], each["found"]) for each in value["sizes"])
        return ObjectScores(value["truth"], value["mapped"], tuple(value["found"]), sizes)


@dataclass(frozen=True)
class ClassShapes:
    """Outlines and objects of one class. `boundary` counts its seam pixels in the truth, in the map and in both.

    `objects` is None for the background, which has none. `split` are the scores of the same true objects with the mapped
    ones parted where they touch; None for classes that are not split.
    """

    land_class: LandClass
    boundary: tuple[int, int, int]
    objects: ObjectScores | None = None
    split: ObjectScores | None = None

    @property
    def boundary_iou(self) -> float | None:
        """Boundary IoU (Cheng et al., CVPR 2021); None for a class without an outline in truth and map."""
        return _ratio(self.boundary[BOTH], self.boundary[TRUE] + self.boundary[MAPPED] - self.boundary[BOTH])

    def __add__(self, other: "ClassShapes") -> "ClassShapes":
        if self.land_class != other.land_class:
            raise ValueError(f"shapes of {self.land_class.name} and of {other.land_class.name} do not add up")
        one, two, three = (a + b for a, b in zip(self.boundary, other.boundary, strict=True))
        objects, split = _summed(self.objects, other.objects), _summed(self.split, other.split)
        return ClassShapes(self.land_class, (one, two, three), objects, split)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "id": self.land_class.id,
            "name": self.land_class.name,
            "color": self.land_class.color,
            "boundary_iou": self.boundary_iou,
            "boundary": list(self.boundary),
            "objects": None if self.objects is None else self.objects.to_json(),
            "split": None if self.split is None else self.split.to_json(),
        }

    @staticmethod
    def from_json(value: dict[str, Any]) -> "ClassShapes":
        """The inverse of `to_json`."""
        land_class = LandClass(value["id"], value["name"], value["color"])
        one, two, three = value["boundary"]
        found = (value["objects"], value.get("split"))
        objects, split = (None if each is None else ObjectScores.from_json(each) for each in found)
        return ClassShapes(land_class, (one, two, three), objects, split)


def _summed(one: ObjectScores | None, two: ObjectScores | None) -> ObjectScores | None:
    if one is None or two is None:
        return one or two
    return one + two


def object_scores(pairs: ObjectPairs, index: int, *, unit: float = 1.0, least: float = 0.0) -> ObjectScores:
    """The scores of the objects of a class. `unit` is the area of a step, `least` the area from which an object counts."""
    counted = [(side.class_index == index) & (side.area * unit >= least) for side in (pairs.truth, pairs.mapped)]
    best = best_iou(pairs, truth=counted[0], mapped=counted[1])[counted[0]]
    found = tuple(int((best >= threshold).sum()) for threshold in THRESHOLDS)
    sizes = _sizes(pairs.truth.area[counted[0]] * unit, best >= THRESHOLDS[SPACENET])
    return ObjectScores(int(counted[0].sum()), int(counted[1].sum()), found, sizes)


def _sizes(areas: NDArray[np.float64], found: NDArray[np.bool_]) -> tuple[SizeClass, ...]:
    powers = np.array([_power(area) for area in areas.tolist()], dtype=np.int64)
    return tuple(
        SizeClass(SIZE_STEP**power, int((powers == power).sum()), int(found[powers == power].sum()))
        for power in np.unique(powers).tolist()
    )


def _power(area: float) -> int:
    """The power of four at or below an area; exact at powers of four, where a logarithm may not be."""
    mantissa, exponent = math.frexp(area)
    return (exponent - 1) // 2 if mantissa else 0


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None
