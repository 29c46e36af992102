"""Small holes in the regions of a class are filled: a pure rule on the graph of regions."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from terraseg.pixels.regions import Borders
from terraseg.shapes.chains import linked


@dataclass(frozen=True, eq=False)
class Filled:
    """Regions after their holes were filled: `name` (n,) is the new number of each old one, the others are the new ones'."""

    name: NDArray[np.int64]
    class_id: NDArray[np.uint8]
    area: NDArray[np.float64]
    exposed: NDArray[np.bool_]
    borders: Borders


def fill_holes(regions: Filled, *, class_id: int, below: float) -> Filled:
    """The regions with every hole in a class of less than `below` filled, in the unit of the areas.

    A hole is what hangs together over pixel sides without being of the class, whatever classes it is made of, and touches
    neither nodata nor the map's edge. The borders of all regions with areas under `below` have to be there. Filled holes
    and the regions around them become one.
    """
    number = len(regions.class_id)
    one, two = regions.borders.one, regions.borders.two
    other = regions.class_id != class_id
    within = other[one] & other[two]
    group, first = linked(number, one[within], two[within])
    area = np.bincount(group, weights=regions.area, minlength=len(first))
    is_open = np.zeros(len(first), dtype=np.bool_)
    is_open[group[regions.exposed]] = True
    is_hole = other[first] & ~is_open & (area < below)
    if not is_hole.any():
        return regions
    filled = is_hole[group]
    classes = np.where(filled, class_id, regions.class_id).astype(np.uint8)
    joins = (filled[one] | filled[two]) & (classes[one] == classes[two])
    name, kept = linked(number, one[joins], two[joins])
    exposed = np.zeros(len(kept), dtype=np.bool_)
    exposed[name[regions.exposed]] = True
    return Filled(
        name=name[regions.name],
        class_id=classes[kept],
        area=np.bincount(name, weights=regions.area, minlength=len(kept)).astype(np.float64),
        exposed=exposed,
        borders=regions.borders.renamed(name),
    )
