"""Length, width, orientation and compactness of outlines whose sizes are known."""

import numpy as np
import pytest
import shapely
from shapely import affinity
from shapely.geometry import Point, box

from terraseg.shapes.footprint import footprint_columns
from terraseg.shapes.ground import ground_sizes, to_degrees, to_longitude_latitude


def columns(polygon: shapely.Polygon, crs: str | None) -> dict[str, float]:
    shapes = np.array([polygon], dtype=object)
    if crs is None:
        area, perimeter = shapely.area(shapes), shapely.length(shapes)
    else:
        area, perimeter = ground_sizes(to_degrees(shapes, crs), crs)
    found = footprint_columns(shapes, crs, area=area, perimeter=perimeter)
    return {name: float(values[0]) for name, values in found.items()}


@pytest.mark.parametrize("bearing", [0.0, 30.0, 90.0, 135.0, 179.0])
def test_a_rectangle_has_its_sides_and_its_bearing(bearing: float) -> None:
    """At the central meridian of its zone grid north is true north, and a metre 0.9996 of one."""
    x, y = to_longitude_latitude("EPSG:32645").transform(87.0, 27.7, direction="INVERSE")
    house = affinity.rotate(box(x - 4, y - 10, x + 4, y + 10), -bearing, origin=(x, y))
    found = columns(house, "EPSG:32645")
    assert found["length_m"] == pytest.approx(20 / 0.9996, rel=1e-4)
    assert found["width_m"] == pytest.approx(8 / 0.9996, rel=1e-4)
    assert abs((found["orientation_deg"] - bearing + 90) % 180 - 90) < 0.01


def test_sizes_are_those_on_the_ground_in_web_mercator() -> None:
    x, y = to_longitude_latitude("EPSG:3857").transform(85.3, 27.7, direction="INVERSE")
    found = columns(box(x, y, x + 30, y + 10), "EPSG:3857")
    assert found["length_m"] == pytest.approx(30 * 0.8857, rel=5e-3)
    assert found["orientation_deg"] == pytest.approx(90, abs=0.01)


def test_compactness_is_one_for_a_circle_and_less_for_all_else() -> None:
    assert columns(Point(0, 0).buffer(10, quad_segs=90), None)["compactness"] == pytest.approx(1, abs=1e-3)
    assert columns(box(0, 0, 5, 5), None)["compactness"] == pytest.approx(np.pi / 4)
    found = columns(box(0, 0, 40, 1), None)
    assert found["compactness"] < 0.1
    assert (found["length_px"], found["width_px"]) == (40, 1)


def test_no_buildings_have_empty_columns() -> None:
    none = np.zeros(0)
    assert {len(v) for v in footprint_columns(none.astype(object), None, area=none, perimeter=none).values()} == {0}
