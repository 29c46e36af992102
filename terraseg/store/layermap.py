"""Maps of overlapping classes on disk: a band of 0 and 1 for each class, read by windows as label bytes."""

from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import rasterio.windows
from numpy.typing import NDArray

from terraseg.core.classes import VOID, Legend
from terraseg.core.grid import Grid
from terraseg.core.window import Window
from terraseg.errors import UnreadableFile
from terraseg.pixels.relabel import stacked_masks
from terraseg.store.classmap import parsed_legend
from terraseg.store.maplayers import LEGEND_TAG, OVERLAPPING_TAG
from terraseg.store.opening import grid_of, open_dataset, translated


class LayerMapReader:
    """An open map of overlapping classes: `grid`, `legend`, and `read`, which gives bit masks; a context manager."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._dataset = open_dataset(path)
        try:
            self.grid: Grid = grid_of(self._dataset)
            self.legend = self._legend()
        except BaseException:
            self._dataset.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._dataset.close()

    @property
    def tags(self) -> dict[str, str]:
        """What the file says of its making: the tags that were passed when it was written, and GDAL's own."""
        return dict(self._dataset.tags())

    def read(self, window: Window) -> NDArray[np.uint8]:
        """The label bytes (height, width) of a window inside the map, see `core.Coding`; 255 is nodata."""
        if window.is_empty or not self.grid.window.contains(window):
            raise ValueError(f"{window} does not lie inside a raster of {self.grid.height} x {self.grid.width} pixels")
        place = rasterio.windows.Window(window.col, window.row, window.width, window.height)
        with translated(self.path):
            values = self._dataset.read(window=place)
        strange = values[(values > 1) & (values != VOID)]
        if strange.size:
            raise UnreadableFile(
                f"{self.path} holds the value {strange[0]}, where a class is 1, its outside 0 and nodata 255: predict the map "
                "again"
            )
        return stacked_masks(values, [[index] for index in range(len(self.legend))], [VOID])

    def _legend(self) -> Legend:
        tags, count = self._dataset.tags(), self._dataset.count
        if OVERLAPPING_TAG not in tags or LEGEND_TAG not in tags:
            raise UnreadableFile(
                f"{self.path} is no map of overlapping classes: map with a model that was trained on a project with "
                "overlapping = true"
            )
        legend = parsed_legend(tags[LEGEND_TAG], self.path)
        if count != len(legend) or set(self._dataset.dtypes) != {"uint8"}:
            raise UnreadableFile(
                f"{self.path} has {count} bands of {self._dataset.dtypes[0]} and a legend of {len(legend)} classes, where each "
                "class has a band of uint8: predict the map again"
            )
        return legend


def is_layer_map(path: str | Path) -> bool:
    """Whether a raster is a map of overlapping classes; raises `UnreadableFile` for a file that is no raster."""
    with open_dataset(path) as dataset:
        return OVERLAPPING_TAG in dataset.tags()


def read_layer_map(path: str | Path) -> LayerMapReader:
    """An open map of overlapping classes. Raises `UnreadableFile`, for a map of another kind too."""
    return LayerMapReader(path)
