"""Whether a map's confidence can be taken at its word."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from terraseg.core.classes import VOID
from terraseg.core.window import cut
from terraseg.evaluate.ground import Ground

BINS = 15
"""Guo et al., "On calibration of modern neural networks", ICML 2017. The 255 bytes of a confidence fill them evenly."""
WIDTH = VOID // BINS
FULL = VOID - 1


@dataclass(frozen=True)
class Reliability:
    """By confidence, in 15 equal steps from 0 to 1: pixels, right ones, and the sum of their confidences in 1/254.

    Reliabilities of parts add up.
    """

    pixels: tuple[int, ...] = (0,) * BINS
    right: tuple[int, ...] = (0,) * BINS
    confidence: tuple[int, ...] = (0,) * BINS

    @property
    def points(self) -> tuple[tuple[float, float, int], ...]:
        """Mean confidence, share of right pixels, and pixels of each step that has any."""
        rows = zip(self.pixels, self.right, self.confidence, strict=True)
        return tuple((total / (FULL * pixels), right / pixels, pixels) for pixels, right, total in rows if pixels)

    @property
    def ece(self) -> float | None:
        """Expected calibration error: the mean gap between confidence and accuracy over the pixels; None without one."""
        whole = sum(self.pixels)
        return sum(abs(sure - right) * pixels for sure, right, pixels in self.points) / whole if whole else None

    def __add__(self, other: "Reliability") -> "Reliability":
        pairs = ((self.pixels, other.pixels), (self.right, other.right), (self.confidence, other.confidence))
        return Reliability(*(tuple(a + b for a, b in zip(one, two, strict=True)) for one, two in pairs))

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "ece": self.ece,
            "pixels": list(self.pixels),
            "right": list(self.right),
            "confidence": list(self.confidence),
        }

    @staticmethod
    def from_json(value: dict[str, Any]) -> "Reliability":
        """The inverse of `to_json`."""
        return Reliability(tuple(value["pixels"]), tuple(value["right"]), tuple(value["confidence"]))


def reliability(truth: NDArray[np.uint8], mapped: NDArray[np.uint8], confidence: NDArray[np.uint8]) -> Reliability:
    """The reliability of one block: label bytes and confidence bytes of one shape, 255 for none in each.

    >>> reliability(np.array([1, 0], np.uint8), np.array([1, 1], np.uint8), np.array([254, 254], np.uint8)).ece
    0.5
    """
    known = (truth != VOID) & (mapped != VOID) & (confidence != VOID)
    sure = confidence[known]
    pixels = np.bincount(sure, minlength=VOID)
    right = np.bincount(sure[truth[known] == mapped[known]], minlength=VOID)
    by_bin = [each.reshape(BINS, WIDTH).sum(axis=1).tolist() for each in (pixels, right, pixels * np.arange(VOID))]
    return Reliability(*(tuple(int(n) for n in each) for each in by_bin))


def scene_reliability(ground: Ground, side: int) -> Reliability | None:
    """The reliability of a scene's confidence over its windows, read in squares; None where the map has none."""
    if ground.confidence is None:
        return None
    total = Reliability()
    for window in ground.windows:
        for block in cut(window, side, side):
            total += reliability(ground.truth(block), ground.mapped(block), ground.confidence(block))
    return total
