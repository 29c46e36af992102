"""What a model keeps of its training imagery's look: quantiles, colours, the size and shape of pixels."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from terraseg.core.dataset import Dataset, Imagery, LabelRule, Scene
from terraseg.core.grid import Grid
from terraseg.core.imagery import QUANTILES, ImageryFacts
from terraseg.pixels.statistics import cell_shares
from terraseg.prepare.fingerprint import band_facts
from tests.makers import LAND_AND_ROOF, make_grid, make_raster

RGB = ("red", "green", "blue")


def look(tmp_path: Path, pixels: NDArray[np.uint8], *grids: Grid, bands: tuple[str, ...] = RGB) -> ImageryFacts:
    scenes = []
    for number, grid in enumerate(grids):
        path = make_raster(tmp_path / f"{number}.tif", grid, bands=bands, pixels=pixels, nodata=0)
        scenes.append(Scene(str(number), Imagery((str(path),), bands), "x", "x", grid, (grid.window,)))
    dataset = Dataset(tuple(scenes), LAND_AND_ROOF, LabelRule("ids", (("0",), ("1",))), bands, "uint8")
    _, facts = band_facts(dataset, [(scene, scene.grid.window) for scene in scenes])
    return facts


def warm(height: int, width: int) -> NDArray[np.uint8]:
    """Red in three pixels of four above blue."""
    pixels = np.random.default_rng(1).integers(10, 250, (3, height, width)).astype(np.uint8)
    pixels[2] = np.where(np.random.default_rng(2).random((height, width)) < 0.75, pixels[0] - 5, pixels[0] + 5)
    return pixels


def test_quantiles_are_those_of_the_valid_pixels(tmp_path: Path) -> None:
    pixels = warm(300, 200)
    pixels[:, :100] = 0
    facts = look(tmp_path, pixels, make_grid(300, 200))
    expected = np.percentile(pixels[:, 100:].reshape(3, -1), QUANTILES, axis=1).T
    assert np.allclose(facts.quantiles, expected, atol=1)
    assert facts.at(50) == tuple(band[3] for band in facts.quantiles)


def test_colours_are_kept_where_bands_are_named_and_cells_are_many(tmp_path: Path) -> None:
    pixels = warm(256 * 5, 256 * 5)
    facts = look(tmp_path, pixels, make_grid(256 * 5, 256 * 5))
    assert facts.red_over_blue is not None
    assert np.allclose(facts.red_over_blue, 0.75, atol=0.02)
    few = look(tmp_path, pixels[:, :256, :256], make_grid(256, 256))
    assert few.red_over_blue is None
    assert look(tmp_path, pixels, make_grid(256 * 5, 256 * 5), bands=("a", "b", "c")).red_over_blue is None


def test_the_range_and_the_shape_of_pixels_are_those_on_the_ground(tmp_path: Path) -> None:
    pixels = warm(64, 64)
    facts = look(tmp_path, pixels, make_grid(64, 64, gsd=0.5), make_grid(64, 64, gsd=2.0))
    assert facts.gsd_range_m == pytest.approx((0.5, 2.0), rel=1e-3)
    assert facts.aspect == pytest.approx(1, abs=1e-3)
    degrees = Grid("EPSG:4326", (1e-5, 0, 10, 0, -1e-5, 60), 64, 64)
    assert look(tmp_path, pixels, degrees).aspect == pytest.approx(0.5, abs=0.01)
    nowhere = look(tmp_path, pixels, make_grid(64, 64, crs=None))
    assert (nowhere.gsd_range_m, nowhere.aspect) == (None, 1.0)


def test_cells_are_counted_on_valid_pixels_and_the_emptier_ones_left_out() -> None:
    one, other = np.full((4, 4), 2), np.full((4, 4), 1)
    other[:, 2:] = 3
    valid = np.ones((4, 4), dtype=np.bool_)
    valid[:2, :2] = False
    assert cell_shares(one, other, valid, side=2) == [0.0, 1.0, 0.0]
    assert cell_shares(one, one, valid, side=4) == [0.5]


def test_quantiles_must_rise() -> None:
    with pytest.raises(ValueError, match="rising"):
        ImageryFacts(((3.0, 2.0, 1.0, 0.0, 1.0, 2.0, 3.0),))
