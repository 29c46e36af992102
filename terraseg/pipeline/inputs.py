"""The rasters of a prediction: from what was named on the command line to imagery whose bands are the model's."""

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from urllib.parse import urlparse

from terraseg.core.dataset import Imagery
from terraseg.core.modelspec import ModelSpec
from terraseg.core.sensors import sensor_named
from terraseg.errors import BadOption, EmptyDataset, TerrasegError
from terraseg.predict.bands import match_bands
from terraseg.predict.options import InputOptions
from terraseg.prepare.dataset import scene_names
from terraseg.prepare.discover import discover, expand
from terraseg.store.header import RasterFacts, read_facts
from terraseg.store.leads import real_path
from terraseg.store.opening import gdal_path, is_remote
from terraseg.store.stac import StacItem, choose_assets, is_stac_name, read_items

PATTERN = "*?[{"


@dataclass(frozen=True)
class RasterInput:
    """One raster to be predicted: its name, unique and fit for a file, and its files; or the STAC item that leads to them.

    `template` is a path, or one with {band} in the place of the band's name where each band has a file of its own.
    """

    name: str
    template: str = ""
    item: StacItem | None = None


@dataclass(frozen=True)
class Failure:
    """A raster that could not be predicted, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class Listing:
    """What was found under the names given: rasters, what could not be listed, and sentences about what was left out."""

    rasters: tuple[RasterInput, ...]
    failures: tuple[Failure, ...] = ()
    notes: tuple[str, ...] = ()


def list_rasters(given: Sequence[str], bands: tuple[str, ...]) -> Listing:
    """The rasters behind paths, folders, patterns, addresses and STAC files, in that order, each once.

    Folders are searched through, labels and terraseg's own maps left out. {band} in a path stands for the model's `bands`.
    Raises `EmptyDataset` for a pattern or a folder without a raster; a STAC file that cannot be read is a failure.
    """
    templates: list[str] = []
    items: list[StacItem] = []
    failures: list[Failure] = []
    notes: list[str] = []
    for name in given:
        paths, said = _named(name, bands)
        notes += said
        for path in paths:
            if not is_stac_name(path):
                templates.append(gdal_path(path))
                continue
            try:
                items += read_items(path)
            except TerrasegError as error:
                failures.append(Failure(path, str(error)))
    return Listing(tuple(_with_names(templates, items)), tuple(failures), tuple(notes))


def imagery_of(raster: RasterInput, spec: ModelSpec, options: InputOptions) -> tuple[Imagery, tuple[str, ...]]:
    """How a raster is read for a model, with what there is to say about its bands.

    Raises `BandMismatch` when the model's bands are not all there, `BadOption` for names of bands that are not as many as
    the raster's bands and for an item that leads to another machine where that was not allowed.
    """
    sensed, stored = spec.sensed, options.values == "stored" if options.values else spec.stored
    if raster.item is not None:
        paths, channels = choose_assets(raster.item, sensed.bands, sensed.dtype)
        _refuse_strangers(raster.item, paths, options)
        return Imagery(paths, sensed.bands, options.nodata, channels, stored=stored), ()
    if "{band}" in raster.template:
        files = tuple(raster.template.replace("{band}", band) for band in sensed.bands)
        return Imagery(files, sensed.bands, options.nodata, stored=stored), ()
    imagery, notes = file_imagery(raster.template, sensed.bands, options)
    return replace(imagery, stored=stored), notes


def file_imagery(path: str, bands: tuple[str, ...], options: InputOptions) -> tuple[Imagery, tuple[str, ...]]:
    """How a file is read for a model of `bands`, with what there is to say about its own; raises as `imagery_of` does."""
    facts = read_facts(path)
    match = match_bands(bands, _names(facts, options))
    channels = tuple(facts.channels[place] for place in match.places)
    return Imagery((path,), bands, options.nodata, channels), match.notes


def _named(name: str, bands: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """The templates and STAC files of one name, and what was left out."""
    if is_remote(name):
        return [name], []
    if Path(name).is_dir():
        return _in_folder(Path(name))
    if not any(sign in name for sign in PATTERN) or Path(name).exists():
        return [name], []
    found = expand([name], Path(), bands=bands)
    if not found:
        raise EmptyDataset(f"no file is named by {name!r}: check the pattern")
    return _without_products(found, name)


def _in_folder(folder: Path) -> tuple[list[str], list[str]]:
    try:
        found = discover([folder], [], Path())
    except EmptyDataset:
        items = sorted(str(path) for path in folder.rglob("*.json"))
        if not items:
            raise
        return items, []
    kept, notes = _without_products(found.scenes, str(folder))
    labels = len(found.labels) + len(found.left_out)
    if labels:
        notes.append(f"{labels} files in {folder} are left out, whose names say that they are labels or helper files")
    return kept, notes


def _without_products(found: Iterable[str], where: str) -> tuple[list[str], list[str]]:
    """The rasters among files that are no maps of terraseg's own."""
    kept, maps = [], 0
    for path in found:
        if "{band}" not in path and not is_stac_name(path) and _is_product(path):
            maps += 1
        else:
            kept.append(path)
    if not kept:
        raise EmptyDataset(f"{where} holds nothing but maps that terraseg made: pass the imagery they were made of")
    return kept, [f"{maps} of the files in {where} are maps that terraseg made: they are left out"] if maps else []


