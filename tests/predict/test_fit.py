"""What a model refuses, what it remarks on, and the words it uses."""

from dataclasses import replace

import pytest

from terraseg.core.classes import LandClass, Legend
from terraseg.core.modelspec import ModelSpec
from terraseg.errors import BandMismatch
from terraseg.predict.fit import check_fit

SPEC = ModelSpec(
    network="unet",
    legend=Legend((LandClass(0, "land", "#112233"), LandClass(1, "roof", "#FF0000"))),
    bands=("red", "green", "blue"),
    dtype="uint8",
    mean=(100.0, 110.0, 120.0),
    std=(50.0, 50.0, 50.0),
    gsd_m=0.5,
    tile=64,
    overlap=16,
    stride=8,
)
RGB = ("red", "green", "blue")


def test_a_raster_like_the_training_imagery_fits_without_a_note() -> None:
    assert check_fit(SPEC, RGB, "uint8", 0.5) == ()
    assert check_fit(SPEC, ("Red", "GREEN", "blue"), "uint8", 0.7) == ()


def test_bands_without_a_name_are_taken_by_position() -> None:
    assert check_fit(SPEC, ("band_1", "band_2", "band_3"), "uint8", None) == ()
    assert check_fit(replace(SPEC, bands=("1", "2", "3")), RGB, "uint8", 0.5) == ()


def test_a_missing_band_is_named() -> None:
    with pytest.raises(BandMismatch, match=r"reads 4 bands \(red, green, blue, nir\).* has 3 .* add nir"):
        check_fit(replace(SPEC, bands=(*RGB, "nir"), mean=(1.0,) * 4, std=(1.0,) * 4), RGB, "uint8", 0.5)


def test_too_many_bands_are_refused() -> None:
    with pytest.raises(BandMismatch, match=r"come as red, green, blue, nir .* these bands alone"):
        check_fit(SPEC, (*RGB, "nir"), "uint8", 0.5)


def test_swapped_bands_are_recognised() -> None:
    with pytest.raises(BandMismatch, match=r"come as blue, green, red .* in this order"):
        check_fit(SPEC, ("blue", "green", "red"), "uint8", 0.5)


def test_another_band_is_refused_by_name() -> None:
    with pytest.raises(BandMismatch, match="'nir' where the model reads 'red'"):
        check_fit(SPEC, ("nir", "green", "blue"), "uint8", 0.5)


@pytest.mark.parametrize(
    ("model", "raster", "cure"),
    [
        ("uint8", "uint16", "-ot Byte -scale"),
        ("uint16", "uint8", "before it was reduced"),
        ("float32", "uint16", "convert"),
    ],
)
def test_another_bit_depth_is_refused_with_the_cure(model: str, raster: str, cure: str) -> None:
    with pytest.raises(BandMismatch, match=f"pixels are {raster} and the model was trained on {model}.*{cure}"):
        check_fit(replace(SPEC, dtype=model), RGB, raster, 0.5)


def test_floats_of_any_width_fit_each_other() -> None:
    assert check_fit(replace(SPEC, dtype="float32"), RGB, "float64", 0.5) == ()


@pytest.mark.parametrize(("gsd", "words"), [(0.75, "1.5 times coarser"), (0.1, "5.0 times finer")])
def test_another_resolution_is_remarked_on(gsd: float, words: str) -> None:
    (note,) = check_fit(SPEC, RGB, "uint8", gsd)
    assert words in note
    assert "0.5 m" in note


def test_an_unknown_resolution_passes_without_a_note() -> None:
    assert check_fit(SPEC, RGB, "uint8", None) == ()
    assert check_fit(replace(SPEC, gsd_m=None), RGB, "uint8", 30.0) == ()
