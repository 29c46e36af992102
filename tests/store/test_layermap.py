"""Maps of overlapping classes: written with a band a class, read back as bit masks, never taken for a map of ids."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from terraseg.core.classes import LandClass, Legend
from terraseg.core.window import Window
from terraseg.errors import UnreadableFile
from terraseg.pixels.relabel import stacked_masks
from terraseg.store.classmap import read_class_map, write_class_map
from terraseg.store.layermap import is_layer_map, read_layer_map
from terraseg.store.maplayers import MapLayers
from terraseg.store.mapwriter import map_writer
from tests.makers import make_grid, make_raster

LEGEND = Legend((LandClass(4, "road", "#FF0000"), LandClass(2, "tree", "#00FF00"), LandClass(9, "roof", "#0000FF")))
GRID = make_grid(40, 50)


def write_layers(path: Path, bands: NDArray[np.uint8], legend: Legend = LEGEND) -> Path:
    with map_writer(path, GRID, legend, MapLayers(overlapping=True, threads=1)) as writer:
        writer.write(GRID.window, {"classes": bands})
        writer.finish()
    return path


def noise(seed: int, classes: int = 3) -> NDArray[np.uint8]:
    bands = np.random.default_rng(seed).integers(0, 2, (classes, GRID.height, GRID.width)).astype(np.uint8)
    bands[:, :5, :7] = 255
    return bands


@pytest.mark.parametrize("classes", [1, 2, 3])
def test_a_map_comes_back_with_its_names_and_masks(tmp_path: Path, classes: int) -> None:
    legend, bands = Legend(LEGEND.classes[:classes]), noise(1, classes)
    path = write_layers(tmp_path / "map.tif", bands, legend)
    with read_layer_map(path) as found:
        assert found.legend == legend
        assert found.grid.same_place(GRID)
        whole = stacked_masks(bands, [[k] for k in range(classes)], [255])
        assert (found.read(GRID.window) == whole).all()
        window = Window(3, 4, 9, 30)
        assert (found.read(window) == whole[window.slices]).all()
    with rasterio.open(path) as source:
        assert source.descriptions == legend.names
        assert (source.nodata, set(source.dtypes)) == (255, {"uint8"})
        assert "red" not in [c.name for c in source.colorinterp]
        assert (source.read() == bands).all()


def test_a_map_of_ids_and_one_of_layers_are_told_apart(tmp_path: Path) -> None:
    layers = write_layers(tmp_path / "layers.tif", noise(2, 1), Legend(LEGEND.classes[:1]))
    ids = np.full((GRID.height, GRID.width), 4, dtype=np.uint8)
    (plain,) = write_class_map(tmp_path / "ids.tif", ids, GRID, LEGEND)
    assert (is_layer_map(layers), is_layer_map(plain)) == (True, False)
    with pytest.raises(UnreadableFile, match="maps overlapping classes, a band each"):
        read_class_map(layers)
    with pytest.raises(UnreadableFile, match="no map of overlapping classes: map with a model that was trained"):
        read_layer_map(plain)


def test_the_names_of_ids_that_an_earlier_map_left_are_gone(tmp_path: Path) -> None:
    ids = np.full((GRID.height, GRID.width), 4, dtype=np.uint8)
    path = tmp_path / "map.tif"
    write_class_map(path, ids, GRID, LEGEND)
    beside = path.with_name("map.tif.aux.xml")
    assert beside.exists()
    write_layers(path, noise(3))
    assert not beside.exists()


def test_a_value_that_no_class_map_holds_is_named(tmp_path: Path) -> None:
    bands = noise(4)
    bands[1, 20, 20] = 7
    path = write_layers(tmp_path / "map.tif", bands)
    with read_layer_map(path) as found, pytest.raises(UnreadableFile, match="holds the value 7"):
        found.read(GRID.window)


def test_imagery_is_no_map(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="no map of overlapping classes"):
        read_layer_map(make_raster(tmp_path / "image.tif", GRID))


@settings(deadline=None, max_examples=5)
@given(hnp.arrays(np.uint8, (3, GRID.height, GRID.width), elements=st.sampled_from([0, 1])))
def test_any_bands_survive_the_file(tmp_path_factory: pytest.TempPathFactory, bands: NDArray[np.uint8]) -> None:
    path = write_layers(tmp_path_factory.mktemp("maps") / "map.tif", bands)
    with read_layer_map(path) as found:
        labels = found.read(GRID.window)
    assert all(((labels >> k & 1) == bands[k]).all() for k in range(3))
