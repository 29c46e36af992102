"""Regularised buildings: right angles in their own direction, circles, party walls, and a coverage that stays valid."""

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from rasterio.features import rasterize
from shapely import affinity
from shapely.geometry import Point, Polygon, box

from terraseg.core.classes import LandClass, Legend
from terraseg.core.classreader import ClassArray
from terraseg.core.grid import Grid
from terraseg.core.polygons import PolygonTable
from terraseg.town import make_town
from terraseg.vectorize.options import VectorizeOptions
from terraseg.vectorize.polygons import polygons_of

LEGEND = Legend(
    (
        LandClass(0, "grass", "#009E73"),
        LandClass(1, "building", "#D55E00"),
        LandClass(2, "tree", "#0072B2"),
        LandClass(3, "row house", "#AA0000"),
    )
)
SIZE = 160


def mapped(shapes: list[tuple[Polygon, int]], *, regularize: bool = True, **settings: object) -> PolygonTable:
    """The polygons of shapes burnt in pixel coordinates, without a CRS."""
    ids = rasterize(shapes, (SIZE, SIZE), dtype="uint8")
    raster = ClassArray(Grid(None, (1, 0, 0, 0, 1, 0), SIZE, SIZE), LEGEND, ids)
    options = VectorizeOptions(min_area_m2=0, regularize=regularize, **settings)  # type: ignore[arg-type]
    table = polygons_of(raster, options=options)
    assert shapely.is_valid(table.geometry).all()
    assert shapely.coverage_is_valid(table.geometry)
    return table


def buildings(table: PolygonTable) -> NDArray[np.object_]:
    return table.geometry[np.isin(table.class_id, (1, 3))]


def bends(polygon: Polygon) -> NDArray[np.float64]:
    """The angle at each corner of a polygon's outer ring, in degrees, straight ones left out."""
    points = shapely.get_coordinates(polygon.exterior)[:-1]
    before, after = points - np.roll(points, 1, axis=0), np.roll(points, -1, axis=0) - points
    turn = np.degrees(np.arctan2(before[:, 0] * after[:, 1] - before[:, 1] * after[:, 0], (before * after).sum(axis=1)))
    return np.asarray(turn[np.abs(turn) > 1])


def iou(one: Polygon, other: Polygon) -> float:
    return float(one.intersection(other).area / one.union(other).area)


@pytest.mark.parametrize("angle", [0.0, 7.0, 20.0, 33.0, 45.0, 81.0])
def test_a_turned_house_with_a_wing_gets_its_six_right_angles_back(angle: float) -> None:
    truth = affinity.rotate(box(40, 50, 110, 80).union(box(40, 50, 65, 120)), angle, origin=(80, 80))
    (house,) = buildings(mapped([(truth, 1)]))
    assert np.allclose(np.abs(bends(house)), 90, atol=1e-6)
    assert len(bends(house)) == 6
    assert iou(house, truth) > 0.985


def test_edges_at_45_degrees_are_kept() -> None:
    truth = affinity.rotate(Polygon([(40, 60), (60, 40), (120, 40), (120, 110), (40, 110)]), 14, origin=(80, 80))
    (house,) = buildings(mapped([(truth, 1)]))
    assert sorted(np.round(np.abs(bends(house)))) == [45, 45, 90, 90, 90]
    assert iou(house, truth) > 0.985


@pytest.mark.parametrize("radius", [12.0, 15.0, 40.0])
def test_a_round_building_becomes_a_circle(radius: float) -> None:
    truth = Point(80.3, 79.6).buffer(radius, quad_segs=64)
    (tower,) = buildings(mapped([(truth, 1)]))
    assert iou(tower, truth) > 0.97
    middle = shapely.get_coordinates(tower.centroid)[0]
    reach = np.hypot(*(shapely.get_coordinates(tower.exterior) - middle).T)
    assert np.ptp(reach) < 1e-6 * radius


def test_walls_that_tremble_become_straight() -> None:
    """A network's outline leaves a wall by several pixels: that is no row of steps."""
    rng = np.random.default_rng(4)
    truth = affinity.rotate(box(25, 40, 130, 110), 23, origin=(80, 80))
    ring = shapely.segmentize(truth, 9).exterior
    trembling = Polygon(shapely.get_coordinates(ring)[:-1] + rng.uniform(-2.3, 2.3, (len(ring.coords) - 1, 2)))
    (house,) = buildings(mapped([(trembling, 1)]))
    assert len(bends(house)) == 4
    assert iou(house, truth) > 0.95


def test_a_porch_is_no_tremble() -> None:
    truth = affinity.rotate(box(25, 40, 125, 100).union(box(60, 98, 76, 108)), 12, origin=(80, 80))
    (house,) = buildings(mapped([(truth, 1)]))
    assert len(bends(house)) == 8
    assert iou(house, truth) > 0.985


def test_a_square_is_no_circle() -> None:
    truth = affinity.rotate(box(60, 60, 90, 90), 30)
    (house,) = buildings(mapped([(truth, 1)]))
    assert len(bends(house)) == 4


def test_a_courtyard_follows_the_building() -> None:
    truth = affinity.rotate(box(30, 30, 120, 110).difference(box(55, 50, 95, 90)), 17, origin=(80, 80))
    (block,) = buildings(mapped([(truth, 1)]))
    assert len(block.interiors) == 1
    assert len(bends(Polygon(block.interiors[0]))) == 4
    assert iou(block, truth) > 0.98


