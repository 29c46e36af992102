"""Unsure and ragged pixels against loops over every pixel."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from terraseg.pixels.clean import Disc, majority, next_best, ruled_out

Ids = NDArray[np.uint8]
maps = hnp.arrays(
    np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.sampled_from([0, 1, 4, 255])
)


def by_loop(ids: Ids, disc: Disc) -> Ids:
    """The commonest class in the disc around each pixel, pixel by pixel."""
    out = ids.copy()
    for row, col in np.argwhere(ids != 255):
        votes = dict.fromkeys(range(255), 0)
        for r, c in np.argwhere(ids != 255):
            inside = ((r - row) / disc.rows) ** 2 + ((c - col) / disc.cols) ** 2 <= 1 + 1e-9
            votes[int(ids[r, c])] += bool(inside)
        most = max(votes.values())
        if votes[int(ids[row, col])] < most:
            out[row, col] = min(k for k, v in votes.items() if v == most)
    return out


@settings(deadline=None, max_examples=60)
@given(maps, st.sampled_from([1.0, 1.5, 2.3, 3.0]), st.sampled_from([1.0, 2.0, 2.6]))
def test_the_majority_is_that_of_a_loop_over_all_pixels(ids: Ids, rows: float, cols: float) -> None:
    disc = Disc(rows, cols)
    margin = disc.reach
    padded = np.pad(ids, ((margin[0],) * 2, (margin[1],) * 2), constant_values=255)
    assert np.array_equal(majority(padded, disc, margin=margin), by_loop(ids, disc))


def test_a_wider_margin_than_the_disc_changes_nothing() -> None:
    ids = np.random.default_rng(0).integers(0, 3, (30, 30)).astype(np.uint8)
    wide = majority(ids, Disc(2, 2), margin=(5, 6))
    assert np.array_equal(wide, majority(ids, Disc(2, 2), margin=(2, 2))[3:-3, 4:-4])


def test_a_radius_in_decimals_takes_its_last_pixel() -> None:
    assert Disc(3.0, 0.3 / 0.1).half_widths()[3] == 3


@pytest.mark.parametrize(("p", "given_up"), [(0.69, True), (0.7, False), (np.nan, False)])
def test_only_what_is_known_to_be_less_sure_is_given_up(p: float, given_up: bool) -> None:
    assert ruled_out(np.array([3], np.uint8), np.array([p]), floor=np.full(256, 0.7))[0] == given_up


def test_the_next_best_class_has_to_reach_its_own_floor() -> None:
    ids = np.array([[2, 2, 2]], dtype=np.uint8)
    probabilities = np.array([[[0.3, 0.2, 0.1]], [[0.5, 0.4, 0.6]], [[0.2, 0.4, 0.3]]])
    floor = np.zeros(256)
    floor[[0, 2, 7]] = 0.15, 0.9, 0.35
    assert next_best(ids, probabilities, class_ids=(0, 2, 7), floor=floor).tolist() == [[0, 7, 255]]
