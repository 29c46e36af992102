"""The report's pictures, decoded again."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from terraseg.core.classes import PALETTE, LandClass, Legend
from terraseg.report import figures
from terraseg.report.content import Picture

LEGEND = Legend(tuple(LandClass(k, f"class {k}", PALETTE[k]) for k in range(4)))
BUILDINGS = Legend((LandClass(0, "background", "#B8B8B0"), LandClass(1, "building", "#D55E00")))


def decoded(picture: Picture) -> np.ndarray:
    image = Image.open(io.BytesIO(picture.data))
    assert image.size == (picture.width, picture.height)
    return np.asarray(image.convert("RGBA"))


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 99))
def test_a_class_picture_has_the_legends_exact_colours_and_clear_void(height: int, width: int, seed: int) -> None:
    indices = np.random.default_rng(seed).choice(np.array([0, 1, 2, 3, 255], np.uint8), (height, width))
    rgba = decoded(figures.class_picture(indices, LEGEND, "a map", clear=frozenset({2})))
    for k, land_class in enumerate(LEGEND.classes):
        assert (rgba[indices == k, :3] == land_class.rgb).all() or k == 2
    assert ((rgba[..., 3] == 0) == np.isin(indices, (2, 255))).all()


def test_agreement_tells_found_missed_and_extra_apart() -> None:
    truth = np.array([[1, 1, 0, 0, 255, 1]], np.uint8)
    mapped = np.array([[1, 0, 1, 0, 1, 255]], np.uint8)
    agreement = figures.agreement_picture(truth, mapped, BUILDINGS, "a")
    rgba = decoded(agreement.picture)
    entries = (figures.FOUND, figures.MISSED, figures.EXTRA, figures.NEITHER)
    assert [tuple(c) for c in rgba[0, :4, :3].tolist()] == [tuple(bytes.fromhex(e.color[1:])) for e in entries]
    assert rgba[0, :, 3].tolist() == [255, 255, 255, 255, 0, 0]
    assert (agreement.key, agreement.share, agreement.has_gaps) == (entries, 0.5, True)


def test_agreement_of_many_classes_is_right_or_wrong() -> None:
    truth, mapped = np.array([[0, 1, 2]], np.uint8), np.array([[0, 2, 2]], np.uint8)
    agreement = figures.agreement_picture(truth, mapped, LEGEND, "a")
    assert [e.label for e in agreement.key] == [figures.AGREES.label, figures.DIFFERS.label]
    rgb = decoded(agreement.picture)[0, :, :3].tolist()
    assert rgb[0] == rgb[2] != rgb[1]
    assert agreement.share == pytest.approx(2 / 3)
    assert not agreement.has_gaps


def test_agreement_without_a_labelled_pixel_has_no_share() -> None:
    void = np.full((2, 3), 255, np.uint8)
    assert figures.agreement_picture(void, void, BUILDINGS, "a").share is None


def test_bands_are_taken_by_name_and_eight_bits_stay_as_they_are() -> None:
    pixels = np.arange(4 * 6, dtype=np.uint8).reshape(4, 2, 3)
    valid = np.ones((2, 3), bool)
    valid[0, 0] = False
    rgb = figures.natural_colors(pixels, valid, ("nir", "blue", "green", "red"))
    assert (rgb[valid] == np.moveaxis(pixels[[3, 2, 1]], 0, -1)[valid]).all()
    assert (rgb[0, 0] == figures.NO_PIXEL).all()


@pytest.mark.parametrize("dtype", ["uint16", "int16", "float32"])
def test_other_types_are_stretched_over_the_valid_pixels(dtype: str) -> None:
    band = np.linspace(100, 3000, 400).reshape(20, 20).astype(dtype)
    valid = np.ones((20, 20), bool)
    valid[0] = False
    band[0] = np.nan if dtype == "float32" else -1 if dtype == "int16" else 65535
    rgb = figures.natural_colors(band[None], valid, ("pan",))
    assert (rgb[..., 0] == rgb[..., 2]).all()
    assert rgb[1, 0, 0] == 0
    assert rgb[-1, -1, 0] == 255
    assert (np.diff(rgb[valid][:, 0].astype(int)) >= 0).all()


def test_a_scene_without_a_valid_pixel_is_grey() -> None:
    rgb = figures.natural_colors(np.zeros((1, 3, 3), np.float32), np.zeros((3, 3), bool), ("pan",))
    assert (rgb == figures.NO_PIXEL).all()


@given(st.integers(1, 500), st.integers(1, 500))
def test_sample_centres_are_increasing_pixels_inside(size: int, samples: int) -> None:
    places = figures.centres(size, min(samples, size))
    assert (np.diff(places) > 0).all()
    assert places[0] >= 0
    assert places[-1] < size
