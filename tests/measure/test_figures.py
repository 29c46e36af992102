"""Buildings, streets and trees of a generated town against what it was made of, and the small parts by themselves."""

import json
from functools import cache
from typing import Any

import numpy as np
import pytest
import shapely
from numpy.typing import NDArray

from terraseg.core.classes import LandClass, Legend
from terraseg.core.classreader import ClassArray
from terraseg.core.grid import Grid
from terraseg.core.polygons import PolygonTable
from terraseg.errors import UnknownName
from terraseg.measure.cells import zones_of_cells
from terraseg.measure.crowns import find_crowns
from terraseg.measure.options import MeasureOptions
from terraseg.measure.roles import last_word, roles_of, values_of
from terraseg.measure.sizes import histogram_of, sizes_of
from terraseg.measure.spacing import nearest_gaps
from terraseg.measure.stats import Statistics, measure
from terraseg.measure.streets import Streets, find_streets, weighted_median
from terraseg.pixels.centreline import middle_points
from terraseg.town.town import Town, make_town

PLAIN = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def legend_of(*names: str) -> Legend:
    return Legend(tuple(LandClass(number, name, f"#0000{number:02X}") for number, name in enumerate(names)))


@cache
def town() -> Town:
    return make_town(3, 600, gsd=0.3)


def table_of(shapes: list[Any], class_id: int, legend: Legend, crs: str | None) -> PolygonTable:
    number = len(shapes)
    ones = np.ones(number)
    geometry = np.array(shapes, dtype=object)
    return PolygonTable(geometry, np.full(number, class_id, np.uint8), shapely.area(geometry), ones, ones, legend, crs)


def town_statistics(zones: Any = None) -> Statistics:
    made = town()
    roofs = [b.polygon.intersection(shapely.box(*made.grid.bounds)) for b in made.buildings]
    table = table_of([r for r in roofs if r.area > 1], 4, made.legend, made.grid.crs)
    return measure(raster=ClassArray(made.grid, made.legend, made.labels), table=table, zones=zones)


def test_areas_of_a_town_are_within_a_thousandth() -> None:
    """Of the truth on the ground; a class of little ground has few border pixels whose errors even out."""
    true = town().class_areas_m2()
    for row in town_statistics().classes:
        assert row.area == pytest.approx(true[row.class_name], rel=1e-3, abs=1.0)


def test_streets_of_a_town_have_their_widths() -> None:
    made = town()
    streets = find_streets(middle_points(ClassArray(made.grid, made.legend, made.labels), [3], [5]), made.grid)
    lines = shapely.STRtree([s.line for s in made.streets])
    nearest = lines.nearest(shapely.points(streets.x, streets.y))
    seen = 0
    for number, street in enumerate(made.streets):
        own = np.flatnonzero(nearest == number)
        if np.count_nonzero(~np.isnan(streets.width[own])) < 30:
            continue
        seen += 1
        assert streets.median_width(own) == pytest.approx(street.width_m, abs=max(0.05 * street.width_m, 0.15))
    assert seen >= 4


def test_trees_that_stand_apart_are_counted_to_three_per_cent() -> None:
    made = town()
    crowns = find_crowns(ClassArray(made.grid, made.legend, made.labels), [5], smallest=1.6)
    outlines = np.array([t.crown for t in made.trees], dtype=object)
    one, _ = shapely.STRtree(outlines).query(outlines, predicate="intersects")
    scene = shapely.box(*made.grid.bounds).buffer(-3)
    apart = (np.bincount(one, minlength=len(outlines)) == 1) & shapely.contains(scene, outlines)
    tree, crown = (
        shapely.STRtree(shapely.points(crowns.x, crowns.y)).query(outlines[apart], predicate="contains").reshape(2, -1)
    )
    assert len(tree) == pytest.approx(apart.sum(), rel=0.03)
    true = 2 * np.sqrt(shapely.area(outlines[apart][tree]) / np.pi)
    assert crowns.diameter[crown].mean() == pytest.approx(true.mean(), rel=0.02)


def test_cells_hold_together_what_the_whole_town_has() -> None:
    whole = town_statistics()
    parts = town_statistics(zones_of_cells(town().grid, 50))
    assert parts.figures == whole.figures
    assert whole.figures is not None
    for name in ("buildings", "trees"):
        assert sum(getattr(z.figures, name) for z in parts.zones) == getattr(whole.figures, name)
    lengths = [z.figures.street_length or 0 for z in parts.zones if z.figures is not None]
    assert sum(lengths) == pytest.approx(whole.figures.street_length)
    built = sum(z.areas[4] for z in parts.zones)
    assert built == pytest.approx((whole.figures.built_share or 0) * (whole.observed or 0), rel=1e-6)
    rows = parts.zone_rows()
    assert len({tuple(row) for row in rows}) == 1
    assert sum(row["building_objects"] for row in rows) == whole.figures.buildings
    assert {"zone", "bare_soil_m2", "tree_share", "street_width_m", "median_building_gap_m"} <= set(rows[0])


def test_statistics_with_all_their_parts_survive_json() -> None:
    statistics = town_statistics(zones_of_cells(town().grid, 90))
    text = json.dumps(statistics.to_json(), allow_nan=False)
    assert Statistics.from_json(json.loads(text)) == statistics


