"""From the [data] table to a data set: scenes found, paired with labels, checked against each other and grouped."""

import re
from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

from pyproj.exceptions import CRSError

from terraseg.core.classes import PALETTE, LandClass, Legend
from terraseg.core.dataset import Dataset, Imagery, LabelKind, LabelRule, Scene
from terraseg.core.drawing import Drawing
from terraseg.core.sensors import sensor_named
from terraseg.core.spectral import DTYPE, SpectralIndices, expressions_of
from terraseg.errors import BadOption, BandMismatch, CrsMissing, EmptyDataset
from terraseg.prepare.discover import expand
from terraseg.prepare.options import DataOptions, Grouping, Shift
from terraseg.prepare.pair import pair, scene_key, words
from terraseg.shapes.ground import parse_crs
from terraseg.store.header import RasterFacts, read_facts
from terraseg.store.placing import ground_grid


def read_dataset(options: DataOptions, root: Path) -> Dataset:
    """The data set that a [data] table describes, with every header read and no split yet (see `split_dataset`).

    `root` is the folder of the project file; the scenes' paths are absolute, so that the data set can be used from
    anywhere. Raises `EmptyDataset` when a pattern names no file, `BandMismatch` for scenes of different bands or pixel
    types, `CrsMissing` for polygon labels over imagery without a CRS.
    """
    root = root.resolve()
    legend, rule = legend_and_rule(options)
    rule = replace(rule, drawing=drawing_of(options, root))
    labels = expand(options.labels, root, without=expand([options.extent], root) if options.extent else ())
    images = expand(options.images, root, without=labels, bands=options.bands)
    if not images:
        raise EmptyDataset(
            f"no file is named by images = {list(options.images)} under [data], seen from {root}: mend the patterns"
        )
    if options.labels and not labels:
        raise EmptyDataset(
            f"no file is named by labels = {list(options.labels)} under [data], seen from {root}: mend the patterns"
        )
    files = {image: _files_of(image, options.bands) for image in images}
    stored = options.values == "stored"
    facts = {image: read_facts(root / files[image][0], stored=stored) for image in images}
    bands = options.bands or _common_bands(facts, options.sensor)
    _same_pixels(facts, bands)
    dtype = facts[images[0]].dtype
    indices = indices_of(options, bands, dtype)
    paired = pair([PurePosixPath(i) for i in images], [PurePosixPath(label) for label in labels])
    names = scene_names(images)
    groups = group_scenes(images, paired, options.group)
    scenes = []
    for image in images:
        label = paired.get(PurePosixPath(image))
        paths = tuple(str(root / file) for file in files[image])
        imagery = Imagery(paths, bands, options.nodata, indices=indices, stored=stored)
        path = None if label is None else str(root / label)
        held_out = any(fnmatch(image, pattern) or fnmatch(names[image], pattern) for pattern in options.test)
        shift = shift_of(options.shift, image, names[image])
        scenes.append(
            Scene(names[image], imagery, path, groups[image], facts[image].grid, is_test=held_out, shift=shift)
        )
    _all_used((*options.test, *(options.shift if isinstance(options.shift, dict) else ())), images, names)
    _labels_can_be_placed(scenes, rule)
    if indices is not None:
        bands, dtype = (*bands, *indices.names), DTYPE
    return Dataset(tuple(scenes), legend, rule, bands, dtype)


def indices_of(options: DataOptions, bands: Sequence[str], dtype: str) -> SpectralIndices | None:
    """The indices of a [data] table over imagery of these bands; None where it asks for none.

    Raises `BadOption` for one that cannot be computed, `UnknownName` for an unknown sensor.
    """
    if not options.indices:
        return None
    scale, offset = sensor_named(options.sensor).scaling(dtype) if options.sensor else (None, 0.0)
    indices = SpectralIndices(expressions_of(options.indices), dtype, scale, offset)
    indices.check_bands(bands)
    return indices


def drawing_of(options: DataOptions, root: Path) -> Drawing:
    """What is done with labels before they are drawn, its files absolute.

    Raises `EmptyDataset` when the extent's pattern names no file, `BadOption` for a CRS that is none and a negative width.
    """
    extent = expand([options.extent], root) if options.extent else []
    if options.extent and not extent:
        raise EmptyDataset(f"no file is named by extent = {options.extent!r} under [data], seen from {root}: mend it")
    if options.assume_crs is not None:
        try:
            parse_crs(options.assume_crs)
        except CRSError as error:
            raise BadOption(
                f"assume_crs = {options.assume_crs!r} under [data] names no CRS: pass a code such as EPSG:32637"
            ) from error
    if not isinstance(options.width, str) and options.width < 0:
        raise BadOption(f"width = {options.width:g} under [data]: lines and points are 0 m wide or more")
    return Drawing(tuple(str(root / file) for file in extent), options.assume_crs, options.buffer, options.width)


