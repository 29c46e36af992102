"""What lies in a folder: imagery, labels, and the patterns that name them in a project file."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from glob import escape, glob
from pathlib import Path, PurePosixPath

from terraseg.errors import EmptyDataset
from terraseg.prepare.pair import BAND_WORDS, LABEL_MARKS, words
from terraseg.store.leads import real_path

RASTER_ENDINGS = frozenset(".tif .tiff .vrt .jp2 .img .png .jpg .jpeg .webp .bmp".split())
VECTOR_ENDINGS = frozenset(".gpkg .geojson .shp .fgb .parquet".split())
LEFT_OUT_WORDS = frozenset("dsm ndsm dem truecolor quicklook thumbnail preview".split())
LEFT_OUT_FOLDERS = frozenset("runs maps figures checkpoints __pycache__".split())
EXTENT_WORDS = frozenset({"extent", "aoi", "boundary"})


@dataclass(frozen=True)
class Discovery:
    """Files of a data folder by their part; paths are relative to `root`, with forward slashes.

    `scenes` holds one template an image: a path, or a path with {band} in place of the band's word when each band has a
    file of its own; then `bands` names them. `left_out` pairs each file that was not taken with the reason. `extent` are
    vector files whose names say that they bound the labelled ground.
    """

    root: Path
    scenes: tuple[str, ...]
    bands: tuple[str, ...]
    labels: tuple[str, ...]
    left_out: tuple[tuple[str, str], ...]
    extent: tuple[str, ...] = ()

    def files_of(self, scene: str) -> tuple[str, ...]:
        """The image files of one template, in the order of the bands."""
        return tuple(scene.replace("{band}", band) for band in self.bands) if "{band}" in scene else (scene,)


def discover(sources: Sequence[Path], label_sources: Sequence[Path], root: Path) -> Discovery:
    """Imagery and labels among files and folders.

    With `label_sources` those are the labels and all else is imagery; without, vector files are labels, and so are rasters
    whose name or folder says mask, label, gt or the like. Raises `EmptyDataset` when there is no imagery at all.
    """
    files = _walk(sources, root)
    if label_sources:
        labels = [f for f in _walk(label_sources, root) if _ending(f) in RASTER_ENDINGS | VECTOR_ENDINGS]
    else:
        labels = [f for f in files if is_label(f)]
    extent = [f for f in labels if _ending(f) in VECTOR_ENDINGS and EXTENT_WORDS & set(words(PurePosixPath(f).stem))]
    if len(extent) == len(labels):
        extent = []
    rest = [f for f in files if f not in set(labels) and _ending(f) in RASTER_ENDINGS]
    unwanted = [
        (f, "a helper file beside the imagery") for f in rest if LEFT_OUT_WORDS & set(words(PurePosixPath(f).stem))
    ]
    images = [f for f in rest if f not in {name for name, _ in unwanted}]
    if not images:
        places = ", ".join(str(source) for source in sources)
        raise EmptyDataset(
            f"there is no imagery in {places}: pass folders or files that GDAL reads (GeoTIFF, JPEG, PNG, VRT)"
        )
    scenes, bands = band_templates(images)
    labels = [f for f in labels if f not in set(extent)]
    return Discovery(root, tuple(scenes), bands, tuple(labels), tuple(unwanted), tuple(extent))


def is_label(path: str) -> bool:
    """True when a path's ending, name or folder says that it holds labels.

    >>> is_label("Tile 1/masks/part_1.png"), is_label("scenes/a.tif"), is_label("a/b_buildings.geojson")
    (True, False, True)
    """
    parts = PurePosixPath(path)
    if _ending(path) in VECTOR_ENDINGS:
        return True
    near = words(parts.stem) + [word for part in parts.parts[-3:-1] for word in words(part)]
    return _ending(path) in RASTER_ENDINGS and bool(LABEL_MARKS & set(near))


def _ending(path: str) -> str:
    return PurePosixPath(path).suffix.lower()


def _walk(sources: Sequence[Path], root: Path) -> list[str]:
    """All files below the sources, sorted, relative to the root; hidden and output folders left out."""
    found: list[str] = []
    for source in sources:
        if source.is_file():
            found.append(relative(source, root))
            continue
        if not source.is_dir():
            raise EmptyDataset(f"{source} does not exist: pass the folder or the files of your imagery")
        for folder, below, names in os.walk(source):
            below[:] = sorted(d for d in below if not d.startswith(".") and d not in LEFT_OUT_FOLDERS)
            found += [relative(Path(folder) / name, root) for name in sorted(names) if not name.startswith(".")]
    return list(dict.fromkeys(found))


def relative(path: Path, root: Path) -> str:
    """The path as it is written in a project file in `root`."""
    return PurePosixPath(os.path.relpath(real_path(path), real_path(root))).as_posix()


def band_templates(images: Sequence[str]) -> tuple[list[str], tuple[str, ...]]:
    """The images, or where each band has a file of its own, their templates with {band} and the bands' names.

    >>> band_templates(["a/red_1.tif", "a/nir_1.tif", "a/red_2.tif", "a/nir_2.tif"])
    (['a/{band}_1.tif', 'a/{band}_2.tif'], ('red', 'nir'))
    """
    by_template: dict[str, list[str]] = {}
    for image in images:
        for template, band in _templates_of(image):
            by_template.setdefault(template, []).append(band)
    sets = {frozenset(bands) for bands in by_template.values() if len(bands) > 1}
    if not sets:
        return list(images), ()
    wanted = max(sets, key=len)
    bands = tuple(sorted(wanted, key=_band_order))
    return [t for t, found in by_template.items() if frozenset(found) == wanted], bands


def _templates_of(image: str) -> list[tuple[str, str]]:
    """(template, band) for each band word that stands in a path's name."""
    path = PurePosixPath(image)
    return [
        (_replace_word(image, band), band)
        for band in BAND_WORDS
        if band in words(path.stem) and _replace_word(image, band) != image
    ]


