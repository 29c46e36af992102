"""Many rasters as one job: what is named is found, made ready and predicted one by one, and what failed is said at the end."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from terraseg.core.dataset import Imagery
from terraseg.core.modelspec import ModelSpec
from terraseg.core.options import read_options
from terraseg.core.watch import SILENT, Watch
from terraseg.core.window import Window
from terraseg.engines.options import EngineOptions
from terraseg.errors import BadOption, NoOverlap, RastersFailed, TerrasegError
from terraseg.pipeline.calibrate import ready_int8
from terraseg.pipeline.inputs import Failure, Listing, RasterInput, imagery_of, list_rasters
from terraseg.pipeline.products import Job, open_model, predict_scene
from terraseg.predict.options import InputOptions, PredictOptions
from terraseg.predict.work import Shard, shares
from terraseg.store.bundle import read_spec
from terraseg.store.header import read_facts
from terraseg.store.mapfolder import drop_map
from terraseg.store.mapwriter import BLOCK


@dataclass(frozen=True)
class Predicted:
    """What came of a job of `count` rasters: the files written, and the rasters that failed."""

    files: tuple[Path, ...]
    failures: tuple[Failure, ...]
    count: int

    def check(self) -> None:
        """Raises `RastersFailed` with every raster that failed, and why."""
        if self.failures:
            reasons = "; ".join(f"{failure.name}: {failure.reason}" for failure in self.failures)
            raise RastersFailed(f"{len(self.failures)} of {self.count} rasters could not be predicted. {reasons}")


@dataclass(frozen=True)
class Course:
    """How a job is gone about: from the start (`fresh`) or from where an earlier run was, and which part of it, as "i/n",
    where several machines share it.
    """

    fresh: bool = False
    shard: str | None = None


def predict_files(
    rasters: Sequence[str],
    models: Sequence[Path],
    out: Path | None,
    settings: dict[str, Any],
    *,
    watch: Watch = SILENT,
    course: Course | None = None,
) -> Predicted:
    """The class maps of rasters: at `out` for one, in the folder `out` for several, else beside where the command runs.

    A raster may be a file, a folder, a pattern, an address or a STAC item; {band} in it stands for the model's bands where
    each has a file. Of several models the probabilities are averaged. `settings` are those of the tables [predict], [input]
    and [engine]. Of several rasters one that fails does not stop the others, and one outside the area of interest is passed
    over. Raises `BadOption` without a model, `NoOverlap` when no raster lies in the area, and what a single raster raises.
    """
    course = course or Course()
    shard = None if course.shard is None else Shard.parse(course.shard)
    watch.step("predict")
    listing = ready_models(rasters, models, settings, watch=watch)
    options, inputs, engine = _split_settings(settings)
    job = Job(open_model(models, engine), options, inputs, course.fresh)
    watch.say(job.model.sentence)
    return _predict_each(listing, job, out, watch, shard)


def ready_models(
    rasters: Sequence[str], models: Sequence[Path], settings: dict[str, Any], *, watch: Watch = SILENT
) -> Listing:
    """The rasters that are named, with the models made ready for them: one in bytes is calibrated where it is asked for.

    Raises `BadOption` without a model or for settings that cannot be, and what listing and calibrating raise.
    """
    if not models:
        raise BadOption("no model was named: pass --model with a model's folder, such as runs/first/model")
    _, inputs, engine = _split_settings(settings)
    listing = list_rasters(rasters, read_spec(models[0]).sensed_bands)
    for note in listing.notes:
        watch.say(note)
    for folder in models if engine.precision == "int8" else ():
        images = _images(listing, read_spec(folder), inputs)
        ready_int8(folder, images, inputs=inputs, engine=engine, watch=watch)
    return listing


def drop_maps(listing: Listing, out: Path | None) -> None:
    """Removes what earlier runs have made of the maps of rasters: finished ones, and what lies of unfinished ones.

    Raises `StaleRun` while a process is at one, and `UnwritableFile`.
    """
    for raster in listing.rasters:
        target = _target(raster, listing, out)
        image = Path(raster.template)
        if not (target.exists() and image.exists() and target.samefile(image)):
            drop_map(target)


def _target(raster: RasterInput, listing: Listing, out: Path | None) -> Path:
    """Where the map of a raster goes."""
    count = len(listing.rasters) + len(listing.failures)
    in_folder = out is not None and (count > 1 or out.is_dir() or not out.suffix)
    return out if out is not None and not in_folder else (out or Path()) / f"{raster.name}_map.tif"


def _predict_each(listing: Listing, job: Job, out: Path | None, watch: Watch, shard: Shard | None) -> Predicted:
    count = len(listing.rasters) + len(listing.failures)
    written: list[Path] = []
    failures, outside = list(listing.failures), 0
    for failure in failures:
        watch.say(f"{failure.name}: {failure.reason}")
    parts = _parts(listing, job, shard)
    if shard is not None and parts and not any(parts.values()):
        watch.say(
            f"shard {shard.name} has nothing to do: the rasters have fewer strips of {BLOCK} px than there are shards"
        )
    for raster in listing.rasters:
        if raster.name in parts and parts[raster.name] is None:
            continue
        target = _target(raster, listing, out)
        try:
            written += _predict_one(raster, target, job, watch, parts.get(raster.name))
        except NoOverlap as error:
            if count == 1:
                raise
            outside += 1
            watch.say(f"{raster.name} is passed over: {error}")
        except TerrasegError as error:
            if count == 1:
                raise
            watch.say(f"{raster.name} failed: {error}")
            failures.append(Failure(raster.name, str(error)))
    if outside == count:
        raise NoOverlap(f"none of the {count} rasters lies in the area {job.inputs.aoi}: check the area and its CRS")
    return Predicted(tuple(written), tuple(failures), count)


def _parts(listing: Listing, job: Job, shard: Shard | None) -> dict[str, tuple[str, Window] | None]:
    """A shard's part of each raster, None for nothing; rasters that cannot be opened are left out, to fail in all shards."""
    if shard is None:
        return {}
    shapes: dict[str, tuple[int, int]] = {}
    for raster in listing.rasters:
        try:
            imagery, _ = imagery_of(raster, job.model.scorer.spec, job.inputs)
            grid = read_facts(imagery.paths[0]).grid
            shapes[raster.name] = (grid.height, grid.width)
        except TerrasegError:
            continue
    windows = shares(list(shapes.values()), shard, BLOCK)
    return {
        name: None if window is None else (shard.name, window) for name, window in zip(shapes, windows, strict=True)
    }


