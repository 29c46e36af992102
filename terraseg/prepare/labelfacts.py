"""Files of polygons before they are drawn: features mended and left out, values that no class names, overlaps."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from terraseg.core.dataset import Dataset, LabelRule, Scene
from terraseg.errors import TerrasegError
from terraseg.shapes.ground import ground_area_m2
from terraseg.store.features import read_features
from terraseg.store.labels import feature_codes, scene_features, unknown_values
from terraseg.store.labelscan import declared_nodata
from terraseg.store.placing import ground_grid

LEAST_OVERLAP = 1e-3
"""Overlaps of less than this part of the smaller polygon are two outlines that touch."""
SHOWN = 6


@dataclass(frozen=True)
class LabelFacts:
    """One file of polygons: its features, how many rings were mended, how many features were left out for want of ground.

    `lines` and points were given a width. `overlaps` counts pairs of polygons of different classes that share ground, of
    `overlap_m2` square metres in all; the later class of the project file wins there. `unknown` are attribute values that
    no class names, with their counts and the nearest known ones; `unread` further layers of the file.
    """

    path: str
    features: int
    repaired: int
    skipped: int
    lines: int
    overlaps: int
    overlap_m2: float
    unknown: tuple[tuple[str, int, str], ...]
    unread: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)

    def notes(self) -> Iterator[str]:
        """A sentence for each thing that someone may want to know of the file."""
        if self.repaired:
            yield f"{self.path}: {self.repaired} of {self.features} polygons have rings that cross and are mended"
        if self.skipped:
            yield (
                f"{self.path}: {self.skipped} features without ground (points, lines, empty) are left out; width under [data] "
                "draws lines and points"
            )
        if self.lines:
            yield f"{self.path}: {self.lines} lines and points are drawn by their width"
        if self.overlaps:
            yield (
                f"{self.path}: {self.overlaps} pairs of polygons of different classes overlap, over {self.overlap_m2:,.0f} m2: "
                "the class that comes later in the project file wins there"
            )
        if self.unread:
            yield f"{self.path} has further layers of polygons, which are not read: {', '.join(self.unread)}"

    def problem(self, rule: LabelRule) -> str | None:
        """What would stop training: values that no class names, each with the nearest; None where all are known."""
        if not self.unknown:
            return None
        shown = "; ".join(f"{value!r} ({count} times{near})" for value, count, near in self.unknown[:SHOWN])
        more = f"; and {len(self.unknown) - SHOWN} more" if len(self.unknown) > SHOWN else ""
        return (
            f"{self.path} has polygons with {rule.field} = {shown}{more}, which no class of the project file stands for: add "
            "each to a class's labels, or to ignore under [data]"
        )


def label_facts(scenes: Sequence[Scene], dataset: Dataset) -> LabelFacts:
    """The facts of one file of polygons, from the scenes that it belongs to; raises as `open_labels` does but for values."""
    rule, path = dataset.rule, str(scenes[0].labels)
    found = read_features(path, field=rule.field, width=rule.drawing.width)
    unknown = tuple(unknown_values(found.values, rule))
    pairs, area = (0, 0.0) if unknown or dataset.coding.overlapping else _overlaps(scenes[0], rule)
    lines = 0 if found.widths is None else int(np.isfinite(found.widths).sum())
    return LabelFacts(
        path, len(found.geometry), found.repaired, found.skipped, lines, pairs, area, unknown, found.unread
    )


def declared_class_notes(dataset: Dataset) -> tuple[str, ...]:
    """A sentence where label rasters declare as nodata what the project file takes for a class; files that cannot be read
    are left to others.
    """
    rule = dataset.rule
    if rule.kind not in ("ids", "colors"):
        return ()
    found: dict[str, list[str]] = {}
    for path in dict.fromkeys(s.labels for s in dataset.scenes if s.labels is not None):
        try:
            value = declared_nodata(path, rule.kind)
        except TerrasegError:
            continue
        if value is not None:
            found.setdefault(value, []).append(path)
    return tuple(
        f"{_and_more(paths)} declares {value} as nodata, which is the class {name} here: put it under ignore if it means "
        "not labelled"
        for name, values in zip(dataset.legend.names, rule.values, strict=True)
        for value, paths in found.items()
        if value in values
    )


def _and_more(paths: Sequence[str]) -> str:
    return paths[0] if len(paths) == 1 else f"{paths[0]}, as {len(paths) - 1} more,"


def _overlaps(scene: Scene, rule: LabelRule) -> tuple[int, float]:
    labels = scene_features(scene, rule)
    codes = feature_codes(labels.values, rule, str(scene.labels))
    if len(np.unique(codes)) < 2:
        return 0, 0.0
    shared = shared_ground(labels.geometry, codes)
    crs = ground_grid(scene.grid, rule.drawing.assume_crs).crs
    return len(shared), float(ground_area_m2(shared, crs).sum()) if crs is not None and len(shared) else 0.0


def shared_ground(geometry: NDArray[np.object_], codes: NDArray[np.uint8]) -> NDArray[np.object_]:
    """What each pair of polygons of different codes has in common, shape (pairs,); outlines that only touch have nothing."""
    one, other = shapely.STRtree(geometry).query(geometry, predicate="intersects")
    pairs = (one < other) & (codes[one] != codes[other])
    one, other = one[pairs], other[pairs]
    common = shapely.intersection(geometry[one], geometry[other])
    smaller = np.minimum(shapely.area(geometry[one]), shapely.area(geometry[other]))
    parts = common[shapely.area(common) > LEAST_OVERLAP * smaller]
    return np.array([shapely.MultiPolygon(_polygons(part)) for part in parts], dtype=object)


def _polygons(shape: Any) -> list[Any]:
    return [part for part in shapely.get_parts(shape) if part.geom_type == "Polygon"]
