"""Opening rasters: what a path means, what becomes of a library's errors, and where on the ground the pixels lie."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import rasterio
from rasterio._err import CPLE_BaseError
from rasterio.enums import ColorInterp, Resampling
from rasterio.errors import CRSError, NotGeoreferencedWarning, RasterioError, RPCError
from rasterio.vrt import WarpedVRT

from terraseg.core.grid import Grid
from terraseg.errors import BandMismatch, UnreadableFile
from terraseg.shapes.ground import parse_crs
from terraseg.store.leads import LEAVE, check_overviews, check_raster, is_let_out, open_picture
from terraseg.store.network import raster_offline

MOST_BANDS = 1024
"""More bands than any imaging spectrometer has; a file of more is no picture."""
EXACT = 1e-3
"""Pixels by which a warp may misplace another pixel; an eighth, as is usual, moves the rim of what is valid."""
POLE, TWICE_AROUND = 90.0, 720.0
"""Bounds on degrees, from the equator and from Greenwich."""


@contextmanager
def translated(path: str | Path) -> Iterator[None]:
    """Library errors on reading `path`, raised as `UnreadableFile` with one sentence.

    What the file itself leads to on other machines is not followed (see `store.network`).
    """
    try:
        with raster_offline(remote=is_remote(str(path))):
            yield
    except (RasterioError, CRSError, RPCError, CPLE_BaseError, OSError, UnicodeDecodeError) as error:
        if not is_remote(str(path)) and not str(path).startswith("/vsi") and is_absent(path):
            raise UnreadableFile(f"{path} does not exist: check the path, or the pattern that names it") from error
        reason = (str(error.__cause__ or error).splitlines() or [type(error).__name__])[0].removesuffix(".")
        raise UnreadableFile(
            f"{path} cannot be read ({reason}): the file is damaged, cut short or no raster; export or download it again"
        ) from error


def is_absent(path: str | Path) -> bool:
    """True where nothing has that name; a name that is none, too long say, is nobody's."""
    try:
        return not Path(path).exists()
    except (OSError, ValueError):
        return True


DESCRIPTIONS = (".vrt", ".xml", ".wms", ".gti")
LOCAL_ARCHIVES = ("/vsimem/", "/vsizip/", "/vsitar/", "/vsigzip/", "/vsisubfile/")


def is_remote(path: str) -> bool:
    """True for an address that leads off this machine: a URL, or one of GDAL's virtual ones.

    >>> is_remote("https://example.org/a.tif"), is_remote("/vsicurl/https://x/a.tif"), is_remote("/vsizip/a.zip/a.tif")
    (True, True, False)
    """
    inside = path
    while inside.startswith(LOCAL_ARCHIVES):
        inside = inside[inside.index("/", 1) :].lstrip("/")
        inside = f"/{inside}" if inside.startswith("vsi") else inside
    return "://" in inside or inside.startswith("/vsi")


def gdal_path(path: str) -> str:
    """A path or an address as GDAL opens it with the user's own credentials: s3://, gs:// and az:// become virtual paths.

    >>> gdal_path("s3://bucket/a.tif"), gdal_path("a.tif")
    ('/vsis3/bucket/a.tif', 'a.tif')
    """
    scheme, mark, rest = path.partition("://")
    virtual = {"s3": "/vsis3/", "gs": "/vsigs/", "az": "/vsiaz/"}.get(scheme)
    return f"{virtual}{rest}" if mark and virtual else path


def open_dataset(path: str | Path) -> rasterio.DatasetReader:
    """A raster as it stands in its file; one placed by control points or RPCs alone is read through a warp, by nearest pixel.

    Raises `UnreadableFile`, and `BandMismatch` for a file of more than `MOST_BANDS` bands.
    """
    source = open_source(path)
    placement = placement_of(source)
    if placement is None:
        return source
    colors = source.colorinterp
    alpha = colors.index(ColorInterp.alpha) + 1 if ColorInterp.alpha in colors else None
    return warped(source, placement, resampling=Resampling.nearest, alpha=alpha)


def open_source(path: str | Path) -> rasterio.DatasetReader:
    """A raster in the pixels of its file, wherever they lie; raises as `open_dataset` does."""
    with translated(path), warnings.catch_warnings():
        # Imagery without a CRS is an ordinary case here; the grid says so.
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        dataset = _with_texts(_opened(str(path)))
    if dataset.count > MOST_BANDS:
        count = dataset.count
        dataset.close()
        raise BandMismatch(
            f"{path} has {count:,} bands, where at most {MOST_BANDS:,} are read: write those that are wanted into a file of "
            "their own, with gdal_translate -b"
        )
    return dataset


def _with_texts(dataset: rasterio.DatasetReader) -> rasterio.DatasetReader:
    """The dataset, whose names and tags can be read as text: what is none says so here, not wherever it is asked for."""
    try:
        for number in (0, *dataset.indexes[:MOST_BANDS]):
            dataset.tags(number)
        len(dataset.descriptions)
    except UnicodeDecodeError:
        dataset.close()
        raise
    return dataset


