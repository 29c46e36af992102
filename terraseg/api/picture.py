"""Pictures for a notebook: figures that show themselves as the last expression of a cell, and images beside their classes."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from terraseg.core.classes import Legend
from terraseg.errors import BadOption
from terraseg.store.rundir import replacing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

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


def whole(image: Image) -> Picture:
    """One image that fills its picture, pixel by pixel."""
    from matplotlib.figure import Figure

    height, width = image.shape[:2]
    figure = Figure(figsize=(width / SCREEN_DPI, height / SCREEN_DPI))
    axis = figure.add_axes((0, 0, 1, 1))
    axis.imshow(image, interpolation="none", aspect="auto")
    axis.set_axis_off()
    return Picture(figure)
