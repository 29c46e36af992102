"""Label rasters of another grid lie on their image to the pixel that is nearest, or are refused."""

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pyproj import Transformer
from rasterio.errors import NotGeoreferencedWarning

from terraseg.core.classes import VOID, LandClass, Legend
from terraseg.core.dataset import Dataset, Imagery, LabelRule, Scene
from terraseg.core.drawing import Drawing
from terraseg.core.grid import Grid
from terraseg.core.window import Window
from terraseg.errors import GridMismatch
from terraseg.pixels.drawn import ground_shift, map_offset
from terraseg.store.header import read_facts
from terraseg.store.imagery import write_raster
from terraseg.store.labels import open_labels
from terraseg.store.placing import SWAPPED, covered_share, likely_crs
from tests.awkward import turned, write_points, write_tiff
from tests.makers import LAND_AND_ROOF, UTM, make_grid

LEGEND = Legend(tuple(LandClass(k, f"c{k}", "#112233") for k in range(6)))
RULE = LabelRule("ids", tuple((str(k),) for k in range(6)))


def scene_on(grid: Grid, labels: Path, shift: tuple[float, float] = (0.0, 0.0)) -> Scene:
    return Scene("a", Imagery(("a.tif",), ("red",)), str(labels), "a", grid, shift=shift)


def read_all(scene: Scene, rule: LabelRule = RULE) -> NDArray[np.uint8]:
    with open_labels(scene, Dataset((), LEGEND, rule, ("red",), "uint8")) as labels:
        return labels.read(scene.grid.window)


def noise(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 6, (height, width)).astype(np.uint8)


def nearest(values: NDArray[np.uint8], own: Grid, grid: Grid) -> NDArray[np.uint8]:
    """The oracle: for each pixel's centre, the label pixel that holds it; void outside."""
    rows, cols = np.mgrid[0 : grid.height, 0 : grid.width] + 0.5
    down, across = (np.floor(part).astype(int) for part in own.to_pixel(*grid.to_map(rows, cols)))
    inside = (down >= 0) & (down < own.height) & (across >= 0) & (across < own.width)
    found = values[np.clip(down, 0, own.height - 1), np.clip(across, 0, own.width - 1)]
    return np.where(inside, found, VOID).astype(np.uint8)


@settings(max_examples=25, deadline=None)
@given(
    east=st.floats(-8, 8), north=st.floats(-8, 8), scale=st.sampled_from([0.31, 0.5, 0.8, 1.0, 1.25, 2.0]),
    turn=st.sampled_from([0.0, 0.2]), seed=st.integers(0, 9),
)  # fmt: skip
def test_a_shift_and_a_scale_are_those_of_the_nearest_pixel(
    tmp_path_factory: pytest.TempPathFactory, east: float, north: float, scale: float, turn: float, seed: int
) -> None:
    grid = make_grid(40, 50)
    a = 0.5 * scale
    cosine, sine = np.cos(turn), np.sin(turn)
    own = Grid(UTM, (a * cosine, a * sine, 500_000.0 + east, a * sine, -a * cosine, 4_000_000.0 + north), 60, 60)
    own = replace(own, height=round(60 / scale), width=round(60 / scale))
    values = noise(own.height, own.width, seed)
    path = tmp_path_factory.mktemp("labels") / "l.tif"
    write_raster(path, values[None], own, ["label"])
    if covered_share(own, grid) < 0.5:
        with pytest.raises(GridMismatch, match="of its image"):
            read_all(scene_on(grid, path))
        return
    read, expected = read_all(scene_on(grid, path)), nearest(values, own, grid)
    rows, cols = np.mgrid[0:40, 0:50] + 0.5
    places = np.array(own.to_pixel(*grid.to_map(rows, cols)))
    # A centre on the border of two label pixels may go to either.
    sure = (np.abs(places - np.round(places)) > 0.02).all(axis=0)
    assert (read == expected)[sure].all()


