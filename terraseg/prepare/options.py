"""The [data] table of the project file."""

from dataclasses import dataclass
from typing import Literal

from terraseg.core.dataset import LabelKind

Grouping = Literal["auto", "scene", "folder", "site"]


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
    nodata      pixel value that means "no data" where the files do not say so
    group       scenes that belong together in a split: "scene" each for itself, "folder" those of one folder, "site" those
                that share a label file or a name before the last number; "auto" chooses
    test        scenes kept out of training to be mapped and scored
    validation  scenes that judge the training; empty lets terraseg choose; ["none"] trains on everything
    """

    images: tuple[str, ...]
    labels: tuple[str, ...] = ()
    label_kind: LabelKind | None = None
    label_field: str = ""
    classes: tuple[ClassOption, ...] = ()
    overlapping: bool = False
    ignore: tuple[str, ...] = ()
    bands: tuple[str, ...] = ()
    nodata: float | None = None
    group: Grouping = "auto"
    test: tuple[str, ...] = ()
    validation: tuple[str, ...] = ()
