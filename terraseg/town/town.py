"""A generated town: an aerial picture, and the exact truth of what is in it."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import Polygon

from terraseg.core.classes import Legend
from terraseg.core.grid import Grid
from terraseg.errors import BadOption
from terraseg.shapes.ground import ground_sizes, to_degrees
from terraseg.town.layout import plan_layout
from terraseg.town.paint import paint
from terraseg.town.season import Season, draw_season
from terraseg.town.sensor import record
from terraseg.town.truth import LEGEND, Pile, burn, partition, pile_up
from terraseg.town.vectors import Building, Layout, Street, Tree, shifted

SMALLEST_PX, LARGEST_PX = 16, 16_384
FINEST_M, COARSEST_M = 0.05, 2.0
BAND_NAMES = ("red", "green", "blue", "nir")


@dataclass(frozen=True, eq=False)
class Town:
    """A picture and its truth, all vectors in map coordinates (metres).

    `pixels` is uint8 (bands, height, width), `labels` uint8 (height, width) with class indices, burnt at pixel centres.
    Buildings, streets, trees (lowest first), water and soil are those that meet the scene, whole also where its edge
    cuts them. Where they overlap, the later of soil, water, streets, buildings and trees lies on top of the grass.
    """

    pixels: NDArray[np.uint8]
    grid: Grid
    legend: Legend
    labels: NDArray[np.uint8]
    buildings: tuple[Building, ...]
    streets: tuple[Street, ...]
    trees: tuple[Tree, ...]
    water: tuple[Polygon, ...]
    soil: tuple[Polygon, ...]
    season: Season
    pile: Pile

    @property
    def band_names(self) -> tuple[str, ...]:
        """Names of the bands in order."""
        return BAND_NAMES[: self.pixels.shape[0]]

    @cached_property
    def pieces(self) -> tuple[NDArray[np.object_], NDArray[np.uint8]]:
        """The visible part of every object as polygons, and their class indices; together they cover the scene once."""
        shapes, owners = partition(self.pile)
        return shapes, self.pile.classes[owners]

    def class_areas_m2(self) -> dict[str, float]:
        """Visible area of each class on the ground in square metres, from the vectors, by name.

        Geodesic, as what is measured: in the plane of the town's UTM zone it is up to 0.1 % less or more.
        """
        shapes, classes = self.pieces
        areas, _ = ground_sizes(to_degrees(shapes, self.season.crs), self.season.crs)
        sums = np.bincount(classes, weights=areas, minlength=len(self.legend))
        return dict(zip(self.legend.names, sums.tolist(), strict=True))


def make_town(seed: int, size: int | tuple[int, int] = 1024, *, gsd: float = 0.3, bands: int = 3) -> Town:
    """Town number `seed` seen from above, `size` pixels square or (height, width), `gsd` metres a pixel.

    Three bands are red, green and blue; the fourth is near infrared. Equal arguments give equal bytes. A scene of 150 m
    and more has streets, trees, water, bare soil, a terrace, a house with a wing and one around a courtyard.
    `BadOption` names an argument that cannot be used.
    """
    height, width = _checked(seed, size, gsd, bands)
    season = draw_season(seed)
    grid = Grid(season.crs, (gsd, 0.0, float(season.left), 0.0, -gsd, float(season.top)), height, width)
    plan = plan_layout(seed, (height * gsd, width * gsd))
    layout = shifted(plan, (season.left + width * gsd / 2, season.top - height * gsd / 2))
    pile = pile_up(layout, grid)
    light = paint(layout, grid, season=season, bands=bands, seed=seed)
    pixels = record(light, season, pixel_m=gsd, seed=seed)
    labels = burn(pile.shapes, pile.classes, grid=grid)
    seen = _meeting(layout, grid)
    soil = tuple(p.polygon for p in seen.soil)
    return Town(pixels, grid, LEGEND, labels, seen.buildings, seen.streets, seen.trees, seen.water, soil, season, pile)


def town_features(town: Town) -> list[tuple[Polygon, str]]:
    """The truth map as polygons with class names: the visible part of every object, a partition of the scene.

    Two houses of a terrace are two features; what a crown hides of a roof belongs to the tree. Burning them at pixel
    centres gives `town.labels`.
    """
    shapes, classes = town.pieces
    return [(shape, town.legend.names[index]) for shape, index in zip(shapes, classes.tolist(), strict=True)]


def _meeting(layout: Layout, grid: Grid) -> Layout:
    """The layout's objects that meet the scene."""
    scene = shapely.box(*grid.bounds)
    shapely.prepare(scene)
    return Layout(
        streets=tuple(s for s in layout.streets if scene.intersects(s.polygon)),
        buildings=tuple(b for b in layout.buildings if scene.intersects(b.polygon)),
        trees=tuple(t for t in layout.trees if scene.intersects(t.crown)),
        water=tuple(w for w in layout.water if scene.intersects(w)),
        soil=tuple(p for p in layout.soil if scene.intersects(p.polygon)),
        plots=(),
        traffic=(),
        roofware=(),
    )


def _checked(seed: int, size: int | tuple[int, int], gsd: float, bands: int) -> tuple[int, int]:
    """Height and width in pixels, or `BadOption`."""
    height, width = (size, size) if isinstance(size, int) else size
    if seed < 0:
        raise BadOption(f"seed {seed}: a town's number cannot be negative, pass 0 or more")
    if not (SMALLEST_PX <= height <= LARGEST_PX and SMALLEST_PX <= width <= LARGEST_PX):
        raise BadOption(f"a town of {height} x {width} px: pass sizes from {SMALLEST_PX} to {LARGEST_PX}")
    if not FINEST_M <= gsd <= COARSEST_M:
        raise BadOption(f"gsd {gsd}: a town is drawn at {FINEST_M} to {COARSEST_M} metres a pixel")
    if bands not in (3, 4):
        raise BadOption(f"{bands} bands: a town has 3 (red, green, blue) or 4 (and near infrared)")
    return height, width
