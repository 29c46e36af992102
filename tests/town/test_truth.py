import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Proj, Transformer

from terraseg.core.grid import Grid
from terraseg.town import make_town, town_features
from terraseg.town.truth import LEGEND, Pile, burn, partition

GRID = Grid("EPSG:32632", (0.5, 0.0, 648_000.0, 0.0, -0.5, 5_340_000.0), 60, 80)


def _pile(shapes: list[shapely.Polygon]) -> Pile:
    scene = shapely.box(*GRID.bounds)
    return Pile(np.array([scene, *shapes], dtype=object), np.arange(len(shapes) + 1).astype(np.uint8))


@st.composite
def polygons(draw: st.DrawFn) -> shapely.Polygon:
    left, bottom, right, top = GRID.bounds
    x, y = draw(st.floats(left - 5, right + 5)), draw(st.floats(bottom - 5, top + 5))
    radius, corners, turn = draw(st.floats(0.5, 20)), draw(st.integers(3, 9)), draw(st.floats(0, 6))
    angles = turn + np.linspace(0, 2 * np.pi, corners, endpoint=False)
    return shapely.Polygon(np.column_stack([x + radius * np.cos(angles), y + radius * np.sin(angles)]))


@settings(max_examples=80, deadline=None)
@given(st.lists(polygons(), max_size=8))
def test_the_partition_shows_each_shape_where_no_later_one_covers_it(shapes: list[shapely.Polygon]) -> None:
    pile = _pile(shapes)
    pieces, owners = partition(pile)
    for place, shape in enumerate(pile.shapes):
        visible = shapely.difference(shape, shapely.union_all(pile.shapes[place + 1 :])).intersection(pile.shapes[0])
        shown = shapely.union_all(pieces[owners == place])
        assert shapely.symmetric_difference(visible, shown).area < 1e-5
    assert shapely.area(pieces).sum() == pytest.approx(pile.shapes[0].area, rel=1e-9)


def test_a_scene_of_nothing_but_grass_is_one_piece() -> None:
    pieces, owners = partition(_pile([]))
    assert [p.area for p in pieces] == [pytest.approx(30 * 40)]
    assert owners.tolist() == [0]


def test_burning_takes_pixel_centres_and_the_later_shape() -> None:
    left, _, _, top = GRID.bounds
    low, high = shapely.box(left, top - 2, left + 2.2, top), shapely.box(left + 1, top - 1, left + 2.3, top)
    burnt = burn(np.array([low, high], dtype=object), np.array([3, 4]), grid=GRID)
    expected = np.zeros((60, 80), dtype=np.uint8)
    expected[:4, :4] = 3
    expected[:2, 2:5] = 4
    np.testing.assert_array_equal(burnt, expected)


@pytest.mark.parametrize("seed", range(8))
def test_features_cover_the_scene_once_and_burn_to_the_labels(seed: int) -> None:
    town = make_town(seed, 400)
    features = town_features(town)
    shapes = np.array([shape for shape, _ in features], dtype=object)
    indices = np.array([town.legend.index_of(name) for _, name in features])
    assert shapely.is_valid(shapes).all()
    assert shapely.coverage_is_valid(shapes)
    assert shapely.area(shapes).sum() == pytest.approx(shapely.box(*town.grid.bounds).area, rel=1e-9)
    np.testing.assert_array_equal(burn(shapes, indices, grid=town.grid), town.labels)
    assert town.labels.max() < len(town.legend)


@pytest.mark.parametrize("seed", range(4))
def test_class_areas_agree_with_counted_pixels(seed: int) -> None:
    """Each border pixel errs by a third of its area at random, so a class errs by the root of its border pixels."""
    town = make_town(seed, 512)
    pixel = 0.3
    shapes, classes = town.pieces
    border = np.bincount(classes, weights=shapely.length(shapes), minlength=len(LEGEND)) / pixel
    counted = np.bincount(town.labels.ravel(), minlength=len(LEGEND)) * pixel**2
    exact = np.bincount(classes, weights=shapely.area(shapes), minlength=len(LEGEND))
    assert (np.abs(counted - exact) <= 6 * 0.3 * pixel**2 * np.sqrt(border)).all()


def test_visible_buildings_are_their_footprints_less_the_crowns_above() -> None:
    town = make_town(1, 512)
    scene = shapely.box(*town.grid.bounds)
    roofs = shapely.union_all([b.polygon for b in town.buildings])
    crowns = shapely.union_all([t.crown for t in town.trees])
    areas = town.class_areas_m2()
    # The scene is small: one scale of the projection holds for all of it, but for a ten-millionth or so.
    middle = Transformer.from_crs(town.season.crs, "EPSG:4326", always_xy=True).transform(*scene.centroid.coords[0])
    scale = Proj(town.season.crs).get_factors(*middle).areal_scale
    assert areas["building"] == pytest.approx(shapely.intersection(roofs - crowns, scene).area / scale, rel=2e-6)
    assert areas["tree"] == pytest.approx(shapely.intersection(crowns, scene).area / scale, rel=2e-6)
    assert sum(areas.values()) == pytest.approx(scene.area / scale, rel=1e-7)
