"""Reading labels as bytes that name classes, on the grid of their scene, whatever they are stored as."""

from contextlib import ExitStack
from difflib import get_close_matches
from types import TracebackType
from typing import Any, Protocol

import numpy as np
import rasterio.windows
import shapely
from affine import Affine
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.vrt import WarpedVRT

from terraseg.core.classes import VOID, Legend
from terraseg.core.dataset import ANY, OUTSIDE, Dataset, LabelRule, Scene
from terraseg.core.drawing import Drawing
from terraseg.core.grid import Grid
from terraseg.core.polygons import VectorLabels
from terraseg.core.window import Window
from terraseg.errors import BandMismatch, CrsMissing, EmptyDataset, UnknownClass, nearest
from terraseg.pixels.burn import BurnLayer
from terraseg.pixels.drawn import drawn_areas
from terraseg.pixels.relabel import UnlistedValues, index_colors, index_ids, stacked_masks
from terraseg.shapes.carry import carried_onto
from terraseg.store.borrowed import borrowed_place, placement_like
from terraseg.store.features import read_features, read_polygons
from terraseg.store.opening import grid_of, open_dataset, translated
from terraseg.store.placing import ground_grid, place_labels, warp_crs

PLANE = "EPSG:3857"
"""Stands for the plane of rasters that lie nowhere on the ground; nothing is projected then."""
SHOWN = 6


class LabelReader(Protocol):
    """Open labels of one scene; a context manager."""

    def read(self, window: Window) -> NDArray[np.uint8]:
        """Label bytes (height, width) of a window of the scene, by the data set's coding; 255 is void."""
        ...

    def __enter__(self) -> "LabelReader": ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def open_labels(scene: Scene, dataset: Dataset) -> LabelReader:
    """The labels of a scene by the data set's rule; void outside the extent, where the rule has one.

    Polygons that touch no pixel of a scene say nothing of it: without an extent, all of it is void then. Raises `CrsMissing`
    for polygons over imagery without a CRS, `GridMismatch` for a label raster that cannot be placed or covers less than half
    of its image, `UnknownClass` (also on reading) for a value that the rule does not list.
    """
    if scene.labels is None:
        raise EmptyDataset(f"scene {scene.name} has no labels: add them, or leave the scene out of training and scores")
    rule = dataset.rule
    extent = open_extent(rule.drawing, scene.grid) if rule.drawing.extent else None
    if rule.kind == "polygons":
        return PolygonLabels(scene, rule, extent)
    return RasterLabels(scene, rule, dataset.legend, extent)


def open_extent(drawing: Drawing, grid: Grid) -> BurnLayer:
    """Where labels are complete, to be burnt on a scene's grid: 0 inside the extent, void outside.

    Raises `CrsMissing` where file or scene has no CRS, `EmptyDataset` for files without a polygon.
    """
    shapes = [
        on_grid(read_polygons(path), grid, path, assume_crs=drawing.assume_crs).geometry for path in drawing.extent
    ]
    joined = np.concatenate(shapes)
    if not len(joined):
        raise EmptyDataset(
            f"{', '.join(drawing.extent)} holds no polygon, so it is no extent of labels: pass a file of polygons as extent"
        )
    return BurnLayer(joined, np.zeros(len(joined), dtype=np.uint8), grid)


def scene_features(scene: Scene, rule: LabelRule) -> VectorLabels:
    """The features of a scene's label file as areas in the scene's CRS, drawn as the rule says; those elsewhere too."""
    path, drawing = str(scene.labels), rule.drawing
    found = read_features(path, field=rule.field, width=drawing.width)
    labels = on_grid(found, scene.grid, path, assume_crs=drawing.assume_crs)
    grid = ground_grid(scene.grid, drawing.assume_crs)
    areas = drawn_areas(labels.geometry, labels.widths, grid, buffer=drawing.buffer, shift=scene.shift)
    return labels.moved(areas, grid.crs)


class PolygonLabels:
    """Polygons, and lines and points of some width, burnt on the scene's grid at read time."""

    def __init__(self, scene: Scene, rule: LabelRule, extent: BurnLayer | None = None) -> None:
        labels = scene_features(scene, rule)
        codes = feature_codes(labels.values, rule, str(scene.labels))
        outline = scene.grid.outline
        shapely.prepare(outline)
        there = shapely.intersects(outline, labels.geometry).any()
        outside = rule.outside_code if there or extent is not None else VOID
        self._layer = BurnLayer(labels.geometry, codes, scene.grid, outside=outside, overlapping=rule.overlapping)
        self._extent = extent

    def read(self, window: Window) -> NDArray[np.uint8]:
        """Label bytes (height, width) of a window."""
        return _within(self._layer.burn(window), self._extent, window)

    def __enter__(self) -> "PolygonLabels":
        return self

    def __exit__(self, *_: object) -> None:
        return None


