from pathlib import Path

import numpy as np
import pytest
import shapely
from pyproj import Transformer

from terraseg.core.dataset import Imagery, Scene
from terraseg.core.grid import Grid
from terraseg.core.split import Overlap
from terraseg.core.window import Window
from terraseg.prepare.overlap import find_overlaps, footprint, project
from tests.makers import UTM

REAL = Path(__file__).parents[3] / "shared" / "data"


def scene(name: str, grid: Grid, group: str = "") -> Scene:
    return Scene(name, Imagery((f"{name}.tif",), ("red",)), f"{name}.png", group or name, grid)


def at(row: int, col: int, height: int = 100, width: int = 100, crs: str = UTM) -> Grid:
    return Grid(crs, (0.5, 0.0, 500_000.0 + col / 2, 0.0, -0.5, 4_000_000.0 - row / 2), height, width)


def full(scenes: list[Scene]) -> dict[str, tuple[int, np.ndarray[tuple[int, int], np.dtype[np.float32]]]]:
    return {s.name: (1, np.ones((s.grid.height, s.grid.width), dtype=np.float32)) for s in scenes}


def test_overlap_on_the_map_has_its_windows_and_share() -> None:
    scenes = [scene("a", at(0, 0)), scene("b", at(60, 70, 50, 200)), scene("c", at(0, 100)), scene("d", at(900, 0))]
    found = find_overlaps(scenes, full(scenes)) or ()
    first = Overlap("a", "b", Window(60, 70, 40, 30), Window(0, 0, 40, 30), 40 * 30 / (50 * 200), "map")
    assert {(o.one, o.other) for o in found} == {("a", "b"), ("b", "c")}
    assert (found[0].window_one, found[0].window_other) == (first.window_one, first.window_other)
    assert found[0].share == pytest.approx(first.share, rel=1e-6)


def test_tiles_that_touch_do_not_overlap() -> None:
    scenes = [scene(f"{r}{c}", at(100 * r, 100 * c)) for r in range(3) for c in range(3)]
    assert find_overlaps(scenes, full(scenes)) == ()


def test_ground_without_data_is_not_shared() -> None:
    """Two rotated flights fill opposite corners of the same rectangle."""
    scenes = [scene("a", at(0, 0)), scene("b", at(0, 0))]
    row, col = np.mgrid[:100, :100]
    lower = np.where(row > col + 5, 1.0, np.nan).astype(np.float32)
    pictures = {"a": (1, lower), "b": (1, np.asarray(lower.T))}
    assert find_overlaps(scenes, pictures) == ()
    assert len(find_overlaps(scenes, {"a": (1, lower), "b": (1, lower)}) or ()) == 1
    assert footprint(scenes[0].grid, pictures["a"]).area == pytest.approx(np.isfinite(lower).sum() / 4, rel=0.06)


def test_scenes_of_two_reference_systems_overlap_where_they_do() -> None:
    one = at(0, 0, 400, 400)
    centre = Transformer.from_crs(UTM, "EPSG:3857", always_xy=True).transform(500_100.0, 3_999_900.0)
    mercator = Grid("EPSG:3857", (0.6, 0.0, centre[0], 0.0, -0.6, centre[1]), 300, 300)
    scenes = [scene("a", one), scene("b", mercator)]
    (found,) = find_overlaps(scenes, full(scenes)) or ()
    assert found.window_one.row == pytest.approx(200, abs=2)
    assert found.window_one.col == pytest.approx(200, abs=2)
    assert found.window_other.row == found.window_other.col == 0
    there = project(Window(250, 250, 50, 60), scenes[0], scenes[1], found)
    back = project(there, scenes[1], scenes[0], found)
    assert back.contains(Window(250, 250, 50, 60))
    assert back.height < 58
    assert back.width < 68


def test_a_window_moves_between_pictures_by_their_rectangles() -> None:
    plain = Grid(None, (1.0, 0.0, 0.0, 0.0, 1.0, 0.0), 200, 200)
    one, other = scene("a", plain), scene("b", plain)
    overlap = Overlap("a", "b", Window(100, 0, 100, 200), Window(0, 0, 50, 100), 0.5, "picture")
    assert project(Window(120, 20, 40, 60), one, other, overlap) == Window(10, 10, 20, 30)
    assert project(Window(10, 10, 20, 30), other, one, overlap) == Window(120, 20, 40, 60)
    assert project(Window(0, 0, 90, 90), one, other, overlap) == Window(-50, 0, 45, 45)


def test_a_footprint_follows_the_map() -> None:
    turned = Grid(UTM, (0.4, 0.3, 500_000.0, 0.3, -0.4, 4_000_000.0), 40, 60)
    area = footprint(turned, (1, np.ones((40, 60), dtype=np.float32)))
    assert area.area == pytest.approx(40 * 60 * 0.25)
    assert footprint(turned, (1, np.full((40, 60), np.nan, dtype=np.float32))).is_empty
    assert isinstance(area, shapely.Polygon)
