"""What the bytes of a label array say: one class a pixel, or several at once."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from terraseg.core.classes import VOID
from terraseg.errors import BadOption

MOST_OVERLAPPING = 7
"""Overlapping classes that a byte holds: one bit each, and all eight set is void."""


@dataclass(frozen=True)
class Coding:
    """The meaning of label bytes (uint8); 255 is void in either case.

    Of classes that exclude each other a byte is the index. Of `overlapping` ones it is a bit mask: bit k is set where class
    k is, and 0 is ground of no class. Raises `BadOption` for more overlapping classes than a byte holds.

    >>> Coding(3).code(2), Coding(3, overlapping=True).code(2)
    (2, 4)
    """

    classes: int
    overlapping: bool = False

    def __post_init__(self) -> None:
        if self.overlapping and self.classes > MOST_OVERLAPPING:
            raise BadOption(
                f"{self.classes} overlapping classes: a label byte holds {MOST_OVERLAPPING} of them, so split them into "
                "several projects, those that meet on the ground together"
            )

    @property
    def codes(self) -> int:
        """The number of bytes that have a meaning: 0 up to it."""
        return 1 << self.classes if self.overlapping else self.classes

    @property
    def kinds(self) -> int:
        """What is counted: each class, and of overlapping ones all labelled ground after them."""
        return self.classes + self.overlapping

    def code(self, index: int) -> int:
        """The byte of a pixel of one class alone."""
        return 1 << index if self.overlapping else index

    def plane(self, labels: NDArray[np.uint8], kind: int) -> NDArray[np.bool_]:
        """Where labels of any shape are of a class; of overlapping ones, with the number of classes, where they are not void."""
        if not self.overlapping:
            return np.asarray(labels == kind)
        known = np.asarray(labels != VOID)
        return known if kind == self.classes else known & ((labels >> kind) & 1).astype(np.bool_)

    def count(self, labels: NDArray[np.uint8]) -> NDArray[np.int64]:
        """Pixels of each kind, shape (kinds,)."""
        return self.totals(np.bincount(labels.ravel(), minlength=VOID + 1))

    def totals(self, histogram: NDArray[np.generic]) -> NDArray[np.int64]:
        """Pixels of each kind, shape (kinds,), from how often each byte occurs, shape (256,)."""
        if not self.overlapping:
            return histogram[: self.classes].astype(np.int64)
        return np.asarray(self.members() @ histogram.astype(np.int64))

    def members(self) -> NDArray[np.bool_]:
        """Which bytes are of each kind, shape (kinds, 256)."""
        bytes_ = np.arange(VOID + 1, dtype=np.uint8)
        return np.stack([self.plane(bytes_, kind) for kind in range(self.kinds)])