def test_terraced_houses_share_straight_walls_across_their_row() -> None:
    row = [affinity.rotate(box(20 + 25 * k, 60, 45 + 25 * k, 100), 12, origin=(80, 80)) for k in range(4)]
    table = mapped([(house, 1 if k % 2 else 3) for k, house in enumerate(row)])
    houses = buildings(table)
    assert len(houses) == 4
    for truth in row:
        house = max(houses, key=lambda h: h.intersection(truth).area)
        assert iou(house, truth) > 0.96
        assert np.allclose(np.abs(bends(house)), 90, atol=0.01)
    walls = shapely.intersection(houses[:, None], houses[None])[np.triu_indices(4, 1)]
    assert sorted(np.round(shapely.length(walls)))[-3:] == pytest.approx([40, 40, 40], abs=1.5)


def test_a_crown_over_a_roof_keeps_its_border_with_it() -> None:
    house, crown = affinity.rotate(box(50, 50, 110, 95), 25), Point(106, 62).buffer(14)
    table = mapped([(house, 1), (crown, 2)])
    tree = table.geometry[table.class_id == 2][0]
    assert iou(tree, crown) > 0.9
    assert iou(buildings(table)[0], house.difference(crown)) > 0.95


def test_what_comes_out_too_different_stays_as_it_was() -> None:
    rng = np.random.default_rng(2)
    angle = np.linspace(0, 2 * np.pi, 40)[:-1]
    star = Polygon(80 + (np.column_stack([np.cos(angle), np.sin(angle)]).T * rng.uniform(20, 60, 39)).T)
    assert buildings(mapped([(star, 1)]))[0].equals(buildings(mapped([(star, 1)], regularize=False))[0])


def test_a_building_cut_by_the_edge_of_the_map_stays_as_it_was() -> None:
    house = affinity.rotate(box(-20, 50, 60, 90), 20, origin=(20, 70))
    assert buildings(mapped([(house, 1)]))[0].equals(buildings(mapped([(house, 1)], regularize=False))[0])


def test_small_buildings_may_be_allowed_more() -> None:
    """A hut of eight pixels differs from its pixels by more than a twentieth however straight it is."""
    hut = affinity.rotate(box(70, 70, 79, 77), 25)
    strict, lenient = (buildings(mapped([(hut, 1)], regularize_iou=least))[0] for least in (0.95, 0.8))
    assert len(bends(strict)) > 4
    assert len(bends(lenient)) == 4
    assert iou(lenient, hut) > iou(strict, hut)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.95, 0.7, 0.3]), st.integers(10, 90))
def test_crowded_maps_stay_valid_coverages_however_they_are_cut(seed: int, least: float, rows: int) -> None:
    """Boxes, discs and crowns over each other; with low limits nearly all of them are changed."""
    rng = np.random.default_rng(seed)
    shapes = []
    for _ in range(rng.integers(3, 25)):
        x, y, w, h = *rng.uniform(0, SIZE, 2), *rng.uniform(4, 50, 2)
        kind = rng.integers(0, 3)
        shape = Point(x, y).buffer(w / 2) if kind == 0 else affinity.rotate(box(x, y, x + w, y + h), rng.uniform(0, 90))
        shapes.append((shape, int(rng.integers(0, 4))))
    ids = rasterize(shapes, (SIZE, SIZE), dtype="uint8")
    noise = rng.random(ids.shape) < 0.003
    ids[noise] = rng.integers(0, 4, int(noise.sum()))
    raster = ClassArray(Grid(None, (1, 0, 0, 0, 1, 0), SIZE, SIZE), LEGEND, ids)
    options = VectorizeOptions(min_area_m2=float(rng.choice([0, 6])), regularize=True, regularize_iou=least)
    table = polygons_of(raster, options=options)
    assert shapely.is_valid(table.geometry).all()
    assert shapely.coverage_is_valid(table.geometry)
    assert shapely.area(table.geometry).sum() == pytest.approx(SIZE**2, rel=0.02)
    cut = polygons_of(raster, options=options, strip_rows=rows)
    assert shapely.to_wkb(cut.geometry).tolist() == shapely.to_wkb(table.geometry).tolist()


@pytest.mark.parametrize("seed", [0, 1])
def test_a_town_is_a_valid_coverage_with_few_vertices_and_buildings_nearer_to_the_truth(seed: int) -> None:
    town = make_town(seed, 512)
    raster = ClassArray(town.grid, town.legend, town.labels)
    raw, regular = (
        polygons_of(raster, options=VectorizeOptions(simplify_m=None if r else 0, regularize=r)) for r in (False, True)
    )
    assert shapely.coverage_is_valid(regular.geometry)
    assert shapely.is_valid(regular.geometry).all()
    built = np.flatnonzero(raw.class_name == "building")
    pairs = list(zip(raw.geometry[built], regular.geometry[built], strict=True))
    simple = polygons_of(raster).geometry[built]
    for kept, (one, other) in zip(simple, pairs, strict=True):
        assert other.equals(kept) or iou(one, other) >= 0.95
    vertices = [table.attributes["n_vertices"][built].sum() for table in (raw, regular)]
    assert vertices[1] < 0.4 * vertices[0]
