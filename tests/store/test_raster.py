"""Reading imagery, on files that the tests make and on the awkward real ones."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.enums import ColorInterp

from terraseg.core.dataset import Imagery
from terraseg.core.window import Window
from terraseg.errors import BandMismatch, GridMismatch, UnreadableFile
from terraseg.store.header import read_facts
from terraseg.store.raster import open_raster
from tests.makers import make_grid, make_pixels, make_raster

RGB = ("red", "green", "blue")
REAL = Path(__file__).parents[3] / "shared" / "data"
needs_data = pytest.mark.skipif(not REAL.exists(), reason="the shared real imagery is not there")


def test_what_is_written_is_read_back_with_its_header(tmp_path: Path) -> None:
    grid = make_grid()
    path = make_raster(tmp_path / "a.tif", grid, bands=("red", "nir"), dtype="uint16", nodata=0)
    facts = read_facts(path)
    assert facts.grid == grid
    assert (facts.bands, facts.dtype, facts.nodata, facts.has_alpha) == (("red", "nir"), "uint16", 0, False)
    with open_raster(Imagery((str(path),), ("red", "nir"))) as raster:
        assert (raster.read(grid.window).pixels == make_pixels(grid, 2, dtype="uint16")).all()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 63), st.integers(0, 95), st.integers(1, 64), st.integers(1, 96))
def test_a_window_is_the_same_part_of_the_whole(
    tmp_path_factory: pytest.TempPathFactory, r: int, c: int, h: int, w: int
) -> None:
    grid = make_grid()
    path = tmp_path_factory.getbasetemp() / "window.tif"
    if not path.exists():
        make_raster(path, grid)
    window = Window(r, c, h, w).intersection(grid.window)
    with open_raster(Imagery((str(path),), RGB)) as raster:
        whole, part = raster.read(grid.window), raster.read(window)
    rows, cols = window.slices
    assert (whole.pixels[:, rows, cols] == part.pixels).all()


def test_one_file_a_band_is_stacked_in_the_order_of_the_bands(tmp_path: Path) -> None:
    grid = make_grid()
    pixels = make_pixels(grid, 2)
    for name, band in zip(("nir", "red"), pixels, strict=True):
        make_raster(tmp_path / f"{name}.tif", grid, bands=(name,), pixels=band[None])
    paths = tuple(str(tmp_path / f"{name}.tif") for name in ("nir", "red"))
    with open_raster(Imagery(paths, ("nir", "red"))) as raster:
        assert (raster.read(grid.window).pixels == pixels).all()


def test_files_of_one_scene_must_share_a_grid(tmp_path: Path) -> None:
    one = make_raster(tmp_path / "one.tif", make_grid(32, 32), bands=("red",))
    other = make_raster(tmp_path / "other.tif", make_grid(32, 40), bands=("nir",))
    with pytest.raises(GridMismatch, match="must share size"):
        open_raster(Imagery((str(one), str(other)), ("red", "nir")))


def test_bands_are_found_by_their_names(tmp_path: Path) -> None:
    grid = make_grid()
    path = make_raster(tmp_path / "a.tif", grid, bands=("blue", "green", "red", "nir"))
    with open_raster(Imagery((str(path),), ("red", "nir"))) as raster:
        assert (raster.read(grid.window).pixels == make_pixels(grid, 4)[[2, 3]]).all()


def test_a_wrong_band_count_is_refused_with_both_lists(tmp_path: Path) -> None:
    path = make_raster(tmp_path / "a.tif", bands=("a", "b"))
    with pytest.raises(BandMismatch, match=r"2 bands \(a, b\) where 3 are expected \(red, green, blue\)"):
        open_raster(Imagery((str(path),), RGB))


def test_alpha_marks_validity_and_is_no_band(tmp_path: Path) -> None:
    grid = make_grid()
    pixels = make_pixels(grid, 4)
    pixels[3] = 255
    pixels[3, :10] = 0
    path = make_raster(tmp_path / "a.tif", grid, bands=(*RGB, "alpha"), pixels=pixels)
    assert read_facts(path).bands == RGB
    with open_raster(Imagery((str(path),), RGB)) as raster:
        patch = raster.read(grid.window)
    assert patch.pixels.shape[0] == 3
    assert not patch.valid[:10].any()
    assert patch.valid[10:].all()


def test_a_pixel_is_nodata_only_where_every_band_is(tmp_path: Path) -> None:
    grid = make_grid()
    pixels = make_pixels(grid)
    pixels[0, 0, 0] = 0
    pixels[:, 1, 1] = 0
    path = make_raster(tmp_path / "a.tif", grid, pixels=pixels, nodata=0)
    with open_raster(Imagery((str(path),), RGB)) as raster:
        valid = raster.read(grid.window).valid
    assert valid[0, 0]
    assert not valid[1, 1]
    assert valid.sum() == valid.size - 1


def test_nodata_can_be_said_by_the_user(tmp_path: Path) -> None:
    grid = make_grid()
    pixels = make_pixels(grid)
    pixels[:, :, :5] = 0
    path = make_raster(tmp_path / "a.tif", grid, pixels=pixels)
    with open_raster(Imagery((str(path),), RGB)) as plain, open_raster(Imagery((str(path),), RGB, 0)) as told:
        assert plain.read(grid.window).valid.all()
        assert not told.read(grid.window).valid[:, :5].any()


def test_a_pixel_that_is_not_a_number_is_not_valid(tmp_path: Path) -> None:
    grid = make_grid()
    pixels = make_pixels(grid, dtype="float32")
    pixels[1, 3, 4] = np.nan
    pixels[2, 5, 6] = np.inf
    path = make_raster(tmp_path / "a.tif", grid, pixels=pixels, dtype="float32")
    with open_raster(Imagery((str(path),), RGB)) as raster:
        valid = raster.read(grid.window).valid
    assert [tuple(place) for place in np.argwhere(~valid)] == [(3, 4), (5, 6)]


def test_an_overview_keeps_the_mean_and_the_shape(tmp_path: Path) -> None:
    grid = make_grid(200, 400)
    path = make_raster(tmp_path / "a.tif", grid)
    with open_raster(Imagery((str(path),), RGB)) as raster:
        patch = raster.read_overview(100)
    assert patch.pixels.shape == (3, 50, 100)
    assert patch.pixels.mean() == pytest.approx(make_pixels(grid).mean(), abs=1)


def test_a_window_outside_is_our_own_mistake(tmp_path: Path) -> None:
    path = make_raster(tmp_path / "a.tif")
    with open_raster(Imagery((str(path),), RGB)) as raster, pytest.raises(ValueError, match="does not lie inside"):
        raster.read(Window(-1, 0, 8, 8))


def test_a_missing_file_is_named() -> None:
    with pytest.raises(UnreadableFile, match=r"nowhere\.tif does not exist"):
        read_facts("nowhere.tif")


def test_a_file_that_is_no_raster_is_named(tmp_path: Path) -> None:
    path = tmp_path / "text.tif"
    path.write_text("no raster")
    with pytest.raises(UnreadableFile, match=r"text.tif cannot be read .*export or download it again"):
        read_facts(path)


def test_a_file_cut_short_is_refused_on_reading(tmp_path: Path) -> None:
    grid = make_grid(512, 512)
    path = make_raster(tmp_path / "a.tif", grid)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    def read() -> None:
        with open_raster(Imagery((str(path),), RGB)) as raster:
            raster.read(grid.window)

    with pytest.raises(UnreadableFile, match=r"a.tif"):
        read()


def test_an_undeclared_alpha_band_is_recognised(tmp_path: Path) -> None:
    grid = make_grid()
    pixels = make_pixels(grid, 4)
    pixels[3] = 255
    path = make_raster(tmp_path / "a.tif", grid, bands=(*RGB, ""), pixels=pixels)
    facts = read_facts(path)
    assert facts.has_alpha
    assert facts.bands == RGB


def test_a_fourth_band_with_other_values_is_a_channel(tmp_path: Path) -> None:
    path = make_raster(tmp_path / "a.tif", bands=(*RGB, ""))
    facts = read_facts(path)
    assert not facts.has_alpha
    assert facts.bands == (*RGB, "nir")


def write_plain(path: Path, pixels: np.ndarray, **interpretation: tuple[ColorInterp, ...]) -> Path:
    """A GeoTIFF without descriptions."""
    count, height, width = pixels.shape
    profile = {"driver": "GTiff", "count": count, "height": height, "width": width, "dtype": str(pixels.dtype)}
    transform = rasterio.Affine(*make_grid().transform)
    with rasterio.open(path, "w", **profile, crs="EPSG:32637", transform=transform) as dataset:
        dataset.write(pixels)
        if interpretation:
            dataset.colorinterp = interpretation["colors"]
    return path


def test_bands_are_named_by_their_colours_in_any_order(tmp_path: Path) -> None:
    """A file in the order blue, green, red must not be read as red, green, blue."""
    grid = make_grid()
    pixels = make_pixels(grid)
    colors = (ColorInterp.blue, ColorInterp.green, ColorInterp.red)
    path = write_plain(tmp_path / "bgr.tif", pixels, colors=colors)
    facts = read_facts(path)
    assert (facts.bands, facts.named, facts.channels) == (("blue", "green", "red"), True, (1, 2, 3))
    with open_raster(Imagery((str(path),), RGB)) as raster:
        assert (raster.read(grid.window).pixels == pixels[::-1]).all()


def test_bands_without_names_are_numbered(tmp_path: Path) -> None:
    facts = read_facts(write_plain(tmp_path / "a.tif", make_pixels(make_grid(), 5, dtype="uint16")))
    assert (facts.bands, facts.named) == (tuple(f"band_{n}" for n in range(1, 6)), False)


def test_told_channels_are_read_whatever_they_are_called(tmp_path: Path) -> None:
    grid = make_grid()
    pixels = make_pixels(grid, 5)
    one = make_raster(tmp_path / "a.tif", grid, bands=("a", "b", "c", "d", "e"), pixels=pixels)
    other = make_raster(tmp_path / "b.tif", grid, bands=("x", "y"), pixels=pixels[3:])
    imagery = Imagery((str(one),), ("red", "nir"), None, (5, 2))
    assert Imagery.from_json(imagery.to_json()) == imagery
    with open_raster(imagery) as raster:
        assert (raster.read(grid.window).pixels == pixels[[4, 1]]).all()
    with open_raster(Imagery((str(one), str(other)), ("red", "nir"), None, (1, 2))) as raster:
        assert (raster.read(grid.window).pixels == pixels[[0, 4]]).all()
    with pytest.raises(BandMismatch, match="has 2 bands, and band 3 is asked for"):
        open_raster(Imagery((str(one), str(other)), ("red", "nir"), None, (1, 3)))


@needs_data
def test_real_mosaics_agree_with_gdal_on_their_valid_pixels() -> None:
    path = REAL / "oam-buildings/scenes/kathmandu_1.tif"
    with open_raster(Imagery((str(path),), RGB)) as raster, rasterio.open(path) as dataset:
        patch = raster.read(raster.grid.window)
        assert ((dataset.read(4) > 0) == patch.valid).all()
        assert (dataset.read([1, 2, 3]) == patch.pixels).all()


@needs_data
def test_external_masks_are_honoured() -> None:
    path = REAL / "tricky/rasterio/RGB2.byte.tif"
    with open_raster(Imagery((str(path),), RGB)) as raster, rasterio.open(path) as dataset:
        assert (raster.read(raster.grid.window).valid == (dataset.read_masks(1) > 0)).all()