def _picture_at(path: str) -> rasterio.DatasetReader:
    """An open picture of an archive or another machine; a description there would lead to what cannot be looked at before."""
    try:
        return open_picture(path)
    except RasterioError as error:
        if not path.lower().endswith(DESCRIPTIONS):
            raise
        raise UnreadableFile(
            f"{path} describes a raster where what it leads to cannot be looked at before: pass the pictures "
            f"themselves, or set the environment variable {LEAVE}=yes if you trust it"
        ) from error


def _opened(path: str) -> rasterio.DatasetReader:
    """An open raster; one of this machine after all that it leads to was looked at."""
    if is_let_out():
        return rasterio.open(path)
    if path.startswith(("/vsi", "http://", "https://")):
        return _picture_at(path)
    if is_remote(path):
        # A service that the user named by its kind: WMTS:https://...
        return rasterio.open(path)
    check_raster(path)
    dataset = rasterio.open(path)
    try:
        check_overviews(dataset)
    except UnreadableFile:
        dataset.close()
        raise
    return dataset


def grid_of(dataset: rasterio.DatasetReader) -> Grid:
    """The grid of an open dataset; a transform that is only the default counts as none, with no CRS."""
    t = dataset.transform
    try:
        return Grid(_crs_text(dataset), (t.a, t.b, t.c, t.d, t.e, t.f), dataset.height, dataset.width)
    except ValueError as error:
        raise UnreadableFile(
            f"{dataset.name} cannot be placed ({error}): the file is damaged or its georeferencing is; give it the right one "
            "with gdal_edit.py -a_ullr, or export it again"
        ) from error


def refuse_nowhere(path: str | Path, grid: Grid) -> None:
    """Raises `UnreadableFile` for degrees that are none: a CRS or coordinates that belong to another file."""
    if grid.crs is None or not parse_crs(grid.crs).is_geographic:
        return
    left, bottom, right, top = grid.bounds
    height, width = grid.pixel_size
    # Rasters of the whole Earth whose outer pixels are centred on the poles reach beyond them by half a pixel.
    if max(abs(bottom), abs(top)) > POLE + height or max(abs(left), abs(right)) > TWICE_AROUND + width:
        raise UnreadableFile(
            f"{path} says that it lies at {left:,.6g} to {right:,.6g} degrees east and {bottom:,.6g} to {top:,.6g} north, "
            "which is nowhere: its coordinates are of another CRS; set the right one with gdal_edit.py -a_srs EPSG:n"
        )


def _crs_text(dataset: rasterio.DatasetReader) -> str | None:
    if dataset.crs is None or dataset.transform.is_identity:
        return None
    epsg = dataset.crs.to_epsg()
    return f"EPSG:{epsg}" if epsg is not None else str(dataset.crs.to_wkt())


@dataclass(frozen=True)
class Placement:
    """How a raster without a transform lies on the ground: the CRS of a warp, GDAL's options for it, and a half-sentence."""

    crs: Any
    by: str
    options: dict[str, str] = field(default_factory=dict)


def placement_of(dataset: rasterio.DatasetReader) -> Placement | None:
    """The placement of a raster by ground control points or RPCs; None where a transform places it, or nothing does.

    RPCs are taken at the mean height of the ground that they name themselves: there is no terrain model to ask.
    """
    if not dataset.transform.is_identity:
        return None
    points, crs = dataset.gcps
    crs = crs or dataset.crs
    if points and crs is not None:
        return Placement(crs, f"its {len(points)} ground control points", {"METHOD": "GCP_POLYNOMIAL"})
    if dataset.rpcs is not None:
        height = dataset.rpcs.height_off
        by = f"its RPCs at a height of {height:,.0f} m, for want of a terrain model"
        return Placement("EPSG:4326", by, {"METHOD": "RPC", "RPC_HEIGHT": repr(float(height))})
    return None


def warped(
    source: rasterio.DatasetReader,
    placement: Placement,
    *,
    resampling: Resampling,
    nodata: float | None = None,
    alpha: int | None = None,
    fill: float | None = None,
) -> Any:
    """A raster laid north-up on the ground as it is read, with alpha as its last band: 0 where nothing is.

    Size and pixel are those that gdalwarp chooses. A pixel of several bands counts as nodata where all hold it. `nodata`
    takes the place of what the file declares, `alpha` is the band that holds alpha already. With `fill` there is no alpha:
    each band keeps out its own nodata, and holds that value there and where nothing is.
    """
    said = {} if nodata is None else {"src_nodata": nodata}
    said |= {} if alpha is None else {"src_alpha": alpha}
    with translated(source.name), warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        return WarpedVRT(
            source,
            src_crs=placement.crs,
            crs=placement.crs,
            resampling=resampling,
            tolerance=EXACT,
            add_alpha=fill is None and alpha is None,
            nodata=fill,
            UNIFIED_SRC_NODATA="YES" if fill is None else "PARTIAL",
            **said,
            **placement.options,
        )


def placed_note(source: rasterio.DatasetReader, placement: Placement, grid: Grid) -> str:
    """What is said of a raster that is read through a warp."""
    return (
        f"{PurePosixPath(source.name).name} has no transform and is placed by {placement.by}: it is warped as it is read, to "
        f"{grid.width} x {grid.height} px in {_crs_name(grid.crs)}"
    )


def _crs_name(crs: str | None) -> str:
    return crs if crs is not None and crs.startswith("EPSG:") else "a CRS of its own"
