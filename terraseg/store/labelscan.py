"""A first look into label files: which values occur, how often, and what the files say of themselves."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio.windows
from rasterio.enums import ColorInterp

from terraseg.core.dataset import LabelKind
from terraseg.core.text import parse_json
from terraseg.core.window import cut
from terraseg.errors import UnreadableFile
from terraseg.pixels.relabel import color_text, pack_colors
from terraseg.store.classmap import parsed_legend
from terraseg.store.features import list_fields, read_polygons
from terraseg.store.labels import palette_of
from terraseg.store.opening import grid_of, open_dataset, translated

VECTORS = frozenset({".gpkg", ".geojson", ".shp", ".fgb", ".parquet"})
TOO_MANY_VALUES = 254


@dataclass(frozen=True)
class LabelScan:
    """What label files hold: pixels per value as text (ids or "#RRGGBB"), or polygons per attribute value.

    `names` gives names for values where the files carry them (category names, an Esri model definition). For polygons
    `fields` lists each candidate attribute with its values and their counts, and `polygons` how many there are in all.
    `nodata` are the values, among those counted, that the files declare as such.
    """

    kind: LabelKind
    counts: dict[str, int]
    names: dict[str, str]
    fields: dict[str, dict[str, int]]
    polygons: int = 0
    nodata: tuple[str, ...] = ()


def scan_labels(paths: Sequence[Path]) -> LabelScan:
    """The values of all label files together. Raises `UnreadableFile` for a mixture of kinds that cannot be one set."""
    vectors = [path for path in paths if path.suffix.lower() in VECTORS]
    if vectors and len(vectors) != len(paths):
        other = next(path for path in paths if path not in vectors)
        raise UnreadableFile(f"{vectors[0]} holds polygons and {other} pixels: pass one kind of labels with --labels")
    return _scan_vectors(vectors) if vectors else _scan_rasters(paths)


def _scan_vectors(paths: Sequence[Path]) -> LabelScan:
    fields: dict[str, Counter[str]] = {}
    total = 0
    for path in paths:
        total += len(read_polygons(path).geometry)
        for field in list_fields(path):
            values = [str(v) for v in read_polygons(path, field=field).values]
            fields.setdefault(field, Counter()).update(values)
    likely = {f: dict(c) for f, c in fields.items() if 1 <= len([v for v in c if v]) <= max(1, min(40, total // 2))}
    return LabelScan("polygons", {}, {}, likely, total)


def _scan_rasters(paths: Sequence[Path]) -> LabelScan:
    kind: LabelKind = "colors" if any(_shows_colors(path) for path in paths) else "ids"
    counts: Counter[str] = Counter()
    names: dict[str, str] = {}
    for path in paths:
        counts.update(_count_values(path, kind))
        names |= _names_in(path)
        if len(counts) > TOO_MANY_VALUES:
            raise UnreadableFile(
                f"the labels hold more than {TOO_MANY_VALUES} different {kind} by {path}: that is no class raster; "
                "labels saved as JPEG look so, export them as PNG or GeoTIFF"
            )
    found = {declared_nodata(path, kind) for path in paths}
    declared = sorted(value for value in found if value is not None and value in counts)
    return LabelScan(kind, dict(counts), names, {}, nodata=tuple(declared))


def declared_nodata(path: Path | str, kind: LabelKind) -> str | None:
    """The label value, as text, that a label raster declares as nodata; None where it declares none."""
    with open_dataset(path) as dataset:
        values = [None if value is None else float(value) for value in dataset.nodatavals]
        palette = palette_of(dataset) if kind == "colors" else None
    if kind == "ids" or palette is not None:
        value = values[0]
        if value is None or not value.is_integer():
            return None
        if palette is None:
            return str(int(value))
        return color_text(int(pack_colors(palette[int(value)][:, None, None])[0, 0])) if 0 <= value < 256 else None
    known = [value for value in values[:3] if value is not None and value.is_integer() and 0 <= value < 256]
    return color_text(int(pack_colors(np.array(known, np.uint8)[:, None, None])[0, 0])) if len(known) == 3 else None


def _shows_colors(path: Path) -> bool:
    """True when a label raster is to be read by its colours: three bands, or a PNG with a palette."""
    with open_dataset(path) as dataset:
        palette = dataset.count == 1 and dataset.colorinterp[0] == ColorInterp.palette
        return bool(dataset.count >= 3 or (palette and dataset.driver == "PNG"))


def _count_values(path: Path, kind: LabelKind) -> Counter[str]:
    counts: Counter[str] = Counter()
    with open_dataset(path) as dataset:
        palette = palette_of(dataset) if kind == "colors" else None
        for window in cut(grid_of(dataset).window, 2048, 2048):
            region = rasterio.windows.Window(window.col, window.row, window.width, window.height)
            with translated(path):
                pixels = dataset.read([1, 2, 3] if dataset.count >= 3 else [1], window=region)
            if palette is not None:
                pixels = np.moveaxis(palette[pixels[0]], -1, 0)
            if kind == "colors":
                values, found = np.unique(pack_colors(np.resize(pixels, (3, *pixels.shape[1:]))), return_counts=True)
                texts = [color_text(int(v)) for v in values]
            else:
                values, found = np.unique(pixels[0], return_counts=True)
                texts = [str(int(v)) if float(v).is_integer() else str(v) for v in values]
            counts.update(dict(zip(texts, found.tolist(), strict=True)))
            if len(counts) > TOO_MANY_VALUES:
                break
    return counts


def _names_in(path: Path) -> dict[str, str]:
    """Names by value from a class map's own legend or an Esri model definition beside the labels."""
    with open_dataset(path) as dataset:
        legend = dataset.tags().get("TERRASEG_LEGEND")
    if legend is not None:
        return {str(land.id): land.name for land in parsed_legend(legend, path).classes}
    for folder in (path.parent, path.parent.parent, path.parent.parent.parent):
        definition = folder / "esri_model_definition.emd"
        if definition.exists():
            return _esri_names(definition)
    return {}


def _esri_names(path: Path) -> dict[str, str]:
    try:
        classes = parse_json(path.read_text(encoding="utf-8")).get("Classes", [])
        return {str(int(c["Value"])): str(c["Name"]) for c in classes}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UnreadableFile(
            f"{path} is no Esri model definition ({error}): delete it or export the data again"
        ) from error


def listed_classes(folder: Path) -> dict[str, str]:
    """Colours and titles from a `classes.json` in a folder or just above it; empty when there is none."""
    for place in (folder, folder.parent, folder.parent.parent):
        path = place / "classes.json"
        if path.is_file():
            try:
                entries = parse_json(path.read_text(encoding="utf-8"))["classes"]
                return {str(e["color"]).upper(): str(e["title"]) for e in entries}
            except (ValueError, KeyError, TypeError):
                return {}  # another program's file of that name, with another content: nothing is claimed
    return {}
