"""`terraseg vectorize`: what is said on the command line is what is done."""

from pathlib import Path

import numpy as np
import pyogrio
import shapely

from terraseg.cli.main import run
from terraseg.store.classmap import write_class_map
from tests.makers import LAND_AND_ROOF, make_grid


def test_zero_is_a_setting_and_not_the_absence_of_one(tmp_path: Path) -> None:
    """`--simplify 0` keeps the stairs of pixels, and `--min-area 0` the single ones."""
    grid = make_grid(12, 16, gsd=0.5)
    ids = (np.indices((12, 16)).sum(axis=0) % 5 == 0).astype(np.uint8)
    write_class_map(tmp_path / "map.tif", ids, grid, LAND_AND_ROOF)
    flags = ["--simplify", "0", "--min-area", "0", "--class", "roof"]
    assert run(["vectorize", str(tmp_path / "map.tif"), "--out", str(tmp_path / "map.gpkg"), *flags]) == 0
    _, _, wkb, _ = pyogrio.raw.read(tmp_path / "map.gpkg", layer="map")
    shapes = shapely.from_wkb(wkb)
    assert len(shapes) == ids.sum()
    assert np.allclose(shapely.area(shapes), 0.25)
