"""Probabilities beside a map read back as numbers."""

from pathlib import Path

import numpy as np
import pytest

from terraseg.core.classes import LandClass, Legend
from terraseg.core.window import Window
from terraseg.errors import UnreadableFile
from terraseg.store.maplayers import MapLayers, layer_path
from terraseg.store.mapwriter import map_writer
from terraseg.store.probabilities import open_probabilities
from tests.makers import make_grid, make_raster

LEGEND = Legend(tuple(LandClass(i, f"c{i}", "#112233") for i in range(3)))


@pytest.mark.parametrize("kind", ["uint8", "float16"])
def test_bytes_and_halves_are_the_same_probabilities(tmp_path: Path, kind: str) -> None:
    grid = make_grid(8, 10)
    true = np.random.default_rng(0).dirichlet([1, 1, 1], (8, 10)).transpose(2, 0, 1).astype(np.float32)
    true[:, 0, 0] = np.nan
    full = np.where(np.isnan(true), 255, np.rint(np.nan_to_num(true) * 254)).astype(np.uint8)
    values = full if kind == "uint8" else true.astype(np.float16)
    layers = MapLayers(probabilities=kind)  # type: ignore[arg-type]
    with map_writer(tmp_path / "map.tif", grid, LEGEND, layers) as writer:
        writer.write(grid.window, {"classes": np.zeros((8, 10), np.uint8), "probabilities": values})
        writer.finish()
    with open_probabilities(layer_path(tmp_path / "map.tif", "probabilities")) as found:
        assert found.classes == 3
        window = Window(0, 0, 5, 7)
        assert np.allclose(found.read(window), true[:, *window.slices], atol=0.003, equal_nan=True)


def test_something_else_is_refused(tmp_path: Path) -> None:
    path = make_raster(tmp_path / "image.tif", dtype="int16")
    with pytest.raises(UnreadableFile, match="where probabilities as bytes or floats"):
        open_probabilities(path)
