"""Where a local file leads: to ordinary files of this machine, which are looked at as well, or it is not opened.

A VRT names its sources, a TIFF may name its overviews, and GDAL opens whatever stands there with any of its drivers: map
services, formats that fetch by themselves, caches that are written while they are read, programs that convert other formats.
So all that a file leads to is looked at before GDAL does.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import rasterio
from rasterio.errors import RasterioError

from terraseg.errors import UnreadableFile

LEAVE = "TERRASEG_REMOTE"
"""The environment variable by which a user lets local files lead to other machines: "yes"."""

ARCHIVES = ("/vsizip/", "/vsitar/", "/vsigzip/")
PICTURES = ("GTiff", "JP2OpenJPEG", "JPEG", "PNG", "WEBP", "HFA", "ENVI", "NITF", "netCDF", "HDF5")
"""GDAL's drivers that follow no name, for what cannot be looked at before: in an archive, or on another machine."""
SERVICES = re.compile(
    rb"<(?:GDAL_WMS|GDAL_WMTS|WCS_GDAL|WMS_Capabilities|WMT_MS_Capabilities|Capabilities|TileMap|CoverageDescription|"
    rb"GDALTileIndexDataset|kml)\b"
)
"""How files of map services, and lists of tiles, begin."""
INDEXED = (".gti.gpkg", ".gti.fgb", ".gti.parquet", ".kmz")
"""Lists of tiles that are known by their names alone."""
HEAD, LONGEST = 4096, 64 * 2**20
SIDECARS = (".ovr", ".msk", ".msk.ovr")
NAMING = frozenset({"sourcefilename", "sourcedataset", "dempath"})
"""Elements of a VRT that hold the name of a file, in lower case."""
NAMING_ITEMS = frozenset({"OVERVIEW_FILE", "X_DATASET", "Y_DATASET"})
"""Metadata that do."""
SUBDATASET = re.compile(r"(NETCDF|HDF5|GTIFF_DIR|SENTINEL2_\w+):", re.IGNORECASE)
"""How names of parts of a file begin, of formats that hold all their parts themselves."""


def is_let_out() -> bool:
    """Whether the user lets local files lead to other machines."""
    return os.environ.get(LEAVE, "").lower() in {"1", "yes", "true"}


def check_raster(path: str) -> None:
    """Looks at a raster of this machine and at all that it leads to; `UnreadableFile` for one that leads elsewhere."""
    if is_let_out() or not is_file(path):
        return
    waiting, seen = [(Path(path), True)], {real_path(path)}
    while waiting:
        file, is_first = waiting.pop()
        for source in _sources(file, path, is_first=is_first):
            place = real_path(source)
            if place not in seen and is_file(place):
                seen.add(place)
                waiting.append((source, False))


def real_path(path: Path | str) -> Path:
    """The path with all links followed; of links that go in a circle as far as they lead, where `Path.resolve` raises."""
    return Path(os.path.realpath(path))


def is_file(path: Path | str) -> bool:
    """True for a file that is there; a name that is none, too long say, names no file."""
    try:
        return Path(path).is_file()
    except (OSError, ValueError):
        return False


def _sources(file: Path, path: str, *, is_first: bool) -> Iterator[Path]:
    """The files that a file leads to; `path` is the raster that led there."""
    yield from (beside for suffix in SIDECARS if is_file(beside := Path(f"{file}{suffix}")))
    notes = Path(f"{file}.aux.xml")
    if is_file(notes):
        yield from _named(xml_of(notes, path), notes, path)
    head = head_of(file)
    if b"<VRTDataset" in head and head[:1] == b"<":
        yield from _named(xml_of(file, path), file, path)
    elif (head[:1] in b"<{" and head and not _holds_pixels(head, is_first=is_first)) or str(file).lower().endswith(
        INDEXED
    ):
        raise _refused(path, f"{'what it describes' if is_first else file}, which is no picture")


def _holds_pixels(head: bytes, *, is_first: bool) -> bool:
    """Whether a text is the beginning of a raster: one in two files, or, of those that a user names, a product's own list."""
    if b"<MRF_META" in head:
        # Such a cache is written while it is read.
        return b"<CachedSource" not in head
    return is_first and head[:1] == b"<" and SERVICES.search(head) is None


