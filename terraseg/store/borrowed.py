"""Labels in the pixels of an image that has no transform: laid on the ground by the image's own control points or RPCs."""

import warnings
from contextlib import ExitStack
from typing import Any
from uuid import uuid4

import rasterio
import rasterio.shutil
from affine import Affine
from rasterio.enums import Resampling
from rasterio.errors import NotGeoreferencedWarning
from rasterio.vrt import WarpedVRT

from terraseg.core.grid import Grid
from terraseg.errors import UnreadableFile
from terraseg.pixels.drawn import map_offset
from terraseg.store.opening import Placement, grid_of, open_source, placement_of, translated, warped

NEAREST = Resampling.nearest


def placement_like(labels: Any, image: str) -> Placement | None:
    """How an image lies on the ground that labels of its size, without a place of their own, are drawn on.

    None where the labels are of another size or placed, and where a transform places the image, or nothing does.
    """
    placed = labels.crs is not None or not labels.transform.is_identity or labels.gcps[0] or labels.rpcs is not None
    if placed:
        return None
    try:
        source = open_source(image)
    except UnreadableFile:
        # What is wrong with the image is said where it is read.
        return None
    with source:
        return placement_of(source) if source.shape == labels.shape else None


def borrowed_place(labels: Any, image: str, grid: Grid, *, shift: tuple[float, float], stack: ExitStack) -> Any:
    """Labels on the grid of a scene whose image places them, by nearest pixel, with a last band that is 0 beside them.

    They are moved by `shift`, see `map_offset`. Both have been held against each other by `placement_like`. What has to stay
    open is closed by `stack`.
    """
    name = f"/vsimem/{uuid4().hex}.vrt"
    with translated(labels.name), warnings.catch_warnings(), open_source(image) as source:
        # That the labels have no place of their own is the case here.
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        placement = placement_of(source)
        if placement is None:
            raise ValueError(f"nothing but a transform places {image}")
        rasterio.shutil.copy(labels, name, driver="VRT")
        stack.callback(rasterio.shutil.delete, name)
        with rasterio.open(name, "r+") as lent:
            lent.gcps = (source.gcps[0], rasterio.CRS.from_user_input(placement.crs))
            if source.rpcs is not None:
                lent.rpcs = source.rpcs
        laid = stack.enter_context(warped(stack.enter_context(rasterio.open(name)), placement, resampling=NEAREST))
        own = grid_of(laid)
        offset = map_offset(own, shift)
        return laid if not any(offset) and own.same_place(grid) else stack.enter_context(_moved(laid, grid, offset))


def _moved(laid: Any, grid: Grid, offset: tuple[float, float]) -> WarpedVRT:
    """Labels on the ground, moved and laid on the grid of their scene; their last band stays what says where they lie."""
    t = laid.transform
    return WarpedVRT(
        laid,
        src_crs=laid.crs,
        src_transform=Affine(t.a, t.b, t.c + offset[0], t.d, t.e, t.f + offset[1]),
        crs=grid.crs,
        transform=Affine(*grid.transform),
        height=grid.height,
        width=grid.width,
        resampling=NEAREST,
        src_nodata=None,
        src_alpha=laid.count,
    )
