"""The probabilities beside a class map, one band a class, read by windows."""

from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import rasterio.windows
from numpy.typing import NDArray

from terraseg.core.classes import VOID
from terraseg.core.grid import Grid
from terraseg.core.window import Window
from terraseg.errors import UnreadableFile
from terraseg.pixels.blend import FULL
from terraseg.store.opening import grid_of, open_dataset, translated


class ProbabilityReader:
    """Open probabilities: `grid`, `classes`, their number, and `read`; a context manager."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._dataset = open_dataset(path)
        kinds = {np.dtype(dtype).kind for dtype in self._dataset.dtypes}
        if kinds - {"u", "f"} or len(kinds) != 1:
            self._dataset.close()
            raise UnreadableFile(
                f"{path} holds {', '.join(self._dataset.dtypes)}, where probabilities as bytes or floats are expected: pass "
                "those that terraseg predict wrote"
            )
        self.grid: Grid = grid_of(self._dataset)
        self.classes: int = self._dataset.count

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._dataset.close()

    def read(self, window: Window) -> NDArray[np.float32]:
        """Probabilities (classes, height, width) of a window inside the grid, NaN for nodata."""
        place = rasterio.windows.Window(window.col, window.row, window.width, window.height)
        with translated(self.path):
            values = self._dataset.read(window=place)
        if values.dtype != np.uint8:
            return np.asarray(values, dtype=np.float32)
        return np.where(values == VOID, np.float32(np.nan), values / np.float32(FULL)).astype(np.float32)


def open_probabilities(path: str | Path) -> ProbabilityReader:
    """Open probabilities. Raises `UnreadableFile`."""
    return ProbabilityReader(path)