def _within(labels: NDArray[np.uint8], extent: BurnLayer | None, window: Window) -> NDArray[np.uint8]:
    return labels if extent is None else np.where(extent.burn(window) == VOID, np.uint8(VOID), labels)


def feature_codes(values: NDArray[np.str_], rule: LabelRule, path: str) -> NDArray[np.uint8]:
    """The label byte of each feature by its attribute, shape (n,); `UnknownClass` lists the values that no class names."""
    code_of = rule.code_of()
    if rule.field is None:
        return np.full(len(values), code_of.get(ANY, VOID), dtype=np.uint8)
    strays = unknown_values(values, rule)
    if strays:
        shown = "; ".join(f"{value!r} ({count} times{near})" for value, count, near in strays[:SHOWN])
        more = f"; and {len(strays) - SHOWN} more" if len(strays) > SHOWN else ""
        known = ", ".join(v for v in code_of if v not in (ANY, OUTSIDE))
        raise UnknownClass(
            f"{path} has polygons with {rule.field} = {shown}{more}, which no class of the project file stands for (known: "
            f"{known}). Add each to a class's labels, or to ignore under [data]"
        )
    found, places = np.unique(values, return_inverse=True)
    codes = [VOID if v in rule.ignore else code_of.get(v, code_of.get(ANY, VOID)) for v in found.tolist()]
    return np.array(codes, dtype=np.uint8)[places]


def unknown_values(values: NDArray[np.str_], rule: LabelRule) -> list[tuple[str, int, str]]:
    """Attribute values that neither a class nor the ignore list names, the commonest first: value, count, and the nearest.

    The nearest known one is a half-sentence, ", did you mean 'house'?", empty where none is near.
    """
    code_of = rule.code_of()
    if rule.field is None or ANY in code_of:
        return []
    known = {v.casefold(): v for v in code_of if v not in (ANY, OUTSIDE)}
    found, counts = np.unique(values, return_counts=True)
    strays = []
    for value, count in zip(found.tolist(), counts.tolist(), strict=True):
        if value not in rule.ignore and value not in code_of:
            near = get_close_matches(value.casefold(), known, n=1)
            strays.append((value, count, f", did you mean {known[near[0]]!r}?" if near else ""))
    return sorted(strays, key=lambda stray: -stray[1])


def on_grid(labels: VectorLabels, grid: Grid, path: str, *, assume_crs: str | None = None) -> VectorLabels:
    """The labels in the CRS of a scene's grid; `assume_crs` stands in where their file, or the scene, names none."""
    target = ground_grid(grid, assume_crs).crs
    if target is None:
        raise CrsMissing(
            f"the labels {path} are polygons on the ground, and the imagery has no CRS, so they cannot be placed: "
            "give the imagery its CRS (gdal_edit -a_srs), set assume_crs under [data], or use labels drawn as rasters"
        )
    crs = labels.crs or assume_crs
    if crs is None:
        raise CrsMissing(
            f"{path} names no CRS, so its polygons cannot be placed: set it (ogr2ogr -a_srs EPSG:n), or pass "
            'assume_crs = "EPSG:n" under [data]'
        )
    moved = np.array(carried_onto(labels.geometry, crs, target, grid.bounds, gsd_m=grid.gsd_m))
    # What that CRS cannot show lies nowhere near the scene.
    bounds = shapely.bounds(moved)
    moved[~np.isfinite(bounds).all(axis=1)] = shapely.Polygon()
    return labels.moved(moved, target)


