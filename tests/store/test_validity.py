"""One mask of valid pixels per raster, which is GDAL's own wherever GDAL knows better than to trust a number."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from terraseg.core.dataset import Imagery
from terraseg.store.raster import open_raster
from terraseg.store.validity import equal
from tests.awkward import (
    MASKINGS,
    RGB,
    band_nodata_vrt,
    hole,
    turned,
    write_masked,
    write_palette,
    write_points,
    write_tiff,
)
from tests.makers import make_grid, make_pixels


def valid_of(path: Path, bands: tuple[str, ...] = RGB, **how: Any) -> NDArray[np.bool_]:
    with open_raster(Imagery((str(path),), bands, **how)) as raster:
        return raster.read(raster.grid.window).valid


def gdal_mask(path: Path) -> NDArray[np.bool_]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with rasterio.open(path) as dataset:
            return np.asarray(dataset.dataset_mask() > 0)


@pytest.mark.parametrize("how", MASKINGS)
def test_every_way_to_mask_a_pixel_is_honoured(tmp_path: Path, how: str) -> None:
    grid = make_grid()
    path = write_masked(tmp_path / "a.tif", make_pixels(grid), hole(grid), how, grid)
    assert (valid_of(path) == hole(grid)).all()
    assert (tmp_path / "a.tif.msk").exists() == (how == "external mask")


@settings(max_examples=40, deadline=None)
@given(
    data=st.data(),
    dtype=st.sampled_from(["uint8", "int8", "int16", "uint16", "int32", "uint32", "float32", "float64"]),
    nodata=st.sampled_from([0.0, 1.0, 2.0, -1.0, 255.0, 1e30, -3.4e38, float("nan"), 0.5]),
    bands=st.integers(1, 4),
)
def test_the_mask_is_the_one_of_gdal_less_what_no_sensor_measures(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, dtype: str, nodata: float, bands: int
) -> None:
    """Pixels of few values, so that nodata stands in some, in all or in none of the bands of a pixel."""
    kind = np.dtype(dtype)
    fits = kind.kind == "f" or (not np.isnan(nodata) and np.iinfo(kind).min <= nodata <= np.iinfo(kind).max)
    declared = nodata if fits and (kind.kind == "f" or nodata == int(nodata)) else None
    values = [v for v in (0, 1, 2, declared) if v is not None]
    pixels = data.draw(hnp.arrays(kind, (bands, 4, 6), elements=st.sampled_from([kind.type(v).item() for v in values])))
    path = write_tiff(
        tmp_path_factory.mktemp("v") / "a.tif", pixels, make_grid(4, 6), nodata=declared, photometric="minisblack"
    )
    names = tuple(f"band_{n}" for n in range(1, bands + 1))
    expected = gdal_mask(path)
    if kind.kind == "f":
        expected &= np.isfinite(pixels).all(axis=0)
    if declared is not None and not np.isnan(declared) and not 0 <= declared <= 65_535:
        expected &= (pixels != kind.type(declared)).all(axis=0)
    assert (valid_of(path, names) == expected).all()


def test_bands_that_are_not_read_count_in_the_mask(tmp_path: Path) -> None:
    """Red alone is 0, and the pixel is imagery: the mask is of the raster, not of the bands that a model wants."""
    pixels = np.ones((3, 4, 4), dtype=np.uint8)
    pixels[0, 1, 1] = 0
    pixels[:, 2, 2] = 0
    path = write_tiff(tmp_path / "a.tif", pixels, make_grid(4, 4), nodata=0, photometric="rgb")
    assert np.argwhere(~valid_of(path, ("red",))).tolist() == [[2, 2]]


def test_each_band_may_have_its_own_nodata(tmp_path: Path) -> None:
    pixels = np.full((3, 2, 4), 9, dtype=np.uint8)
    pixels[:, 0, 0] = (1, 2, 3)
    pixels[:, 0, 1] = (1, 2, 2)
    pixels[:, 0, 2] = (1, 1, 1)
    source = write_tiff(tmp_path / "a.tif", pixels, make_grid(2, 4), photometric="rgb")
    path = band_nodata_vrt(tmp_path / "a.vrt", source, (1, 2, 3))
    assert np.argwhere(~valid_of(path)).tolist() == [[0, 0]]
    partly = band_nodata_vrt(tmp_path / "b.vrt", source, (1, 2, None))
    assert valid_of(partly).all()
    assert (gdal_mask(partly)).all()


def test_alpha_decides_alone_over_declared_nodata(tmp_path: Path) -> None:
    """A black roof on an opaque pixel is imagery, whatever value is declared; what the user says counts as well."""
    grid = make_grid(4, 4)
    pixels = np.full((4, 4, 4), 255, dtype=np.uint8)
    pixels[:3, 0] = 0
    pixels[3, 3] = 0
    path = write_masked(tmp_path / "a.tif", pixels[:3], pixels[3] > 0, "alpha", grid)
    with rasterio.open(path, "r+") as dataset:
        dataset.nodata = 0
    assert np.argwhere(~valid_of(path)).tolist() == [[3, c] for c in range(4)]
    assert np.argwhere(~valid_of(path, nodata=0)).tolist() == [[r, c] for r in (0, 3) for c in range(4)]


def test_black_pixels_are_imagery_unless_something_says_otherwise(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", np.zeros((3, 4, 4), np.uint8), make_grid(4, 4), photometric="rgb")
    assert valid_of(path).all()
    assert not valid_of(path, nodata=0).any()


def test_a_nodata_that_no_sensor_measures_takes_the_pixel_with_it(tmp_path: Path) -> None:
    """-9999 in one band of three is no brightness: it would spoil every mean."""
    pixels = np.ones((3, 2, 2), dtype=np.int16)
    pixels[1, 0, 0] = -9999
    path = write_tiff(tmp_path / "a.tif", pixels, make_grid(2, 2), nodata=-9999)
    assert np.argwhere(~valid_of(path, ("band_1", "band_2", "band_3"))).tolist() == [[0, 0]]
    assert valid_of(path, ("band_1", "band_2", "band_3"), nodata=5).all()


def test_clear_entries_of_a_colour_table_are_not_valid(tmp_path: Path) -> None:
    entries = np.array([[0, 1], [2, 1]], dtype=np.uint8)
    table = {0: (9, 9, 9, 0), 1: (1, 2, 3, 255), 2: (4, 5, 6, 255)}
    assert valid_of(write_palette(tmp_path / "a.png", entries, table, driver="PNG")).tolist() == [
        [False, True],
        [True, True],
    ]
    named = write_palette(tmp_path / "b.tif", entries, table, nodata=2)
    assert valid_of(named).tolist() == [[True, True], [False, True]]


def test_ground_that_a_warp_does_not_reach_is_not_valid(tmp_path: Path) -> None:
    """The mask of a raster placed by control points: its collar, and its own nodata pulled along."""
    grid = make_grid(40, 60)
    pixels = make_pixels(grid)
    pixels[:, 10:20, 10:20] = 0
    path = write_points(tmp_path / "a.tif", pixels, grid, nodata=0)
    names = ("band_1", "band_2", "band_3")
    with open_raster(Imagery((str(path),), names)) as raster:
        valid = raster.read(raster.grid.window).valid
        rows, cols = np.mgrid[0 : raster.grid.height, 0 : raster.grid.width] + 0.5
        source = np.floor(grid.to_pixel(*raster.grid.to_map(rows, cols))).astype(int)
    inside = ((source >= 0) & (source < np.array([40, 60])[:, None, None])).all(axis=0)
    middle = np.where(inside, (pixels != 0).any(axis=0)[tuple(np.clip(source, 0, [[[39]], [[59]]]))], False)
    assert (valid != middle).mean() < 0.03
    told = write_points(tmp_path / "b.tif", pixels, grid)
    assert (valid_of(told, names, nodata=0) == valid).all()


def test_no_nodata_is_mixed_into_its_neighbours_by_a_warp(tmp_path: Path) -> None:
    """-9999 in one band of two, on a turned raster: a mean with it would be a number that nobody declared."""
    grid = turned(make_grid(40, 60), 20.0)
    pixels = np.full((2, 40, 60), 100, dtype=np.int16)
    pixels[1, 10:20, 10:20] = -9999
    path = write_points(tmp_path / "a.tif", pixels, grid, nodata=-9999)
    with open_raster(Imagery((str(path),), ("band_1", "band_2"))) as raster:
        patch = raster.read(raster.grid.window)
    assert set(np.unique(patch.pixels[:, patch.valid]).tolist()) == {100}
    share = (
        patch.valid.sum()
        * abs(np.linalg.det(np.reshape(raster.grid.transform, (2, 3))[:, :2]))
        / grid.pixel_size[0] ** 2
    )
    assert share == pytest.approx(40 * 60 - 100, rel=0.02)


@pytest.mark.parametrize(("stored", "nodata", "same"), [
    (np.float32(-3.4e38), -3.3999999521443642e38, True),
    (np.float32(-3.4e38), -3.4e38, True),
    (np.float32(np.inf), np.inf, True),
    (np.float32(np.inf), 1e300, False),
    (np.float64(0.1), 0.1, True),
    (np.uint8(0), -0.5, False),
    (np.int8(-128), -128.0, True),
])  # fmt: skip
def test_numbers_are_compared_in_their_own_type(stored: Any, nodata: float, same: bool) -> None:
    assert bool(equal(np.array([[stored]]), nodata)[0, 0]) is same
