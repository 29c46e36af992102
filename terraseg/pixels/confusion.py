"""Counting which class was mapped where which class is true."""

import numpy as np
from numpy.typing import NDArray

from terraseg.core.classes import VOID

CHUNK = 1 << 20
"""Pixels counted at once: bincount widens them to 8 bytes, so this bounds the extra memory to some 10 MB."""


def confusion(truth: NDArray[np.uint8], prediction: NDArray[np.uint8], classes: int) -> NDArray[np.int64]:
    """Confusion matrix (classes, classes) of two arrays of class indices: rows are the truth, columns the prediction.

    Both are uint8 of one shape; a pixel that is 255 in either is left out. Matrices of parts add up to that of the
    whole. Raises `ValueError` for arrays of two shapes and for an index that is no class.

    >>> confusion(np.array([0, 1, 1, 255], np.uint8), np.array([0, 0, 1, 1], np.uint8), 2).tolist()
    [[1, 0], [1, 1]]
    >>> confusion(np.empty(0, np.uint8), np.empty(0, np.uint8), 1).tolist()
    [[0]]
    """
    if truth.shape != prediction.shape:
        raise ValueError(f"truth of shape {truth.shape} and prediction of shape {prediction.shape}: they must be equal")
    counts = np.zeros(65536, dtype=np.int64)
    left, right = np.ravel(truth), np.ravel(prediction)
    for start in range(0, left.size, CHUNK):
        codes = left[start : start + CHUNK].astype(np.uint16) << 8
        codes |= right[start : start + CHUNK]
        counts += np.bincount(codes, minlength=65536)
    joint = counts.reshape(256, 256)
    for name, totals in (("truth", joint.sum(axis=1)), ("prediction", joint.sum(axis=0))):
        strange = np.flatnonzero(totals[classes:VOID])
        if strange.size:
            raise ValueError(f"the {name} holds the class index {strange[0] + classes}: there are {classes} classes")
    return joint[:classes, :classes].copy()


def count_unpredicted(truth: NDArray[np.uint8], prediction: NDArray[np.uint8]) -> int:
    """How many labelled pixels have no prediction (255): `confusion` leaves them out.

    >>> count_unpredicted(np.array([0, 1, 255], np.uint8), np.array([255, 1, 255], np.uint8))
    1
    """
    return int(np.count_nonzero((truth != VOID) & (prediction == VOID)))
