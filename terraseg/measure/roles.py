"""Which classes of a map are buildings, streets and trees."""

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from terraseg.core.classes import Legend
from terraseg.core.coding import Coding
from terraseg.measure.options import MeasureOptions

BUILDINGS = frozenset(
    "building buildings house houses roof roofs rooftop rooftops footprint footprints hut huts".split()
)
ROADS = frozenset("road roads street streets highway highways carriageway roadway lane lanes".split())
TREES = frozenset("tree trees crown crowns canopy treetop treetops palm palms".split())
VEHICLES = frozenset("car cars vehicle vehicles truck trucks bus buses van vans lorry lorries".split())


@dataclass(frozen=True)
class Roles:
    """Classes by what they are, as indices of a legend."""

    buildings: tuple[int, ...]
    roads: tuple[int, ...]
    trees: tuple[int, ...]
    over_roads: tuple[int, ...]


def roles_of(legend: Legend, options: MeasureOptions) -> Roles:
    """The roles of a legend's classes: those that the options name, else those whose name ends in a word for it.

    "Paved road" is a street and "car park" is no car. Raises `UnknownName` for a class that the legend lacks.
    """
    trees = _chosen(legend, options.trees, TREES)
    over = _chosen(legend, options.over_roads, VEHICLES)
    return Roles(
        buildings=_chosen(legend, options.buildings, BUILDINGS),
        roads=_chosen(legend, options.roads, ROADS),
        trees=trees,
        over_roads=over if options.over_roads else tuple(sorted({*trees, *over})),
    )


def _chosen(legend: Legend, named: tuple[str, ...], words: frozenset[str]) -> tuple[int, ...]:
    if named:
        return tuple(sorted({legend.index_of(name) for name in named}))
    return tuple(index for index, name in enumerate(legend.names) if last_word(name) in words)


def last_word(name: str) -> str:
    """The last word of a class name, in small letters.

    >>> last_word("Paved_Road"), last_word("tree (broad-leaved)"), last_word("?")
    ('road', 'tree', '')
    """
    words: list[str] = re.findall(r"[^\W\d_]+", re.sub(r"\(.*?\)", "", name).casefold())
    return words[-1] if words else ""


def values_of(indices: tuple[int, ...], legend: Legend, *, overlapping: bool) -> NDArray[np.int64]:
    """The values of a map's pixels that are of one of these classes: their ids, or every bit mask that holds one of them."""
    if not overlapping:
        return np.array([legend.ids[index] for index in indices], dtype=np.int64)
    coding = Coding(len(legend), overlapping=True)
    members = coding.members()[list(indices), : coding.codes]
    return np.flatnonzero(members.any(axis=0)).astype(np.int64)
