"""Counting which class was mapped where which class is true."""

import numpy as np
from numpy.typing import NDArray

from terraseg.core.classes import VOID
from terraseg.core.coding import Coding

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
    joint = _joint_counts(truth, prediction)
    _refuse_strange(joint, Coding(classes))
    return joint[:classes, :classes].copy()


def class_confusions(truth: NDArray[np.uint8], prediction: NDArray[np.uint8], classes: int) -> NDArray[np.int64]:
    """For each of overlapping classes its pixels right outside, false, missed and right inside; shape (classes, 4).

    Both are bit masks (see `core.Coding`), uint8 of one shape; a pixel that is 255 in either is left out. Counts of parts add
    up to those of the whole. Raises `ValueError` for arrays of two shapes and for a bit that is no class.

    >>> class_confusions(np.array([0, 1, 3, 255], np.uint8), np.array([0, 3, 1, 1], np.uint8), 2).tolist()
    [[1, 0, 0, 2], [1, 1, 1, 0]]
    """
    coding = Coding(classes, overlapping=True)
    joint = _joint_counts(truth, prediction)
    _refuse_strange(joint, coding)
    inside = coding.members()[:classes, : coding.codes].astype(np.int64)
    known = joint[: coding.codes, : coding.codes]
    hits = np.einsum("kt,tp,kp->k", inside, known, inside)
    true, mapped = inside @ known.sum(axis=1), inside @ known.sum(axis=0)
    return np.column_stack([known.sum() - true - mapped + hits, mapped - hits, true - hits, hits])


def confusions(truth: NDArray[np.uint8], prediction: NDArray[np.uint8], coding: Coding) -> NDArray[np.int64]:
    """`confusion`, or where classes overlap `class_confusions`."""
    count = class_confusions if coding.overlapping else confusion
    return count(truth, prediction, coding.classes)


def cell_confusions(
    truth: NDArray[np.uint8], prediction: NDArray[np.uint8], coding: Coding, cells: NDArray[np.int64]
) -> NDArray[np.int64]:
    """What `confusions` gives of each cell, shape (cells, classes, classes), or (cells, classes, 4) where classes overlap.

    `cells` holds the cell of each pixel, from 0 without a gap; all three arrays have one shape. Bytes without a meaning are
    left out as void is: it is for the callers to refuse them.

    >>> labels = np.array([0, 1, 1, 255], np.uint8)
    >>> cell_confusions(labels, np.array([0, 0, 1, 1], np.uint8), Coding(2), np.array([0, 0, 1, 1])).tolist()
    [[[1, 0], [1, 0]], [[0, 0], [0, 1]]]
    """
    count = int(cells.max(initial=-1)) + 1
    known = (truth < coding.codes) & (prediction < coding.codes)
    true, guess, where = truth[known].astype(np.int64), prediction[known].astype(np.int64), cells[known]
    if not coding.overlapping:
        size = coding.classes
        found = np.bincount((where * size + true) * size + guess, minlength=count * size * size)
        return found.reshape(count, size, size).astype(np.int64)
    planes = [
        np.bincount(where * 4 + (true >> k & 1) * 2 + (guess >> k & 1), minlength=count * 4).reshape(count, 4)
        for k in range(coding.classes)
    ]
    return np.stack(planes, axis=1).astype(np.int64)


def _joint_counts(truth: NDArray[np.uint8], prediction: NDArray[np.uint8]) -> NDArray[np.int64]:
    """How often each byte of the truth meets each byte of the prediction, (256, 256)."""
    if truth.shape != prediction.shape:
        raise ValueError(f"truth of shape {truth.shape} and prediction of shape {prediction.shape}: they must be equal")
    counts = np.zeros(65536, dtype=np.int64)
    left, right = np.ravel(truth), np.ravel(prediction)
    for start in range(0, left.size, CHUNK):
        codes = left[start : start + CHUNK].astype(np.uint16) << 8
        codes |= right[start : start + CHUNK]
        counts += np.bincount(codes, minlength=65536)
    return counts.reshape(256, 256)


def _refuse_strange(joint: NDArray[np.int64], coding: Coding) -> None:
    what = "bit mask" if coding.overlapping else "class index"
    for name, totals in (("truth", joint.sum(axis=1)), ("prediction", joint.sum(axis=0))):
        strange = np.flatnonzero(totals[coding.codes : VOID])
        if strange.size:
            raise ValueError(
                f"the {name} holds the {what} {strange[0] + coding.codes}: there are {coding.classes} classes"
            )


def count_unpredicted(truth: NDArray[np.uint8], prediction: NDArray[np.uint8]) -> int:
    """How many labelled pixels have no prediction (255): `confusion` leaves them out.

    >>> count_unpredicted(np.array([0, 1, 255], np.uint8), np.array([255, 1, 255], np.uint8))
    1
    """
    return int(np.count_nonzero((truth != VOID) & (prediction == VOID)))
