"""Small regions on maps small enough to follow by eye, and what holds for all."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from scipy import ndimage

from terraseg.core.classes import LandClass, Legend
from terraseg.core.classreader import ClassArray
from terraseg.core.grid import Grid
from terraseg.pixels.merge import DROPPED, Merged, merge_small
from terraseg.pixels.pieces import strip_pieces
from terraseg.pixels.regions import Wanted, find_regions

LEGEND = Legend(tuple(LandClass(i, f"c{i}", "#112233") for i in range(4)))
Ids = NDArray[np.uint8]


def cleaned(picture: Ids | str, min_area: float, *, rows: int = 3) -> Ids:
    """The class ids of the map after merging; a picture has a digit a pixel and a dot for nodata."""
    ids = picture
    if isinstance(ids, str):
        ids = np.array([[255 if c == "." else int(c) for c in line] for line in ids.split()], dtype=np.uint8)
    raster = ClassArray(Grid(None, (1, 0, 0, 0, 1, 0), *ids.shape), LEGEND, ids)
    regions = find_regions(raster, Wanted(strip_rows=rows))
    merged = merge_small(regions.class_id, regions.area, regions.borders, min_area=min_area)
    classes = np.append(merged.class_id, np.uint8(255))
    lookup = np.concatenate([[np.uint8(255)], classes[merged.owner[regions.piece_region]]])
    out, before = np.empty_like(ids), 0
    for strip in strip_pieces(raster, rows):
        out[strip.window.slices] = lookup[np.where(strip.pieces > 0, strip.pieces + before, 0)]
        before += strip.pieces.max(initial=0)
    return out


def drawn(ids: Ids) -> str:
    return " ".join("".join("." if v == 255 else str(v) for v in row) for row in ids)


def test_a_small_region_goes_to_the_longest_border() -> None:
    assert drawn(cleaned("00000 00122 00122 00222", 3)) == "00000 00022 00022 00222"
    assert drawn(cleaned("00000 00222 01222 00222", 3)) == "00000 00222 00222 00222"


def test_small_holes_are_filled_and_large_ones_stay() -> None:
    assert drawn(cleaned("11111 10111 11111", 2)) == "11111 11111 11111"
    assert drawn(cleaned("11111 10011 11111", 2)) == "11111 10011 11111"


def test_an_island_in_nodata_is_dropped_and_one_at_a_neighbour_is_not() -> None:
    assert drawn(cleaned("1..22 ...22", 2)) == "...22 ...22"
    assert drawn(cleaned("..122 ...22", 2)) == "..222 ...22"


def test_regions_joined_by_a_filled_gap_become_one() -> None:
    ids = np.array([[1, 1, 2, 1, 1]], dtype=np.uint8)
    raster = ClassArray(Grid(None, (1, 0, 0, 0, 1, 0), 1, 5), LEGEND, ids)
    regions = find_regions(raster)
    merged = merge_small(regions.class_id, regions.area, regions.borders, min_area=2)
    assert merged.owner.tolist() == [0, 0, 0]
    assert merged.class_id.tolist() == [1]


def test_of_equal_borders_the_larger_region_takes_and_then_the_first() -> None:
    assert drawn(cleaned("1112222", 1)) == "1112222"
    assert drawn(cleaned("11102222", 2)) == "11122222"
    assert drawn(cleaned("1110222", 2)) == "1111222"


def test_the_smallest_goes_first_and_what_it_makes_large_stays() -> None:
    # Were the five pixels of 1 to go first, they would become 2.
    assert drawn(cleaned("1120000 1110000", 6)) == "1110000 1110000"


def test_no_small_regions_leave_everything() -> None:
    merged = merged_of(np.array([[0, 1], [2, 3]], dtype=np.uint8), 0)
    assert merged.owner.tolist() == [0, 1, 2, 3]


def merged_of(ids: Ids, min_area: float) -> Merged:
    regions = find_regions(ClassArray(Grid(None, (1, 0, 0, 0, 1, 0), *ids.shape), LEGEND, ids))
    return merge_small(regions.class_id, regions.area, regions.borders, min_area=min_area)


maps = hnp.arrays(
    np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=10), elements=st.sampled_from([0, 1, 2, 255])
)


@settings(deadline=None, max_examples=200)
@given(maps, st.integers(1, 30), st.integers(1, 5))
def test_afterwards_every_region_is_large_and_connected_and_no_ground_is_lost_but_islands(
    ids: Ids, min_area: int, rows: int
) -> None:
    out = cleaned(ids, min_area, rows=rows)
    for value in (0, 1, 2):
        found, number = ndimage.label(out == value)
        if number:
            assert np.bincount(found.ravel())[1:].min() >= min_area
    land, count = ndimage.label(ids != 255)
    for number in range(1, count + 1):
        island = land == number
        kept = (out != 255)[island]
        assert kept.all() if island.sum() >= min_area else not kept.any()
    assert (out[ids == 255] == 255).all()


@settings(deadline=None, max_examples=100)
@given(maps, st.integers(1, 12))
def test_merged_regions_are_numbered_by_their_first_pixel(ids: Ids, min_area: int) -> None:
    merged = merged_of(ids, min_area)
    kept = merged.owner[merged.owner != DROPPED]
    assert list(dict.fromkeys(kept.tolist())) == list(range(len(merged.class_id)))


def test_a_chessboard_of_small_regions_ends_as_one() -> None:
    ids = (np.indices((60, 60)).sum(axis=0) % 2).astype(np.uint8)
    assert len(merged_of(ids, 3600).class_id) == 1


def test_every_class_has_a_smallest_area_of_its_own() -> None:
    regions = find_regions(raster_of("111222 333222"))
    least = np.zeros(256)
    least[1], least[3] = 4, 2
    merged = merge_small(regions.class_id, regions.area, regions.borders, min_area=least)
    assert sorted(merged.class_id.tolist()) == [2, 3]


def test_objects_kept_apart_do_not_grow_together_over_a_filled_gap() -> None:
    regions = find_regions(raster_of("1121111"))
    assert merge_small(regions.class_id, regions.area, regions.borders, min_area=2).owner.tolist() == [0, 0, 0]
    apart = merge_small(regions.class_id, regions.area, regions.borders, min_area=2, apart=[1])
    assert apart.owner.tolist() == [0, 1, 1]


def raster_of(picture: str) -> ClassArray:
    ids = np.array([[int(c) for c in line] for line in picture.split()], dtype=np.uint8)
    return ClassArray(Grid(None, (1, 0, 0, 0, 1, 0), *ids.shape), LEGEND, ids)
