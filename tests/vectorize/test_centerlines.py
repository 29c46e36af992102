"""Centre lines of streets against those they were drawn with."""

import numpy as np
import pytest
import shapely
from rasterio.features import rasterize
from shapely.geometry import LineString

from terraseg.core.classes import LandClass, Legend
from terraseg.core.classreader import ClassArray
from terraseg.core.grid import Grid
from terraseg.errors import UnknownName
from terraseg.town import make_town
from terraseg.vectorize.centerlines import center_lines_of
from terraseg.vectorize.options import VectorizeOptions

LEGEND = Legend((LandClass(0, "grass", "#009E73"), LandClass(3, "road", "#6E6E76")))


def test_a_street_has_its_place_its_length_and_its_width_over_window_borders() -> None:
    """1300 px wide, so that the street crosses the border between two windows of the lattice."""
    line = LineString([(40, 60), (640, 110), (1260, 80)])
    ids = rasterize([(line.buffer(8.2, cap_style="flat"), 3)], (160, 1300), dtype="uint8")
    raster = ClassArray(Grid("EPSG:32645", (0.5, 0, 330_000, 0, -0.5, 3_066_000), 160, 1300), LEGEND, ids)
    table = center_lines_of(raster, VectorizeOptions(centerlines=("road",)))
    assert len(table) == 1
    true = shapely.transform(line, lambda p: np.column_stack([330_000 + p[:, 0] / 2, 3_066_000 - p[:, 1] / 2]))
    assert shapely.hausdorff_distance(table.geometry[0], true) < 4.5  # the skeleton forks half a width before an end
    assert table.length[0] == pytest.approx(true.length, rel=0.02)
    assert table.width[0] == pytest.approx(8.2, abs=0.25)
    assert list(table.columns()) == ["class_id", "class_name", "width_m", "length_m"]


def test_the_streets_of_a_town_are_there_with_their_widths() -> None:
    town = make_town(4, 768)
    table = center_lines_of(ClassArray(town.grid, town.legend, town.labels), VectorizeOptions(centerlines=("road",)))
    lines = np.array([street.line for street in town.streets], dtype=object)
    inside = shapely.length(shapely.intersection(lines, shapely.box(*town.grid.bounds))).sum()
    assert table.length.sum() == pytest.approx(inside, rel=0.05)
    near = shapely.STRtree(lines).nearest(shapely.line_interpolate_point(table.geometry, 0.5, normalized=True))
    width = np.array([street.width_m for street in town.streets])[near]
    clear = (table.length > 2 * width) & ~np.isnan(table.width)
    assert np.mean(np.abs(table.width - width)[clear] <= 0.05 * width[clear]) > 0.9


def test_lines_may_be_put_into_another_crs_and_have_no_metres_without_one() -> None:
    ids = np.zeros((40, 80), dtype=np.uint8)
    ids[15:24] = 3
    raster = ClassArray(Grid("EPSG:32645", (0.5, 0, 330_000, 0, -0.5, 3_066_000), 40, 80), LEGEND, ids)
    moved = center_lines_of(raster, VectorizeOptions(centerlines=("road",), crs="EPSG:4326"))
    assert moved.crs == "EPSG:4326"
    assert 85 < shapely.get_coordinates(moved.geometry)[0, 0] < 86
    flat = ClassArray(Grid(None, (1, 0, 0, 0, 1, 0), 40, 80), LEGEND, ids)
    table = center_lines_of(flat, VectorizeOptions(centerlines=("road",)))
    assert "width_px" in table.columns()
    assert table.width[0] == pytest.approx(9, abs=0.5)


def test_a_map_without_streets_has_no_lines_and_an_unknown_class_is_named() -> None:
    raster = ClassArray(Grid(None, (1, 0, 0, 0, 1, 0), 9, 9), LEGEND, np.zeros((9, 9), np.uint8))
    assert len(center_lines_of(raster, VectorizeOptions(centerlines=("road",)))) == 0
    with pytest.raises(UnknownName, match="did you mean 'road'"):
        center_lines_of(raster, VectorizeOptions(centerlines=("roads",)))
