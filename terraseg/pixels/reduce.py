"""Pixels and labels at a coarser ground sample distance: whole numbers of pixels become one."""

import numpy as np
from numpy.typing import NDArray

from terraseg.core.classes import VOID


def reduced_pixels(pixels: NDArray[np.generic], factor: int) -> NDArray[np.generic]:
    """The means of squares of `factor` x `factor` pixels (bands, height, width), in the same dtype.

    Integers are rounded. Rows and columns that fill no square are left out.

    >>> reduced_pixels(np.array([[[1, 2, 9], [3, 5, 9]]], dtype=np.uint8), 2)
    array([[[3]]], dtype=uint8)
    """
    bands, height, width = pixels.shape
    rows, cols = height // factor, width // factor
    squares = pixels[:, : rows * factor, : cols * factor].reshape(bands, rows, factor, cols, factor)
    means = np.asarray(squares.mean(axis=(2, 4), dtype=np.float64 if pixels.dtype.itemsize > 2 else np.float32))
    return (np.rint(means) if pixels.dtype.kind in "iu" else means).astype(pixels.dtype)


def reduced_labels(labels: NDArray[np.uint8], factor: int, classes: int) -> NDArray[np.uint8]:
    """The commonest class index in squares of `factor` x `factor` labels (height, width); of equals the lowest.

    A square is void (255) where more than half of it is.

    >>> reduced_labels(np.array([[0, 1], [1, 255]], dtype=np.uint8), 2, 2)
    array([[1]], dtype=uint8)
    """
    rows, cols = labels.shape[0] // factor, labels.shape[1] // factor
    squares = labels[: rows * factor, : cols * factor].reshape(rows, factor, cols, factor)
    most = np.zeros((rows, cols), dtype=np.int32)
    known = np.zeros((rows, cols), dtype=np.int32)
    commonest = np.full((rows, cols), VOID, dtype=np.uint8)
    for index in range(classes):
        count = np.count_nonzero(squares == index, axis=(1, 3)).astype(np.int32)
        commonest[count > most] = index
        np.maximum(most, count, out=most)
        known += count
    commonest[2 * known < factor * factor] = VOID
    return commonest


def reduced_masks(labels: NDArray[np.uint8], factor: int, classes: int) -> NDArray[np.uint8]:
    """Bit masks of overlapping classes in squares of `factor` x `factor` labels: those of at least half of the known pixels.

    A square is void (255) where more than half of it is.

    >>> reduced_masks(np.array([[1, 3], [2, 255]], dtype=np.uint8), 2, 2)
    array([[3]], dtype=uint8)
    """
    rows, cols = labels.shape[0] // factor, labels.shape[1] // factor
    squares = labels[: rows * factor, : cols * factor].reshape(rows, factor, cols, factor)
    is_known = squares != VOID
    known = np.count_nonzero(is_known, axis=(1, 3))
    masks = np.zeros((rows, cols), dtype=np.uint8)
    for index in range(classes):
        count = np.count_nonzero(is_known & ((squares >> index) & 1 != 0), axis=(1, 3))
        masks |= (2 * count >= known).astype(np.uint8) << np.uint8(index)
    masks[2 * known < factor * factor] = VOID
    return masks
