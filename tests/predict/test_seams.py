"""The seam score: quiet where tiles agree, loud where a model answers by the edge of what it sees."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from terraseg.core.window import Window
from terraseg.pixels.tiling import Lattice, square_lattice, tile_order
from terraseg.predict.options import PredictOptions
from terraseg.predict.seams import SeamMeter, SeamTally, tally_note, tally_of
from terraseg.predict.sweep import predict_raster
from terraseg.predict.tiles import Tile


def smooth(source: Any) -> Any:
    """The source with pixels that change slowly, as ground does."""
    blurred = ndimage.gaussian_filter(source.pixels.astype(float), (0, 5, 5))
    low, high = blurred.min(), blurred.max()
    source.pixels = ((blurred - low) / (high - low) * 255).astype(np.uint8)
    return source


def edge_bias(scorer: Any, width: int, strength: float) -> Any:
    """A scorer that likes the last class within some pixels of a tile's edge, as zero padding makes networks do."""
    plain = scorer.score

    def score(batch: NDArray[Any]) -> NDArray[np.float32]:
        scores = np.array(plain(batch))
        rows, cols = (np.minimum(np.arange(n), np.arange(n)[::-1]) for n in scores.shape[2:])
        near = np.minimum(rows[:, None], cols[None, :]) < width
        scores[:, 2][:, near] *= strength
        return np.asarray(scores / scores.sum(axis=1, keepdims=True), dtype=np.float32)

    scorer.score = score
    return scorer


@pytest.mark.parametrize("overlap", [0, 8, 16])
def test_a_model_without_bias_has_no_seams(
    tmp_path: Path, make_source: Any, make_scorer: Any, make_spec: Any, overlap: int
) -> None:
    source = smooth(make_source(300, 300))
    options = PredictOptions(tile=48, overlap=overlap)
    summary = predict_raster(source, make_scorer(make_spec()), tmp_path / "map.tif", options=options)
    assert summary.seams.score is not None
    assert summary.seams.score < 1.3
    assert not summary.seams.shows
    assert any(note.startswith("seam score") and "show in the map" not in note for note in summary.notes)


@pytest.mark.parametrize(("overlap", "width"), [(8, 4), (8, 3), (16, 8), (16, 5)])
def test_a_planted_edge_bias_is_flagged(
    tmp_path: Path, make_source: Any, make_scorer: Any, make_spec: Any, overlap: int, width: int
) -> None:
    # Tiles that fit to the pixel: of what they have to spare a bias would be cut away.
    source = smooth(make_source(368, 368))
    biased = edge_bias(make_scorer(make_spec()), width, 3.0)
    summary = predict_raster(source, biased, tmp_path / "map.tif", options=PredictOptions(tile=48, overlap=overlap))
    assert summary.seams.shows, summary.seams
    assert "the borders of tiles show in the map" in " ".join(summary.notes)
    assert "--exact" in " ".join(summary.notes)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(3, 14), st.data())
@settings(max_examples=100, deadline=None)
def test_the_meter_counts_what_a_search_over_all_pairs_counts(
    height: int, width: int, tile: int, data: st.DataObject
) -> None:
    overlap = data.draw(st.integers(0, tile - 2))
    lattice = square_lattice(height, width, tile=tile, overlap=overlap)
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    scores = {place: rng.random((3, tile, tile), dtype=np.float32) for place in tile_order(lattice.region)}
    valid = rng.random((height, width)) < 0.8
    meter = SeamMeter(lattice, None)
    for place, mine in scores.items():
        window = lattice.window(*place)
        meter.look(Tile(*place, window, mine, valid[window.slices]), mine)
    tally = meter.taken()
    shared = differing = 0
    for row, col in scores:
        for down, other in ((True, (row + 1, col)), (False, (row, col + 1))):
            if other in scores:
                for one, two in _pairs(lattice, (row, col), other, down):
                    both = valid[one] and valid[two]
                    shared += both
                    differing += both and _class(lattice, scores, (row, col), one) != _class(
                        lattice, scores, other, two
                    )
    assert (tally.shared, tally.differing) == (shared, differing)
    assert tally.changing <= tally.beside


def _pairs(lattice: Lattice, one: tuple[int, int], other: tuple[int, int], down: bool) -> Any:
    a, b = lattice.window(*one), lattice.window(*other)
    cell, axis = lattice.cell(*one), lattice.rows if down else lattice.cols
    start, stop = (b.row, a.row_stop) if down else (b.col, a.col_stop)
    if start >= stop:
        places = [(stop - 1, start)]
    else:
        border = start + (stop - start - axis.ramp) // 2
        places = sorted({(border + axis.ramp * sixteenth // 16,) * 2 for sixteenth in (4, 7, 8, 9, 12)})
    for mine, its in places:
        along = range(cell.col, cell.col_stop) if down else range(cell.row, cell.row_stop)
        for p in along:
            yield ((mine, p), (its, p)) if down else ((p, mine), (p, its))


def _class(lattice: Lattice, scores: Any, place: tuple[int, int], pixel: tuple[int, int]) -> int:
    window: Window = lattice.window(*place)
    return int(scores[place][:, pixel[0] - window.row, pixel[1] - window.col].argmax())


def test_too_few_pixels_have_no_score() -> None:
    assert SeamTally(10, 5, 10, 1).score is None
    assert SeamTally(10, 5, 10, 1).sentence() == ""


def test_calm_ground_is_no_seam() -> None:
    assert not SeamTally(100_000, 90, 100_000, 0).shows


def test_tallies_add_up_across_runs() -> None:
    one, other = SeamTally(10, 1, 20, 2, 0.1), SeamTally(1, 0, 2, 1, 0.3)
    assert tally_of([tally_note(one, 4), tally_note(other, 5)]) == (SeamTally(11, 1, 22, 3, 0.3), 9)
    assert tally_of([]) == (SeamTally(), 0)
