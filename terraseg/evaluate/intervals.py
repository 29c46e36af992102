"""How sure scores are: confidence intervals, and the difference between two maps, drawn from blocks of ground."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from terraseg.evaluate.cells import right_pixels

LEVEL = 0.95
LEAST_BLOCKS = 8
"""With fewer blocks an interval would be a guess."""
CHUNK = 2**22
"""Draws of blocks held at once."""


@dataclass(frozen=True)
class Interval:
    """From `low` to `high`, both of them inside."""

    low: float
    high: float

    def to_json(self) -> list[float]:
        """Plain JSON."""
        return [self.low, self.high]

    @staticmethod
    def from_json(value: list[float] | None) -> "Interval | None":
        """The inverse of `to_json`; None stays None."""
        return None if value is None else Interval(value[0], value[1])


@dataclass(frozen=True)
class Intervals:
    """95 % confidence intervals of the scores over all scenes; None where a score is not defined.

    `classes` are those of IoU in the legend's order. `blocks` blocks of ground, `side_px` pixels wide, were drawn.
    """

    blocks: int
    side_px: int
    accuracy: Interval | None
    mean_iou: Interval | None
    classes: tuple[Interval | None, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        every = (self.accuracy, self.mean_iou, *self.classes)
        accuracy, mean_iou, *classes = [None if each is None else each.to_json() for each in every]
        return {
            "level": LEVEL,
            "blocks": self.blocks,
            "side_px": self.side_px,
            "accuracy": accuracy,
            "mean_iou": mean_iou,
            "class_iou": classes,
        }

    @staticmethod
    def from_json(value: dict[str, Any]) -> "Intervals":
        """The inverse of `to_json`."""
        classes = tuple(Interval.from_json(each) for each in value["class_iou"])
        accuracy, mean_iou = Interval.from_json(value["accuracy"]), Interval.from_json(value["mean_iou"])
        return Intervals(value["blocks"], value["side_px"], accuracy, mean_iou, classes)


@dataclass(frozen=True)
class Difference:
    """A score of two maps on the same pixels, with the interval of `two` - `one` and its two-sided p-value.

    Interval and p-value are None where there are too few blocks.
    """

    name: str
    one: float | None
    two: float | None
    interval: Interval | None
    p_value: float | None

    @property
    def gain(self) -> float | None:
        """By how much the second is better."""
        return None if self.one is None or self.two is None else self.two - self.one

    @property
    def is_real(self) -> bool:
        """Whether the difference is more than noise: its interval does not hold 0."""
        return self.interval is not None and not self.interval.low <= 0 <= self.interval.high

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "score": self.name,
            "one": self.one,
            "two": self.two,
            "difference": self.gain,
            "interval": None if self.interval is None else self.interval.to_json(),
            "p_value": self.p_value,
            "more_than_noise": self.is_real,
        }


def measures(counts: NDArray[Any], *, overlapping: bool = False) -> NDArray[np.float64]:
    """Accuracy, mean IoU and the IoU of each class, (..., 2 + classes), of confusions (..., classes, classes or 4).

    They are those of `Scores`; NaN where one is not defined.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        if overlapping:
            hits, union = counts[..., 3], counts[..., 1:].sum(axis=-1)
        else:
            hits = np.diagonal(counts, axis1=-2, axis2=-1)
            union = counts.sum(axis=-1) + counts.sum(axis=-2) - hits
        iou = hits / union
        pixels, right = right_pixels(counts, overlapping=overlapping)
        defined = ~np.isnan(iou)
        mean = np.where(defined, iou, 0).sum(axis=-1) / defined.sum(axis=-1)
        accuracy = right / pixels
    return np.concatenate([accuracy[..., None], mean[..., None], iou], axis=-1)


def intervals_of(
    counts: NDArray[np.int64], *, side: int, resamples: int, overlapping: bool = False
) -> Intervals | None:
    """The confidence intervals of the scores over all blocks; None where there are too few to tell.

    Method: the bootstrap over blocks of ground (Efron and Tibshirani, 1993; Lahiri, "Resampling methods for dependent data",
    2003): pixels are alike within a block and hardly beyond. As many blocks as there are are drawn with replacement, `resamples`
    times, and the quantiles of the scores taken where Hesterberg (The American Statistician 69, 2015) puts them, a little
    further out, since percentiles alone are too narrow for few blocks.
    """
    if len(counts) < LEAST_BLOCKS or not resamples:
        return None
    drawn = np.concatenate([measures(sums, overlapping=overlapping) for sums in _resampled(counts, resamples)])
    found = measures(counts.sum(axis=0), overlapping=overlapping)
    every = [None if np.isnan(v) else _quantiles(drawn[:, k], len(counts)) for k, v in enumerate(found)]
    return Intervals(len(counts), side, every[0], every[1], tuple(every[2:]))


def differences(
    one: NDArray[np.int64],
    two: NDArray[np.int64],
    names: tuple[str, ...],
    *,
    resamples: int,
    overlapping: bool = False,
) -> tuple[Difference, ...]:
    """Accuracy, mean IoU and class IoU of two maps, and how far they differ; `names` are the classes'.

    Both counts (n, classes, classes or 4) are of the same blocks and pixels. The same blocks are drawn for both (a paired
    bootstrap), so that what is hard for both does not count as noise.
    """
    titles = ("overall accuracy", "mean IoU", *(f"IoU of {name}" for name in names))
    values = [measures(each.sum(axis=0), overlapping=overlapping) for each in (one, two)]
    gains = None
    if len(one) >= LEAST_BLOCKS and resamples:
        both = np.stack([one, two], axis=1)
        gains = np.concatenate(
            [np.diff(measures(sums, overlapping=overlapping), axis=1)[:, 0] for sums in _resampled(both, resamples)]
        )
    return tuple(
        _difference(title, values[0][k], values[1][k], None if gains is None else gains[:, k], len(one))
        for k, title in enumerate(titles)
    )


def _difference(title: str, one: float, two: float, gains: NDArray[np.float64] | None, blocks: int) -> Difference:
    first, second = (None if np.isnan(value) else float(value) for value in (one, two))
    if gains is None or first is None or second is None:
        return Difference(title, first, second, None, None)
    known = gains[~np.isnan(gains)]
    tail = 1 + min(int((known <= 0).sum()), int((known >= 0).sum()))
    return Difference(title, first, second, _quantiles(gains, blocks), min(1.0, 2 * tail / (1 + len(known))))


def _resampled(counts: NDArray[np.int64], resamples: int) -> Iterator[NDArray[np.float64]]:
    """Sums over blocks drawn with replacement, (draws, ...) at a time; the same ones for the same number of blocks."""
    blocks = len(counts)
    random = np.random.default_rng(0)
    # Counts stay below 2^53, so that sums in float64 are exact.
    flat = counts.reshape(blocks, -1).astype(np.float64)
    step = max(1, CHUNK // max(blocks, flat.shape[1]))
    for start in range(0, resamples, step):
        number = min(step, resamples - start)
        times = random.multinomial(blocks, np.full(blocks, 1 / blocks), size=number)
        yield (times.astype(np.float64) @ flat).reshape(number, *counts.shape[1:])


def _quantiles(values: NDArray[np.float64], blocks: int) -> Interval:
    spread = np.sqrt(blocks / (blocks - 1)) * special.stdtrit(blocks - 1, (1 + LEVEL) / 2)
    tail = float(special.ndtr(-spread))
    low, high = np.nanquantile(values, (tail, 1 - tail))
    return Interval(float(low), float(high))
