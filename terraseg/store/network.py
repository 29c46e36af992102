"""Files on this machine lead to no other: what GDAL may not do while it reads one.

A VRT may name sources behind addresses, a GeoJSON its CRS, a small XML file a map service, and GDAL follows them all. A file
that came with a mail must not make this machine ask another, so that the network is shut off while a local file is read.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import rasterio

OFFLINE = {
    # GDAL opens remote files of these endings alone, of which there is none.
    "CPL_VSIL_CURL_ALLOWED_EXTENSIONS": "{none}",
    # What drivers fetch by themselves goes to a port of this machine at which nobody listens.
    "GDAL_HTTP_PROXY": "http://127.0.0.1:9",
    "GDAL_HTTPS_PROXY": "http://127.0.0.1:9",
    "GDAL_HTTP_CONNECTTIMEOUT": "1",
    "GDAL_HTTP_MAX_RETRY": "0",
    # The pixel functions of a VRT are Python code, which is never run.
    "GDAL_VRT_ENABLE_PYTHON": "NO",
    "GML_SKIP_RESOLVE_ELEMS": "ALL",
}
"""GDAL's options while a local file is read."""

LEAVE = "TERRASEG_REMOTE"
"""The environment variable by which a user lets local files lead to other machines: "yes"."""


def is_let_out() -> bool:
    """Whether the user lets local files lead to other machines."""
    return os.environ.get(LEAVE, "").lower() in {"1", "yes", "true"}


@contextmanager
def raster_offline(*, remote: bool) -> Iterator[None]:
    """Reads of a raster in the block stay on this machine, in this thread, unless its own path is `remote`."""
    if remote or is_let_out():
        yield
        return
    with rasterio.Env(**OFFLINE):
        yield


@contextmanager
def vector_offline(path: Path | str) -> Iterator[None]:
    """The same for a vector file, whose library has options for the whole process alone."""
    if "://" in str(path) or str(path).startswith("/vsi") or is_let_out():
        yield
        return
    # It loads a table library where one is installed: a second, and 70 MB, that no raster needs.
    import pyogrio

    before = {name: pyogrio.get_gdal_config_option(name) for name in OFFLINE}
    pyogrio.set_gdal_config_options(OFFLINE)
    try:
        yield
    finally:
        pyogrio.set_gdal_config_options(before)
