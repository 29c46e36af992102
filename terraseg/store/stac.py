"""STAC items: JSON files that describe a scene and where its rasters lie (SpatioTemporal Asset Catalog, 1.0 and 1.1)."""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.error import URLError
from urllib.parse import unquote, urljoin, urlparse
from urllib.request import urlopen

from terraseg.core.text import parse_json
from terraseg.errors import BandMismatch, UnreadableFile
from terraseg.store.opening import gdal_path, is_remote

RASTER_MEDIA = ("image/tiff", "image/jp2", "image/vnd.stac.geotiff", "image/png", "image/jpeg", "application/x-hdf")
RASTER_ENDINGS = frozenset({".tif", ".tiff", ".jp2", ".vrt", ".img"})
LEFT_OUT_ROLES = frozenset({"thumbnail", "overview", "metadata"})
SECONDS, LARGEST_BYTES = 30.0, 64 * 2**20


@dataclass(frozen=True)
class StacAsset:
    """One raster of an item: `href` as GDAL opens it, the names of its bands in order, the pixel type where it is said.

    Each band has all the names it is known by, in lower case: its common name ("red") first, then its own ("b04").
    """

    key: str
    href: str
    bands: tuple[tuple[str, ...], ...]
    dtype: str | None
    roles: frozenset[str]


@dataclass(frozen=True)
class StacItem:
    """A scene: its id, where the item was read from, and its rasters in the order of the file."""

    id: str
    source: str
    assets: tuple[StacAsset, ...]


def read_items(source: str) -> tuple[StacItem, ...]:
    """The items of a STAC file, by its path or its http(s) address: one item, or a collection of items.

    Raises `UnreadableFile` for a file that is none.
    """
    text = _fetched(source) if is_remote(source) else _read(source)
    try:
        value = parse_json(text)
    except ValueError as error:
        raise UnreadableFile(f"{source} is no JSON ({error}): pass a STAC item, or a raster") from error
    kind = value.get("type") if isinstance(value, dict) else None
    items = value.get("features", []) if kind == "FeatureCollection" else [value]
    if not items or not all(isinstance(item, dict) and _is_item(item) for item in items):
        raise UnreadableFile(
            f"{source} is no STAC item and no collection of items: pass the JSON of an item, or the rasters themselves"
        )
    return tuple(_item(item, source) for item in items)


def is_stac_name(path: str) -> bool:
    """True for a path or an address that ends as STAC files do."""
    return PurePosixPath(urlparse(path).path).suffix.lower() in {".json", ".geojson"}


def choose_assets(item: StacItem, bands: tuple[str, ...], dtype: str) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """The rasters of an item that hold a model's bands, and the channel, from 1, of each band in them.

    Assets of the model's pixel type, and such as are no pictures made for looking at, come first; then one asset with all
    bands comes before one asset a band. `BandMismatch` names what is missing and what there is.
    """
    wanted = tuple(band.lower() for band in bands)
    usable = [a for a in item.assets if not a.roles & LEFT_OUT_ROLES]
    for group in ([a for a in usable if "visual" not in a.roles and a.dtype in (dtype, None)], usable):
        for asset in group:
            channels = [_channel(asset, band) for band in wanted]
            if all(channels):
                return (asset.href,), tuple(c for c in channels if c)
        each = [_bearer(group, band) for band in wanted]
        if all(each):
            found = [pair for pair in each if pair is not None]
            return tuple(href for href, _ in found), tuple(channel for _, channel in found)
    known = list(dict.fromkeys(names[0] for asset in usable for names in asset.bands))
    missing = [band for band in bands if _bearer(usable, band.lower()) is None]
    raise BandMismatch(
        f"the item {item.id} ({item.source}) has no asset for {', '.join(missing)}, which the model reads; its bands are "
        f"{', '.join(known) or 'not named'}: pass an item with these, or the rasters themselves"
    )