def test_a_map_without_such_classes_has_no_figures_of_them() -> None:
    legend = legend_of("water", "snow")
    found = measure(raster=ClassArray(Grid(None, PLAIN, 9, 9), legend, np.zeros((9, 9), np.uint8))).figures
    assert found is not None
    assert set(found.row("px").values()) == {None}
    off = measure(raster=ClassArray(town().grid, town().legend, town().labels), options=MeasureOptions(figures=False))
    assert (off.figures, off.details) == (None, None)


def test_streets_that_cross_are_segments_without_their_junction() -> None:
    """A cross of streets 9 and 15 wide has four arms, of two widths."""
    ids = np.zeros((200, 240), np.uint8)
    ids[90:105] = 1
    ids[:, 100:109] = 1
    streets = segments_of(ids)
    assert sorted(np.round(streets.segment_width).tolist()) == [9, 9, 15, 15]
    assert streets.segment_length.sum() == pytest.approx(200 + 240 - 15 - 9 - 2 * 15, abs=40)


def test_bumps_on_an_edge_are_no_streets() -> None:
    ids = np.zeros((120, 240), np.uint8)
    ids[50:70] = 1
    ids[40:50, 60:64] = ids[70:78, 150:156] = 1
    streets = segments_of(ids)
    assert streets.median_width() == pytest.approx(20, abs=0.5)
    assert len(streets.segment_width) <= 2


def segments_of(ids: NDArray[np.uint8]) -> Streets:
    grid = Grid(None, PLAIN, *ids.shape)
    return find_streets(middle_points(ClassArray(grid, legend_of("ground", "road"), ids), [1]), grid)


def test_crowns_without_a_crs_are_in_pixels() -> None:
    row, col = np.ogrid[:60, :60]
    ids = (np.hypot(row - 30, col - 25) < 11).astype(np.uint8)
    crowns = find_crowns(ClassArray(Grid(None, PLAIN, 60, 60), legend_of("ground", "tree"), ids), [1], smallest=3)
    assert crowns.area.tolist() == [ids.sum()]
    assert (crowns.x[0], crowns.y[0]) == pytest.approx((25.5, 30.5), abs=1)


def test_gaps_are_those_of_all_pairs() -> None:
    rng = np.random.default_rng(2)
    corners = rng.uniform(0, 200, (40, 2))
    boxes = np.array([shapely.box(x, y, x + 6, y + 9) for x, y in corners], dtype=object)
    distance = np.array([[a.distance(b) for b in boxes] for a in boxes])
    np.fill_diagonal(distance, np.inf)
    assert nearest_gaps(boxes, None) == pytest.approx(distance.min(axis=1))
    assert np.isnan(nearest_gaps(boxes[:1], None)).all()


def test_gaps_in_degrees_are_metres_on_the_ground() -> None:
    """At 60 degrees north the neighbour to the east is nearer than the one to the north, though it looks farther."""
    boxes = [shapely.box(x, y, x + 1e-5, y + 1e-5) for x, y in ((10, 60), (10.00015, 60), (10, 60.0001))]
    gaps = nearest_gaps(np.array(boxes, dtype=object), "EPSG:4326")
    assert gaps[0] == pytest.approx(0.00014 * 55_800, rel=0.01)


def test_roles_follow_the_last_word_or_the_options() -> None:
    legend = legend_of("Paved_road", "car park", "palm trees", "greenhouse", "Rooftop (flat)", "cars")
    roles = roles_of(legend, MeasureOptions())
    assert (roles.buildings, roles.roads, roles.trees, roles.over_roads) == ((4,), (0,), (2,), (2, 5))
    chosen = roles_of(legend, MeasureOptions(buildings=("greenhouse",), over_roads=("cars",)))
    assert (chosen.buildings, chosen.over_roads) == ((3,), (5,))
    with pytest.raises(UnknownName):
        roles_of(legend, MeasureOptions(roads=("street",)))
    assert last_word("42") == ""


def test_values_of_overlapping_classes_are_all_masks_with_their_bit() -> None:
    legend = legend_of("road", "tree", "car")
    assert values_of((1,), legend, overlapping=True).tolist() == [2, 3, 6, 7]
    assert values_of((1, 2), legend, overlapping=False).tolist() == [1, 2]


def test_histograms_count_every_value_once() -> None:
    values = np.random.default_rng(0).lognormal(3, 2, 500)
    found = histogram_of(values)
    assert np.histogram(values, found.edges)[0].tolist() == list(found.counts)
    assert sum(found.counts) == 500
    assert found.counts[0] > 0
    assert found.counts[-1] > 0
    assert histogram_of(np.zeros(3)).counts[0] == 3
    assert sum(histogram_of(np.array([0.0, 1.0, 10.0])).counts) == 3
    assert sizes_of(values).p95 == pytest.approx(np.percentile(values, 95))


def test_a_weighted_median_is_the_median_of_repeated_values() -> None:
    rng = np.random.default_rng(0)
    values, weights = rng.uniform(0, 9, 31), rng.integers(1, 9, 31)
    repeated = np.sort(np.repeat(values, weights))
    assert weighted_median(values, weights.astype(float)) in (
        repeated[(len(repeated) - 1) // 2],
        repeated[len(repeated) // 2],
    )