def test_the_value_of_nodata_is_a_label_as_any_other(tmp_path: Path) -> None:
    grid = make_grid(30, 30)
    a, b, c, d, e, f = grid.transform
    own = Grid(UTM, (a, b, c + 2, d, e, f), 30, 30)
    write_raster(tmp_path / "l.tif", np.zeros((1, 30, 30), np.uint8), own, ["label"], nodata=0)
    read = read_all(scene_on(grid, tmp_path / "l.tif"))
    assert (read[:, 4:] == 0).all()
    assert (read[:, :4] == VOID).all()


def test_labels_without_a_place_are_spread_over_their_image(tmp_path: Path) -> None:
    values = noise(20, 30)
    write_raster(tmp_path / "l.tif", values[None], make_grid(20, 30, crs=None), ["label"])
    fine = read_all(scene_on(make_grid(60, 90, crs=None), tmp_path / "l.tif"))
    assert (fine == values.repeat(3, axis=0).repeat(3, axis=1)).all()
    coarse = read_all(scene_on(make_grid(10, 15), tmp_path / "l.tif"))
    assert (coarse == values[1::2, 1::2]).all()
    with pytest.raises(GridMismatch, match="20 x 30 px and its image 21 x 30 px"):
        read_all(scene_on(make_grid(21, 30, crs=None), tmp_path / "l.tif"))


def test_a_shift_without_a_crs_is_in_pixels_right_and_up(tmp_path: Path) -> None:
    values, grid = noise(40, 50), make_grid(40, 50, crs=None)
    write_raster(tmp_path / "l.tif", values[None], grid, ["label"])
    read = read_all(scene_on(grid, tmp_path / "l.tif", shift=(3.0, -5.0)))
    assert (read[5:, 3:] == values[:-5, :-3]).all()
    assert (read[:5] == VOID).all()
    assert (read[:, :3] == VOID).all()


@pytest.mark.parametrize("crs", [UTM, "EPSG:4326", "EPSG:3857", "EPSG:32737"])
def test_a_shift_in_metres_is_of_the_ground(crs: str) -> None:
    """Moved 30 m east and 40 m north, the middle of a grid is 50 m away; and the inverse brings it back."""
    lon, lat = 36.5, 40.0
    x, y = Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform(lon, lat)
    pixel = 5e-6 if crs == "EPSG:4326" else 0.5
    grid = Grid(crs, (pixel, 0.0, x, 0.0, -pixel, y), 100, 100)
    dx, dy = map_offset(grid, (30.0, 40.0))
    back = Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
    xs, ys = grid.to_map(50, 50)
    one, other = back.transform(float(xs), float(ys)), back.transform(float(xs) + dx, float(ys) + dy)
    from pyproj import Geod

    azimuth, _, length = Geod(ellps="WGS84").inv(*one, *other)
    assert length == pytest.approx(50.0, rel=1e-3)
    assert azimuth == pytest.approx(np.degrees(np.arctan2(30, 40)), abs=0.1)
    rows, cols = grid.to_pixel(float(xs) + dx, float(ys) + dy)
    assert ground_shift(grid, float(rows) - 50, float(cols) - 50) == pytest.approx((30.0, 40.0), abs=0.02)


def test_labels_of_another_place_are_refused_and_a_mislabelled_crs_is_recognised(tmp_path: Path) -> None:
    grid = make_grid(40, 50)
    wrong = replace(grid, crs="EPSG:32636")
    write_raster(tmp_path / "l.tif", noise(40, 50)[None], wrong, ["label"])
    with pytest.raises(
        GridMismatch, match=r"covers 0% of its image .* look like EPSG:32637: .*gdal_edit -a_srs EPSG:32637"
    ):
        read_all(scene_on(grid, tmp_path / "l.tif"))
    a, b, c, d, e, f = grid.transform
    aside = replace(grid, transform=(a, b, c + 15.0, d, e, f))
    write_raster(tmp_path / "m.tif", noise(40, 50)[None], aside, ["label"])
    with pytest.raises(GridMismatch, match="covers 41% of its image"):
        read_all(scene_on(grid, tmp_path / "m.tif"))


