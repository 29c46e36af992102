"""Blending against a sum over all tiles at every pixel."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from terraseg.core.window import Window
from terraseg.pixels.blend import Blended, Blender, decide, reach_weights, to_byte, to_host, uncertainty
from terraseg.pixels.tiling import Axis, Lattice, Region, square_lattice, tile_order


def scores_at(lattice: Lattice, row: int, col: int, classes: int) -> NDArray[np.float32]:
    """Probabilities that differ from tile to tile and across a tile, as a network's do near a tile's border."""
    rng = np.random.default_rng([row, col, classes])
    raw = rng.random((classes, *lattice.tile), dtype=np.float32) + 0.01
    return np.asarray(raw / raw.sum(axis=0), dtype=np.float32)


def whole_cell(cell: Blended) -> Any:
    """All of a cell, asked for in four pieces."""
    (height, width), (down, across) = cell.size, (cell.size[0] // 3, cell.size[1] // 2)
    cuts = [[slice(0, down), slice(down, height)], [slice(0, across), slice(across, width)]]
    return np.block([[to_host(cell.part(rows, cols)) for cols in cuts[1]] for rows in cuts[0]])


def blend_region(lattice: Lattice, region: Region, classes: int, convert: Any = np.asarray) -> NDArray[np.float32]:
    """The region's blended probabilities, put together from its cells."""
    extent = lattice.extent(region)
    whole = np.full((classes, extent.height, extent.width), np.nan, dtype=np.float32)
    blender = Blender(lattice, region)
    for row, col in tile_order(lattice.needed(region)):
        cell = blender.add(row, col, convert(scores_at(lattice, row, col, classes)))
        assert (cell is not None) == region.owns(row, col)
        if cell is not None:
            place = lattice.cell(row, col).shifted(-extent.row, -extent.col)
            whole[:, *place.slices] = to_host(whole_cell(cell))
    return whole


def oracle_weight(axis: Axis, index: int) -> NDArray[np.float64]:
    """A tile's weight at each pixel of its axis, from the definition: raised-cosine ramps about the borders of cells."""
    weight = np.zeros(axis.length)

    def border(number: int) -> int:
        """In the middle of what two tiles see, less half the ramp."""
        start, stop = axis.span(number)[0], axis.span(number - 1)[1]
        return start + (stop - start - axis.ramp) // 2

    for pixel in range(*axis.span(index)):
        rise = (pixel - border(index) + 0.5) / axis.ramp if index > 0 and axis.ramp else np.inf
        fades = axis.ramp and index < axis.count - 1
        fall = (border(index + 1) + axis.ramp - pixel - 0.5) / axis.ramp if fades else np.inf
        if not axis.ramp:
            rise = np.inf if index == 0 or pixel >= axis.cell(index)[0] else 0
            fall = np.inf if pixel < axis.cell(index)[1] else 0
        if index == axis.count - 1:
            fall = np.inf
        weight[pixel] = np.prod([np.sin(np.clip(t, 0, 1) * np.pi / 2) ** 2 for t in (rise, fall)])
    return weight


def oracle(lattice: Lattice, classes: int) -> NDArray[np.float64]:
    total = np.zeros((classes, lattice.height, lattice.width))
    weights = np.zeros((lattice.height, lattice.width))
    for row, col in tile_order(lattice.region):
        window = lattice.window(row, col)
        weight = np.outer(oracle_weight(lattice.rows, row), oracle_weight(lattice.cols, col))[window.slices]
        scores = scores_at(lattice, row, col, classes)[:, : window.height, : window.width]
        total[:, *window.slices] += weight * scores
        weights[window.slices] += weight
    return np.asarray(total / weights)


@st.composite
def lattices(draw: st.DrawFn) -> Lattice:
    tile = draw(st.integers(2, 14))
    size = st.integers(1, 40)
    overlap = draw(st.integers(0, tile - 1))
    snap = draw(st.sampled_from([n for n in (1, 2, 3) if (tile - overlap) % n == 0]))
    return square_lattice(draw(size), draw(size), tile=tile, overlap=overlap, snap=snap)


@given(lattices(), st.integers(1, 4))
@settings(max_examples=150, deadline=None)
def test_blending_gives_the_weighted_mean_of_all_tiles(lattice: Lattice, classes: int) -> None:
    blended = blend_region(lattice, lattice.region, classes)
    np.testing.assert_allclose(blended, oracle(lattice, classes), atol=1e-3)
    np.testing.assert_allclose(blended.sum(axis=0), 1, atol=1e-5)


@given(lattices(), st.data())
@settings(max_examples=150, deadline=None)
def test_any_part_of_the_raster_is_blended_to_the_same_bits(lattice: Lattice, data: st.DataObject) -> None:
    def part(count: int) -> range:
        start = data.draw(st.integers(0, count - 1))
        return range(start, data.draw(st.integers(start + 1, count)))

    region = Region(part(lattice.rows.count), part(lattice.cols.count))
    whole = blend_region(lattice, lattice.region, 2)
    expected = whole[:, *lattice.extent(region).slices]
    assert np.array_equal(blend_region(lattice, region, 2), expected)


