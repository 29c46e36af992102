import numpy as np
import pytest
import shapely

from terraseg.town.layout import MARGIN_M, plan_layout
from terraseg.town.plots import DRAWERS, Site, draw_style, erect
from terraseg.town.vectors import Layout, Wing, shifted

SITE = Site(3.7, -8.1, 0.61, -1)


@pytest.fixture(scope="module")
def layout() -> Layout:
    return plan_layout(11, (300.0, 260.0))


@pytest.mark.parametrize("kind", DRAWERS)
def test_every_blueprint_stays_on_its_plot_and_its_wings_fill_its_walls(kind: str) -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        blueprint = DRAWERS[kind](rng, draw_style(rng))
        outlines = np.array([shapely.Polygon(s.shell) for s in blueprint.sketches], dtype=object)
        left, bottom, right, _ = shapely.total_bounds(outlines)
        assert bottom > 1, "clear of the street"
        assert max(-left, right) < blueprint.frontage_m / 2
        for sketch in blueprint.sketches:
            building = erect(sketch, SITE)
            wings = [_wing_polygon(w) for w in building.wings]
            assert shapely.symmetric_difference(shapely.union_all(wings), building.polygon).area < 1e-6
        assert shapely.coverage_is_valid(np.array([erect(s, SITE).polygon for s in blueprint.sketches], dtype=object))


def _wing_polygon(wing: Wing) -> shapely.Polygon:
    c, s = np.cos(wing.angle), np.sin(wing.angle)
    corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * (wing.length_m / 2, wing.width_m / 2)
    return shapely.Polygon(np.column_stack([wing.x + corners @ (c, -s), wing.y + corners @ (s, c)]))


def test_buildings_stand_clear_of_streets_water_and_each_other(layout: Layout) -> None:
    roofs = shapely.union_all([b.polygon for b in layout.buildings])
    assert shapely.distance(roofs, shapely.union_all([s.polygon for s in layout.streets])) >= 0.99
    assert shapely.distance(roofs, shapely.union_all(layout.water)) > 2
    assert roofs.area == pytest.approx(sum(b.area_m2 for b in layout.buildings))


def test_no_trunk_stands_in_a_house_in_water_or_on_a_carriageway(layout: Layout) -> None:
    trunks = shapely.points([(t.x, t.y) for t in layout.trees])
    for shapes in ([b.polygon for b in layout.buildings], layout.water, [s.line.buffer(2) for s in layout.streets]):
        assert not shapely.intersects(shapely.union_all(shapes), trunks).any()


def test_the_plan_reaches_beyond_the_scene_and_not_much_further(layout: Layout) -> None:
    region = shapely.box(-130 - MARGIN_M, -150 - MARGIN_M, 130 + MARGIN_M, 150 + MARGIN_M)
    outside = [b for b in layout.buildings if not shapely.box(-130, -150, 130, 150).intersects(b.polygon)]
    assert outside
    assert all(region.buffer(1e-6).covers(s.line) for s in layout.streets)


def test_moving_a_layout_keeps_shared_walls_shared(layout: Layout) -> None:
    moved = shifted(layout, (648_123.7, 5_340_456.3))
    assert shapely.coverage_is_valid(np.array([b.polygon for b in moved.buildings], dtype=object))
    np.testing.assert_allclose([b.area_m2 for b in moved.buildings], [b.area_m2 for b in layout.buildings], rtol=1e-7)
    wing, before = moved.buildings[0].wings[0], layout.buildings[0].wings[0]
    assert (wing.x - before.x, wing.y - before.y) == pytest.approx((648_123.7, 5_340_456.3))
