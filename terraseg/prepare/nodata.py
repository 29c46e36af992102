"""Whether a scene's nodata is what it says: borders that no mask tells of, and declared values that are imagery."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from terraseg.core.dataset import Scene
from terraseg.core.window import Window
from terraseg.pixels.fill import edge_fill, is_imagery
from terraseg.store.raster import RasterReader, open_raster

OVERVIEW = 1024
SAMPLE = 512
"""Side of the middle of a scene, whose pixels are held against the declared value."""


@dataclass(frozen=True)
class NodataFinding:
    """What is wrong with a scene's nodata: a sentence with the way out; `is_wrong` when training would take it amiss."""

    text: str
    is_wrong: bool


def look_at_nodata(scene: Scene) -> NodataFinding | None:
    """What there is to say of the nodata of a scene; None where all is well.

    A border of one value (black, below zero, the highest of the type) is looked for where no pixel is marked as empty. It is
    only reported while the raster says nothing of nodata; where another value is declared, the declaration is wrong.
    """
    with open_raster(scene.imagery) as raster:
        declared = next((value for value in raster.nodata if value is not None), None)
        own = len(scene.imagery.bands)
        if declared is not None and np.isfinite(declared):
            sample = raster.read(_middle(scene.grid.window))
            if is_imagery(sample.pixels[:own], declared):
                return NodataFinding(_is_ground(scene, declared, float((~sample.valid).mean())), is_wrong=True)
        found = _border(raster, own)
    if found is None:
        return None
    value, share = found
    border = f"{share:.1%} of {scene.name} is a border of {value:g} that no mask marks as empty"
    if declared is None:
        return NodataFinding(
            f"{border}: set nodata = {value:g} under [data], or it is learnt as a class", is_wrong=False
        )
    return NodataFinding(
        f"{border}, and the nodata that {_source(scene)} ({declared:g}) is in none of its pixels: set nodata = {value:g} "
        "under [data]",
        is_wrong=True,
    )


def _middle(whole: Window) -> Window:
    height, width = min(SAMPLE, whole.height), min(SAMPLE, whole.width)
    return Window((whole.height - height) // 2, (whole.width - width) // 2, height, width)


def _is_ground(scene: Scene, declared: float, empty: float) -> str:
    return (
        f"the nodata that {_source(scene)} ({declared:g}) is one of the values of the ground in {scene.name}: {empty:.1%} of "
        "its middle is taken for empty; unset it (gdal_edit -unsetnodata), or set the true nodata under [data]"
    )


def _source(scene: Scene) -> str:
    return "the project file sets" if scene.imagery.nodata is not None else "the file declares"


def _border(raster: RasterReader, own: int) -> tuple[float, float] | None:
    """The value of a border and its share of the scene; None without one, and where a mask or nodata marks any pixel."""
    patch = raster.read_overview(OVERVIEW)
    if not patch.valid.all():
        return None
    pixels = patch.pixels[:own]
    corners = pixels[:, [0, 0, -1, -1], [0, -1, 0, -1]]
    known = patch.valid[[0, 0, -1, -1], [0, -1, 0, -1]]
    flat = corners[0][known & (corners == corners[0]).all(axis=0)]
    candidates = {0.0} | {
        float(v) for v in flat.tolist() if v < 0 or _is_highest(float(v), flat.tolist(), pixels.dtype)
    }
    for value in sorted(candidates):
        border = edge_fill(pixels, patch.valid, value)
        if border.any():
            return value, float(border.mean())
    return None


def _is_highest(value: float, corners: list[float], dtype: np.dtype[Any]) -> bool:
    """True for the highest number of an integer type that at least two corners hold: one may be a cloud."""
    return dtype.kind in "iu" and value == np.iinfo(dtype).max and corners.count(value) >= 2
