"""Bit masks of overlapping classes: stacked, reduced, renamed, coloured, held against the truth."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from terraseg.core.classes import LandClass, Legend
from terraseg.core.coding import Coding
from terraseg.pixels.blend import decide_each, to_host
from terraseg.pixels.colors import NO_CLASS, label_colors
from terraseg.pixels.confusion import class_confusions, confusions
from terraseg.pixels.reduce import reduced_masks
from terraseg.pixels.relabel import mask_table, stacked_masks

Masks = NDArray[np.uint8]
masks = hnp.arrays(np.uint8, (7, 9), elements=st.sampled_from([*range(8), 255]))


@given(masks, masks)
def test_confusions_by_class_are_those_of_a_direct_count(truth: Masks, mapped: Masks) -> None:
    found = class_confusions(truth, mapped, 3)
    known = (truth != 255) & (mapped != 255)
    for index in range(3):
        true, guess = ((labels[known] >> index & 1).astype(bool) for labels in (truth, mapped))
        wanted = [(~true & ~guess).sum(), (~true & guess).sum(), (true & ~guess).sum(), (true & guess).sum()]
        assert found[index].tolist() == wanted
    assert (found == confusions(truth, mapped, Coding(3, overlapping=True))).all()


def test_a_mask_with_a_bit_too_many_is_refused() -> None:
    with pytest.raises(ValueError, match="the prediction holds the bit mask 8: there are 3 classes"):
        class_confusions(np.array([1], np.uint8), np.array([8], np.uint8), 3)


@given(masks, st.integers(1, 4))
def test_a_reduced_mask_has_the_classes_of_at_least_half_of_its_known_pixels(labels: Masks, factor: int) -> None:
    found = reduced_masks(labels, factor, 3)
    assert found.shape == (7 // factor, 9 // factor)
    for row, col in np.ndindex(found.shape):
        square = labels[row * factor : (row + 1) * factor, col * factor : (col + 1) * factor]
        known = square[square != 255]
        if 2 * len(known) < square.size:
            assert found[row, col] == 255
        else:
            bits = [k for k in range(3) if 2 * int((known >> k & 1).sum()) >= len(known)]
            assert found[row, col] == sum(1 << k for k in bits)


@given(hnp.arrays(np.uint8, (3, 4, 5), elements=st.sampled_from([0, 1, 255])))
def test_stacked_bands_come_apart_again(bands: Masks) -> None:
    found = stacked_masks(bands, [[0], [1], [2]], [255])
    void = (bands == 255).any(axis=0)
    assert ((found == 255) == void).all()
    for index in range(3):
        assert ((found >> index & 1)[~void] == bands[index][~void]).all()


def test_a_class_may_be_drawn_in_several_bands_and_nan_is_void() -> None:
    bands = np.array([[[0.0, 1.0, 0.0, np.nan]], [[0.0, 0.0, 0.5, 1.0]]])
    assert stacked_masks(bands, [[0, 1]], []).tolist() == [[0, 1, 1, 255]]


@given(st.permutations(range(4)), masks)
def test_masks_of_another_order_of_classes_are_renamed_bit_by_bit(order: list[int], labels: Masks) -> None:
    table = np.full(256, 255, dtype=np.uint8)
    table[:4] = order
    found = mask_table(table, 4)[labels]
    assert ((found == 255) == (labels == 255)).all()
    for index, place in enumerate(order):
        assert ((found >> place & 1) == (labels >> index & 1))[labels != 255].all()


@pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy])
def test_each_class_is_decided_by_itself_and_the_least_certain_decision_counts(kind: object) -> None:
    chances = np.array([[[0.9, 0.2]], [[0.6, 0.4]]], dtype=np.float32)
    inside, certain = decide_each(kind(chances), 0.5)  # type: ignore[operator]
    assert to_host(inside).tolist() == [[[1, 0]], [[1, 0]]]
    assert to_host(certain) == pytest.approx(np.array([[0.6, 0.6]]))
    higher, _ = decide_each(kind(chances), 0.7)  # type: ignore[operator]
    assert to_host(higher).tolist() == [[[1, 0]], [[0, 0]]]


def test_ground_of_several_classes_has_the_mean_of_their_colours() -> None:
    legend = Legend((LandClass(0, "a", "#FF0000"), LandClass(1, "b", "#0000FF")))
    table = label_colors(legend, Coding(2, overlapping=True), void=(9, 9, 9))
    assert table[[0, 1, 2, 3, 4, 255]].tolist() == [
        list(NO_CLASS), [255, 0, 0], [0, 0, 255], [128, 0, 128], [9, 9, 9], [9, 9, 9],
    ]  # fmt: skip
    plain = label_colors(legend, Coding(2), void=(9, 9, 9))
    assert plain[[0, 1, 2]].tolist() == [[255, 0, 0], [0, 0, 255], [9, 9, 9]]
