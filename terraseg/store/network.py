"""Files on this machine lead to no other: what GDAL may not do while it reads one.

A VRT may name sources behind addresses, a GeoJSON its CRS, a small XML file a map service, and GDAL follows them all. A file
that came with a mail must not make this machine ask another, so that the network is shut off while a local file is read.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import rasterio

from terraseg.store.leads import is_let_out
from terraseg.store.vectorleads import check_vector

NO_CODE = {
    # The pixel functions of a VRT may be Python code, the steps of a pipeline other programs.
    "GDAL_VRT_ENABLE_PYTHON": "NO",
    "GDAL_ENABLE_EXTERNAL": "NO",
}
"""GDAL's options by which nothing is run out of a file, wherever it lies."""

OFFLINE = {
    # GDAL opens remote files of these endings alone, of which there is none.
    "CPL_VSIL_CURL_ALLOWED_EXTENSIONS": "{none}",
    # What drivers fetch by themselves goes to a port of this machine at which nobody listens.
    "GDAL_HTTP_PROXY": "http://127.0.0.1:9",
    "GDAL_HTTPS_PROXY": "http://127.0.0.1:9",
    "GDAL_HTTP_CONNECTTIMEOUT": "1",
    "GDAL_HTTP_MAX_RETRY": "0",
    "GML_SKIP_RESOLVE_ELEMS": "ALL",
    "GML_DOWNLOAD_WFS_SCHEMA": "NO",
    **NO_CODE,
}
"""GDAL's options while a local file is read."""


@contextmanager
def raster_offline(*, remote: bool) -> Iterator[None]:
    """Reads of a raster in the block stay on this machine, in this thread, unless its own path is `remote`."""
    with rasterio.Env(**(NO_CODE if remote or is_let_out() else OFFLINE)):
        yield


@contextmanager
def vector_offline(path: Path | str) -> Iterator[None]:
    """The same for a vector file, whose library has options for the whole process alone."""
    # It loads a table library where one is installed: a second, and 70 MB, that no raster needs.
    import pyogrio

    remote = "://" in str(path) or str(path).startswith("/vsi")
    options = NO_CODE if remote or is_let_out() else OFFLINE
    if not remote:
        check_vector(path)
    before = {name: pyogrio.get_gdal_config_option(name) for name in options}
    pyogrio.set_gdal_config_options(options)
    try:
        yield
    finally:
        pyogrio.set_gdal_config_options(before)
