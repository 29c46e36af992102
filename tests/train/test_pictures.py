"""Tables and masks as pictures."""

import numpy as np

from terraseg.core.classes import LandClass, Legend
from terraseg.train.pictures import CELL, GREY, MARGIN, STRIPE, confusion_picture, striped

LEGEND = Legend((LandClass(0, "field", "#998877"), LandClass(7, "roof", "#FF0000")))


def test_a_mask_has_the_colours_of_its_classes_and_void_is_striped() -> None:
    labels = np.array([[0, 1] * 8, [255] * 16] * 8, dtype=np.uint8)
    picture = striped(labels, LEGEND)
    assert (picture[labels == 0] == (0x99, 0x88, 0x77)).all()
    assert (picture[labels == 1] == (255, 0, 0)).all()
    void = {tuple(color) for color in picture[labels == 255].tolist()}
    assert void == {GREY, STRIPE}


def test_a_confusion_matrix_is_darkest_where_most_of_a_row_is() -> None:
    matrix = np.array([[90, 10, 0], [0, 0, 0], [50, 0, 50]])
    picture = confusion_picture(matrix, ("a", "a name that is far too long for a picture", "c"))
    cells = picture[-3 * CELL - MARGIN : -MARGIN, -3 * CELL - MARGIN : -MARGIN].astype(int)
    corners = cells[3::CELL, 3::CELL].sum(axis=-1)
    assert corners[0, 0] < corners[2, 0] == corners[2, 2] < corners[0, 1] < corners[0, 2]
    assert (corners[1] == corners[0, 2]).all()
    assert picture.dtype == np.uint8
