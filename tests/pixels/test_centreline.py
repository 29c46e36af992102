"""Widths of strips that lie at any angle, partly hidden, over the seams of the windows."""

from importlib import import_module

import numpy as np
import pytest
from numpy.typing import NDArray

from terraseg.core.classes import LandClass, Legend
from terraseg.core.classreader import ClassArray
from terraseg.core.grid import Grid
from terraseg.pixels.centreline import middle_points

LEGEND = Legend(tuple(LandClass(k, name, f"#0000{k:02X}") for k, name in enumerate(("ground", "road", "tree"))))
PLAIN = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def strip(angle: float, width: float, side: int = 160) -> NDArray[np.uint8]:
    row, col = np.mgrid[:side, :side] - side / 2 + 0.5
    across = row * np.cos(np.radians(angle)) - col * np.sin(np.radians(angle))
    return np.asarray(np.abs(across + 0.3) < width / 2).astype(np.uint8)


@pytest.mark.parametrize("angle", [0, 8, 30, 45, 77, 90])
@pytest.mark.parametrize("width", [6.0, 17.3])
def test_the_median_width_is_within_half_a_pixel(angle: float, width: float) -> None:
    points = middle_points(ClassArray(Grid(None, PLAIN, 160, 160), LEGEND, strip(angle, width)), [1])
    assert np.nanmedian(points.width) == pytest.approx(width, abs=0.5)
    length = 160 / max(abs(np.cos(np.radians(angle))), abs(np.sin(np.radians(angle))))
    assert points.step.sum() == pytest.approx(length, rel=0.06)


def test_pixels_that_are_not_square_give_metres_on_the_ground() -> None:
    """At 60 degrees north a degree of longitude is half as long as one of latitude."""
    step = 1e-5
    ids = np.zeros((200, 200), np.uint8)
    ids[:, 90:110] = 1
    grid = Grid("EPSG:4326", (step, 0, 10.0, 0, -step, 60.0), 200, 200)
    points = middle_points(ClassArray(grid, LEGEND, ids), [1])
    height, width = grid.pixel_size_m or (0.0, 0.0)
    assert np.nanmedian(points.width) == pytest.approx(20 * width, abs=width / 2)
    assert points.step.sum() == pytest.approx(200 * height, rel=0.02)


def test_crowns_over_the_edge_are_looked_through() -> None:
    ids = strip(20, 20.0)
    row, col = np.nonzero(ids == 1)
    edge = np.flatnonzero(
        np.abs((row - 79.5) * np.cos(np.radians(20)) - (col - 79.5) * np.sin(np.radians(20)) + 0.3) > 9
    )
    rows, cols = np.mgrid[:160, :160]
    for place in edge[:: len(edge) // 9]:
        ids[np.hypot(rows - row[place], cols - col[place]) < 4.5] = 2
    raster = ClassArray(Grid(None, PLAIN, 160, 160), LEGEND, ids)
    seen, bitten = middle_points(raster, [1], [2]), middle_points(raster, [1])
    assert np.nanmedian(seen.width) == pytest.approx(20, abs=0.5)
    assert np.isnan(seen.width).any()
    assert (
        np.abs(seen.width[~np.isnan(seen.width)] - 20).mean()
        < np.abs(bitten.width - 20)[~np.isnan(bitten.width)].mean()
    )


def test_windows_leave_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    raster = ClassArray(Grid(None, PLAIN, 160, 160), LEGEND, strip(30, 13.0))
    whole = middle_points(raster, [1])
    monkeypatch.setattr(import_module("terraseg.pixels.margin"), "SIDE", 50)
    cut = middle_points(raster, [1])
    assert sorted(zip(cut.row, cut.col, strict=True)) == sorted(zip(whole.row, whole.col, strict=True))
    order, other = np.lexsort((cut.col, cut.row)), np.lexsort((whole.col, whole.row))
    assert np.allclose(cut.width[order], whole.width[other], atol=0.3, equal_nan=True)


def test_a_map_without_streets_has_no_points() -> None:
    assert len(middle_points(ClassArray(Grid(None, PLAIN, 9, 9), LEGEND, np.zeros((9, 9), np.uint8)), [1])) == 0
    assert len(middle_points(ClassArray(Grid(None, PLAIN, 9, 9), LEGEND, np.ones((9, 9), np.uint8)), [1])) < 20
