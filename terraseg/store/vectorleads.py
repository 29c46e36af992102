"""Where a local file of features leads: an OGR VRT to files of features on this machine, any other to nothing but itself."""

import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from terraseg.errors import UnreadableFile
from terraseg.store.leads import LEAVE, head_of, is_file, is_let_out, is_plain, real_path, xml_of

XML_MAPS = re.compile(rb"<(?:\w+:)?(?:kml|gml|gpx|osm|rss|feed|FeatureCollection|GPKMLRoot)\b")
"""Roots of XML files that hold features themselves."""
CONVERTED = (b"MsRcd", b"MsRcf", b"$GPGSA", b"$GPGGA", b"OziExplorer", b"$PMGN")
"""Formats of GPS devices, for which GDAL runs another program."""
PLAIN_SELECT = re.compile(r"\s*SELECT\b[^;()]*", re.IGNORECASE)
"""SQL that reads and calls no function: SQLite has some that open further files or ask a geocoder."""


def check_vector(path: Path | str) -> None:
    """Looks at a local file of features, and at all that it leads to, before it is opened.

    An OGR VRT may name ordinary files of features beside it or elsewhere on this machine. `UnreadableFile` for one that leads
    on to anything else, and for other files that only say how to get features.
    """
    if is_let_out() or not is_file(path):
        return
    waiting, seen = [Path(path)], {real_path(path)}
    while waiting:
        file = waiting.pop()
        head = head_of(file)
        if head[:1] == b"<" and b"<OGRVRTDataSource" in head:
            if b"<!" in file.read_bytes():
                # GDAL and this reader join text around comments in different ways.
                raise _refused(path, f" ({file.name} with comments)")
            for source in _sources(xml_of(file, str(path)), file, path):
                if real_path(source) not in seen:
                    seen.add(real_path(source))
                    waiting.append(source)
        elif _only_leads(head):
            raise _refused(path, "" if file == Path(path) else f" ({file})")


def is_tabular(path: Path | str) -> bool:
    """True for a table of text, or an OGR VRT, which may be over one."""
    return str(path).lower().endswith((".csv", ".tsv")) or b"<OGRVRTDataSource" in head_of(Path(path))


def _only_leads(head: bytes) -> bool:
    leads = head[:1] == b"<" and XML_MAPS.search(head) is None
    return leads or b"gdal_streamed_alg" in head or any(mark in head for mark in CONVERTED)


def _sources(root: ElementTree.Element, file: Path, path: Path | str) -> Iterator[Path]:
    """The files that an OGR VRT names."""
    for element in root.iter():
        tag, text = element.tag.rpartition("}")[2].lower(), element.text or ""
        if tag == "openoptions":
            raise _refused(path, " (with options for opening them)")
        if tag == "srcsql" and PLAIN_SELECT.fullmatch(text) is None:
            raise _refused(path, f" (by {text.strip()[:100]})")
        if tag != "srcdatasource":
            continue
        beside = {key.lower(): value for key, value in element.attrib.items()}.get("relativetovrt") == "1"
        found = file.parent / text if beside else Path(text)
        if not is_plain(text) or not is_file(found):
            raise _refused(path, f" ({text[:100]}, which is no file of this machine)")
        yield found


def _refused(path: Path | str, what: str) -> UnreadableFile:
    return UnreadableFile(
        f"{path} holds no features but says how to get them{what}, which is not followed: export the features themselves, as "
        f"GeoPackage or GeoJSON, or set the environment variable {LEAVE}=yes if you trust the file"
    )
