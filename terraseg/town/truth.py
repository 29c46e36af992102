"""The exact truth of a town: which class lies on top where, as polygons, as pixels and as areas."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio.features import rasterize
from rasterio.transform import Affine
from shapely import STRtree
from shapely.geometry import Polygon, box

from terraseg.core.classes import LandClass, Legend
from terraseg.core.grid import Grid
from terraseg.town.vectors import Layout

LEGEND = Legend(
    (
        LandClass(0, "bare soil", "#C8A165"),
        LandClass(1, "grass", "#8FC866"),
        LandClass(2, "water", "#3C7FC0"),
        LandClass(3, "road", "#6E6E76"),
        LandClass(4, "building", "#D6453D"),
        LandClass(5, "tree", "#1F7A3A"),
    )
)


@dataclass(frozen=True)
class Pile:
    """Shapes from the bottom to the top, each with its class index; the first one is the whole scene in grass."""

    shapes: NDArray[np.object_]
    classes: NDArray[np.uint8]


def pile_up(layout: Layout, grid: Grid) -> Pile:
    """The layout's objects that meet the scene, lowest first: grass, soil, water, streets, buildings, trees."""
    scene = box(*grid.bounds)
    groups: tuple[tuple[str, list[Polygon]], ...] = (
        ("bare soil", [p.polygon for p in layout.soil]),
        ("water", list(layout.water)),
        ("road", [s.polygon for s in layout.streets]),
        ("building", [b.polygon for b in layout.buildings]),
        ("tree", [t.crown for t in layout.trees]),
    )
    shapes = np.array([scene] + [s for _, group in groups for s in group], dtype=object)
    names = ["grass"] + [name for name, group in groups for _ in group]
    classes = np.array([LEGEND.index_of(name) for name in names], dtype=np.uint8)
    meets = shapely.intersects(scene, shapes)
    return Pile(shapes[meets], classes[meets])


def burn(shapes: NDArray[np.object_], values: NDArray[Any], *, grid: Grid, dtype: str = "uint8") -> NDArray[Any]:
    """Values by pixel centre, later shapes over earlier ones, 0 where there is none; shape (height, width)."""
    pairs = zip(shapes, values.tolist(), strict=True)
    affine = Affine(*grid.transform)
    burnt = rasterize(pairs, out_shape=(grid.height, grid.width), transform=affine, dtype=dtype)
    return np.asarray(burnt)


def partition(pile: Pile) -> tuple[NDArray[np.object_], NDArray[np.intp]]:
    """What one sees from above: the visible pieces, and for each its place in the pile.

    The pieces cover the scene once. All outlines are noded together and the faces between them are given to the topmost
    shape around them, so that neighbours share their vertices.
    """
    # Outlines run on beyond the scene: clipped ones would end a rounding error short of its edge and leave gaps.
    noded = shapely.union_all(shapely.boundary(pile.shapes))
    faces = np.asarray(shapely.get_parts(shapely.polygonize(shapely.get_parts(noded))), dtype=object)
    faces = faces[shapely.intersects(pile.shapes[0], shapely.point_on_surface(faces))]
    face, place = STRtree(pile.shapes).query(shapely.point_on_surface(faces), predicate="intersects")
    top = np.zeros(len(faces), dtype=np.intp)
    np.maximum.at(top, face, place)
    order = np.argsort(top, kind="stable")
    places, starts = np.unique(top[order], return_index=True)
    pieces: list[Polygon] = []
    owners: list[int] = []
    for owner, group in zip(places.tolist(), np.split(faces[order], starts[1:]), strict=True):
        whole = shapely.coverage_union_all(group) if len(group) > 1 else group[0]
        parts = shapely.get_parts(whole)
        pieces += list(parts)
        owners += [owner] * len(parts)
    return np.array(pieces, dtype=object), np.array(owners, dtype=np.intp)
