"""Polygons burnt window by window: of very many vertices only what is near is handed on, and every pixel stays."""

import numpy as np
import pytest
import shapely

from terraseg.core.window import Window, cut
from terraseg.pixels import burn
from terraseg.pixels.burn import BurnLayer
from tests.makers import make_grid


@pytest.mark.parametrize("overlapping", [False, True])
def test_what_lies_far_from_a_window_is_left_out_without_a_trace(
    monkeypatch: pytest.MonkeyPatch, overlapping: bool
) -> None:
    """A star, a ring with a hole, and one whose box alone meets a corner; against the centres of pixels in the polygons."""
    grid, angle = make_grid(150, 170), np.linspace(0, 2 * np.pi, 900, endpoint=False)
    x, y = (float(v) for v in grid.to_map(75, 85))
    star = 30 + 8 * np.sin(23 * angle)
    shapes = [
        shapely.Polygon(np.column_stack([x + star * np.cos(angle), y + star * np.sin(angle)])),
        shapely.difference(shapely.Point(x - 5, y).buffer(36, 200), shapely.Point(x, y + 4).buffer(27, 200)),
        shapely.Polygon([(x - 37.1, y - 37), (x + 37, y + 36.3), (x + 35.2, y + 36), (x - 36.9, y - 35.3)]),
    ]
    codes = np.array([1, 2, 4], dtype=np.uint8)
    layer = BurnLayer(np.array(shapes, dtype=object), codes, grid, outside=0, overlapping=overlapping)
    monkeypatch.setattr(burn, "MANY_VERTICES", 3)
    xs, ys = grid.to_map(*(np.mgrid[:150, :170] + 0.5))
    inside = [shapely.contains_xy(shape, xs, ys) for shape in shapes]
    wanted = np.zeros((150, 170), dtype=np.uint8)
    for code, there in zip(codes.tolist(), inside, strict=True):
        wanted = np.where(there, wanted | code if overlapping else code, wanted).astype(np.uint8)
    found = np.zeros_like(wanted)
    for window in cut(Window(0, 0, 150, 170), 40, 33):
        found[window.slices] = layer.burn(window)
    assert np.array_equal(found, wanted)
