"""The [measure] table of the project file."""

from dataclasses import dataclass

from terraseg.core.classes import Legend


@dataclass(frozen=True)
class MeasureOptions:
    """What is counted.

    objects  names of the classes whose polygons are objects to count and size; empty means all but the background
    """

    objects: tuple[str, ...] = ()


def object_ids(legend: Legend, options: MeasureOptions) -> frozenset[int]:
    """The map ids whose polygons count as objects; `UnknownName` for a class that is not in the legend."""
    chosen = {legend.index_of(name) for name in options.objects} or set(range(len(legend))) - {legend.background_index}
    return frozenset(legend.ids[index] for index in chosen if index is not None)
