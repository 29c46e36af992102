"""Pictures become files that others read, and show what they are made of."""

import io
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from terraseg.api.picture import Panel, Picture, panels, whole
from terraseg.core.classes import LandClass, Legend
from terraseg.errors import BadOption

LEGEND = Legend((LandClass(0, "field", "#998877"), LandClass(7, "roof", "#FF0000")))


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


def test_a_whole_image_is_shown_pixel_by_pixel() -> None:
    image = np.random.default_rng(0).integers(0, 256, (37, 120, 3)).astype(np.uint8)
    shown = Image.open(io.BytesIO(whole(image)._repr_png_())).convert("RGB")
    np.testing.assert_array_equal(np.asarray(shown), image)


def test_panels_stand_in_rows_over_a_key_of_the_classes() -> None:
    image = np.zeros((4, 4, 3), dtype=np.uint8)
    picture = panels([[Panel("a", image), Panel("b", image)]] * 3, LEGEND)
    assert [axis.get_title() for axis in picture.figure.axes] == ["a", "b"] * 3
    assert [text.get_text() for text in picture.figure.legends[0].get_texts()] == ["field", "roof"]
