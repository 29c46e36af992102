"""Each step of a project once: what it reads, what it writes, and when it can be skipped."""

import json
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from terraseg.core.dataset import Dataset, Imagery, Scene
from terraseg.core.fingerprint import Fingerprint
from terraseg.core.lrcurve import LrCurve
from terraseg.core.plan import Hardware, Plan
from terraseg.core.sensors import sensor_named
from terraseg.core.watch import SILENT, Watch
from terraseg.engines.choose import require_training
from terraseg.errors import EmptyDataset, RastersFailed, TerrasegError
from terraseg.pipeline.cleaning import move_predicted, predict_options, predicted_path
from terraseg.pipeline.inputs import file_imagery
from terraseg.pipeline.ledger import Ledger, file_states, key_for
from terraseg.pipeline.probe import start_of, with_timings
from terraseg.pipeline.project import Project
from terraseg.pipeline.splitting import patch_side, read_split, say_split, split_project
from terraseg.predict.options import PredictOptions
from terraseg.prepare.dataset import read_dataset, scene_names
from terraseg.prepare.discover import expand
from terraseg.store.header import read_facts
from terraseg.store.maplayers import CONFIDENCE, layer_path
from terraseg.store.rundir import read_json, replacing, write_json

if TYPE_CHECKING:
    from terraseg.train.loop import TrainedModel


FOUND = "the middle of the loss's longest fall in a range test"
"""The reason of a learning rate that was searched for."""


def prepare(project: Project, watch: Watch) -> tuple[Dataset, Fingerprint]:
    """The data set with its split and its fingerprint, written into the run folder."""
    run, ledger = project.run, Ledger(project.run)
    watch.step("prepare")
    dataset = read_dataset(project.data, project.root)
    for note in sensor_notes(project, dataset):
        watch.say(note)
    key = key_for(asdict(project.data), patch_side(project), file_states(dataset.files))
    if ledger.is_fresh("prepare", key):
        watch.say("imagery and labels are unchanged")
        say_split(read_split(run), watch)
        return _split_as_before(project, dataset), Fingerprint.from_json(read_json(run.fingerprint))
    dataset, facts = split_project(project, dataset, watch)
    write_json(run.options, project.options_json())
    write_json(run.dataset, dataset.to_json())
    write_json(run.fingerprint, facts.to_json())
    ledger.finish("prepare", key, [run.dataset, run.fingerprint, run.split])
    return dataset, facts


def sensor_notes(project: Project, dataset: Dataset) -> tuple[str, ...]:
    """What the project's sensor says of the imagery: what values mean, and the usual nodata where none is declared."""
    if not project.data.sensor:
        return ()
    sensor = sensor_named(project.data.sensor)
    notes = [sensor.note(dataset.dtype if dataset.indices is None else dataset.indices.dtype)]
    facts = read_facts(dataset.scenes[0].imagery.paths[0])
    if sensor.nodata is not None and facts.nodata is None and not facts.has_alpha and project.data.nodata is None:
        notes.append(
            f"{sensor.title} has {sensor.nodata:g} where nothing was seen, and {facts.path} declares no nodata: set "
            f"nodata = {sensor.nodata:g} under [data] unless a mask says so"
        )
    return tuple(notes)


def _split_as_before(project: Project, dataset: Dataset) -> Dataset:
    """The data set as found now, with the split that the run folder keeps; the paths follow a project that has moved."""
    kept = {scene.name: scene for scene in Dataset.from_json(read_json(project.run.dataset)).scenes}
    scenes = [replace(s, train=kept[s.name].train, validation=kept[s.name].validation) for s in dataset.scenes]
    found = replace(dataset, scenes=tuple(scenes))
    if found.to_json() != read_json(project.run.dataset):
        write_json(project.run.dataset, found.to_json())
    return found


def plan(project: Project, facts: Fingerprint, watch: Watch) -> Plan:
    """The training plan, written into the run folder with its reasons, and said line by line."""
    made, _ = plan_on_machine(project, facts, watch)
    for name, reason in made.reasons.items():
        watch.say(f"{name} = {getattr(made, name)}: {reason}")
    return made


