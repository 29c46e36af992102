"""The confusion matrix against counting pixel by pixel."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from terraseg.core.coding import Coding
from terraseg.pixels import confusion as module
from terraseg.pixels.confusion import cell_confusions, confusion, confusions, count_unpredicted

Pair = tuple[NDArray[np.uint8], NDArray[np.uint8], int]


@st.composite
def labelled_pairs(draw: st.DrawFn) -> Pair:
    classes = draw(st.integers(1, 6))
    value = st.one_of(st.integers(0, classes - 1), st.just(255))
    pixels = draw(st.lists(st.tuples(value, value), max_size=60))
    both = np.array(pixels, dtype=np.uint8).reshape(-1, 2)
    return both[:, 0], both[:, 1], classes


def counted(truth: NDArray[np.uint8], prediction: NDArray[np.uint8], classes: int) -> list[list[int]]:
    matrix = [[0] * classes for _ in range(classes)]
    for t, p in zip(truth.tolist(), prediction.tolist(), strict=True):
        if t != 255 and p != 255:
            matrix[t][p] += 1
    return matrix


@given(labelled_pairs())
def test_every_pixel_is_counted_where_it_belongs(pair: Pair) -> None:
    truth, prediction, classes = pair
    matrix = confusion(truth, prediction, classes)
    assert matrix.dtype == np.int64
    assert matrix.tolist() == counted(truth, prediction, classes)


@given(labelled_pairs(), st.integers(0, 60))
def test_matrices_of_parts_add_up_to_that_of_the_whole(pair: Pair, cut: int) -> None:
    truth, prediction, classes = pair
    parts = confusion(truth[:cut], prediction[:cut], classes) + confusion(truth[cut:], prediction[cut:], classes)
    assert (parts == confusion(truth, prediction, classes)).all()


@given(labelled_pairs())
def test_labelled_pixels_are_scored_or_counted_as_unpredicted(pair: Pair) -> None:
    truth, prediction, classes = pair
    scored = confusion(truth, prediction, classes).sum()
    assert scored + count_unpredicted(truth, prediction) == np.count_nonzero(truth != 255)


def test_large_arrays_are_counted_in_pieces_with_the_same_result(monkeypatch: pytest.MonkeyPatch) -> None:
    truth, prediction = np.random.default_rng(0).integers(0, 4, (2, 37, 41)).astype(np.uint8)
    whole = confusion(truth, prediction, 4)
    monkeypatch.setattr(module, "CHUNK", 100)
    assert (confusion(truth, prediction, 4) == whole).all()


def test_arrays_that_are_not_contiguous_are_counted() -> None:
    truth = np.arange(24, dtype=np.uint8).reshape(4, 6)[:, ::2] % 3
    assert confusion(truth, truth, 3).tolist() == np.diag(np.bincount(truth.ravel(), minlength=3)).tolist()


@pytest.mark.parametrize(("truth", "prediction", "name"), [(2, 0, "truth"), (0, 7, "prediction")])
def test_an_index_that_is_no_class_is_refused(truth: int, prediction: int, name: str) -> None:
    with pytest.raises(ValueError, match=f"the {name} holds the class index {max(truth, prediction)}"):
        confusion(np.array([truth], np.uint8), np.array([prediction], np.uint8), 2)


def test_arrays_of_two_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="must be equal"):
        confusion(np.zeros((2, 3), np.uint8), np.zeros((3, 2), np.uint8), 2)


@pytest.mark.parametrize("overlapping", [False, True])
@settings(deadline=None, max_examples=40)
@given(st.integers(0, 999))
def test_cells_hold_the_confusions_of_their_pixels(overlapping: bool, seed: int) -> None:
    random = np.random.default_rng(seed)
    coding = Coding(3, overlapping)
    values = [*range(coding.codes), 255]
    truth, mapped = (random.choice(values, (7, 9)).astype(np.uint8) for _ in range(2))
    cells = random.integers(0, 4, (7, 9))
    found = cell_confusions(truth, mapped, coding, cells)
    for cell in range(len(found)):
        np.testing.assert_array_equal(found[cell], confusions(truth[cells == cell], mapped[cells == cell], coding))
