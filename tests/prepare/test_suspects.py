"""Pieces of ground where a model is sure that the label is wrong."""

import numpy as np
import shapely

from terraseg.core.classes import VOID
from terraseg.core.grid import Grid
from terraseg.core.window import Window
from terraseg.prepare.suspects import looked_upon, outline, suspects_in
from tests.makers import make_grid

WINDOW = Window(100, 200, 40, 60)


def test_sure_disagreements_are_pieces_and_the_rest_is_not() -> None:
    truth, mapped = np.zeros((2, 40, 60), np.uint8)
    certainty = np.full((40, 60), 250, np.uint8)
    mapped[5:15, 5:25] = 1  # a piece
    mapped[20:22, 5:55] = 1  # two pixels thin: a border
    mapped[25:35, 5:25], certainty[25:35, 5:25] = 1, 150  # the model is not sure
    mapped[25:35, 30:50], truth[25:35, 30:50] = 1, VOID  # not labelled
    truth[5:12, 40:50], mapped[5:12, 40:50] = 1, 2  # another pair of classes
    found = sorted(suspects_in("a", WINDOW, truth, mapped, certainty), key=lambda s: -s.score)
    assert [(s.label, s.mapped, s.pixels, s.window) for s in found] == [
        (0, 1, 200, Window(105, 205, 10, 20)),
        (1, 2, 70, Window(105, 240, 7, 10)),
    ]
    assert found[0].certainty == 250 / 254


def test_pieces_of_one_kind_that_do_not_touch_are_several() -> None:
    truth, mapped = np.zeros((2, 40, 60), np.uint8)
    mapped[0:10, 0:10] = mapped[0:10, 20:30] = 1
    assert len(list(suspects_in("a", WINDOW, truth, mapped, np.full((40, 60), 254, np.uint8)))) == 2


def test_an_outline_lies_on_the_ground_and_in_pixels_without_a_crs() -> None:
    truth, mapped = np.zeros((2, 40, 60), np.uint8)
    mapped[5:15, 5:25] = 1
    mapped[8:11, 10:13] = 0
    (suspect,) = suspects_in("a", WINDOW, truth, mapped, np.full((40, 60), 254, np.uint8))
    grid = make_grid(400, 400)
    xs, ys = grid.to_map([105, 115, 108, 111], [205, 225, 210, 213])
    expected = shapely.box(xs[0], ys[1], xs[1], ys[0]) - shapely.box(xs[2], ys[3], xs[3], ys[2])
    assert outline(suspect, grid).equals(expected)
    bare = Grid(None, (1.0, 0.0, 0.0, 0.0, 1.0, 0.0), 400, 400)
    expected = shapely.box(205, -115, 225, -105) - shapely.box(210, -111, 213, -108)
    assert outline(suspect, bare).equals(expected)
    assert looked_upon(suspect, grid).contains(suspect.window)
    assert grid.window.contains(looked_upon(suspect, grid))