def plan_on_machine(project: Project, facts: Fingerprint, watch: Watch) -> tuple[Plan, Hardware]:
    """The training plan and the machine that it was made for, as written into the run folder."""
    require_training()
    from terraseg.plan.rules import make_plan
    from terraseg.train.hardware import find_hardware

    run, ledger = project.run, Ledger(project.run)
    watch.step("plan")
    key = key_for(facts.to_json(), asdict(project.training))
    if ledger.is_fresh("plan", key):
        return Plan.from_json(read_json(run.plan)), Hardware.from_json(read_json(run.hardware))
    start = start_of(project.training.train)
    machine = with_timings(find_hardware(), facts, project.training, start)
    made = make_plan(facts, machine, project.training, start=start)
    write_json(run.hardware, machine.to_json())
    write_json(run.plan, made.to_json())
    ledger.finish("plan", key, [run.plan, run.hardware])
    return made, machine


def find_rate(project: Project, dataset: Dataset, facts: Fingerprint, made: Plan, watch: Watch) -> LrCurve:
    """The curve of a learning-rate range test, written into the run folder as JSON and as a figure."""
    from terraseg.report.curves import lr_figure
    from terraseg.train.finder import find_learning_rate
    from terraseg.train.watch import TrainEvent

    run, ledger = project.run, Ledger(project.run)
    watch.step("lr-find")
    key = key_for(dataset.to_json(), facts.to_json(), made.to_json(), file_states(dataset.files))
    if ledger.is_fresh("lr-find", key):
        curve = LrCurve.from_json(read_json(run.lr_find))
    else:

        def progress(event: TrainEvent) -> None:
            watch.progress(event.fraction, 1.0, event.text)

        curve = find_learning_rate(dataset, facts, made, run, progress=progress)
        picture = run.figures / "lr_find.png"
        with replacing(picture) as temporary:
            lr_figure(curve).savefig(temporary, dpi=150)
        write_json(run.lr_find, curve.to_json())
        ledger.finish("lr-find", key, [run.lr_find, picture])
    watch.say(
        f"learning_rate = {curve.suggestion_valley:.2g} under [train] lies in the middle of the loss's longest fall; "
        f"it falls fastest at {curve.suggestion_steepest:.2g}"
    )
    return curve


def train(project: Project, dataset: Dataset, facts: Fingerprint, made: Plan, watch: Watch) -> Path:
    """The trained model's folder; an interrupted training goes on where it was when data and plan are the same."""
    from terraseg.train.loop import train_model
    from terraseg.train.temperature import with_temperature
    from terraseg.train.watch import TrainEvent

    run, ledger, cache_gb = project.run, Ledger(project.run), project.sample.cache_gb
    if project.train.learning_rate == "find" and made.reasons.get("learning_rate") != FOUND:
        rate = find_rate(project, dataset, facts, made, watch).suggestion_valley
        made = replace(made, learning_rate=rate, reasons=made.reasons | {"learning_rate": FOUND})
        write_json(run.plan, made.to_json())
    watch.step("train")
    key = key_for(portable(project, dataset), facts.to_json(), made.to_json())
    if ledger.is_fresh("train", key):
        watch.say("the model is up to date")
        return run.model
    if not ledger.begin("train", key):
        forget_training(project)
    watch.say(f"training {made.network} on {made.device} ({made.reasons.get('device', '')})")

    def progress(event: TrainEvent) -> None:
        watch.progress(event.fraction, 1.0, event.text)

    trained = train_model(dataset, facts, made, run, progress=progress, cache_gb=cache_gb)
    trained = with_temperature(trained, dataset, facts, made, run, cache_gb=cache_gb)
    write_model(trained, run.model)
    ledger.finish("train", key, [run.model / "model.onnx", run.model / "weights.safetensors", run.model / "model.json"])
    watch.say(f"wrote {run.model}")
    return run.model


def portable(project: Project, dataset: Dataset) -> str:
    """The data set as text with its paths seen from the project file: the same wherever the project lies."""
    return json.dumps(dataset.to_json(), sort_keys=True).replace(f"{project.root.resolve()}/", "")


def write_model(trained: "TrainedModel", folder: Path) -> None:
    """The bundle of a trained network."""
    from terraseg.export.onnx import onnx_bytes
    from terraseg.store.bundle import write_bundle

    weights = {name: tensor.detach().cpu().numpy() for name, tensor in trained.network.state_dict().items()}
    write_bundle(folder, trained.spec, onnx=onnx_bytes(trained.network, trained.spec), weights=weights)


