"""Decimating rasters block by block, and fitting pictures into a budget."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from terraseg.core.classes import LandClass, Legend
from terraseg.core.dataset import Imagery
from terraseg.core.grid import Grid
from terraseg.core.window import Window
from terraseg.errors import GridMismatch, UnknownClass
from terraseg.report import scenes
from terraseg.report.figures import shrink_classes
from terraseg.report.scenes import MappedScene, SceneArrays, crs_name, decimate, draw_scene, picture_bytes, read_scene
from terraseg.store.classmap import write_class_map
from terraseg.store.imagery import write_raster

LEGEND = Legend((LandClass(0, "background", "#B8B8B0"), LandClass(1, "building", "#D55E00")))


@given(st.integers(1, 90), st.integers(1, 90), st.integers(1, 40), st.data())
@settings(max_examples=40, deadline=None)
def test_decimating_by_blocks_equals_decimating_the_whole(
    height: int, width: int, block: int, data: st.DataObject
) -> None:
    whole = np.random.default_rng(0).integers(0, 4, (height, width)).astype(np.uint8)
    shape = data.draw(st.integers(1, height)), data.draw(st.integers(1, width))
    seen: list[Window] = []

    def read(window: Window) -> NDArray[np.uint8]:
        seen.append(window)
        return whole[window.slices]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scenes, "BLOCK", block)
        sampled, counts = decimate(read, Grid(None, (1, 0, 0, 0, 1, 0), height, width), shape)
    assert (sampled == shrink_classes(whole, shape)).all()
    assert counts.tolist() == np.bincount(whole.ravel(), minlength=256).tolist()
    assert max(w.height * w.width for w in seen) <= block * block


def noisy_arrays(side: int) -> SceneArrays:
    generator = np.random.default_rng(0)
    rgb = generator.integers(0, 255, (side, side, 3)).astype(np.uint8)
    predicted, truth = generator.integers(0, 2, (2, side, side)).astype(np.uint8)
    grid = Grid("EPSG:32637", (0.5, 0.0, 500_000.0, 0.0, -0.5, 4_000_000.0), side, side)
    return SceneArrays("noise", grid, LEGEND, rgb, predicted, truth, (10, 20))


@pytest.mark.parametrize("budget", [400_000, 100_000, 30_000])
def test_pictures_shrink_together_until_they_fit(budget: int) -> None:
    view = draw_scene(noisy_arrays(600), budget)
    assert picture_bytes(view) <= budget
    pictures = [view.image, view.overlay, view.class_map]
    assert view.comparison is not None
    pictures += [view.comparison.truth, view.comparison.agreement.picture]
    assert len({(p.width, p.height) for p in pictures}) == 1


def test_pictures_stop_shrinking_at_a_size_that_still_shows_something() -> None:
    assert draw_scene(noisy_arrays(300), 1).image.width == 96


def test_sizes_are_ground_areas_where_there_is_a_crs() -> None:
    view = draw_scene(noisy_arrays(100))
    assert view.on_ground
    assert view.area_m2 == pytest.approx(30 * 0.25, rel=1e-3)


def test_a_map_of_another_size_than_its_imagery_is_refused(tmp_path: Path) -> None:
    grid = Grid("EPSG:32637", (0.5, 0.0, 500_000.0, 0.0, -0.5, 4_000_000.0), 20, 30)
    write_raster(tmp_path / "image.tif", np.zeros((1, 20, 30), np.uint8), grid, ["pan"])
    smaller = Grid(grid.crs, grid.transform, 20, 29)
    write_class_map(tmp_path / "map.tif", np.zeros((20, 29), np.uint8), smaller, LEGEND)
    scene = MappedScene("a", Imagery((str(tmp_path / "image.tif"),), ("pan",)), tmp_path / "map.tif")
    with pytest.raises(GridMismatch, match="20 x 29 px"):
        read_scene(scene, None, 100)


def test_labels_with_a_class_that_the_map_lacks_are_refused() -> None:
    source = Legend((LandClass(0, "background", "#000000"), LandClass(1, "buildings", "#111111")))
    with pytest.raises(UnknownClass, match=r"'buildings'.*did you mean 'building'"):
        scenes.truth_table(source, LEGEND, "labels.tif")


def test_a_crs_is_named_in_few_characters() -> None:
    assert crs_name(None) == "none"
    assert crs_name("EPSG:4326") == "EPSG:4326"
    assert crs_name('PROJCS["My own projection",GEOGCS["x"]]') == "My own projection"
