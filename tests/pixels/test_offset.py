"""The offset between outlines and edges is found to the pixel, and nothing is found where there is nothing."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from terraseg.core.classes import VOID
from terraseg.core.coding import Coding
from terraseg.pixels.offset import Offset, agreement, best_offset, edge_field, outline_field


def roofs(seed: int, side: int = 320, count: int = 30) -> NDArray[np.uint8]:
    """Labels (side, side) with rectangles of class 1 on class 0."""
    generator = np.random.default_rng(seed)
    labels = np.zeros((side, side), np.uint8)
    for _ in range(count):
        row, col = generator.integers(0, side - 40, 2)
        height, width = generator.integers(10, 40, 2)
        labels[row : row + height, col : col + width] = 1
    return labels


def picture(labels: NDArray[np.uint8], seed: int, noise: float = 25.0) -> NDArray[np.float32]:
    """Grey ground on which some roofs are brighter and some darker, with noise."""
    generator = np.random.default_rng(seed)
    tones = generator.choice([-40.0, 40.0], labels.shape[1] // 8 + 1).repeat(8)[: labels.shape[1]]
    grey = 120 + labels * tones[None, :] + generator.normal(0, noise, labels.shape)
    return np.asarray(grey, dtype=np.float32)


def found(grey: NDArray[np.float32], valid: NDArray[np.bool_], labels: NDArray[np.uint8]) -> Offset | None:
    return best_offset(agreement(edge_field(grey, valid), outline_field(labels, Coding(2))))


@settings(max_examples=12, deadline=None)
@given(rows=st.integers(-40, 40), cols=st.integers(-40, 40), seed=st.integers(0, 5))
def test_labels_that_were_moved_are_moved_back(rows: int, cols: int, seed: int) -> None:
    labels = roofs(seed, 416)
    grey = picture(labels, seed)
    inner = (slice(48, -48), slice(48, -48))
    aside = np.roll(labels, (-rows, -cols), (0, 1))[inner]
    offset = found(grey[inner], np.ones(aside.shape, np.bool_), aside)
    assert offset is not None
    assert abs(offset.rows - rows) <= 1
    assert abs(offset.cols - cols) <= 1
    assert offset.peak > offset.second + 1


def test_void_and_nodata_have_no_edges() -> None:
    """A black corner and a void corner of other shape must not be laid over each other."""
    labels = roofs(1)
    grey = picture(labels, 1)
    valid = np.ones(labels.shape, np.bool_)
    valid[:100, :100] = False
    labels[:130, :120] = VOID
    grey[:100, :100] = 0
    offset = found(grey, valid, labels)
    assert offset is not None
    assert offset.length <= 1.5


def test_noise_says_nothing() -> None:
    labels = roofs(2)
    offset = found(picture(np.zeros_like(labels), 3), np.ones(labels.shape, np.bool_), labels)
    assert offset is not None
    assert offset.peak < offset.second + 0.7 or offset.peak < 4.7


def test_one_class_alone_has_no_outline() -> None:
    labels = np.ones((200, 200), np.uint8)
    assert not outline_field(labels, Coding(2)).any()
    assert found(picture(labels, 0), np.ones(labels.shape, np.bool_), labels) is None


def test_a_picture_without_a_valid_pixel_has_no_edge() -> None:
    edges = edge_field(np.full((50, 50), np.nan, np.float32), np.zeros((50, 50), np.bool_))
    assert edges.shape == (50, 50)
    assert not edges.any()


def test_the_agreement_is_the_sum_over_the_outline() -> None:
    """The oracle: outlines moved by hand over the edges."""
    generator = np.random.default_rng(0)
    edges, outlines = (generator.normal(size=(2, 24, 30)) + 1j * generator.normal(size=(2, 24, 30))).astype(
        np.complex64
    )
    surface = agreement(edges, outlines, reach=3)
    for row in (-3, 0, 2):
        for col in (-1, 0, 3):
            total = 0.0
            for i in range(24):
                for j in range(30):
                    if 0 <= i + row < 24 and 0 <= j + col < 30:
                        total += (edges[i + row, j + col] * np.conj(outlines[i, j])).real
            assert surface[row + 3, col + 3] == pytest.approx(total, rel=1e-3, abs=1e-3)