def forget_training(project: Project) -> None:
    """Removes what an earlier training with other data or another plan left in the run folder."""
    run = project.run
    for folder in (run.checkpoints, run.tensorboard):
        shutil.rmtree(folder, ignore_errors=True)
    run.progress.unlink(missing_ok=True)


def forget_run(project: Project) -> None:
    """Removes what the run folder holds, so that everything is done anew; files of other origin in it stay.

    A folder in which no run has begun is left as it is, whatever the names in it.
    """
    run = project.run
    if not (run.dataset.exists() or run.done.exists()):
        return
    forget_training(project)
    models = (run.model, run.forest, run.ensemble)
    for folder in (*models, run.cache, run.maps, run.baseline, run.figures, run.folds):
        shutil.rmtree(folder, ignore_errors=True)
    plans = (run.options, run.dataset, run.fingerprint, run.plan, run.hardware, run.lr_find)
    for file in (*plans, run.scores, run.report, run.done):
        file.unlink(missing_ok=True)


def scenes_to_map(project: Project, dataset: Dataset, watch: Watch = SILENT) -> list[Scene]:
    """The scenes that the project maps: test scenes, scenes without labels and further images.

    Where there are none of these, the scenes with validation windows, and without those all of them. Of images it is said
    where their bands are put into another order, or left out.
    """
    further = _further_scenes(project, dataset, watch)
    chosen = [s for s in dataset.scenes if s.is_test or s.labels is None] + further
    if not chosen:
        chosen = [s for s in dataset.scenes if s.validation] or list(dataset.scenes)
    if not chosen:
        raise EmptyDataset("there is no scene to map: name test scenes under [data] or images under [map]")
    return chosen


def _further_scenes(project: Project, dataset: Dataset, watch: Watch) -> list[Scene]:
    bands = dataset.sensed_bands
    images = expand(project.map.images, project.root, bands=bands)
    if project.map.images and not images:
        raise EmptyDataset(
            f"no file is named by images = {list(project.map.images)} under [map], seen from {project.root}"
        )
    names = scene_names(images)
    taken = {scene.name for scene in dataset.scenes}
    scenes = []
    for image in images:
        files = tuple(str(project.root.resolve() / image.replace("{band}", band)) for band in bands)
        paths = files if "{band}" in image else files[:1]
        name = names[image] if names[image] not in taken else f"{names[image]}_map"
        imagery = Imagery(paths, bands, project.data.nodata)
        if len(paths) == 1 and not project.data.bands:
            # The project's names are the files' own, so these have to have them too.
            imagery, notes = file_imagery(paths[0], bands, replace(project.input, nodata=project.data.nodata))
            for note in notes:
                watch.say(f"{name}: {note}")
        imagery = replace(imagery, indices=dataset.indices, stored=dataset.stored)
        scenes.append(Scene(name, imagery, None, name, read_facts(paths[0]).grid))
    return scenes


def predict(
    project: Project, scenes: Sequence[Scene], watch: Watch, *, engine: str | None = None, fresh: bool = False
) -> list[Path]:
    """The class map of each scene under `maps/`, or `maps/raw/` where they are cleaned, up to date or not where `fresh`.

    `engine` takes the place of the project's. Raises `RastersFailed` when the others are done, with those that failed.
    """
    from terraseg.pipeline.calibrate import ready_int8
    from terraseg.pipeline.products import Job, open_model, predict_scene
    from terraseg.store.bundle import bundle_hash

    run, ledger = project.run, Ledger(project.run)
    watch.step("predict")
    digest = bundle_hash(run.model)
    options = project.engine if engine is None else replace(project.engine, engine=engine)
    wanted = predict_options(project)
    job = None
    maps: list[Path] = []
    failures: list[str] = []
    for scene in scenes:
        out = predicted_path(project, scene.name)
        move_predicted(ledger, f"predict {scene.name}", out)
        maps.append(out)
        key = key_for(digest, predict_key(wanted), input_key(project), options.key, file_states(scene.imagery.paths))
        if not fresh and ledger.is_fresh(f"predict {scene.name}", key):
            continue
        if job is None:
            if options.precision == "int8":
                images = [each.imagery for each in scenes]
                ready_int8(run.model, images, inputs=project.inputs, engine=options, watch=watch)
            job = Job(open_model([run.model], options), wanted, project.inputs, fresh)
            watch.say(job.model.sentence)
        try:
            summary = predict_scene(scene.name, scene.imagery, out, job=job, watch=watch)
        except TerrasegError as error:
            if len(scenes) == 1:
                raise
            watch.say(f"{scene.name} failed: {error}")
            failures.append(f"{scene.name}: {error}")
            continue
        ledger.finish(f"predict {scene.name}", key, summary.files)
    if job is None:
        watch.say(f"{len(maps)} class maps are up to date")
    if failures:
        raise RastersFailed(f"{len(failures)} of {len(scenes)} rasters could not be predicted. {'; '.join(failures)}")
    return maps


