"""Imagery of another pixel size: when it is resampled, to what, and that the map is as of a resampled file."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from terraseg.core.dataset import Imagery
from terraseg.core.grid import Grid
from terraseg.core.imagery import ImageryFacts
from terraseg.core.scale import Scale
from terraseg.errors import GridMismatch
from terraseg.pixels.resample import resampled
from terraseg.predict.options import InputOptions, PredictOptions
from terraseg.predict.ready import made_ready
from terraseg.predict.resampling import plan_scale, rescaled
from terraseg.predict.sweep import predict_raster
from terraseg.store.classmap import read_class_map
from tests.makers import PointScorer, make_grid, make_raster, make_spec

FACTS = ImageryFacts(((0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0),) * 3)


@pytest.mark.parametrize("gsd", [0.475, 0.5, 0.53])
def test_a_little_difference_is_left_alone(gsd: float) -> None:
    assert plan_scale(make_spec(), make_grid(gsd=gsd)) is None


@pytest.mark.parametrize(
    ("gsd", "factor"),
    [(0.25, 2), (1.0, Fraction(1, 2)), (0.2, Fraction(5, 2)), (0.75, Fraction(2, 3)), (0.44, Fraction(8, 7))],
)
def test_any_other_size_is_resampled(gsd: float, factor: Fraction) -> None:
    assert plan_scale(make_spec(), make_grid(gsd=gsd)) == Scale(Fraction(factor), Fraction(factor))


def test_nothing_is_resampled_where_a_size_is_unknown() -> None:
    assert plan_scale(make_spec(gsd_m=None), make_grid(gsd=30.0)) is None
    assert plan_scale(make_spec(), make_grid(crs=None)) is None


def test_pixels_in_degrees_are_measured_on_the_ground_along_both_axes() -> None:
    """At 60 degrees north a square in degrees is half as wide as it is high."""
    side = 1 / 111_412
    grid = Grid("EPSG:4326", (side, 0, 10, 0, -side, 60), 100, 100)
    scale = plan_scale(make_spec(gsd_m=1.0), grid)
    assert scale is not None
    assert float(scale.rows) == pytest.approx(1.0, abs=0.02)
    assert float(scale.cols) == pytest.approx(2.0, abs=0.05)
    trained_alike = make_spec(gsd_m=np.sqrt(0.5), imagery=replace(FACTS, aspect=0.5))
    assert plan_scale(trained_alike, grid) is None


def test_a_raster_like_a_training_scene_is_brought_to_the_model_s_size_as_that_was_however_far() -> None:
    spec = make_spec(gsd_m=0.5, imagery=replace(FACTS, gsd_range_m=(0.05, 2.0)))
    assert plan_scale(spec, make_grid(gsd=0.05)) == Scale(Fraction(10), Fraction(10))
    assert plan_scale(spec, make_grid(gsd=2.0)) == Scale(Fraction(1, 4), Fraction(1, 4))
    with pytest.raises(GridMismatch):
        plan_scale(spec, make_grid(gsd=0.04))


@pytest.mark.parametrize(("gsd", "cure"), [(10.0, "pass finer imagery"), (0.05, r"gdalwarp -tr 0\.5 0\.5 -r average")])
def test_a_size_too_far_away_is_refused_with_the_cure(gsd: float, cure: str) -> None:
    with pytest.raises(GridMismatch, match=f"factor of more than 8: .*{cure}.*--resample off"):
        plan_scale(make_spec(), make_grid(gsd=gsd))


@settings(deadline=None)
@given(st.floats(1.5, 8.0), st.booleans(), st.sampled_from([64, 256, 512]), st.sampled_from([1, 8, 32]))
def test_tiles_of_both_sizes_line_up(factor: float, is_finer: bool, tile: int, stride: int) -> None:
    grid = make_grid(gsd=0.5 / factor if is_finer else 0.5 * factor)
    spec = replace(make_spec(), tile=tile, overlap=tile // 4, stride=stride)
    scale = plan_scale(spec, grid)
    assert scale is not None
    own = rescaled(PointScorer(spec), scale, grid.gsd_m).spec
    assert 0 <= own.overlap < own.tile <= max(1024, tile)
    assert own.tile / tile <= float(scale.rows) * 1.1 + 1
    assert own.gsd_m == grid.gsd_m
    assert (own.stride / scale.rows) % stride == 0
    if own.stride <= own.tile - own.overlap:
        assert (own.tile - own.overlap) % own.stride == 0


def test_the_model_sees_its_own_pixel_size_and_type() -> None:
    scorer = PointScorer(make_spec())
    fitted = rescaled(scorer, Scale(Fraction(2), Fraction(4)), 0.2)
    seen: list[NDArray[np.uint8]] = []
    inner = scorer.score
    scorer.score = lambda batch: seen.append(batch) or inner(batch)  # type: ignore[method-assign,func-returns-value]
    batch = np.random.default_rng(1).integers(0, 256, (2, 3, 64, 64), dtype=np.uint8)
    assert fitted.score(batch).shape == (2, 2, 64, 64)
    assert seen[0].dtype == np.uint8
    assert np.array_equal(seen[0], np.rint(batch.reshape(2, 3, 32, 2, 16, 4).mean(axis=(3, 5))))


def hills(grid: Grid, seed: int) -> NDArray[np.uint8]:
    """Smooth brightness with objects of some ten pixels, (3, height, width)."""
    noise = np.random.default_rng(seed).standard_normal((3, grid.height, grid.width))
    smooth = ndimage.gaussian_filter(noise, (0, 8, 8))
    return np.asarray(np.clip(60 + 40 * smooth / smooth.std(), 1, 255), dtype=np.uint8)


def mapped(path: Path, out: Path, **settings: object) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    scorer = PointScorer(make_spec())
    with made_ready(Imagery((str(path),), make_spec().bands), scorer, InputOptions(**settings)) as ready:  # type: ignore[arg-type]
        predict_raster(ready.source, ready.scorer, out, options=PredictOptions(threads=1))
        with read_class_map(out) as reader:
            assert reader.grid == ready.source.grid
            return reader.read(reader.grid.window), ready.notes


@pytest.mark.parametrize("factor", [2, 4])
def test_a_finer_raster_gives_the_map_of_the_averaged_file(tmp_path: Path, factor: int) -> None:
    fine = make_grid(320, 448, gsd=0.5 / factor)
    pixels = hills(fine, 5)
    small = np.rint(resampled(pixels[None], 320 // factor, 448 // factor)[0]).astype(np.uint8)
    coarse = make_grid(320 // factor, 448 // factor, gsd=0.5)
    found, notes = mapped(make_raster(tmp_path / "fine.tif", fine, pixels=pixels), tmp_path / "a.tif")
    expected, plain = mapped(make_raster(tmp_path / "coarse.tif", coarse, pixels=small), tmp_path / "b.tif")
    assert plain == ()
    assert "times finer than the 0.5 m" in notes[0]
    assert "on the raster's own grid" in notes[0]
    spread = expected.repeat(factor, axis=0).repeat(factor, axis=1)
    assert (found == spread).mean() > 0.95
    # Away from the borders of the classes, where the scores lie between those of two pixels, nothing differs.
    inner = ndimage.minimum_filter(spread, 2 * factor + 1) == ndimage.maximum_filter(spread, 2 * factor + 1)
    assert inner.mean() > 0.5
    assert np.array_equal(found[inner], spread[inner])


def test_a_coarser_raster_gives_the_map_of_the_enlarged_file(tmp_path: Path) -> None:
    coarse = make_grid(120, 90, gsd=1.0)
    pixels = hills(coarse, 6)
    large = np.rint(resampled(pixels[None], 240, 180)[0]).astype(np.uint8)
    fine = make_grid(240, 180, gsd=0.5)
    found, notes = mapped(make_raster(tmp_path / "coarse.tif", coarse, pixels=pixels), tmp_path / "a.tif")
    expected, _ = mapped(make_raster(tmp_path / "fine.tif", fine, pixels=large), tmp_path / "b.tif")
    assert "2 times coarser" in notes[0]
    blocks = expected.reshape(120, 2, 90, 2)
    same = (blocks == blocks[:, :1, :, :1]).all(axis=(1, 3))
    assert same.mean() > 0.8
    assert np.array_equal(found[same], blocks[:, 0, :, 0][same])


def test_resampling_can_be_switched_off(tmp_path: Path) -> None:
    grid = make_grid(100, 100, gsd=0.1)
    pixels = hills(grid, 7)
    found, notes = mapped(make_raster(tmp_path / "a.tif", grid, pixels=pixels), tmp_path / "m.tif", resample="off")
    assert notes == ()
    assert np.array_equal(found, pixels[0] > 60) or (found == (pixels[0] > 60)).mean() > 0.97


def test_nodata_comes_out_where_it_went_in(tmp_path: Path) -> None:
    grid = make_grid(200, 200, gsd=0.2)
    pixels = hills(grid, 8)
    pixels[:, 30:77, 50:121] = 0
    found, _ = mapped(make_raster(tmp_path / "a.tif", grid, pixels=pixels, nodata=0), tmp_path / "m.tif")
    assert np.array_equal(found == 255, (pixels == 0).all(axis=0))
