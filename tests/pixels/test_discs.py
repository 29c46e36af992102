"""Round things that overlap, told apart."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from scipy import ndimage

from terraseg.pixels.discs import split_discs


def discs(*circles: tuple[float, float, float], shape: tuple[int, int] = (80, 120)) -> NDArray[np.bool_]:
    row, col = np.ogrid[: shape[0], : shape[1]]
    mask = np.zeros(shape, np.bool_)
    for y, x, radius in circles:
        mask |= np.hypot(row - y, col - x) < radius
    return mask


@pytest.mark.parametrize("apart", [1.2, 1.5, 1.9])
@pytest.mark.parametrize("small", [0.6, 1.0])
def test_two_overlapping_discs_are_two_with_their_areas(apart: float, small: float) -> None:
    radius, other = 15.0, 15.0 * small
    between = apart * (radius + other) / 2
    parts = split_discs(discs((40, 40, radius), (40, 40 + between, other)))
    assert len(parts.row) == 2
    assert np.abs(parts.row - 40).max() <= 1
    assert sorted(parts.col.tolist()) == pytest.approx([40, 40 + between], abs=1.5)
    # Circles are parted along the line through their crossings, so each has its area to that line.
    for number, (centre, size) in enumerate(((40, radius), (40 + between, other))):
        number = int(np.argmin(np.abs(parts.col - centre))) + 1
        line = 40 + (between**2 + radius**2 - other**2) / (2 * between)
        col = np.arange(120)[None]
        own = discs((40, centre, size)) & ((col < line) if centre == 40 else (col >= line))
        assert (parts.labels == number).sum() == pytest.approx(own.sum(), rel=0.08)


def test_one_disc_is_one_whatever_its_edge_is_like() -> None:
    ragged = discs((40, 60, 25)) | discs((40, 86, 3), (14, 60, 2))
    parts = split_discs(ragged, least=3.5)
    assert len(parts.row) == 1
    assert (parts.labels > 0).sum() == ragged.sum()


def test_things_below_the_least_radius_are_none() -> None:
    parts = split_discs(discs((20, 20, 12), (60, 100, 3)), least=5)
    assert len(parts.row) == 1
    assert (parts.labels[50:, 90:] == 0).all()


def test_pixels_that_are_not_square_are_measured_on_the_ground() -> None:
    tall = discs((40, 40, 15), (40, 66, 15))[::2]
    assert len(split_discs(tall, sampling=(2.0, 1.0)).row) == 2
    assert split_discs(tall, sampling=(2.0, 1.0)).radius == pytest.approx([15, 15], rel=0.1)


@settings(deadline=None, max_examples=60)
@given(hnp.arrays(np.bool_, st.tuples(st.integers(1, 25), st.integers(1, 25))))
def test_every_pixel_belongs_to_one_part_that_hangs_together(mask: NDArray[np.bool_]) -> None:
    parts = split_discs(mask)
    assert ((parts.labels > 0) == mask).all()
    assert (parts.labels[parts.row, parts.col] == np.arange(len(parts.row)) + 1).all()
    pieces, _ = ndimage.label(mask, np.ones((3, 3)))
    for number in range(1, len(parts.row) + 1):
        assert len(np.unique(pieces[parts.labels == number])) == 1
