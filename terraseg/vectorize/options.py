"""The [vectorize] table of the project file."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat

from terraseg.core.classes import Legend

BUILDING_WORDS = ("building", "house", "roof")
"""A class whose name holds one of these is made of buildings, unless the options say which are."""


@dataclass(frozen=True)
class VectorizeOptions:
    """Which polygons come out of a map, and how smooth they are.

    min_area_m2         regions with less ground than this go to the neighbour they share most border with, holes too;
                        without a CRS it counts pixels
    simplify_m          how far borders may move, in metres (without a CRS in pixels); 0 keeps the pixels' stairs, and left
                        out it is one pixel
    classes             names of the classes that become polygons; empty means all but the background
    include_background  the background becomes polygons too
    split               names of the classes whose touching objects are parted where they are narrow: buildings, trees
    split_by            by what they are parted: "distance" to the object's edge, or "probability" as well, which parts houses in
                        a row along the walls where the model was less sure; it needs the map's confidence
    buildings           names of the classes that are buildings: they get length, width, orientation and compactness, and
                        can be regularised; left out, those with building, house or roof in their names
    regularize          buildings get right angles, 45-degree edges, and round ones become circles
    regularize_iou      how much of itself a regularised building shares with its raw outline at least (intersection over
                        union); where it shares less, the outline stays as it is without regularize
    centerlines         names of the classes of which centre lines with their widths are drawn besides: roads
    crs                 the coordinate reference system of the polygons, "EPSG:4326" say; left out it is the map's
    """

    min_area_m2: NonNegativeFloat = 4.0
    simplify_m: NonNegativeFloat | None = None
    classes: tuple[str, ...] = ()
    include_background: bool = False
    split: tuple[str, ...] = ()
    split_by: Literal["distance", "probability"] = "distance"
    buildings: tuple[str, ...] | None = None
    regularize: bool = False
    regularize_iou: Annotated[float, Field(ge=0, le=1)] = 0.95
    centerlines: tuple[str, ...] = ()
    crs: str | None = None

    @property
    def needs_confidence(self) -> bool:
        """Whether polygons cannot be made without the map's confidence."""
        return bool(self.split) and self.split_by == "probability"


def chosen_ids(legend: Legend, options: VectorizeOptions) -> tuple[int, ...]:
    """The map ids that become polygons; `UnknownName` for a class that is not in the legend."""
    if options.classes:
        chosen = {legend.index_of(name) for name in options.classes}
    else:
        chosen = set(range(len(legend))) - {legend.background_index}
    if options.include_background and legend.background_index is not None:
        chosen.add(legend.background_index)
    return tuple(legend.ids[index] for index in sorted(chosen))


def building_ids(legend: Legend, options: VectorizeOptions) -> tuple[int, ...]:
    """The map ids of the classes that are buildings; `UnknownName` for a class that is not in the legend."""
    if options.buildings is not None:
        return named_ids(legend, options.buildings)
    return tuple(c.id for c in legend.classes if any(word in c.name.lower() for word in BUILDING_WORDS))


def named_ids(legend: Legend, names: tuple[str, ...]) -> tuple[int, ...]:
    """The map ids of classes by name; `UnknownName` for a class that is not in the legend."""
    return tuple(legend.ids[legend.index_of(name)] for name in names)
