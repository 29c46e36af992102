"""Skeleton pixels to lines: junctions, dead ends, loops."""

import numpy as np
import shapely
from numpy.typing import NDArray

from terraseg.shapes.centerlines import CenterLines, Skeleton, center_lines


def drawn(picture: str, radius: float = 1.0) -> CenterLines:
    rows = picture.split()
    pixels = np.argwhere(np.array([[c == "#" for c in row] for row in rows]))
    return center_lines(Skeleton(pixels[:, 0], pixels[:, 1], np.full(len(pixels), radius)))


def ends(lines: CenterLines) -> set[tuple[float, float]]:
    points: NDArray[np.float64] = np.concatenate([shapely.get_coordinates(g)[[0, -1]] for g in lines.geometry])
    return {(float(x), float(y)) for x, y in points}


def test_a_bent_line_is_one_line_from_end_to_end() -> None:
    found = drawn("#....... .#...... ..###### .......#")
    assert len(found.geometry) == 1
    assert ends(found) == {(0.5, 0.5), (7.5, 3.5)}
    assert len(found.pixel) == 9


def test_lines_end_at_one_point_where_they_meet() -> None:
    cross = drawn("....#.... ....#.... ....#.... ....#.... ######### ....#.... ....#.... ....#.... ....#....")
    assert len(cross.geometry) == 4
    assert (4.5, 4.5) in ends(cross)
    assert len(ends(cross)) == 5


def test_short_dead_ends_are_cut_off_and_the_line_goes_on() -> None:
    picture = ".....#..... .....#..... ########### ........... ..........."
    assert len(drawn(picture, radius=0.5).geometry) == 3
    assert ends(drawn(picture, radius=2.0)) == {(0.5, 2.5), (10.5, 2.5)}


def test_a_loop_without_junctions_is_a_closed_line() -> None:
    (ring,) = drawn(".###. #...# #...# .###.").geometry
    assert ring.is_closed
    assert ring.length > 9


def test_widths_near_a_junction_are_left_out() -> None:
    cross = drawn(
        "....#.... ....#.... ....#.... ....#.... ######### ....#.... ....#.... ....#.... ....#....", radius=2.0
    )
    assert len(cross.pixel) < 17


def test_no_pixels_make_no_lines() -> None:
    none = np.zeros(0, np.int64)
    assert len(center_lines(Skeleton(none, none, none.astype(float))).geometry) == 0
