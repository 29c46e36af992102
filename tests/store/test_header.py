"""What a raster's values are: types, colour tables, scales, and what no model reads."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.enums import ColorInterp

from terraseg.core.dataset import Imagery
from terraseg.errors import BandMismatch
from terraseg.store.header import read_facts
from terraseg.store.raster import open_raster
from tests.awkward import RGB, write_palette, write_points, write_scaled, write_tiff
from tests.makers import make_grid, make_pixels

GRID = make_grid(6, 8)
TABLE = {0: (10, 20, 30, 255), 1: (40, 50, 60, 255), 7: (255, 0, 1, 255)}
ENTRIES = np.array([0, 1, 7, 7])[np.indices((6, 8)).sum(axis=0) % 4].astype("uint8")


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16", "int32", "uint32", "float32", "float64"])
def test_every_plain_type_is_read_as_it_is(tmp_path: Path, dtype: str) -> None:
    pixels = make_pixels(GRID, 2, dtype="uint8").astype(dtype)
    path = write_tiff(tmp_path / "a.tif", pixels, GRID)
    assert (read_facts(path).dtype, read_facts(path).notes) == (dtype, ())
    with open_raster(Imagery((str(path),), ("band_1", "band_2"))) as raster:
        read = raster.read(GRID.window)
    assert read.pixels.dtype == dtype
    assert (read.pixels == pixels).all()
    assert read.valid.all()


@pytest.mark.parametrize(("dtype", "words"), [
    ("complex64", "amplitude"), ("complex128", "amplitude"), ("int64", "at most 32 bits"), ("uint64", "at most 32 bits"),
])  # fmt: skip
def test_what_no_model_reads_is_refused_with_the_cure(tmp_path: Path, dtype: str, words: str) -> None:
    path = write_tiff(tmp_path / "a.tif", np.ones((1, 6, 8), dtype), GRID)
    with pytest.raises(BandMismatch, match=rf"a\.tif has pixels of type {dtype}, which no model reads: .*{words}"):
        read_facts(path)
    with pytest.raises(BandMismatch, match=dtype):
        open_raster(Imagery((str(path),), ("band_1",)))


def test_a_colour_table_becomes_three_bands(tmp_path: Path) -> None:
    path = write_palette(tmp_path / "a.tif", ENTRIES, TABLE)
    facts = read_facts(path)
    assert (facts.bands, facts.named, facts.dtype, facts.channels) == (RGB, True, "uint8", (1, 2, 3))
    assert facts.notes == ("a.tif is a picture with a colour table: its entries are read as red, green and blue",)
    expected = np.array([TABLE[int(v)][:3] for v in ENTRIES.ravel()]).T.reshape(3, 6, 8)
    with open_raster(Imagery((str(path),), RGB)) as raster:
        assert (raster.read(facts.grid.window).pixels == expected).all()
        seen = raster.read_overview(4).pixels.reshape(3, -1).T.tolist()
        assert {tuple(color) for color in seen} <= {color[:3] for color in TABLE.values()}
    with open_raster(Imagery((str(path),), ("blue", "red"), None, (3, 1))) as raster:
        assert (raster.read(facts.grid.window).pixels == expected[[2, 0]]).all()
    with pytest.raises(BandMismatch, match="has 3 bands, and band 4 is asked for"):
        open_raster(Imagery((str(path),), ("nir",), None, (4,)))


def test_a_table_of_plain_greys_is_one_band(tmp_path: Path) -> None:
    greys = {n: (n, n, n, 255) for n in range(256)}
    facts = read_facts(write_palette(tmp_path / "a.tif", ENTRIES, greys))
    assert (facts.bands, facts.notes) == (("band_1",), ())


def test_scale_and_offset_are_applied_band_by_band(tmp_path: Path) -> None:
    pixels = make_pixels(GRID, 2, dtype="int16")
    pixels[:, 0, 0] = 7
    path = write_scaled(tmp_path / "a.tif", pixels, GRID, (1e-4, 1.0), (-0.1, 0.0))
    facts = read_facts(path)
    assert facts.dtype == "float32"
    assert facts.notes == (
        'a.tif declares a scale for band 1: values are stored x 0.0001 + -0.1 (values = "stored" reads the numbers)',
    )
    names = ("band_1", "band_2")
    with open_raster(Imagery((str(path),), names)) as raster:
        read = raster.read(GRID.window).pixels
    assert read.dtype == np.float32
    assert np.allclose(read[0], pixels[0] * 1e-4 - 0.1, atol=1e-6)
    assert (read[1] == pixels[1]).all()
    only = Imagery((str(path),), ("band_1",), 7 * 1e-4 - 0.1, (1,))
    with open_raster(only) as raster:
        (nodata,) = raster.nodata
        assert nodata == pytest.approx(7 * 1e-4 - 0.1)


def test_a_scale_of_nothing_is_no_scale(tmp_path: Path) -> None:
    path = write_scaled(tmp_path / "a.tif", make_pixels(GRID, 1), GRID, (0.0,), (float("nan"),))
    assert (read_facts(path).dtype, read_facts(path).notes) == ("uint8", ())


def test_an_undeclared_alpha_stays_one_through_a_warp(tmp_path: Path) -> None:
    """Interpolated between 0 and 255 it would look like a fourth band."""
    pixels = make_pixels(GRID, 4)
    pixels[3] = 255
    pixels[3, :2] = 0
    colors = (*(ColorInterp[name] for name in RGB), ColorInterp.undefined)
    path = write_points(tmp_path / "a.tif", pixels, GRID, photometric="rgb")
    with rasterio.open(path, "r+") as dataset:
        dataset.colorinterp = colors
    facts = read_facts(path)
    assert facts.has_alpha
    assert facts.bands == RGB
    with open_raster(Imagery((str(path),), RGB)) as raster:
        valid = raster.read(raster.grid.window).valid
    assert not valid[0].any()
    assert valid[-1].all()
