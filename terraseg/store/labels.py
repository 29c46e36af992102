"""Reading labels as bytes that name classes, on the grid of their scene, whatever they are stored as."""

from contextlib import ExitStack
from types import TracebackType
from typing import Any, Protocol

import numpy as np
import rasterio.windows
import shapely
from affine import Affine
from numpy.typing import NDArray
from pyproj import Transformer
from rasterio.enums import Resampling
from rasterio.vrt import WarpedVRT

from terraseg.core.classes import VOID, Legend
from terraseg.core.dataset import ANY, OUTSIDE, Dataset, LabelRule, Scene
from terraseg.core.grid import Grid, same_crs
from terraseg.core.polygons import VectorLabels
from terraseg.core.window import Window
from terraseg.errors import BandMismatch, CrsMissing, EmptyDataset, GridMismatch, UnknownClass, nearest
from terraseg.pixels.burn import BurnLayer
from terraseg.pixels.relabel import UnlistedValues, index_colors, index_ids, stacked_masks
from terraseg.store.raster import grid_of, open_dataset, translated
from terraseg.store.vector import read_polygons


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
    """The labels of a scene by the data set's rule.

    Raises `CrsMissing` for polygons over imagery without a CRS, `GridMismatch` for a label raster of another size that
    cannot be placed, `UnknownClass` (also on reading) for a value that the rule does not list.
    """
    if scene.labels is None:
        raise EmptyDataset(f"scene {scene.name} has no labels: add them, or leave the scene out of training and scores")
    if dataset.rule.kind == "polygons":
        return PolygonLabels(scene.labels, scene.grid, dataset.rule)
    return RasterLabels(scene.labels, scene.grid, dataset.rule, dataset.legend)


class PolygonLabels:
    """Polygons burnt on the scene's grid at read time."""

    def __init__(self, path: str, grid: Grid, rule: LabelRule) -> None:
        labels = on_grid(read_polygons(path, field=rule.field), grid, path)
        code_of = rule.code_of()
        codes = np.full(len(labels.geometry), VOID, dtype=np.uint8)
        for number, value in enumerate(labels.values):
            codes[number] = _code_of(str(value), code_of, rule, path)
        self._layer = BurnLayer(labels.geometry, codes, grid, outside=rule.outside_code, overlapping=rule.overlapping)

    def read(self, window: Window) -> NDArray[np.uint8]:
        """Label bytes (height, width) of a window."""
        return self._layer.burn(window)

    def __enter__(self) -> "PolygonLabels":
        return self

    def __exit__(self, *_: object) -> None:
        return None


def _code_of(value: str, code_of: dict[str, int], rule: LabelRule, path: str) -> int:
    if rule.field is None:
        return code_of.get(ANY, VOID)
    if value in rule.ignore:
        return VOID
    if value not in code_of and ANY not in code_of:
        known = [v for v in code_of if v not in (ANY, OUTSIDE)]
        raise UnknownClass(
            f"{path} has polygons with {rule.field} = {value!r}, which no class of the project file stands for; "
            f"{nearest(value, known)}. Add it to a class's labels, or to ignore under [data]"
        )
    return code_of.get(value, code_of.get(ANY, VOID))


def on_grid(labels: VectorLabels, grid: Grid, path: str) -> VectorLabels:
    """The labels in the CRS of a scene's grid."""
    if grid.crs is None:
        raise CrsMissing(
            f"the labels {path} are polygons on the ground, and the imagery has no CRS, so they cannot be placed: "
            "give the imagery its CRS (gdal_edit -a_srs), or use labels drawn as rasters"
        )
    if labels.crs is None:
        raise CrsMissing(f"{path} names no CRS, so its polygons cannot be placed: set it (ogr2ogr -a_srs EPSG:n)")
    if same_crs(labels.crs, grid.crs):
        return labels
    transformer = Transformer.from_crs(labels.crs, grid.crs, always_xy=True)

    def project(points: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.column_stack(transformer.transform(points[:, 0], points[:, 1]))

    return labels.moved(np.asarray(shapely.transform(labels.geometry, project), dtype=object), grid.crs)


class RasterLabels:
    """Ids, colours or bands of 0 and 1 in a raster; warped to the scene's grid by nearest neighbour where it has another."""

    def __init__(self, path: str, grid: Grid, rule: LabelRule, legend: Legend) -> None:
        self._path, self._grid, self._rule, self._legend = path, grid, rule, legend
        self._code_of = rule.code_of()
        self._stack = ExitStack()
        source = self._stack.enter_context(open_dataset(path))
        self._dataset: Any = source
        self._placed = True
        own = grid_of(source)
        if own.crs is not None and grid.crs is not None and not own.same_place(grid):
            self._dataset = self._stack.enter_context(
                WarpedVRT(
                    source,
                    crs=grid.crs,
                    transform=Affine(*grid.transform),
                    height=grid.height,
                    width=grid.width,
                    resampling=Resampling.nearest,
                    add_alpha=True,
                )
            )
            self._placed = False
        elif (own.height, own.width) != (grid.height, grid.width):
            self._stack.close()
            raise GridMismatch(
                f"{path} is {own.height} x {own.width} px and its image {grid.height} x {grid.width} px, and they do not "
                "both have a CRS to align them by: export the labels at the size of the image"
            )
        self._colormap = palette_of(source) if rule.kind == "colors" else None
        self._bands: tuple[tuple[int, ...], ...] = ()
        if rule.kind == "bands":
            try:
                self._bands = class_bands(source, rule, legend, path)
            except BandMismatch:
                self._stack.close()
                raise
        # A band of 0 and 1 that declares 0 as nodata is of ground outside its class all the same.
        self._void = [float(value) for value in (*rule.ignore, source.nodata or "nan")] if self._bands else []

    def read(self, window: Window) -> NDArray[np.uint8]:
        """Label bytes (height, width) of a window; outside the label raster void."""
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
