import hashlib

import numpy as np
import pytest
import shapely

from terraseg.core.window import Window
from terraseg.errors import BadOption
from terraseg.town import Town, make_town, town_features
from terraseg.town.truth import burn

SEEDS = range(6)


@pytest.fixture(scope="module")
def towns() -> list[Town]:
    return [make_town(seed, 512, bands=4) for seed in SEEDS]


def _scene(town: Town) -> shapely.Polygon:
    return shapely.box(*town.grid.bounds)


def _digest(town: Town) -> str:
    vectors = [b.polygon for b in town.buildings] + [t.crown for t in town.trees] + [s.line for s in town.streets]
    return hashlib.sha256(town.pixels.tobytes() + town.labels.tobytes() + b"".join(shapely.to_wkb(vectors))).hexdigest()


def test_equal_arguments_give_equal_bytes() -> None:
    assert _digest(make_town(5, (200, 300), gsd=0.4)) == _digest(make_town(5, (200, 300), gsd=0.4))


def test_seeds_are_different_scenes(towns: list[Town]) -> None:
    assert len({_digest(town) for town in towns}) == len(towns)
    assert len({town.grid.transform for town in towns}) == len(towns)
    means = np.array([town.pixels.mean(axis=(1, 2)) for town in towns])
    assert (means.std(axis=0) > 1).all(), "light and season vary too"


def test_shapes_grid_and_dtypes_are_as_asked() -> None:
    town = make_town(3, (130, 210), gsd=0.5, bands=3)
    assert town.pixels.shape == (3, 130, 210)
    assert town.labels.shape == (130, 210)
    assert town.pixels.dtype == town.labels.dtype == np.uint8
    assert town.band_names == ("red", "green", "blue")
    assert (town.grid.height, town.grid.width, town.grid.pixel_size) == (130, 210, (0.5, 0.5))
    assert town.grid.gsd_m == pytest.approx(0.5, rel=1e-3), "UTM metres are ground metres to a tenth of a per cent"


def test_three_bands_are_the_first_three_of_four() -> None:
    colour, four = make_town(4, 256), make_town(4, 256, bands=4)
    np.testing.assert_array_equal(colour.pixels, four.pixels[:3])
    np.testing.assert_array_equal(colour.labels, four.labels)


def test_a_scene_of_150_m_has_everything(towns: list[Town]) -> None:
    for town in towns:
        scene = _scene(town)
        whole = [b for b in town.buildings if scene.contains(b.polygon)]
        assert len(whole) >= 10
        assert {"terrace", "courtyard", "l-shape"} <= {b.kind for b in whole}
        assert sum(scene.contains(t.crown) for t in town.trees) >= 10
        assert {s.kind for s in town.streets} == {"main", "side"}
        assert min(town.class_areas_m2().values()) > 50
        assert set(np.unique(town.labels)) == set(range(len(town.legend)))


def test_main_streets_are_wider_and_nothing_is_axis_aligned(towns: list[Town]) -> None:
    for town in towns:
        widths = {kind: [s.width_m for s in town.streets if s.kind == kind] for kind in ("main", "side")}
        assert min(widths["main"]) > max(widths["side"]) + 3
        for building in town.buildings:
            corners = shapely.get_coordinates(building.polygon)
            assert np.abs(corners[1] - corners[0]).min() > 0.1


def test_a_streets_width_is_found_again_across_its_pieces(towns: list[Town]) -> None:
    """Transects through the visible road, where no crown hides it and no junction widens it, are as long as it is wide."""
    for town in towns:
        road = shapely.union_all([shape for shape, name in town_features(town) if name == "road"])
        for street in (s for s in town.streets if s.line.intersection(_scene(town)).length > 80):
            lengths = [shapely.intersection(t, road).length for t in _transects(street.line, street.width_m / 2 + 2)]
            near = [x for x in lengths if abs(x - street.width_m) < 1e-3]
            assert len(near) >= 3, f"street of {street.width_m:.2f} m, transects {np.round(lengths, 2)}"


def _transects(line: shapely.LineString, reach: float) -> list[shapely.LineString]:
    points = shapely.get_coordinates(line)
    middles, steps = (points[1:] + points[:-1]) / 2, np.diff(points, axis=0)
    across = np.column_stack([-steps[:, 1], steps[:, 0]]) / np.hypot(*steps.T)[:, None] * reach
    return [shapely.LineString([m - a, m + a]) for m, a in zip(middles, across, strict=True)]