def shift_of(shift: Shift | dict[str, Shift], image: str, name: str) -> Shift:
    """By how much the labels of a scene are moved: the same for all, or what the first pattern says that names it.

    >>> shift_of({"town_*": (1.0, 2.0)}, "images/town_1.tif", "town_1"), shift_of({"town_*": (1.0, 2.0)}, "b.tif", "b")
    ((1.0, 2.0), (0.0, 0.0))
    """
    if not isinstance(shift, dict):
        return shift
    return next((own for p, own in shift.items() if fnmatch(image, p) or fnmatch(name, p)), (0.0, 0.0))


def legend_and_rule(options: DataOptions) -> tuple[Legend, LabelRule]:
    """The legend and the label rule of a [data] table.

    Raises `BadOption` when it names no classes, one value for two classes that exclude each other, more overlapping classes
    than a label holds, or bands for classes that do not overlap.
    """
    if not options.classes:
        raise BadOption("[data] names no classes: add [[data.classes]] entries, or let `terraseg check` write them")
    classes = []
    for index, c in enumerate(options.classes):
        color = c.color or PALETTE[index % len(PALETTE)]
        classes.append(LandClass(index if c.id is None else c.id, c.name, color))
    values = tuple(c.labels for c in options.classes)
    flat = [value for group in values for value in group]
    twice = sorted({value for value in flat if flat.count(value) > 1})
    if twice and not options.overlapping:
        raise BadOption(
            f"the label value {twice[0]!r} stands for two classes under [data]: give it to one, or set overlapping = true "
            "where a pixel may be of both"
        )
    kind = options.label_kind or _kind_of(flat, options.labels)
    if kind == "bands":
        _check_bands_kind(options)
    rule = LabelRule(kind, values, options.ignore, options.label_field or None, options.overlapping)
    return Legend(tuple(classes)), rule


def _check_bands_kind(options: DataOptions) -> None:
    if not options.overlapping:
        raise BadOption(
            'label_kind = "bands" under [data] draws each class in a band of its own: set overlapping = true with it'
        )
    for value in options.ignore:
        if re.fullmatch(r"-?\d+(\.\d+)?|nan", value) is None:
            raise BadOption(f'ignore = {value!r} under [data] is no number: bands hold numbers, pass "255" for example')


def _kind_of(values: Sequence[str], labels: Sequence[str]) -> LabelKind:
    if any(
        PurePosixPath(label).suffix.lower() in {".geojson", ".gpkg", ".shp", ".fgb", ".parquet"} for label in labels
    ):
        return "polygons"
    return "colors" if all(value.startswith("#") for value in values) else "ids"


def _files_of(image: str, bands: Sequence[str]) -> tuple[str, ...]:
    return tuple(image.replace("{band}", band) for band in bands) if "{band}" in image else (image,)


def _common_bands(facts: dict[str, RasterFacts], sensor: str) -> tuple[str, ...]:
    """The bands as the first file names them, or as the sensor's products do where it does not."""
    first = next(iter(facts.values()))
    usual = sensor_named(sensor).band_names(first.bands) if sensor else None
    return usual or first.bands


def _same_pixels(facts: dict[str, RasterFacts], bands: Sequence[str]) -> None:
    """One band count and one pixel type over all scenes, or `BandMismatch` with the two that differ."""
    first = next(iter(facts.values()))
    for image, fact in facts.items():
        if "{band}" not in image and len(fact.bands) != len(bands) and not set(bands) <= set(fact.bands):
            raise BandMismatch(
                f"{fact.path} has {len(fact.bands)} bands ({', '.join(fact.bands)}) and the project {len(bands)} "
                f"({', '.join(bands)}): leave the scene out of images, or set bands under [data] to what all scenes have"
            )
        if fact.dtype != first.dtype:
            raise BandMismatch(
                f"{fact.path} has {fact.dtype} pixels and {first.path} {first.dtype}: one model takes one pixel type, so convert "
                f"the scenes to the same scaling and type, or split them into two projects{stored_remedy((fact, first))}"
            )
        if fact.dtype.startswith("complex"):
            raise BandMismatch(f"{fact.path} has complex pixels: take their amplitude into a float raster first")


