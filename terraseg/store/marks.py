"""What tells that a raster has changed: marks of the files that it leads to, and of pixels where there is no file to look at."""

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from rasterio.windows import Window as Box

from terraseg.store.opening import open_source, translated

MARKS, MARK_BYTES = 64, 16_384
PLACES, SIDE = 6, 64
"""Windows along either axis whose pixels are looked at, and their side."""
BESIDE = (".aux.xml", ".ovr")
"""Files beside a raster that change no pixel of it: statistics and overviews."""
Mark = tuple[str, str]


def raster_marks(paths: Iterable[str]) -> tuple[Mark, ...]:
    """Name and mark of everything that rasters are read from: the same on every machine that has a copy of it.

    Of a VRT its sources are looked at as well, and masks beside a file. A file's mark is its size and a hash of 1 MB spread
    over it. Where there is no file, behind an address or in an archive, it is a hash of windows of pixels spread over the
    raster. Raises `UnreadableFile`.
    """
    return tuple(mark for path in sorted(set(paths)) for mark in _marks(path))


def _marks(path: str) -> Iterator[Mark]:
    elsewhere = False
    for name in sorted(_sources(path, {})):
        if Path(name).is_file():
            yield Path(name).name, file_mark(Path(name))
        else:
            elsewhere = True
            yield PurePosixPath(name).name, ""
    if elsewhere:
        yield PurePosixPath(path).name, _pixels_mark(path)


def _sources(path: str, found: dict[str, None]) -> Iterable[str]:
    """All that a raster is read from, itself among them; of other VRTs only files are followed."""
    found[path] = None
    with open_source(path) as dataset:
        names = [str(name) for name in dataset.files if not str(name).endswith(BESIDE)]
    for name in names:
        if name not in found:
            found[name] = None
            if name.lower().endswith(".vrt") and Path(name).is_file():
                _sources(name, found)
    return found


def file_mark(path: Path) -> str:
    """The size of a file and a hash of samples of it."""
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb") as file:
        for mark in range(MARKS):
            file.seek(max(0, size - MARK_BYTES) * mark // (MARKS - 1))
            digest.update(file.read(MARK_BYTES))
    return digest.hexdigest()[:16]


def _pixels_mark(path: str) -> str:
    with open_source(path) as dataset, translated(path):
        digest = hashlib.sha256(f"{dataset.shape} {dataset.dtypes} {dataset.nodatavals}".encode())
        height, width = min(SIDE, dataset.height), min(SIDE, dataset.width)
        for row in range(PLACES):
            for col in range(PLACES):
                top = (dataset.height - height) * row // (PLACES - 1)
                left = (dataset.width - width) * col // (PLACES - 1)
                digest.update(dataset.read(window=Box(left, top, width, height)).tobytes())
    return digest.hexdigest()[:16]