def test_terraced_houses_share_whole_walls_and_nothing_else(towns: list[Town]) -> None:
    for town in towns:
        houses = np.array([b.polygon for b in town.buildings if b.kind == "terrace"], dtype=object)
        left, right = shapely.STRtree(houses).query(houses, predicate="touches")
        walls = [shapely.intersection(houses[i], houses[j]).length for i, j in zip(left, right, strict=True) if i < j]
        assert len(walls) >= len(houses) / 2
        assert min(walls) > 8
        everything = np.array([b.polygon for b in town.buildings], dtype=object)
        assert shapely.coverage_is_valid(everything), "no overlap, and every common wall has the same vertices"


def test_courtyards_are_holes_and_their_ground_is_not_building(towns: list[Town]) -> None:
    for town in towns:
        yards = [b for b in town.buildings if b.kind == "courtyard" and _scene(town).contains(b.polygon)]
        building = town.legend.index_of("building")
        for yard in yards:
            hole = shapely.Polygon(yard.polygon.interiors[0])
            assert yard.area_m2 == pytest.approx(shapely.Polygon(yard.polygon.exterior).area - hole.area)
            row, col = town.grid.to_pixel(hole.centroid.x, hole.centroid.y)
            assert town.labels[int(row), int(col)] != building


def test_crowns_have_the_area_of_their_radius(towns: list[Town]) -> None:
    for town in towns:
        radius = np.array([t.radius_m for t in town.trees])
        areas = shapely.area(np.array([t.crown for t in town.trees], dtype=object))
        np.testing.assert_allclose(areas, np.pi * radius**2, rtol=1e-6)
        heights = [t.height_m for t in town.trees]
        assert heights == sorted(heights)


def test_vegetation_is_bright_and_water_dark_in_near_infrared(towns: list[Town]) -> None:
    for town in towns:
        red, nir = town.pixels[0].astype(float), town.pixels[3].astype(float)
        index = (nir - red) / (nir + red)
        median = {name: np.median(nir[town.labels == k]) for k, name in enumerate(town.legend.names)}
        ndvi = {name: np.median(index[town.labels == k]) for k, name in enumerate(town.legend.names)}
        assert min(median["grass"], median["tree"]) > 2 * median["water"]
        assert min(ndvi["grass"], ndvi["tree"]) > 0.1 + max(ndvi["water"], ndvi["road"], ndvi["building"])


def test_houses_shade_the_ground_on_the_side_away_from_the_sun(towns: list[Town]) -> None:
    """Two metres along the light, the far side is darker than the near one by far more than noise, on average."""
    for town in towns:
        away = np.radians(town.season.azimuth_deg + 180)
        step = np.array([np.sin(away), np.cos(away)]) * 2.0
        scene = _scene(town).buffer(-15)
        shade: list[float] = []
        bright: list[float] = []
        grey = town.pixels[:3].mean(axis=0)
        for building in (b for b in town.buildings if scene.contains(b.polygon) and b.kind in {"house", "flats"}):
            for side, found in ((step, shade), (-step, bright)):
                moved = shapely.affinity.translate(building.polygon, *side).difference(building.polygon)
                band = moved.difference(shapely.union_all([b.polygon for b in town.buildings]))
                mask = burn(np.array([band], dtype=object), np.array([1]), grid=town.grid).astype(bool)
                found.append(grey[mask].mean())
        assert np.mean(shade) < 0.85 * np.mean(bright)


def test_a_window_of_the_grid_matches_the_vectors() -> None:
    """Labels cropped to a window are the vectors burnt on the window's own grid."""
    town = make_town(7, 256)
    window = Window(40, 70, 90, 120)
    shapes, classes = town.pieces
    np.testing.assert_array_equal(burn(shapes, classes, grid=town.grid.crop(window)), town.labels[window.slices])


@pytest.mark.parametrize("size", [16, 40, (16, 400), (300, 60)])
def test_small_and_long_scenes_are_made_too(size: int | tuple[int, int]) -> None:
    town = make_town(2, size)
    shapes, classes = town.pieces
    np.testing.assert_array_equal(burn(shapes, classes, grid=town.grid), town.labels)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"bands": 1}, "1 bands"),
        ({"bands": 5}, "5 bands"),
        ({"gsd": 0.0}, r"gsd 0\.0"),
        ({"gsd": float("nan")}, "gsd nan"),
        ({"size": 3}, "3 x 3"),
        ({"size": (64, 10**6)}, "64 x 1000000"),
        ({"seed": -1}, "seed -1"),
    ],
)
def test_what_cannot_be_drawn_is_refused_by_name(arguments: dict[str, float], named: str) -> None:
    with pytest.raises(BadOption, match=named):
        make_town(**{"seed": 1, "size": 64, **arguments})  # type: ignore[arg-type]  # wrong on purpose
