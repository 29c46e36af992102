"""The [measure] table of the project file."""

from dataclasses import dataclass

from pydantic import NonNegativeFloat

from terraseg.core.classes import Legend


@dataclass(frozen=True)
class MeasureOptions:
    """What is counted.

    objects    names of the classes whose polygons are objects to count and size; empty means all but the background
    figures    buildings, streets and trees are measured too, where the map has such classes
    buildings  names of the classes that are buildings; empty means those named so: building, house, roof and the like
    roads      names of the classes that are streets; empty means those named so
    trees      names of the classes that are trees, counted by their crowns; empty means those named so
    over_roads names of the classes that hide streets from above; empty means trees, and cars by their names
    crown_m    crowns narrower than this are bushes and not counted; without a CRS it counts pixels
    per        a file of polygons, or the size of square cells such as "100m", for figures by district or cell
    per_field  the attribute that names a district; left out, one that is called name or the like
    """

    objects: tuple[str, ...] = ()
    figures: bool = True
    buildings: tuple[str, ...] = ()
    roads: tuple[str, ...] = ()
    trees: tuple[str, ...] = ()
    over_roads: tuple[str, ...] = ()
    crown_m: NonNegativeFloat = 1.6
    per: str | None = None
    per_field: str | None = None


def object_ids(legend: Legend, options: MeasureOptions) -> frozenset[int]:
    """The map ids whose polygons count as objects; `UnknownName` for a class that is not in the legend."""
    chosen = {legend.index_of(name) for name in options.objects} or set(range(len(legend))) - {legend.background_index}
    return frozenset(legend.ids[index] for index in chosen if index is not None)