def _replace_word(path: str, band: str) -> str:
    """The path with the word `band` replaced by {band}, in the folder names too; in lower case only, as files write it."""
    parts = []
    for part in path.split("/"):
        pieces = part.replace(".", "_.").split("_")
        parts.append("_".join("{band}" if piece == band else piece for piece in pieces).replace("_.", "."))
    return "/".join(parts)


def _band_order(band: str) -> int:
    order = ("coastal", "red", "green", "blue", "rededge", "nir", "nir08", "swir", "swir1", "swir16", "swir2", "swir22")
    return order.index(band) if band in order else len(order)


def patterns(selected: Sequence[str], left: Iterable[str], root: Path) -> list[str]:
    """Few glob patterns that name exactly the selected templates among the files present.

    Tried in this order: one pattern for all, one a folder, the names themselves. `left` are files that patterns may also
    match because they are named elsewhere (the labels).
    """
    one = _generalise(selected)
    if one is not None and expand([one], root, without=left) == sorted(selected):
        return [one]
    folders: dict[str, list[str]] = {}
    for path in selected:
        folders.setdefault(str(PurePosixPath(path).parent), []).append(path)
    each = [_generalise(paths) for paths in folders.values()]
    if all(p is not None for p in each):
        given = [p for p in each if p is not None]
        if expand(given, root, without=left) == sorted(selected):
            return given
    return [escape(path) for path in selected]


def _generalise(paths: Sequence[str]) -> str | None:
    """One pattern over paths of equal depth: what differs in a part becomes a star."""
    split = [path.split("/") for path in paths]
    if len({len(parts) for parts in split}) != 1:
        return None
    pattern = []
    for level, column in enumerate(zip(*split, strict=True)):
        if len(set(column)) == 1:
            pattern.append(_escape(column[0]))
            continue
        start = os.path.commonprefix(list(column))
        rests = [part[len(start) :][::-1] for part in column]
        end = os.path.commonprefix(rests)[::-1]
        last = level == len(split[0]) - 1
        if last:
            start, end = start.rstrip("0123456789"), PurePosixPath(column[0]).suffix
            if any(not part.endswith(end) for part in column):
                return None
        pattern.append(f"{_escape(start)}*{_escape(end)}")
    return "/".join(pattern)


def _escape(text: str) -> str:
    """Glob's special characters made literal, {band} kept."""
    return escape(text)


def expand(given: Iterable[str], root: Path, *, without: Iterable[str] = (), bands: Sequence[str] = ()) -> list[str]:
    """The templates that patterns name, sorted; patterns with {band} give one template a scene.

    With `bands`, a template is kept when the file of its first band exists; every band's file is looked for on reading.
    """
    excluded = set(without)
    found: set[str] = set()
    for pattern in given:
        if "{band}" in pattern:
            for band in bands or BAND_WORDS:
                matches = _glob(pattern.replace("{band}", band), root)
                found |= {_replace_word(match, band) for match in matches}
        else:
            found |= set(_glob(pattern, root))
    return sorted(found - excluded)


def _glob(pattern: str, root: Path) -> list[str]:
    full = pattern if os.path.isabs(pattern) else os.path.join(escape(str(root)), pattern)
    matches = glob(full, recursive=True)
    if os.path.isabs(pattern):
        return [PurePosixPath(m).as_posix() for m in matches]
    return [PurePosixPath(os.path.normpath(os.path.relpath(m, root))).as_posix() for m in matches]
