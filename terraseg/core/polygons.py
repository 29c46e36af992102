"""Polygons with their attributes: those of a map, and those of a label file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from terraseg.core.classes import Legend

Unit = Literal["m", "px"]


@dataclass(frozen=True, eq=False)
class PolygonTable:
    """The polygons of a map, row by row; all arrays have shape (n,).

    `geometry` holds shapely polygons in map coordinates, `class_id` the map ids (uint8), `confidence` the mean probability
    of the chosen class from 0 to 1, NaN where it is unknown. With a CRS `unit` is "m" and `area` and `perimeter` are
    ground sizes in square metres and metres; without one it is "px" and both are in pixels. `attributes` are further
    columns by the names that they have in files; a number is NaN where it does not apply.
    """

    geometry: NDArray[np.object_]
    class_id: NDArray[np.uint8]
    area: NDArray[np.float64]
    perimeter: NDArray[np.float64]
    confidence: NDArray[np.float64]
    legend: Legend
    crs: str | None
    attributes: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        lengths = {len(getattr(self, name)) for name in _COLUMNS} | {len(c) for c in self.attributes.values()}
        if len(lengths) != 1:
            raise ValueError(f"polygon columns of the lengths {sorted(lengths)}: each polygon needs one value of each")

    def __len__(self) -> int:
        return len(self.geometry)

    @property
    def unit(self) -> Unit:
        """The unit of lengths: "m" on the ground with a CRS, else "px"."""
        return "px" if self.crs is None else "m"

    @property
    def area_column(self) -> str:
        """The area's name in files: "area_m2" or "area_px"."""
        return "area_px" if self.crs is None else "area_m2"

    @property
    def perimeter_column(self) -> str:
        """The perimeter's name in files: "perimeter_m" or "perimeter_px"."""
        return "perimeter_px" if self.crs is None else "perimeter_m"

    @property
    def class_name(self) -> NDArray[np.object_]:
        """Class names as an object array of str."""
        names = {c.id: c.name for c in self.legend.classes}
        return np.array([names[int(i)] for i in self.class_id], dtype=object)

    def rows(self, chosen: NDArray[Any]) -> "PolygonTable":
        """The rows that a boolean mask or an index array picks."""
        picked: dict[str, Any] = {name: getattr(self, name)[chosen] for name in _COLUMNS}
        return replace(self, **picked, attributes={name: c[chosen] for name, c in self.attributes.items()})

    @staticmethod
    def joined(tables: "Sequence[PolygonTable]") -> "PolygonTable":
        """The rows of tables of one legend and one CRS, one after the other; at least one table.

        A column that a table lacks is NaN in its rows.
        """
        columns: dict[str, Any] = {
            name: np.concatenate([getattr(table, name) for table in tables]) for name in _COLUMNS
        }
        names = dict.fromkeys(name for table in tables for name in table.attributes)
        further = {
            name: np.concatenate([t.attributes.get(name, np.full(len(t), np.nan)) for t in tables]) for name in names
        }
        return replace(tables[0], **columns, attributes=further)


_COLUMNS = tuple(f.name for f in fields(PolygonTable) if f.name not in ("legend", "crs", "attributes"))


@dataclass(frozen=True, eq=False)
class VectorLabels:
    """Polygons of a label file.

    `geometry` holds valid shapely polygons and multipolygons, 2-D; `values` (n,) of str the attribute that names the
    class, "" where it is null and everywhere when none was asked for. `skipped` counts features that are no polygons
    (points, lines, empty or null geometries), `repaired` those whose rings crossed and were mended. `layer` was read;
    `unread` names further polygon layers of the file. `widths` (n,) are the metres over which lines and points are drawn,
    NaN for polygons; None where there is nothing but polygons.
    """

    geometry: NDArray[np.object_]
    values: NDArray[np.str_]
    crs: str | None
    skipped: int = 0
    repaired: int = 0
    layer: str = ""
    unread: tuple[str, ...] = ()
    widths: NDArray[np.float64] | None = None

    def moved(self, geometry: NDArray[np.object_], crs: str | None) -> "VectorLabels":
        """The same features with coordinates in another CRS."""
        return replace(self, geometry=geometry, crs=crs)