@given(lattices(), st.data())
@settings(max_examples=150, deadline=None)
def test_any_window_is_blended_to_the_same_bits_from_the_tiles_in_it(lattice: Lattice, data: st.DataObject) -> None:
    row, col = data.draw(st.integers(0, lattice.height - 1)), data.draw(st.integers(0, lattice.width - 1))
    height = data.draw(st.integers(1, lattice.height - row))
    window = Window(row, col, height, data.draw(st.integers(1, lattice.width - col)))
    whole = blend_region(lattice, lattice.region, 2)
    found = np.full_like(whole, np.nan)
    blender = Blender(lattice, lattice.region_of(window))
    for place in tile_order(lattice.tiles_of(window)):
        cell = blender.add(*place, scores_at(lattice, *place, 2))
        if cell is not None:
            found[:, *lattice.cell(*place).slices] = whole_cell(cell)
    assert np.array_equal(found[:, *window.slices], whole[:, *window.slices])


@given(lattices())
@settings(max_examples=50, deadline=None)
def test_torch_tensors_blend_as_numpy_arrays_do(lattice: Lattice) -> None:
    torch = pytest.importorskip("torch")
    blended = blend_region(lattice, lattice.region, 3, convert=torch.from_numpy)
    np.testing.assert_allclose(blended, blend_region(lattice, lattice.region, 3), atol=1e-6)


@given(st.integers(1, 30), st.integers(0, 29), st.integers(1, 200))
def test_weights_add_up_to_one_exactly(tile: int, overlap: int, length: int) -> None:
    axis = Axis(length, tile, min(overlap, tile - 1))
    total = np.zeros(length, dtype=np.float32)
    for index in range(axis.count):
        start, stop = axis.reach(index)
        rise = axis.ramp if index > 0 else 0
        total[start:stop] += reach_weights(stop - start, rise, axis.ramp if index < axis.count - 1 else 0)
    assert np.array_equal(total, np.ones(length))


def test_a_constant_score_comes_out_unchanged() -> None:
    lattice = square_lattice(40, 53, tile=16, overlap=6)
    blender = Blender(lattice, lattice.region)
    for row, col in tile_order(lattice.region):
        cell = blender.add(row, col, np.full((1, 16, 16), 0.75, dtype=np.float32))
        assert cell is not None
        assert (whole_cell(cell) == 0.75).all()


def test_scores_are_not_changed_by_blending() -> None:
    lattice = square_lattice(20, 20, tile=12, overlap=4)
    blender = Blender(lattice, lattice.region)
    for row, col in tile_order(lattice.region):
        scores = scores_at(lattice, row, col, 2)
        before = scores.copy()
        blender.add(row, col, scores)
        assert np.array_equal(scores, before)


def test_a_skipped_tile_leaves_the_pixels_beyond_it_alone() -> None:
    lattice = square_lattice(30, 30, tile=12, overlap=4)
    whole = blend_region(lattice, lattice.region, 2)
    blender = Blender(lattice, lattice.region)
    for row, col in tile_order(lattice.region):
        if (row, col) == (1, 1):
            blender.skip(col)
            continue
        cell = blender.add(row, col, scores_at(lattice, row, col, 2))
        assert cell is not None
        window, hole = lattice.cell(row, col), lattice.window(1, 1)
        outside = np.ones((window.height, window.width), dtype=np.bool_)
        overlap = hole.intersection(window).shifted(-window.row, -window.col)
        outside[overlap.slices] = False
        assert np.array_equal(whole_cell(cell)[:, outside], whole[:, *window.slices][:, outside])


@given(
    arrays(
        np.float32,
        st.tuples(st.integers(1, 6), st.integers(1, 5), st.integers(1, 5)),
        elements=st.floats(0, 1, width=32),
    )
)
def test_decide_agrees_with_argmax(probabilities: NDArray[np.float32]) -> None:
    index, confidence = decide(probabilities)
    assert index.dtype == np.uint8
    assert np.array_equal(index, probabilities.argmax(axis=0))
    assert np.array_equal(confidence, probabilities.max(axis=0))


def test_bytes_leave_255_for_nodata() -> None:
    assert to_byte(np.array([0, 0.5, 1], dtype=np.float32)).tolist() == [0, 127, 254]
    assert to_byte(np.array([1.0001], dtype=np.float32)).tolist() == [254]


def test_uncertainty_is_the_entropy_of_what_a_pixel_may_be() -> None:
    sure, even, half = [1.0, 0, 0, 0], [0.25] * 4, [0.5, 0.5, 0, 0]
    probabilities = np.array([sure, even, half], dtype=np.float32).T[:, :, None]
    assert uncertainty(probabilities)[:, 0].tolist() == [0, 254, 127]
    assert uncertainty(probabilities, overlapping=True)[:, 0].tolist() == [0, round(254 * 0.8113), 254]


@given(arrays(np.float32, (3, 4, 4), elements=st.floats(0, 1, width=32)))
@settings(max_examples=30, deadline=None)
def test_torch_tensors_have_the_same_uncertainty(raw: NDArray[np.float32]) -> None:
    torch = pytest.importorskip("torch")
    shares = (raw + np.float32(0.01)) / (raw + np.float32(0.01)).sum(axis=0)
    found = to_host(uncertainty(torch.from_numpy(shares)))
    assert np.abs(found.astype(int) - uncertainty(shares).astype(int)).max() <= 1
