"""The seams of classes against repeated erosion, the way boundary IoU is defined."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from terraseg.core.coding import Coding
from terraseg.core.window import Window, cut
from terraseg.pixels.boundary import boundary_counts, near_edge

WHOLE = (slice(None), slice(None))


def patches(seed: int, values: list[int], shape: tuple[int, int] = (40, 56)) -> NDArray[np.uint8]:
    """Patches of a few pixels, so that seams meet and cross."""
    small = np.random.default_rng(seed).choice(values, (-(-shape[0] // 5), -(-shape[1] // 7)))
    return np.kron(small, np.ones((5, 7)))[: shape[0], : shape[1]].astype(np.uint8)


def eroded_seam(mask: NDArray[np.bool_], void: NDArray[np.bool_], distance: int) -> NDArray[np.bool_]:
    left = ndimage.binary_erosion(mask | void, np.ones((3, 3)), iterations=distance, border_value=1)
    return np.asarray(mask & ~left)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 999), st.integers(1, 9))
def test_a_seam_is_what_erosion_takes_away(seed: int, distance: int) -> None:
    labels = patches(seed, [0, 1, 2, 255])
    seams = [eroded_seam(labels == k, labels == 255, distance) for k in range(3)]
    np.testing.assert_array_equal(near_edge(labels, distance), np.any(seams, axis=0))


def test_neither_the_edge_of_a_scene_nor_the_end_of_its_labels_is_an_outline() -> None:
    labels = np.ones((9, 9), dtype=np.uint8)
    labels[:, 5:] = 255
    assert not near_edge(labels, 3).any()
    assert not near_edge(np.full((3, 3), 255, dtype=np.uint8), 2).any()


@pytest.mark.parametrize("overlapping", [False, True])
@settings(deadline=None, max_examples=40)
@given(st.integers(0, 999))
def test_counts_are_those_of_each_class_by_itself(overlapping: bool, seed: int) -> None:
    coding = Coding(2, overlapping)
    values = [0, 1, 2, 3, 255] if overlapping else [0, 1, 255]
    truth, mapped = patches(seed, values), patches(seed + 1, values)
    found = boundary_counts(truth, mapped, coding, distance=2, core=WHOLE)
    known = (truth != 255) & (mapped != 255)
    for index in range(2):
        one, two = (known & eroded_seam(coding.plane(each, index), each == 255, 2) for each in (truth, mapped))
        assert found[index].tolist() == [one.sum(), two.sum(), (one & two).sum()]


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 999), st.integers(3, 60), st.integers(1, 6))
def test_blocks_with_their_surroundings_add_up_to_the_whole(seed: int, side: int, distance: int) -> None:
    coding, whole = Coding(3), Window(0, 0, 40, 56)
    truth, mapped = patches(seed, [0, 1, 2, 255]), patches(seed + 1, [0, 1, 2, 255])
    total = np.zeros((3, 3), dtype=np.int64)
    for block in cut(whole, side, side):
        wide = Window(
            block.row - distance, block.col - distance, block.height + 2 * distance, block.width + 2 * distance
        )
        there = wide.intersection(whole)
        core = block.shifted(-there.row, -there.col).slices
        total += boundary_counts(truth[there.slices], mapped[there.slices], coding, distance=distance, core=core)
    np.testing.assert_array_equal(total, boundary_counts(truth, mapped, coding, distance=distance, core=WHOLE))
