"""The tile lattice against counting pixel by pixel."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from terraseg.core.window import Window
from terraseg.errors import BadOption
from terraseg.pixels.tiling import Axis, Lattice, fitted_lattice, square_lattice, tile_order


@st.composite
def axes(draw: st.DrawFn) -> Axis:
    tile = draw(st.integers(1, 24))
    return Axis(draw(st.integers(1, 120)), tile, draw(st.integers(0, tile - 1)))


@st.composite
def lattices(draw: st.DrawFn) -> Lattice:
    tile = draw(st.integers(1, 16))
    size = st.integers(1, 60)
    overlap = draw(st.integers(0, tile - 1))
    snap = draw(st.sampled_from([n for n in (1, 2, 3, 4) if (tile - overlap) % n == 0]))
    return square_lattice(draw(size), draw(size), tile=tile, overlap=overlap, snap=snap)


@settings(deadline=None)
@given(axes())
def test_cells_cover_the_axis_once_and_lie_in_their_tiles(axis: Axis) -> None:
    covered = [p for i in range(axis.count) for p in range(*axis.cell(i))]
    assert covered == list(range(axis.length))
    for i in range(axis.count):
        (start, stop), (first, last), (_, far) = axis.span(i), axis.cell(i), axis.reach(i)
        assert 0 <= start <= first < last <= far <= stop <= axis.length
        assert stop - start == axis.size


@settings(deadline=None)
@given(axes())
def test_tiles_are_as_few_as_the_overlap_allows_and_spread_evenly(axis: Axis) -> None:
    starts = [axis.span(i)[0] for i in range(axis.count)]
    assert axis.span(axis.count - 1)[1] == axis.length
    assert starts == sorted(set(starts)), "no tile stands where another one does"
    shared = [axis.span(i)[1] - axis.span(i + 1)[0] for i in range(axis.count - 1)]
    assert Counter(shared) == axis.overlaps
    assert all(axis.overlap <= pixels <= min(shared) + 1 for pixels in shared)
    assert axis.count == 1 or (axis.count - 2) * axis.step + axis.tile < axis.length, "one tile fewer leaves a gap"


@settings(deadline=None)
@given(axes())
def test_tiles_fade_in_the_middle_of_what_both_see(axis: Axis) -> None:
    for i in range(axis.count - 1):
        border, start, stop = axis.cell(i + 1)[0], axis.span(i + 1)[0], axis.span(i)[1]
        assert 0 <= (stop - border - axis.ramp) - (border - start) <= 1


@settings(deadline=None)
@given(axes())
def test_at_most_two_tiles_meet_at_a_pixel(axis: Axis) -> None:
    for pixel in range(axis.length):
        meeting = [i for i in range(axis.count) if axis.reach(i)[0] <= pixel < axis.reach(i)[1]]
        assert 1 <= len(meeting) <= 2


@settings(deadline=None)
@given(axes(), st.integers(-5, 125), st.integers(-5, 125))
def test_owning_and_reaching_find_the_tiles_that_a_search_finds(axis: Axis, start: int, stop: int) -> None:
    pixels = set(range(max(0, start), min(stop, axis.length)))
    owning = [i for i in range(axis.count) if pixels & set(range(*axis.cell(i)))]
    reaching = [i for i in range(axis.count) if pixels & set(range(*axis.reach(i)))]
    assert list(axis.owning(start, stop)) == owning
    assert list(axis.reaching(start, stop)) == reaching


@settings(deadline=None)
@given(lattices(), st.data())
def test_a_tile_is_the_same_whatever_area_is_asked_for(lattice: Lattice, data: st.DataObject) -> None:
    """An area of interest picks tiles of the one lattice, all that have a part in its cells and no other."""
    row, col = data.draw(st.integers(0, lattice.height - 1)), data.draw(st.integers(0, lattice.width - 1))
    height = data.draw(st.integers(1, lattice.height - row))
    area = Window(row, col, height, data.draw(st.integers(1, lattice.width - col)))
    region = lattice.region_of(area)
    extent = lattice.extent(region)
    assert extent.contains(area)
    everything = {place: lattice.window(*place) for place in tile_order(lattice.region)}
    picked = dict.fromkeys(tile_order(lattice.needed(region)))
    reaching = {
        (i, j)
        for i, j in everything
        if set(range(*lattice.rows.reach(i))) & set(range(extent.row, extent.row_stop))
        and set(range(*lattice.cols.reach(j))) & set(range(extent.col, extent.col_stop))
    }
    assert set(picked) == reaching
    assert list(picked) == [place for place in everything if place in picked], "in the order of the whole"


@st.composite
def aligned_axes(draw: st.DrawFn) -> tuple[Axis, int]:
    """An axis of tiles that do not fade, and the halo that each pixel is to have."""
    align, halo = draw(st.integers(1, 5)), draw(st.integers(0, 4))
    halo = -(-halo // align) * align
    tile = 2 * halo + align * draw(st.integers(1, 4))
    return Axis(draw(st.integers(1, 120)), tile, 2 * halo, align), halo


@settings(deadline=None)
@given(aligned_axes())
def test_aligned_tiles_stand_on_their_lattice_and_give_every_pixel_its_halo(made: tuple[Axis, int]) -> None:
    axis, halo = made
    covered = [p for i in range(axis.count) for p in range(*axis.cell(i))]
    assert covered == list(range(axis.length))
    for i in range(axis.count):
        (start, stop), (first, last) = axis.span(i), axis.cell(i)
        assert start % axis.align == 0
        assert start == 0 or first - start >= halo
        assert stop == axis.length or stop - last >= halo
        assert axis.reach(i) == (first, last), "no tile has a part in another's pixels"
        assert stop - start < axis.tile + axis.align


@settings(deadline=None)
@given(st.tuples(st.integers(1, 400), st.integers(1, 400)), st.integers(1, 6), st.integers(1, 3), st.integers(1, 12))
def test_fitted_tiles_are_on_the_stride_and_cover_the_raster(
    sides: tuple[int, int], stride: int, strides: int, more: int
) -> None:
    overlap, longest = strides * stride, (strides + more) * stride
    lattice = fitted_lattice(*sides, largest=longest**2, overlap=overlap, stride=stride)
    assert lattice.rows.tile * lattice.cols.tile <= longest**2
    for axis in (lattice.rows, lattice.cols):
        assert axis.tile % stride == axis.overlap % stride == 0
        covered = [p for i in range(axis.count) for p in range(*axis.cell(i))]
        assert covered == list(range(axis.length))
        assert all(pixels >= overlap for pixels in axis.overlaps)
        for i in range(axis.count):
            (start, stop), (first, last), (_, far) = axis.span(i), axis.cell(i), axis.reach(i)
            assert start % stride == 0
            assert start <= first < last <= far <= stop
            assert axis.tile - (stop - start) < stride, "a tile reaches beyond the edge by less than a stride"


@settings(deadline=None, max_examples=50)
@given(st.integers(600, 20_000), st.integers(600, 20_000), st.sampled_from([16, 32, 64]))
def test_no_square_tiles_are_better_than_fitted_ones(height: int, width: int, stride: int) -> None:
    """A tenth of a percent of pixels that a seam changes counts for one percent of work."""
    largest = 896 * 896
    fitted = fitted_lattice(height, width, largest=largest, overlap=stride, stride=stride)
    squares = [
        square_lattice(height, width, tile=tile, overlap=stride, snap=stride)
        for tile in range(448, 897, max(stride, 32))
    ]
    assert _cost(fitted, stride) <= min(_cost(lattice, stride) for lattice in squares) + 1e-9


def test_tiles_of_a_vast_raster_are_fitted_without_counting_them() -> None:
    lattice = fitted_lattice(2**31 - 1, 2**31 - 1, largest=896 * 896, overlap=32, stride=32)
    assert sum(lattice.rows.overlaps.values()) == lattice.rows.count - 1 > 2_000_000


def _cost(lattice: Lattice, stride: int) -> float:
    axes = (lattice.rows, lattice.cols)
    off = sum(
        times * stride / 8 / 2 ** (pixels / stride) / axis.length
        for axis in axes
        for pixels, times in axis.overlaps.items()
    )
    tiles = lattice.region.count * lattice.rows.tile * lattice.cols.tile
    return tiles / (lattice.height * lattice.width) + 10 * off


def test_tiles_that_cannot_start_on_the_stride_are_refused() -> None:
    with pytest.raises(BadOption, match="multiples of 4 px"):
        Axis(100, 32, 6, snap=4)


def test_aligned_tiles_off_their_lattice_are_refused() -> None:
    with pytest.raises(BadOption, match="multiple of the lattice"):
        Axis(100, 30, 8, 8)


@settings(deadline=None)
@given(lattices())
def test_every_window_lies_in_the_raster_and_holds_its_cell(lattice: Lattice) -> None:
    raster = Window(0, 0, lattice.height, lattice.width)
    for place in tile_order(lattice.region):
        assert raster.contains(lattice.window(*place))
        assert lattice.window(*place).contains(lattice.cell(*place))


def test_a_raster_smaller_than_a_tile_has_one_tile_of_its_own_size() -> None:
    lattice = square_lattice(7, 300, tile=64, overlap=8)
    assert lattice.rows.count == 1
    assert {lattice.window(*place).height for place in tile_order(lattice.region)} == {7}


def test_an_empty_area_needs_no_tile() -> None:
    lattice = square_lattice(50, 50, tile=16, overlap=4)
    region = lattice.region_of(Window(60, 0, 5, 5))
    assert region.count == 0
    assert lattice.extent(region).is_empty
    assert list(tile_order(lattice.needed(region))) == []


@pytest.mark.parametrize(("tile", "overlap"), [(16, 16), (16, -1), (0, 0)])
def test_an_overlap_that_leaves_no_step_is_refused(tile: int, overlap: int) -> None:
    with pytest.raises(BadOption, match=r"overlap|tile"):
        square_lattice(50, 50, tile=tile, overlap=overlap)
