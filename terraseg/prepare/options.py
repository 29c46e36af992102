"""The [data] table of the project file."""

from dataclasses import dataclass
from typing import Literal

from terraseg.core.dataset import LabelKind

Grouping = Literal["auto", "scene", "folder", "site"]
Shift = tuple[float, float]
Values = Literal["scaled", "stored"]


@dataclass(frozen=True)
class ClassOption:
    """One [[data.classes]] entry.

    `labels` are the values that mean this class in the label files: ids or colours as text, attribute values of polygons,
    "*" for every polygon, "" for the ground outside them, names or numbers of bands. `id` is written into maps (by default
    the place in the list), `color` is "#RRGGBB".
    """

    name: str
    labels: tuple[str, ...]
    id: int | None = None
    color: str | None = None


@dataclass(frozen=True)
class DataOptions:
    """What the imagery and its labels are. Paths are patterns relative to the project file; ** crosses folders.

    images      imagery; one file a scene, or one a band with {band} in the place of the band's name
    labels      label rasters or polygon files; empty when there is nothing to train on
    label_kind  "ids", "colors" or "polygons"; "bands" of 0 and 1 for overlapping classes
    label_field attribute of the polygons that names their class; empty when all are of one class
    classes     the classes in the order of their ids
    overlapping a pixel may be of several classes at once, or of none; at most seven
    ignore      label values that mean "not labelled"
    bands       names of the channels in order
    sensor      what took the imagery, "sentinel-2" say: names the bands where the files do not, and says what values mean
    indices     further bands computed from the others: names of known ones, ["ndvi"], or a table of expressions over band
                names, {ndvi = "(nir - red) / (nir + red)"}
    nodata      pixel value that means "no data" where the files do not say so
    values      "scaled" by the scale and the offset that a file declares, or "stored": the numbers as they stand in it
    group       scenes that belong together in a split: "scene" each for itself, "folder" those of one folder, "site" those
                that share a label file or a name before the last number; "auto" chooses
    test        scenes kept out of training to be mapped and scored
    validation  scenes that judge the training; empty lets terraseg choose; ["none"] trains on everything
    extent      a file of polygons, or a pattern of them, inside which the labels are complete: outside it nothing counts, and
                inside it a scene without any polygon is a true negative; empty says nothing of it
    assume_crs  "EPSG:n", the CRS of polygons, and of imagery with a place on the map, whose files name none
    shift       moves labels that lie beside what they show: metres east and north (pixels right and up where the imagery
                has no CRS), [1.5, -2.0]; or a table of them by scene, {"zanzibar_*" = [1.5, -2.0]}
    buffer      metres by which polygons are grown before they are drawn; below 0 they shrink
    width       width of lines and diameter of points in metres, or the name of their attribute that holds it; 0 leaves
                lines and points out
    """

    images: tuple[str, ...]
    labels: tuple[str, ...] = ()
    label_kind: LabelKind | None = None
    label_field: str = ""
    classes: tuple[ClassOption, ...] = ()
    overlapping: bool = False
    ignore: tuple[str, ...] = ()
    bands: tuple[str, ...] = ()
    sensor: str = ""
    indices: dict[str, str] | tuple[str, ...] = ()
    nodata: float | None = None
    values: Values = "scaled"
    group: Grouping = "auto"
    test: tuple[str, ...] = ()
    validation: tuple[str, ...] = ()
    extent: str = ""
    assume_crs: str | None = None
    shift: Shift | dict[str, Shift] = (0.0, 0.0)
    buffer: float = 0.0
    width: float | str = 0.0