def predict_key(options: PredictOptions) -> dict[str, Any]:
    """What the maps depend on of the [predict] table: neither the memory that it allows nor the threads."""
    return asdict(replace(options, max_ram=None, threads=None))


def input_key(project: Project) -> list[Any]:
    """What the maps depend on of the [input] table: its settings, and the state of the area's file."""
    return [asdict(project.input), file_states([project.inputs.aoi] if project.input.aoi else [])]


def vectorize(project: Project, maps: Iterable[Path], watch: Watch) -> list[Path]:
    """The polygons of each class map, as a styled GeoPackage beside it."""
    from terraseg.pipeline.products import polygons_file

    ledger = Ledger(project.run)
    watch.step("vectorize")
    files = []
    for number, path in enumerate(list(maps)):
        out = path.with_suffix(".gpkg")
        files.append(out)
        key = key_for(asdict(project.vectorize), file_states([path, layer_path(path, CONFIDENCE)]))
        if ledger.is_fresh(f"vectorize {path.stem}", key):
            continue
        count = polygons_file(path, out, project.vectorize)
        ledger.finish(f"vectorize {path.stem}", key, [out])
        watch.say(f"wrote {out} ({count} polygons)")
        watch.progress(number + 1, len(files), "maps")
    return files


def measure(project: Project, maps: Iterable[Path], watch: Watch) -> list[Path]:
    """The statistics of each class map and its polygons, as CSV and JSON beside it."""
    from terraseg.pipeline.measuring import districts_file, measure_files, output_files

    ledger = Ledger(project.run)
    watch.step("measure")
    districts = districts_file(project.measure, project.root)
    options = project.measure if districts is None else replace(project.measure, per=str(districts))
    files: list[Path] = []
    for path in maps:
        outputs = output_files(path.with_suffix(".csv"), options)
        files += outputs
        inputs = [path, path.with_suffix(".gpkg"), *([] if districts is None else [districts])]
        key = key_for(asdict(project.measure), file_states(inputs))
        if ledger.is_fresh(f"measure {path.stem}", key):
            continue
        measure_files(path, outputs[0], options)
        ledger.finish(f"measure {path.stem}", key, outputs)
        watch.say(f"wrote {outputs[0]} and {', '.join(file.name for file in outputs[1:])}")
    return files


def report(project: Project, dataset: Dataset, scenes: Sequence[Scene], watch: Watch) -> Path:
    """The report page of the run."""
    from terraseg.report.build import MappedScene, build_report

    run, ledger = project.run, Ledger(project.run)
    watch.step("report")
    mapped = [MappedScene(s.name, s.imagery, run.maps / f"{s.name}.tif", s.labels) for s in scenes]
    inputs = [run.scores, run.root / "comparison.json", run.progress, run.plan, run.model / "model.json"]
    inputs += [Path(file) for s in scenes for file in (*s.imagery.paths, s.labels) if file is not None]
    inputs += [path for m in mapped for path in (m.map_path, m.map_path.with_suffix(".json"))]
    key = key_for(asdict(project.report), file_states(inputs))
    if not ledger.is_fresh("report", key):
        options = replace(project.report, title=project.report.title or project.root.resolve().name)
        build_report(run, dataset, mapped, options=options)
        ledger.finish("report", key, [run.report])
        watch.say(f"wrote {run.report}")
    return run.report
