"""The colour of every label byte."""

import numpy as np
from numpy.typing import NDArray

from terraseg.core.classes import VOID, Legend
from terraseg.core.coding import Coding

NO_CLASS = (236, 236, 236)
"""Light grey of ground that is of none of the overlapping classes."""


def label_colors(legend: Legend, coding: Coding, *, void: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Red, green and blue of every label byte, (256, 3); bytes without a meaning look like void.

    Ground of several overlapping classes has the mean of their colours.
    """
    table = np.full((VOID + 1, 3), void, dtype=np.uint8)
    members = coding.members()[: len(legend), : coding.codes].astype(np.float64)
    own = np.array([land.rgb for land in legend.classes], dtype=np.float64).reshape(-1, 3)
    count = members.sum(axis=0)[:, None]
    table[: coding.codes] = np.where(count > 0, members.T @ own / np.maximum(1, count), NO_CLASS).round()
    return table