def test_a_crs_is_assumed_for_labels_that_name_none(tmp_path: Path) -> None:
    """A raster in degrees that says where it lies but not in what: with the CRS it comes to lie on its image."""
    grid = make_grid(60, 60, gsd=5.0)
    left, bottom, right, top = grid.bounds
    to_degrees = Transformer.from_crs(UTM, "EPSG:4326", always_xy=True)
    (west, south), (east, north) = to_degrees.transform(left, bottom), to_degrees.transform(right, top)
    own = Grid(None, ((east - west) / 60, 0.0, west, 0.0, (south - north) / 60, north), 60, 60)
    values = np.repeat(np.arange(6, dtype=np.uint8), 10)[None, :].repeat(60, axis=0)
    write_raster(tmp_path / "l.tif", values[None], own, ["label"])
    with pytest.raises(GridMismatch, match="look like EPSG:4326"):
        read_all(scene_on(grid, tmp_path / "l.tif"))
    rule = replace(RULE, drawing=Drawing(assume_crs="EPSG:4326"))
    read = read_all(scene_on(grid, tmp_path / "l.tif"), rule)
    assert (read[5:55, 5:55] == values[5:55, 5:55]).mean() > 0.97


def test_the_crs_that_coordinates_look_like() -> None:
    grid = make_grid(1000, 1000)
    xs, ys = grid.to_map([100, 500, 900], [100, 500, 900])
    assert likely_crs(np.column_stack([xs, ys]), "EPSG:4326", grid) == UTM
    for crs in ("EPSG:3857", "EPSG:4326", "EPSG:32636"):
        moved = np.column_stack(Transformer.from_crs(UTM, crs, always_xy=True).transform(xs, ys))
        assert likely_crs(moved, UTM, grid) == crs
    degrees = np.column_stack(Transformer.from_crs(UTM, "EPSG:4326", always_xy=True).transform(xs, ys))
    assert likely_crs(degrees[:, ::-1], "EPSG:4326", grid) == SWAPPED
    assert likely_crs(np.array([[7e6, 7e6]]), UTM, grid) is None
    assert likely_crs(np.empty((0, 2)), UTM, grid) is None


@pytest.mark.parametrize("shift", [(0.0, 0.0), (3.0, -2.0)])
@pytest.mark.parametrize("kind", ["ids", "colors"])
def test_labels_in_the_pixels_of_an_image_go_where_its_control_points_put_it(
    tmp_path: Path, kind: str, shift: tuple[float, float]
) -> None:
    """The oracle: the same labels in a file that has the turned grid as its transform."""
    grid = turned(make_grid(72, 88), 25.0)
    drawn = np.zeros((72, 88), np.uint8)
    drawn[20:45, 30:61] = 1
    content = drawn[None] if kind == "ids" else np.repeat(drawn[None] * 255, 3, axis=0)
    image = write_points(tmp_path / "image.tif", np.full((1, 72, 88), 90, np.uint8), grid)
    scene = Scene("s", Imagery((str(image),), ("band_1",)), None, "s", read_facts(image).grid, shift=shift)
    values = (("0",), ("1",)) if kind == "ids" else (("#000000",), ("#FFFFFF",))
    rule = LabelRule(kind, values)  # type: ignore[arg-type]  # one of both
    read = []
    for name, place in (("pixels", None), ("placed", grid)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            labels = write_tiff(tmp_path / f"{name}.tif", content, place)
        own = replace(scene, labels=str(labels))
        with open_labels(own, Dataset((own,), LAND_AND_ROOF, rule, ("band_1",), "uint8")) as reader:
            read.append(reader.read(own.grid.window))
            part = Window(11, 17, 40, 33)
            assert (reader.read(part) == read[-1][part.slices]).all()
    # Where a centre lies on the border of two pixels rounding decides.
    assert (read[0] != read[1]).mean() < 0.005
    assert (read[0] == 1).sum() == pytest.approx(drawn.sum(), rel=0.02)
    assert (read[0] == VOID).any()
