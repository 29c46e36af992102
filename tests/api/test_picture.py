"""Pictures become files that others read, and show what they are made of."""

import io
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from terraseg.api.picture import VOID_RGB, Panel, Picture, class_image, panels, visible
from terraseg.core.classes import LandClass, Legend
from terraseg.core.fingerprint import BandFacts, Fingerprint
from terraseg.errors import BadOption

LEGEND = Legend((LandClass(0, "field", "#998877"), LandClass(7, "roof", "#FF0000")))


def facts_of(*bands: str) -> Fingerprint:
    return Fingerprint(
        "uint8", tuple(BandFacts(name, 0, 1, 0.0, 50.0, 100.0) for name in bands), (), LEGEND.names, (1, 1), 2, 0, None
    )


def test_a_notebook_gets_a_png() -> None:
    shown = Picture(Figure(figsize=(2, 1)))._repr_png_()
    assert Image.open(io.BytesIO(shown)).size == (200, 100)


@pytest.mark.parametrize("ending", ["png", "jpg", "svg", "pdf"])
def test_a_picture_is_saved_by_its_ending(ending: str, tmp_path: Path) -> None:
    path = Picture(Figure(figsize=(2, 1))).save(tmp_path / f"new/picture.{ending}")
    start = {"png": b"\x89PNG", "jpg": b"\xff\xd8", "svg": b"<?xml", "pdf": b"%PDF"}[ending]
    assert path.read_bytes().startswith(start)
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_an_unknown_ending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadOption, match=r"picture\.xyz"):
        Picture(Figure()).save(tmp_path / "picture.xyz")


def test_classes_are_drawn_in_their_colours_and_void_in_grey() -> None:
    image = class_image(np.array([[0, 1, 255]], dtype=np.uint8), LEGEND)
    assert image.tolist() == [[[0x99, 0x88, 0x77], [255, 0, 0], list(VOID_RGB)]]


def test_colours_are_taken_by_name_and_stretched() -> None:
    pixels = np.array([10.0, 20.0, 60.0, 300.0]).reshape(4, 1, 1)
    seen = visible(pixels, facts_of("nir", "blue", "green", "red"))
    assert seen.tolist() == [[[255, 153, 51]]]


@pytest.mark.parametrize(("bands", "expected"), [(("a",), (25, 25, 25)), (("a", "b", "c"), (25, 51, 153))])
def test_bands_without_colours_are_taken_in_order(bands: tuple[str, ...], expected: tuple[int, ...]) -> None:
    pixels = np.array([10.0, 20.0, 60.0]).reshape(3, 1, 1)[: len(bands)]
    assert tuple(visible(pixels, facts_of(*bands))[0, 0].tolist()) == expected


def test_pixels_that_are_no_number_are_black() -> None:
    pixels = np.array([np.nan, np.inf, -np.inf]).reshape(3, 1, 1)
    assert visible(pixels, facts_of("red", "green", "blue")).tolist() == [[[0, 255, 0]]]


def test_panels_stand_in_rows_over_a_key_of_the_classes() -> None:
    image = np.zeros((4, 4, 3), dtype=np.uint8)
    picture = panels([[Panel("a", image), Panel("b", image)]] * 3, LEGEND)
    assert [axis.get_title() for axis in picture.figure.axes] == ["a", "b"] * 3
    assert [text.get_text() for text in picture.figure.legends[0].get_texts()] == ["field", "roof"]