def _bearer(assets: list[StacAsset], band: str) -> tuple[str, int] | None:
    """The asset and the channel of a band; an asset of that band alone comes first."""
    found = [(asset, channel) for asset in assets if (channel := _channel(asset, band))]
    found.sort(key=lambda pair: len(pair[0].bands))
    return (found[0][0].href, found[0][1]) if found else None


def _channel(asset: StacAsset, band: str) -> int | None:
    for place in range(2):
        for channel, names in enumerate(asset.bands, start=1):
            if band in (names[:1], names)[place]:
                return channel
    return None


def _is_item(value: dict[str, Any]) -> bool:
    return value.get("type") == "Feature" and "stac_version" in value and isinstance(value.get("assets"), dict)


def _item(value: dict[str, Any], source: str) -> StacItem:
    assets = [
        _asset(key, asset, source)
        for key, asset in value["assets"].items()
        if isinstance(asset, dict) and isinstance(asset.get("href"), str) and _is_raster(asset)
    ]
    return StacItem(str(value.get("id") or PurePosixPath(source).stem), source, tuple(assets))


def _is_raster(asset: dict[str, Any]) -> bool:
    media = asset.get("type")
    if isinstance(media, str):
        return media.lower().startswith(RASTER_MEDIA)
    return PurePosixPath(urlparse(asset["href"]).path).suffix.lower() in RASTER_ENDINGS


def _asset(key: str, asset: dict[str, Any], source: str) -> StacAsset:
    """An asset; where it says nothing of its bands, its key stands for the only one."""
    told = _entries(asset.get("bands")) or _entries(asset.get("eo:bands"))
    bands = tuple(_names(band) for band in told)
    types = {band.get("data_type") for band in (*told, *_entries(asset.get("raster:bands"))) if band.get("data_type")}
    types |= {asset["data_type"]} if isinstance(asset.get("data_type"), str) else set()
    roles = asset.get("roles")
    return StacAsset(
        key,
        _resolved(asset["href"], source),
        bands if bands and all(bands) else ((key.lower(),),),
        str(types.pop()) if len(types) == 1 else None,
        frozenset(str(role).lower() for role in roles) if isinstance(roles, list) else frozenset(),
    )


def _entries(value: Any) -> list[dict[str, Any]]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def _names(band: dict[str, Any]) -> tuple[str, ...]:
    names = (band.get("eo:common_name"), band.get("common_name"), band.get("name"))
    return tuple(dict.fromkeys(str(name).lower() for name in names if name))


def _resolved(href: str, source: str) -> str:
    """An asset's address, seen from its item."""
    if is_remote(source):
        # Nothing that another machine says is a file of this one.
        return gdal_path(href) if is_remote(href) else urljoin(source.removeprefix("/vsicurl/"), href)
    if href.startswith("file://"):
        return unquote(urlparse(href).path)
    if is_remote(href) or href.startswith("/"):
        return gdal_path(href)
    return str((Path(source).parent / href).resolve())


def _read(source: str) -> str:
    try:
        return Path(source).read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise UnreadableFile(f"{source} does not exist: check the path") from error
    except (OSError, UnicodeDecodeError) as error:
        raise UnreadableFile(f"{source} cannot be read ({error}): pass a STAC item in UTF-8") from error


def _fetched(source: str) -> str:
    address = source.removeprefix("/vsicurl/")
    if not address.startswith(("http://", "https://")):
        raise UnreadableFile(f"{source} cannot be fetched: download the item and pass the file, or its http(s) address")
    try:
        with urlopen(address, timeout=SECONDS) as answer:
            content: bytes = answer.read(LARGEST_BYTES + 1)
    except (URLError, OSError, ValueError) as error:
        raise UnreadableFile(f"{source} cannot be fetched ({error}): check the address and the network") from error
    if len(content) > LARGEST_BYTES:
        raise UnreadableFile(f"{source} is larger than {LARGEST_BYTES // 2**20} MB, which no STAC item is")
    return content.decode("utf-8", errors="replace")