class RasterLabels:
    """Ids, colours or bands of 0 and 1 in a raster; laid on the scene's grid by nearest neighbour where it has another."""

    def __init__(self, scene: Scene, rule: LabelRule, legend: Legend, extent: BurnLayer | None = None) -> None:
        self._path, self._rule, self._legend, self._extent = str(scene.labels), rule, legend, extent
        self._code_of = rule.code_of()
        with ExitStack() as stack:
            source = stack.enter_context(open_dataset(self._path))
            self._dataset, self._placed = _on_scene(source, scene, rule.drawing.assume_crs, stack)
            self._colormap = palette_of(source) if rule.kind == "colors" else None
            self._bands: tuple[tuple[int, ...], ...] = ()
            if rule.kind == "bands":
                self._bands = class_bands(source, rule, legend, self._path)
            # A band of 0 and 1 that declares 0 as nodata is of ground outside its class all the same.
            self._void = [float(value) for value in (*rule.ignore, source.nodata or "nan")] if self._bands else []
            self._stack = stack.pop_all()

    def read(self, window: Window) -> NDArray[np.uint8]:
        """Label bytes (height, width) of a window; outside the label raster void."""
        return _within(self._read(window), self._extent, window)

    def _read(self, window: Window) -> NDArray[np.uint8]:
        region = rasterio.windows.Window(window.col, window.row, window.width, window.height)
        with translated(self._path):
            count = self._dataset.count - (0 if self._placed else 1)
            values = self._dataset.read(list(range(1, count + 1)), window=region)
            covered = None if self._placed else self._dataset.read(count + 1, window=region) > 0
        if covered is not None and not covered.all():
            indices = np.full(covered.shape, VOID, dtype=np.uint8)
            indices[covered] = self._index(values[:, covered][:, None, :])[0]
            return indices
        return self._index(values)

    def _index(self, values: NDArray[Any]) -> NDArray[np.uint8]:
        if self._rule.kind == "bands":
            return stacked_masks(values, self._bands, self._void)
        try:
            if self._rule.kind == "ids":
                return index_ids(values[0], self._code_of, self._rule.ignore)
            if self._colormap is not None:
                values = np.moveaxis(self._colormap[values[0]], -1, 0)
            if len(values) < 3:
                values = np.repeat(values[:1], 3, axis=0)
            return index_colors(values[:3], self._code_of, self._rule.ignore)
        except UnlistedValues as error:
            what = "colour" if self._rule.kind == "colors" else "value"
            more = f" and {len(error.values) - 4} more" if len(error.values) > 4 else ""
            raise UnknownClass(
                f"{self._path} holds the {what} {', '.join(error.values[:4])}{more}, which no class of the project file "
                f"stands for ({', '.join(self._legend.names)}): add it to a class's labels, or to ignore under [data]"
            ) from error

    def __enter__(self) -> "RasterLabels":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()


def _on_scene(source: Any, scene: Scene, assume_crs: str | None, stack: ExitStack) -> tuple[Any, bool]:
    """A label raster on the grid of its scene, and whether it lies there as it is: else a further band tells where it lies."""
    if placement_like(source, scene.imagery.paths[0]) is not None:
        image = scene.imagery.paths[0]
        return borrowed_place(source, image, scene.grid, shift=scene.shift, stack=stack), False
    own = place_labels(grid_of(source), scene.grid, source.name, assume_crs=assume_crs, shift=scene.shift)
    if own.same_place(scene.grid):
        return source, True
    return stack.enter_context(_warped(source, own, scene.grid)), False


def _warped(source: Any, own: Grid, grid: Grid) -> WarpedVRT:
    """A label raster that lies at `own`, on a scene's grid, with a further band that is 0 outside the labels.

    What the file declares as nodata is a value as any other: the rule says what it means.
    """
    return WarpedVRT(
        source,
        src_crs=warp_crs(own, grid) or PLANE,
        src_transform=Affine(*own.transform),
        crs=grid.crs or PLANE,
        transform=Affine(*grid.transform),
        height=grid.height,
        width=grid.width,
        resampling=Resampling.nearest,
        src_nodata=None,
        add_alpha=True,
    )


def class_bands(dataset: Any, rule: LabelRule, legend: Legend, path: str) -> tuple[tuple[int, ...], ...]:
    """The places, from 0, of the bands that draw each class, found by their descriptions or their numbers from 1.

    Raises `BandMismatch` for a band that the raster lacks.
    """
    names = [str(name or "").lower() for name in dataset.descriptions]
    known = [str(name or number) for number, name in enumerate(dataset.descriptions, 1)]
    places = []
    for land, values in zip(legend.classes, rule.values, strict=True):
        own = []
        for value in values:
            numbered = value.isdigit() and 1 <= int(value) <= len(names)
            if value.lower() not in names and not numbered:
                raise BandMismatch(
                    f"{path} has no band {value!r}, in which the project file sees the class {land.name}: "
                    f"{nearest(value, known)}"
                )
            own.append(names.index(value.lower()) if value.lower() in names else int(value) - 1)
        places.append(tuple(own))
    return tuple(places)


def palette_of(dataset: Any) -> NDArray[np.uint8] | None:
    """The (256, 3) colours of a palette raster, None for others."""
    if dataset.count != 1 or dataset.colorinterp[0].name != "palette":
        return None
    table = np.zeros((256, 3), dtype=np.uint8)
    for value, color in dataset.colormap(1).items():
        table[value] = color[:3]
    return table