def _predict_one(
    raster: RasterInput, out: Path, job: Job, watch: Watch, part: tuple[str, Window] | None
) -> tuple[Path, ...]:
    imagery, notes = imagery_of(raster, job.model.scorer.spec, job.inputs)
    for note in notes:
        watch.say(f"{raster.name}: {note}")
    return predict_scene(raster.name, imagery, out, job=job, watch=watch, part=part).files


def export_int8(
    folder: Path, rasters: Sequence[str], *, engine: str = "auto", force: bool = False, watch: Watch = SILENT
) -> Path:
    """The graph in bytes of a model, calibrated anew on rasters, folders or patterns, and kept in its folder.

    Raises as `calibrate.ready_int8` does.
    """
    options = EngineOptions(engine, precision="int8", force_int8=force)
    listing = list_rasters(rasters, read_spec(folder).sensed_bands)
    for note in listing.notes:
        watch.say(note)
    images = _images(listing, read_spec(folder), InputOptions())
    return ready_int8(folder, images, inputs=InputOptions(), engine=options, watch=watch, anew=True).path


def _images(listing: Listing, spec: ModelSpec, inputs: InputOptions) -> Iterator[Imagery]:
    """The rasters that a model can read; what is wrong with another is said when its turn comes."""
    for raster in listing.rasters:
        try:
            imagery, _ = imagery_of(raster, spec, inputs)
        except TerrasegError:
            continue
        yield imagery


def _split_settings(settings: dict[str, Any]) -> tuple[PredictOptions, InputOptions, EngineOptions]:
    """The three tables of settings whose names are their own."""
    of_inputs, of_engine = ({field.name for field in fields(kind)} for kind in (InputOptions, EngineOptions))
    inputs = {name: value for name, value in settings.items() if name in of_inputs}
    engine = {name: value for name, value in settings.items() if name in of_engine}
    predict = {name: value for name, value in settings.items() if name not in of_inputs | of_engine}
    where = "the command line"
    return (
        read_options(PredictOptions, predict, where),
        read_options(InputOptions, inputs, where),
        read_options(EngineOptions, engine, where),
    )
