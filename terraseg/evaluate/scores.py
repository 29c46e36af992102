"""From confusions, counted pixel by pixel, to the scores that the field reports."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from terraseg.core.classes import LandClass, Legend


@dataclass(frozen=True)
class ClassScores:
    """The scores of one class from 0 to 1; None where the definition divides by zero.

    `support` counts its true pixels, `predicted` the pixels mapped as it, `hits` those that are both. `precision` is
    the user's accuracy, hits / predicted; `recall` the producer's accuracy, hits / support; `iou` is
    hits / (support + predicted - hits); `f1` is 2 hits / (support + predicted).
    """

    land_class: LandClass
    support: int
    predicted: int
    hits: int

    @property
    def iou(self) -> float | None:
        """Intersection over union; None for a class that is neither true nor mapped anywhere."""
        return _ratio(self.hits, self.support + self.predicted - self.hits)

    @property
    def f1(self) -> float | None:
        """F1 or Dice score; None for a class that is neither true nor mapped anywhere."""
        return _ratio(2 * self.hits, self.support + self.predicted)

    @property
    def precision(self) -> float | None:
        """User's accuracy; None for a class that was never mapped."""
        return _ratio(self.hits, self.predicted)

    @property
    def recall(self) -> float | None:
        """Producer's accuracy; None for a class without true pixels."""
        return _ratio(self.hits, self.support)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "id": self.land_class.id,
            "name": self.land_class.name,
            "color": self.land_class.color,
            "iou": self.iou,
            "f1": self.f1,
            "precision": self.precision,
            "recall": self.recall,
            "support": self.support,
            "predicted": self.predicted,
        }


@dataclass(frozen=True)
class Scores:
    """All scores that follow from confusions; two add up to the scores of both areas together.

    `confusion[t][p]` counts the pixels of true class t that were mapped as class p, by index in `legend`. Where classes are
    `overlapping`, `confusion[k]` holds for class k the pixels right outside it, false, missed, and right inside.
    `unpredicted` counts labelled pixels without a prediction: they are in no score. A score is None where nothing defines it.
    """

    legend: Legend
    confusion: tuple[tuple[int, ...], ...]
    unpredicted: int = 0
    overlapping: bool = False

    def __post_init__(self) -> None:
        count = len(self.legend)
        columns = 4 if self.overlapping else count
        if len(self.confusion) != count or any(len(row) != columns for row in self.confusion):
            raise ValueError(
                f"a confusion matrix of {len(self.confusion)} rows for {count} classes: {count} rows of {columns} are needed"
            )

    @property
    def pixels(self) -> int:
        """Pixels that are labelled and predicted."""
        return sum(self.confusion[0]) if self.overlapping and self.confusion else sum(map(sum, self.confusion))

    @property
    def classes(self) -> tuple[ClassScores, ...]:
        """The scores of each class, in the legend's order."""
        if self.overlapping:
            return tuple(
                ClassScores(land_class, missed + hits, false + hits, hits)
                for land_class, (_, false, missed, hits) in zip(self.legend.classes, self.confusion, strict=True)
            )
        columns = [sum(column) for column in zip(*self.confusion, strict=True)]
        return tuple(
            ClassScores(land_class, sum(self.confusion[k]), columns[k], self.confusion[k][k])
            for k, land_class in enumerate(self.legend.classes)
        )

    @property
    def accuracy(self) -> float | None:
        """Overall accuracy: the share of pixels mapped as what they are; None without a pixel.

        Of overlapping classes the mean, over them, of the share of pixels that are rightly inside or outside.
        """
        if self.overlapping:
            return _ratio(sum(row[0] + row[3] for row in self.confusion), self.pixels * len(self.legend))
        return _ratio(sum(c.hits for c in self.classes), self.pixels)

    @property
    def mean_iou(self) -> float | None:
        """The plain mean of IoU over the classes that occur in the truth or in the prediction.

        A class that was mapped though it is nowhere true counts with 0; one that is in neither does not count. None
        without a pixel.
        """
        defined = [c.iou for c in self.classes if c.iou is not None]
        return sum(defined) / len(defined) if defined else None

    @property
    def kappa(self) -> float | None:
        """Cohen's kappa: agreement beyond chance, 1 at best; None where chance alone would agree everywhere.

        It is defined for classes that exclude each other, and None where they overlap. Source: Cohen, "A coefficient of
        agreement for nominal scales", Educ. Psychol. Meas. 20 (1960).
        """
        if self.overlapping:
            return None
        pixels, hits = self.pixels, sum(c.hits for c in self.classes)
        chance = sum(c.support * c.predicted for c in self.classes)
        return _ratio(pixels * hits - chance, pixels * pixels - chance)

    def __add__(self, other: "Scores") -> "Scores":
        if (self.legend, self.overlapping) != (other.legend, other.overlapping):
            raise ValueError("scores of two legends do not add up")
        both = np.array(self.confusion, dtype=object) + np.array(other.confusion, dtype=object)
        rows = tuple(tuple(row) for row in both.tolist())
        return Scores(self.legend, rows, self.unpredicted + other.unpredicted, self.overlapping)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON; undefined scores are null."""
        return {
            "pixels": self.pixels,
            "unpredicted": self.unpredicted,
            "accuracy": self.accuracy,
            "mean_iou": self.mean_iou,
            "kappa": self.kappa,
            "classes": [c.to_json() for c in self.classes],
            "confusion": [list(row) for row in self.confusion],
            "overlapping": self.overlapping,
        }

    @staticmethod
    def from_json(value: dict[str, Any]) -> "Scores":
        """The inverse of `to_json`; the scores are computed anew from the counts."""
        rows = tuple(tuple(int(n) for n in row) for row in value["confusion"])
        overlapping = bool(value.get("overlapping", False))
        return Scores(Legend.from_json(value["classes"]), rows, int(value["unpredicted"]), overlapping)


def score(confusion: NDArray[np.int64], legend: Legend, unpredicted: int = 0, *, overlapping: bool = False) -> Scores:
    """The scores of a (classes, classes) confusion matrix with truth in its rows, or of (classes, 4), see `Scores`.

    >>> legend = Legend((LandClass(0, "land", "#AA8844"), LandClass(1, "water", "#0000FF")))
    >>> result = score(np.array([[3, 1], [0, 4]]), legend)
    >>> result.accuracy, result.mean_iou
    (0.875, 0.775)
    >>> score(np.zeros((2, 2), dtype=np.int64), legend).mean_iou is None
    True
    """
    return Scores(legend, tuple(tuple(int(n) for n in row) for row in confusion), unpredicted, overlapping)


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None
