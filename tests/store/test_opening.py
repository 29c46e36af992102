"""Where rasters lie, and what is refused as soon as a file is open."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st

from terraseg.core.dataset import Imagery
from terraseg.core.grid import Grid
from terraseg.errors import BandMismatch, UnreadableFile
from terraseg.shapes.ground import same_crs
from terraseg.store.features import read_polygons
from terraseg.store.header import read_facts
from terraseg.store.opening import MOST_BANDS, grid_of, open_dataset, placement_of
from terraseg.store.raster import open_raster
from tests.awkward import turned, write_points, write_tiff
from tests.makers import make_grid, make_pixels

MARS = rasterio.CRS.from_user_input("+proj=longlat +a=3396190 +b=3376200 +no_defs").to_wkt()


@settings(max_examples=20, deadline=None)
@given(
    angle=st.floats(-170, 170),
    stretch=st.floats(0.4, 2.5),
    flip=st.booleans(),
    place=st.sampled_from([("EPSG:32637", 0.5), ("EPSG:4326", 1e-5), ("EPSG:3857", 2.0), (MARS, 1e-4)]),
)
def test_a_transform_of_any_kind_is_kept(
    tmp_path_factory: pytest.TempPathFactory, angle: float, stretch: float, flip: bool, place: tuple[str, float]
) -> None:
    crs, size = place
    grid = turned(Grid(crs, (size, 0.0, 37.0, 0.0, -size, 36.0), 20, 30), angle, stretch=stretch, flip=flip)
    path = write_tiff(tmp_path_factory.mktemp("t") / "a.tif", make_pixels(grid, 1), grid)
    facts = read_facts(path)
    assert facts.notes == ()
    assert np.allclose(facts.grid.transform, grid.transform, rtol=1e-12)
    assert same_crs(facts.grid.crs, grid.crs)
    assert facts.grid.pixel_size_m is not None
    height, width = facts.grid.pixel_size_m
    assert 0.25 < height / width < 4 or "4326" in crs or crs == MARS


@pytest.mark.parametrize("crs", ["EPSG:32637", "EPSG:4326"])
def test_control_points_place_every_pixel_to_under_half_of_one(tmp_path: Path, crs: str) -> None:
    """Two bands hold the map coordinates of their own pixels, so that each tells how far off it is read."""
    size = 0.5 if crs == "EPSG:32637" else 5e-6
    grid = turned(Grid(crs, (size, 0.0, 37.0, 0.0, -size, 36.0), 60, 90), 25.0)
    rows, cols = np.mgrid[0:60, 0:90] + 0.5
    path = write_points(tmp_path / "a.tif", np.array(grid.to_map(rows, cols)).astype("float64"), grid)
    with open_raster(Imagery((str(path),), ("band_1", "band_2"))) as raster:
        patch = raster.read(raster.grid.window)
        found = raster.grid
        (note,) = raster.notes
    assert found.crs == crs
    assert "a.tif has no transform and is placed by its 25 ground control points: it is warped" in note
    own = np.array(found.to_map(*(np.mgrid[0 : found.height, 0 : found.width] + 0.5)))
    off = np.hypot(*(patch.pixels - own))[patch.valid] / size
    assert patch.valid.mean() > 0.3
    assert np.quantile(off, 0.9) < 0.05
    assert off.max() < 0.5


def test_a_transform_goes_before_control_points(tmp_path: Path) -> None:
    grid = make_grid()
    path = write_points(tmp_path / "a.tif", make_pixels(grid), grid)
    with rasterio.open(path) as dataset:
        assert placement_of(dataset) is not None
    placed = write_tiff(tmp_path / "b.tif", make_pixels(grid), grid)
    with open_dataset(placed) as dataset:
        assert placement_of(dataset) is None
        assert grid_of(dataset) == grid


def test_class_rasters_are_warped_without_mixing_their_values(tmp_path: Path) -> None:
    grid = turned(make_grid(), 20.0)
    stripes = np.where(np.indices((grid.height, grid.width)).sum(axis=0) % 7 < 3, 10, 200).astype("uint8")
    with open_dataset(write_points(tmp_path / "a.tif", stripes[None], grid)) as dataset:
        values = dataset.read(1)[dataset.read(2) > 0]
    assert set(np.unique(values).tolist()) == {10, 200}


def test_a_crs_without_a_place_is_no_place(tmp_path: Path) -> None:
    """Its corner would lie at 0, 0 and its pixels be one degree wide."""
    path = tmp_path / "a.tif"
    write_tiff(path, make_pixels(make_grid()), crs="EPSG:4326")
    facts = read_facts(path)
    assert facts.grid.crs is None
    assert facts.notes == ("a.tif names a CRS and no place in it: it is read as a picture without a place",)


def test_degrees_that_are_none_are_refused(tmp_path: Path) -> None:
    grid = Grid("EPSG:4326", (10.0, 0.0, 500_000.0, 0.0, -10.0, 4_000_000.0), 20, 30)
    path = write_tiff(tmp_path / "a.tif", make_pixels(grid), grid)
    with pytest.raises(UnreadableFile, match=r"a\.tif says that it lies at 500,000 to .* which is nowhere: .* -a_srs"):
        read_facts(path)


@pytest.mark.parametrize("top", [90.25, 90.0, -89.0])
def test_the_whole_earth_and_beyond_the_antimeridian_are_somewhere(tmp_path: Path, top: float) -> None:
    height = 361 if top > 0 else 2
    grid = Grid("EPSG:4326", (0.5, 0.0, 170.0, 0.0, -0.5, top), height, 60)
    facts = read_facts(write_tiff(tmp_path / "a.tif", make_pixels(grid, 1), grid))
    assert facts.grid == grid
    assert facts.grid.gsd_m is not None


def test_where_a_planet_is_seen_from_space_the_middle_of_nothing_has_no_size() -> None:
    view = "+proj=geos +h=35785831 +lon_0=0 +sweep=y +ellps=WGS84"
    disc = Grid(view, (20_000.0, 0.0, -5_400_000.0, 0.0, -20_000.0, 5_400_000.0), 540, 540)
    assert disc.pixel_size_m is not None
    corner = Grid(view, (20_000.0, 0.0, -5_400_000.0, 0.0, -20_000.0, 5_400_000.0), 10, 10)
    assert corner.pixel_size_m is None
    assert corner.gsd_m is None


@pytest.mark.parametrize("count", [MOST_BANDS + 1, 60_000, 100_000])
def test_a_file_of_very_many_bands_is_refused_at_once(tmp_path: Path, count: int) -> None:
    (tmp_path / "a.bin").write_bytes(bytes(count))
    (tmp_path / "a.hdr").write_text(
        f"ENVI\nsamples = 1\nlines = 1\nbands = {count}\nheader offset = 0\nfile type = ENVI Standard\n"
        "data type = 1\ninterleave = bsq\nbyte order = 0\n"
    )
    with pytest.raises(
        (BandMismatch, UnreadableFile), match=r"a\.bin (has [\d,]+ bands, where at most|cannot be read)"
    ):
        read_facts(tmp_path / "a.bin")


@pytest.mark.parametrize("name", ["x" * 400 + ".tif", "a\0b.tif"])
def test_a_name_that_no_file_can_have_is_of_none(tmp_path: Path, name: str) -> None:
    with pytest.raises(UnreadableFile, match="does not exist"):
        read_facts(tmp_path / name)
    with pytest.raises(UnreadableFile, match="does not exist"):
        read_polygons(tmp_path / name)


def test_a_crs_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    view = "+proj=tmerc +lon_0=11 +k=0.9997 +ellps=bessel"
    write_tiff(path, make_pixels(make_grid()), Grid(view, make_grid().transform, 64, 96))
    assert b"unknown|" in path.read_bytes()
    path.write_bytes(path.read_bytes().replace(b"unknown|", b"unk\xff\xb1wn|"))
    with pytest.raises(UnreadableFile, match=r"a\.tif cannot be read .*the file is damaged"):
        read_facts(path)
