"""Regions found strip by strip against a brute-force labelling of the whole."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from scipy import ndimage

import terraseg.pixels.regions as regions_module
from terraseg.core.classes import LandClass, Legend
from terraseg.core.classreader import ByteArray, ClassArray
from terraseg.core.grid import Grid
from terraseg.errors import GridMismatch, UnknownClass
from terraseg.pixels.regions import SIDE_STEPS, Wanted, find_regions

LEGEND = Legend(tuple(LandClass(i, f"c{i}", "#112233") for i in (0, 1, 4)))
Ids = NDArray[np.uint8]

maps = hnp.arrays(
    np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.sampled_from([0, 1, 4, 255])
)


def raster(ids: Ids) -> ClassArray:
    return ClassArray(Grid(None, (1, 0, 0, 0, 1, 0), *ids.shape), LEGEND, ids)


def by_brute_force(ids: Ids) -> NDArray[np.int64]:
    """Region numbers by first pixel in reading order, -1 for nodata."""
    regions = np.full(ids.shape, -1)
    for value in (0, 1, 4):
        found, _ = ndimage.label(ids == value)
        regions[found > 0] = (found[found > 0] + 1000 * value).astype(np.int64)
    order = [n for n in dict.fromkeys(regions.ravel().tolist()) if n != -1]
    numbers = {-1: -1, **{old: new for new, old in enumerate(order)}}
    return np.array([[numbers[n] for n in row] for row in regions.tolist()], dtype=np.int64)


@settings(deadline=None, max_examples=200)
@given(maps, st.integers(1, 5), st.randoms(use_true_random=False))
def test_regions_are_those_of_the_whole_map(ids: Ids, rows: int, random: object) -> None:
    truth = by_brute_force(ids)
    confidence = np.random.default_rng(ids.size).integers(0, 256, ids.shape).astype(np.uint8)
    regions = find_regions(raster(ids), Wanted(confidence=ByteArray(raster(ids).grid, confidence), strip_rows=rows))
    assert len(regions) == truth.max() + 1
    borders: dict[tuple[int, int], int] = {}
    for one, two in [*zip(truth[:, :-1].flat, truth[:, 1:].flat), *zip(truth[:-1].flat, truth[1:].flat)]:  # noqa: B905
        if one != two and min(one, two) >= 0:
            pair = (int(min(one, two)), int(max(one, two)))
            borders[pair] = borders.get(pair, 0) + SIDE_STEPS
    found = regions.borders
    assert (
        dict(zip(zip(found.one.tolist(), found.two.tolist(), strict=True), found.length.tolist(), strict=True))
        == borders
    )
    for number in range(len(regions)):
        mask = truth == number
        known = mask & (confidence != 255)
        assert regions.area[number] == mask.sum()
        assert regions.class_id[number] == ids[mask][0]
        assert regions.confidence_counts[number].tolist() == np.bincount(confidence[known] >> 4, minlength=16).tolist()
        grown = ndimage.binary_dilation(np.pad(mask, 1))
        assert regions.exposed[number] == (np.pad(ids, 1, constant_values=255)[grown] == 255).any()
        assert regions.confidence_sum[number] == confidence[known].sum(dtype=np.int64)


def test_border_lengths_follow_the_shape_of_the_pixels() -> None:
    ids = np.array([[0, 1], [4, 4]], dtype=np.uint8)
    wide = ClassArray(Grid(None, (4, 0, 0, 0, 1, 0), 2, 2), LEGEND, ids)
    lengths = find_regions(wide, Wanted(strip_rows=1)).borders.length
    assert lengths.tolist() == [SIDE_STEPS // 2, SIDE_STEPS * 2, SIDE_STEPS * 2]


def test_an_id_that_the_legend_lacks_is_named() -> None:
    with pytest.raises(UnknownClass, match="class id 3, which its legend"):
        find_regions(raster(np.array([[0, 3]], dtype=np.uint8)))


def test_a_confidence_of_another_size_is_refused() -> None:
    ids = np.zeros((3, 4), dtype=np.uint8)
    with pytest.raises(GridMismatch, match="2 x 4 px and the map 3 x 4"):
        find_regions(raster(ids), Wanted(confidence=ByteArray(Grid(None, (1, 0, 0, 0, 1, 0), 2, 4), ids[:2])))


@settings(deadline=None, max_examples=100)
@given(maps, st.integers(1, 4), st.integers(2, 6))
def test_borders_of_small_regions_are_all_there_when_others_are_left_out(ids: Ids, rows: int, least: int) -> None:
    """However often the borders gathered so far are gone through."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(regions_module, "COMPACT", 4)
        _compare_borders(ids, rows, least)


def _compare_borders(ids: Ids, rows: int, least: int) -> None:
    small = np.full(256, float(least))
    every, some = (
        find_regions(raster(ids), Wanted(small=s, strip_rows=r)) for s, r in ((None, len(ids)), (small, rows))
    )
    matter = every.borders.where((every.area[every.borders.one] < least) | (every.area[every.borders.two] < least))
    kept = some.borders.where((some.area[some.borders.one] < least) | (some.area[some.borders.two] < least))
    for name in ("one", "two", "length"):
        assert np.array_equal(getattr(kept, name), getattr(matter, name))


@settings(deadline=None, max_examples=100)
@given(maps, st.integers(1, 4), st.randoms(use_true_random=False))
def test_parts_of_one_class_are_regions_of_their_own(ids: Ids, rows: int, random: object) -> None:
    parts = np.random.default_rng(ids.size).integers(0, 2, ids.shape).astype(np.uint8)
    found = find_regions(raster(ids), Wanted(parts=ByteArray(raster(ids).grid, parts), strip_rows=rows))
    count = sum(ndimage.label((ids == v) & (parts == p))[1] for v in (0, 1, 4) for p in (0, 1))
    assert len(found) == count
