"""Which of a raster's bands a model reads: by name in any order, else by position, else a refusal that names the fix."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from terraseg.errors import BandMismatch
from terraseg.predict.bands import is_unnamed, match_bands, meaning

RGB = ("red", "green", "blue")
NAMES = ("coastal", "blue", "green", "red", "rededge", "nir", "swir16", "pan")


@given(st.permutations(NAMES), st.integers(1, len(NAMES)))
def test_named_bands_are_found_in_any_order_among_any_others(found: list[str], count: int) -> None:
    wanted = NAMES[:count]
    match = match_bands(wanted, found)
    assert tuple(found[place] for place in match.places) == wanted


def test_a_reordering_and_what_is_left_out_are_said() -> None:
    match = match_bands(RGB, ("nir", "blue", "green", "red"))
    assert match.places == (3, 2, 1)
    assert "put into the model's order, red, green, blue" in match.notes[0]
    assert "nir is left out" in match.notes[1]


def test_bands_in_order_are_taken_without_a_word() -> None:
    assert match_bands(RGB, ("Red", "GREEN", "blue")).notes == ()
    assert match_bands(RGB, ("band_1", "band_2", "band_3")) == match_bands(("1", "2", "3"), RGB)
    assert match_bands(("b4", "b3", "b2"), ("B4", "B3", "B2")).notes == ()


def test_names_written_otherwise_are_understood() -> None:
    found = ("B02 - Blue", "B03 - Green", "B04 - Red", "B05 - Red Edge", "B08 (Near Infrared)")
    assert match_bands(("red", "green", "blue", "nir"), found).places == (2, 1, 0, 4)


def test_names_that_say_nothing_are_taken_by_position_and_that_is_said() -> None:
    (note,) = match_bands(RGB, ("sr_b4", "sr_b3", "sr_b2")).notes
    assert "sr_b4, sr_b3, sr_b2 are taken by their position as red, green, blue" in note


def test_a_missing_band_is_named_with_the_cure() -> None:
    with pytest.raises(BandMismatch, match=r"reads 4 bands .* has 3 bands .*: nir is missing: add nir, or use a model"):
        match_bands((*RGB, "nir"), RGB)
    with pytest.raises(BandMismatch, match=r"nir, pan are missing: add nir, pan"):
        match_bands((*RGB, "nir", "pan"), RGB)


def test_too_many_bands_without_names_are_refused_with_the_way_to_name_them() -> None:
    with pytest.raises(BandMismatch, match=r"has 4 bands .*: say which they are with --set 'input.bands="):
        match_bands(RGB, ("band_1", "band_2", "band_3", "band_4"))


def test_another_band_in_the_place_of_one_is_refused() -> None:
    with pytest.raises(BandMismatch, match=r"has the band 'nir' where the model reads 'red'.*--set input.bands"):
        match_bands(RGB, ("nir", "green", "blue"))
    with pytest.raises(BandMismatch, match="'blue' where the model reads 'red'"):
        match_bands(RGB, ("blue", "green", "band_3"))


def test_two_bands_of_one_name_are_no_answer() -> None:
    with pytest.raises(BandMismatch, match="has 4 bands"):
        match_bands(RGB, ("red", "red", "green", "blue"))


@pytest.mark.parametrize(
    ("band", "meant"),
    [("NIR", "nir"), ("near-infrared", "nir"), ("red_edge 1", "rededge"), ("Band 3", None), ("Infrared reflectance", "nir"),
     ("swir 2", "swir22"), ("red over green", None), ("B8", None), ("", None)],
)  # fmt: skip
def test_meanings(band: str, meant: str | None) -> None:
    assert meaning(band) == meant


def test_only_numbers_are_no_names() -> None:
    assert [is_unnamed(b) for b in ("band_1", "Band 12", "3", "b3", "red")] == [True, True, True, False, False]