def _is_product(path: str) -> bool:
    try:
        return read_facts(path).is_product
    except TerrasegError:
        # What is wrong with it is said when its turn comes.
        return False


def _places(paths: Sequence[str]) -> dict[str, str]:
    """The paths as seen from the folder that all lie in: names do not depend on where the command was given."""
    whole = {path: real_path(path) for path in paths}
    common = os.path.commonpath([path.parent for path in whole.values()]) if whole else ""
    return {path: place.relative_to(common).as_posix() for path, place in whole.items()}


def _with_names(templates: Sequence[str], items: Sequence[StacItem]) -> list[RasterInput]:
    each = list({path if is_remote(path) else str(real_path(path)): path for path in templates}.values())
    places = {path: urlparse(path).path for path in each if is_remote(path)} | _places(
        [p for p in each if not is_remote(p)]
    )
    names = scene_names(list(dict.fromkeys(places.values())))
    stems = [PurePosixPath(place).stem for place in places.values()]
    for path, place in places.items():
        stem = PurePosixPath(place).stem
        if is_remote(path) and stems.count(stem) == 1:
            names[place] = re.sub(r"[^\w.-]+", "_", stem.replace("{band}", "").strip("_"))
    inputs = [RasterInput(names[places[path]], path) for path in each]
    inputs += [RasterInput(re.sub(r"[^\w.-]+", "_", item.id), item=item) for item in items]
    taken: dict[str, int] = {}
    unique = []
    for one in inputs:
        taken[one.name] = taken.get(one.name, 0) + 1
        number = taken[one.name]
        unique.append(one if number == 1 else RasterInput(f"{one.name}_{number}", one.template, one.item))
    return unique


def _names(facts: RasterFacts, options: InputOptions) -> tuple[str, ...]:
    if options.bands:
        if len(options.bands) != len(facts.bands):
            raise BadOption(
                f"[input] bands names {len(options.bands)} bands ({', '.join(options.bands)}) and {facts.path} has "
                f"{len(facts.bands)} ({', '.join(facts.bands)}): name each of them, in the file's order"
            )
        return options.bands
    usual = sensor_named(options.sensor).band_names(facts.bands) if options.sensor else None
    return usual or facts.bands


def _refuse_strangers(item: StacItem, paths: Sequence[str], options: InputOptions) -> None:
    """Refuses addresses on other machines that an item brings in; a local file must not reach out unasked."""
    host = urlparse(item.source.removeprefix("/vsicurl/")).netloc
    for path in paths:
        if is_remote(path) and not path.startswith(("http://", "https://", "/vsi")):
            raise BadOption(
                f"the item {item.id} ({item.source}) leads to {path[:200]}, which is no address of a file: name the raster itself"
            )
        own = host and urlparse(path.removeprefix("/vsicurl/")).netloc == host
        if is_remote(path) and not own and not options.remote:
            raise BadOption(
                f"the item {item.id} ({item.source}) leads to {path}, on another machine: pass --set input.remote=true if "
                "it may be read from there"
            )
