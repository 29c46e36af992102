"""The [vectorize] table of the project file."""

from dataclasses import dataclass

from pydantic import NonNegativeFloat

from terraseg.core.classes import Legend


@dataclass(frozen=True)
class VectorizeOptions:
    """Which polygons come out of a map, and how smooth they are.

    min_area_m2         regions with less ground than this go to the neighbour they share most border with, holes too;
                        without a CRS it counts pixels
    simplify_m          how far borders may move, in metres (without a CRS in pixels); 0 keeps the pixels' stairs, and left
                        out it is one pixel
    classes             names of the classes that become polygons; empty means all but the background
    include_background  the background becomes polygons too
    """

    min_area_m2: NonNegativeFloat = 4.0
    simplify_m: NonNegativeFloat | None = None
    classes: tuple[str, ...] = ()
    include_background: bool = False


def chosen_ids(legend: Legend, options: VectorizeOptions) -> tuple[int, ...]:
    """The map ids that become polygons; `UnknownName` for a class that is not in the legend."""
    if options.classes:
        chosen = {legend.index_of(name) for name in options.classes}
    else:
        chosen = set(range(len(legend))) - {legend.background_index}
    if options.include_background and legend.background_index is not None:
        chosen.add(legend.background_index)
    return tuple(legend.ids[index] for index in sorted(chosen))
