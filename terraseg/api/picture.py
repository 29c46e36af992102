"""Pictures for a notebook: figures that show themselves as the last expression of a cell, and images beside their classes."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from terraseg.core.classes import VOID, Legend
from terraseg.core.fingerprint import Fingerprint
from terraseg.errors import BadOption
from terraseg.store.rundir import replacing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RGB = ("red", "green", "blue")
VOID_RGB = (128, 128, 128)
SCREEN_DPI, PRINT_DPI = 100, 150
PANEL_INCHES = 3.0

Image = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Picture:
    """A matplotlib figure that any notebook shows as the value of a cell, without %matplotlib or pyplot.

    `figure` is an ordinary figure, to be changed before it is shown or saved.
    """

    figure: "Figure"

    def save(self, path: str | Path) -> Path:
        """Writes the figure, as PNG, JPEG, SVG or PDF by the ending of `path`; `BadOption` for another one."""
        file = Path(path)
        known = self.figure.canvas.get_supported_filetypes()
        if file.suffix.removeprefix(".").lower() not in known:
            raise BadOption(
                f"a picture cannot be saved as {file.name}: give it an ending such as .png, .jpg, .svg or .pdf"
            )
        with replacing(file) as temporary:
            self.figure.savefig(temporary, dpi=PRINT_DPI)
        return file

    def _repr_png_(self) -> bytes:
        """The figure as a PNG file: what notebooks ask a value for."""
        buffer = io.BytesIO()
        self.figure.savefig(buffer, format="png", dpi=SCREEN_DPI)
        return buffer.getvalue()

    def __repr__(self) -> str:
        return f"Picture of {len(self.figure.axes)} panels: save(path) writes it"


@dataclass(frozen=True, eq=False)
class Panel:
    """One image (height, width, 3) of a picture, with the line above it."""

    title: str
    image: Image


def panels(rows: Sequence[Sequence[Panel]], legend: Legend) -> Picture:
    """Rows of images of equal number, one below the other, over a key of the classes."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    columns = len(rows[0])
    figure = Figure(figsize=(PANEL_INCHES * columns, PANEL_INCHES * len(rows) + 0.5), layout="constrained")
    axes = figure.subplots(len(rows), columns, squeeze=False)
    for line, row in zip(axes, rows, strict=True):
        for axis, panel in zip(line, row, strict=True):
            axis.imshow(panel.image, interpolation="nearest")
            axis.set_title(panel.title, fontsize=9)
            axis.set_axis_off()
    key = [Patch(facecolor=c.color, edgecolor="black", linewidth=0.4, label=c.name) for c in legend.classes]
    figure.legend(handles=key, loc="outside lower center", ncols=min(len(key), 2 * columns), frameon=False, fontsize=9)
    return Picture(figure)


def class_image(indices: NDArray[np.uint8], legend: Legend) -> Image:
    """Class indices (height, width) in the classes' colours, (height, width, 3); void is grey."""
    table = np.full((VOID + 1, 3), VOID_RGB, dtype=np.uint8)
    table[: len(legend)] = [c.rgb for c in legend.classes]
    return np.asarray(table[indices], dtype=np.uint8)


def visible(pixels: NDArray[Any], fingerprint: Fingerprint) -> Image:
    """Raw pixels (bands, height, width) for the eye, (height, width, 3), stretched between the training data's percentiles.

    Red, green and blue are taken by name, else the first three bands, else the first one as grey.
    """
    names = [band.name for band in fingerprint.bands]
    by_name = [names.index(name) for name in RGB if name in names]
    chosen = by_name if len(by_name) == len(RGB) else [0, 1, 2] if len(names) >= len(RGB) else [0, 0, 0]
    low = np.array([fingerprint.bands[k].p01 for k in chosen])[:, None, None]
    high = np.array([fingerprint.bands[k].p99 for k in chosen])[:, None, None]
    shares = (pixels[chosen].astype(np.float64) - low) / np.maximum(high - low, 1e-9)
    return np.asarray(np.moveaxis(np.nan_to_num(shares).clip(0, 1) * 255, 0, -1), dtype=np.uint8)
