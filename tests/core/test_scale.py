"""Pixels of another size: by how much, in small fractions, and which size is the usual one."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from terraseg.core.grid import Grid
from terraseg.core.scale import SAME, PixelSize, Scale, Working, reach_of, scale_text, scale_to, simple, usual_pixel
from terraseg.core.window import Window
from tests.makers import make_grid


@given(st.floats(0.02, 60))
def test_a_fraction_is_near_its_factor(factor: float) -> None:
    found = simple(factor)
    assert abs(float(found) / factor - 1) < 1 / 15
    assert min(found.numerator, found.denominator) <= 8 * max(factor, 1 / factor) + 1


def test_pixels_are_measured_on_the_ground_along_both_axes() -> None:
    """At 60 degrees north a square in degrees is half as wide as it is high."""
    side = 1 / 111_412
    grid = Grid("EPSG:4326", (side, 0, 10, 0, -side, 60), 100, 100)
    assert scale_to(PixelSize(1.0), grid) == Scale(Fraction(1), Fraction(2))
    assert scale_to(PixelSize(0.5**0.5, aspect=0.5), grid) == SAME


def test_nothing_is_changed_by_a_few_per_cent_or_without_a_crs() -> None:
    assert scale_to(PixelSize(0.5), make_grid(gsd=0.48)) == SAME
    assert scale_to(PixelSize(0.5), make_grid(crs=None)) == SAME
    assert scale_to(PixelSize(0.5), make_grid(gsd=0.4)).mean == 1.25


def test_the_usual_pixel_is_one_that_a_raster_has() -> None:
    grids = [make_grid(gsd=gsd) for gsd in (0.5, 1.0, 0.7, 1.3)]
    found = usual_pixel([*grids, make_grid(crs=None)])
    assert found is not None
    assert found.gsd_m == pytest.approx(0.7, rel=1e-3)
    assert usual_pixel([make_grid(crs=None)]) is None


def test_what_becomes_of_pixels_is_said_in_a_few_words() -> None:
    size = PixelSize(0.5)
    assert scale_text(Scale(Fraction(8, 5), Fraction(8, 5)), 0.31, size) == "averaged 0.31 -> 0.5 m"
    assert scale_text(Scale(Fraction(4, 7), Fraction(4, 7)), 0.86, size) == "enlarged 1.8 times (0.86 -> 0.5 m)"
    assert scale_text(SAME, 0.51, size) == ""


def test_whole_squares_need_no_neighbours() -> None:
    third = Fraction(1, 3)
    assert [reach_of(Scale(f, f)) for f in (Fraction(1), Fraction(4), Fraction(5, 2), third)] == [0, 0, 3, 1]
    assert Working(Scale(third, third), 3).total.whole == 1


@given(
    st.tuples(*[st.integers(0, 60)] * 4),
    st.fractions(min_value=Fraction(1, 5), max_value=5, max_denominator=8),
    st.fractions(min_value=Fraction(1, 5), max_value=5, max_denominator=8),
)
def test_a_reduced_window_is_the_most_that_lies_inside(sides: tuple[int, ...], rows: Fraction, cols: Fraction) -> None:
    window = Window(*sides)
    small = window.reduced(rows, cols)
    if not small.is_empty:
        assert window.row <= small.row * rows < window.row + rows
        assert window.row_stop - rows < small.row_stop * rows <= window.row_stop
        assert window.col <= small.col * cols < window.col + cols
        assert window.col_stop - cols < small.col_stop * cols <= window.col_stop