def stored_remedy(facts: Sequence[RasterFacts]) -> str:
    """The half-sentence on rasters of two types of which one declares a scale, empty where that is not so."""
    scaled = next((fact for fact in facts if fact.is_scaled), None)
    if scaled is None or all(fact.is_scaled for fact in facts):
        return ""
    return f'; {scaled.path} declares a scale: if the numbers are alike without it, set values = "stored" under [data]'


def scene_names(images: Sequence[str]) -> dict[str, str]:
    """A unique name a scene, fit for a file: the stem, with as many folders before it as it takes to be unique.

    >>> scene_names(["Tile 1/images/a.jpg", "Tile 2/images/a.jpg"])["Tile 2/images/a.jpg"]
    'Tile_2_a'
    """
    names: dict[str, str] = {}
    for image in images:
        key = scene_key(PurePosixPath(image.replace("{band}", "")))
        stem = re.sub(r"^_+", "", PurePosixPath(image.replace("{band}", "")).stem)
        folders = [
            part.replace(" ", "_") for part in _own_folders(image, images) if "_".join(words(part)) in key.folder
        ]
        names[image] = "_".join([*folders, stem])
    for image in images:
        if list(names.values()).count(names[image]) > 1:
            names[image] = re.sub(
                r"[^\w-]+", "_", str(PurePosixPath(image).with_suffix("")).replace("{band}", "")
            ).strip("_.")
    return {image: re.sub(r"[^\w.-]+", "_", name) for image, name in names.items()}


def _own_folders(image: str, images: Sequence[str]) -> list[str]:
    """The folders of an image that not all images share."""
    parts = PurePosixPath(image).parts[:-1]
    others = [set(PurePosixPath(other).parts[:-1]) for other in images]
    return [part for part in parts if not all(part in other for other in others)]


def group_scenes(
    images: Sequence[str], paired: dict[PurePosixPath, PurePosixPath], grouping: Grouping
) -> dict[str, str]:
    """The group of each scene; "auto" takes shared label files first, then folders, then the scene itself."""
    if grouping == "auto":
        labels = list(paired.values())
        shared = len(set(labels)) < len(labels) and len(set(labels)) > 1
        folders = [_folder_of(image) for image in images]
        nested = 1 < len(set(folders)) <= len(folders) // 2
        patches = any(_parent_scene(image) for image in images)
        grouping = "site" if shared or patches else "folder" if nested else "scene"
    if grouping == "folder":
        return {image: _folder_of(image) for image in images}
    if grouping == "site":
        return {image: _site_of(image, paired) for image in images}
    return {image: image for image in images}


def _folder_of(image: str) -> str:
    return "/".join(scene_key(PurePosixPath(image)).folder)


def _site_of(image: str, paired: dict[PurePosixPath, PurePosixPath]) -> str:
    label = paired.get(PurePosixPath(image))
    if label is not None and list(paired.values()).count(label) > 1:
        return str(label)
    parent = _parent_scene(image)
    return parent or re.sub(r"[\d_\s-]+$", "", PurePosixPath(image).stem) or image


def _parent_scene(image: str) -> str:
    """The scene that a patch was cut from, by 38-Cloud's names: patch_192_10_by_12_LC08_... is of LC08_..."""
    match = re.search(r"patch_\d+_\d+_by_\d+_(.+)$", PurePosixPath(image).stem)
    return match.group(1) if match else ""


def _all_used(given: Sequence[str], images: Sequence[str], names: dict[str, str]) -> None:
    for pattern in given:
        if not any(fnmatch(image, pattern) or fnmatch(names[image], pattern) for image in images):
            known = ", ".join(sorted(names.values())[:8])
            raise BadOption(f"{pattern!r} under [data] names no scene: pass a path pattern or a name such as {known}")


def _labels_can_be_placed(scenes: Sequence[Scene], rule: LabelRule) -> None:
    for scene in scenes:
        unplaced = ground_grid(scene.grid, rule.drawing.assume_crs).crs is None
        if rule.kind == "polygons" and scene.labels is not None and unplaced:
            raise CrsMissing(
                f"{scene.imagery.paths[0]} has no CRS and its labels {scene.labels} are polygons on the ground, so they cannot "
                "be placed: give the imagery its CRS (gdal_edit -a_srs EPSG:n), pass --assume-crs EPSG:n where it only lacks "
                "the name of it, or use labels drawn as rasters"
            )


def with_roles(dataset: Dataset, scenes: Sequence[Scene]) -> Dataset:
    """The data set with its scenes replaced."""
    return replace(dataset, scenes=tuple(scenes))