def head_of(file: Path) -> bytes:
    """How a file begins, without what may stand before its text; empty for one that cannot be read."""
    try:
        with file.open("rb") as stream:
            return stream.read(HEAD).removeprefix(b"\xef\xbb\xbf").lstrip()
    except OSError:
        # What cannot be read says so when it is opened.
        return b""


def xml_of(file: Path, path: str) -> ElementTree.Element:
    """The elements of a description that `path` led to; `UnreadableFile` for what is none, or has a document type."""
    try:
        if file.stat().st_size > LONGEST:
            raise UnreadableFile(f"{file} is larger than {LONGEST // 2**20} MB, which no description of a raster is")
        text = file.read_bytes()
        if b"<!" in text.replace(b"<!--", b"").replace(b"<![CDATA[", b""):
            raise _refused(path, f"{file} with a document type of its own")
        return ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError, RecursionError, OSError) as error:
        raise UnreadableFile(f"{file} is no XML that can be read ({error}): export it again") from error


def _named(root: ElementTree.Element, file: Path, path: str) -> Iterator[Path]:
    """The files that the elements of a VRT, or the metadata beside a raster, name."""
    for band, element in _with_bands(root):
        tag, name = element.tag.rpartition("}")[2].lower(), (element.text or "")
        argument = tag == "argument" and "filename" in element.get("name", "").lower()
        if not (tag in NAMING or argument or (tag == "mdi" and element.get("key") in NAMING_ITEMS)):
            continue
        beside = {key.lower(): value for key, value in element.attrib.items()}.get("relativetovrt") == "1"
        if _is_archived(name):
            continue
        if not is_plain(name):
            raise _refused(path, name)
        found = file.parent / name if beside else Path(name)
        if band == "VRTRawRasterBand" and real_path(file.parent) not in real_path(found).parents:
            raise _refused(path, f"{name} as raw numbers")
        if not SUBDATASET.match(name):
            yield found


def _with_bands(root: ElementTree.Element) -> Iterator[tuple[str, ElementTree.Element]]:
    """Every element, with the kind of band that it lies in."""
    waiting = [("", root)]
    while waiting:
        kind, element = waiting.pop()
        kind = element.get("subClass", kind)
        yield kind, element
        waiting += [(kind, child) for child in element]


def is_plain(name: str) -> bool:
    """True for a name that GDAL can only take for a file of this machine, or for a part of one.

    >>> is_plain("tiles/a.tif"), is_plain("NETCDF:a.nc:red"), is_plain("WMS:x"), is_plain("/vsicurl/http://x/a.tif")
    (True, True, False, False)
    """
    if "://" in name or "/vsi" in name or name.lstrip()[:1] in {"<", "{", "["}:
        return False
    return re.match(r"[A-Za-z]\w+:", name) is None or SUBDATASET.match(name) is not None


def open_picture(path: str) -> Any:
    """An open raster of an archive or another machine; raises rasterio's error where none of the `PICTURES` drivers opens it."""
    errors = []
    for driver in PICTURES:
        try:
            return rasterio.open(path, driver=driver)
        except RasterioError as error:
            errors.append(error)
    raise errors[0]


def _is_archived(name: str) -> bool:
    """True for a raster in a local archive that follows no name itself."""
    inside = next((name.removeprefix(archive) for archive in ARCHIVES if name.startswith(archive)), "://")
    if "://" in inside or "/vsi" in inside:
        return False
    try:
        open_picture(name).close()
    except RasterioError:
        return False
    return True


def check_overviews(dataset: Any) -> None:
    """Looks at where an open raster of this machine says that its overviews lie, before they are asked for."""
    name = dataset.tags(ns="OVERVIEWS").get("OVERVIEW_FILE")
    if name is None or is_let_out() or dataset.name.startswith("/vsi") or "://" in dataset.name:
        return
    plain = name.removeprefix(":::BASE:::")
    if not is_plain(plain):
        raise _refused(dataset.name, plain)
    found = Path(dataset.name).parent / plain if plain != name else Path(plain)
    if is_file(found) and head_of(found)[:1] in {b"<", b"{"}:
        raise _refused(dataset.name, f"{plain}, which is no raster but leads on")


def _refused(path: str, what: str) -> UnreadableFile:
    return UnreadableFile(
        f"{path} leads to {what[:200]}, and a file is not followed beyond ordinary files of this machine: set the environment "
        f"variable {LEAVE}=yes if you trust it"
    )
