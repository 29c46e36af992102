"""The step that scores a project's maps, with its figures; and two models side by side on a project's labels."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from terraseg.core.dataset import Dataset, Scene
from terraseg.core.fingerprint import Fingerprint
from terraseg.core.watch import Watch
from terraseg.errors import EmptyDataset, UnreadableFile
from terraseg.evaluate.compare import Comparison, compare_maps
from terraseg.evaluate.evaluate import Evaluation, evaluate_scenes
from terraseg.evaluate.objects import THRESHOLDS
from terraseg.evaluate.parted import Splitting
from terraseg.pipeline.ledger import Ledger, file_states, key_for
from terraseg.pipeline.project import Project
from terraseg.pipeline.steps import portable
from terraseg.pipeline.worst import draw_worst
from terraseg.prepare.dataset import read_dataset
from terraseg.report.scorefigures import object_figure, reliability_figure
from terraseg.store.rundir import RunFolder, read_json, replacing, write_json

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RELIABILITY, OBJECTS, WORST = "reliability.png", "object_f1.png", "worst"
"""What lies under `figures/`."""


def evaluate(
    project: Project,
    dataset: Dataset,
    scenes: Sequence[Scene],
    watch: Watch,
    *,
    baseline: Evaluation | None = None,
) -> Evaluation | None:
    """The scores of the mapped scenes that have labels, in `scores.json`, and their figures; None when none has.

    `baseline` are another model's scores on the same scenes, to be kept beside them.
    """
    run, ledger = project.run, Ledger(project.run)
    labelled = [scene for scene in scenes if scene.labels is not None]
    if not labelled:
        run.scores.unlink(missing_ok=True)
        return None
    watch.step("evaluate")
    pairs = [(scene, run.maps / f"{scene.name}.tif") for scene in labelled]
    states = file_states(file for _, p in pairs for file in (p, p.with_name(f"{p.stem}_confidence.tif")))
    beside = None if baseline is None else baseline.to_json()["total"]
    reach = correlation_px(run)
    split = splitting(project, dataset) if project.evaluate.shapes else None
    key = key_for(
        portable(project, dataset), asdict(project.evaluate), states, beside, (reach, split and asdict(split))
    )
    if ledger.is_fresh("evaluate", key):
        return Evaluation.from_json(read_json(run.scores))
    found = evaluate_scenes(pairs, dataset, options=project.evaluate, correlation_px=reach, split=split)
    evaluation = replace(found, baseline=baseline)
    figures = _draw(evaluation, run.figures)
    by_name = {scene.name: (scene, path) for scene, path in pairs}
    figures += draw_worst(evaluation.worst, by_name, dataset, run.figures / WORST)
    write_json(run.scores, evaluation.to_json())
    ledger.finish("evaluate", key, [run.scores, *figures])
    watch.say(f"wrote {run.scores}")
    if evaluation.worst:
        watch.say(f"wrote {len(evaluation.worst)} pictures of the worst places to {run.figures / WORST}")
    return evaluation


def splitting(project: Project, dataset: Dataset) -> Splitting | None:
    """How the polygons of a project's maps are parted where they touch; None where [vectorize] splits no class."""
    if not project.vectorize.split:
        return None
    from terraseg.vectorize.polygons import necks_of

    return Splitting(necks_of(dataset.legend, project.vectorize), project.vectorize.needs_confidence)


def correlation_px(run: RunFolder) -> float:
    """The range over which a run's labels are alike, in pixels; 0 where its fingerprint does not say."""
    if not run.fingerprint.exists():
        return 0.0
    return Fingerprint.from_json(read_json(run.fingerprint)).autocorrelation_px


def _draw(evaluation: Evaluation, folder: Path) -> list[Path]:
    """The figures of what was scored; those of an earlier scoring that have no successor go."""
    figures: dict[str, Figure | None] = {RELIABILITY: None, OBJECTS: None}
    certain = evaluation.reliability
    if certain is not None and certain.ece is not None:
        figures[RELIABILITY] = reliability_figure(certain.points, certain.ece)
    shapes = [shape for shape in evaluation.shapes if shape.objects is not None]
    curves = {shape.land_class.name: shape.objects.curve for shape in shapes if shape.objects is not None}
    if any(value is not None for curve in curves.values() for value in curve):
        colors = {shape.land_class.name: shape.land_class.color for shape in shapes}
        figures[OBJECTS] = object_figure(THRESHOLDS, curves, colors)
    written = []
    for name, figure in figures.items():
        path = folder / name
        if figure is None:
            path.unlink(missing_ok=True)
            continue
        with replacing(path) as temporary:
            figure.savefig(temporary, dpi=150)
        written.append(path)
    return written


def labelled_dataset(project: Project) -> Dataset:
    """The project's scenes, with the split of its run where there is one: comparing maps takes no training."""
    dataset = read_dataset(project.data, project.root)
    if not project.run.dataset.exists():
        return dataset
    kept = {scene.name: scene for scene in Dataset.from_json(read_json(project.run.dataset)).scenes}
    scenes = (
        replace(scene, train=kept[scene.name].train, validation=kept[scene.name].validation)
        if scene.name in kept
        else scene
        for scene in dataset.scenes
    )
    return replace(dataset, scenes=tuple(scenes))


def compare_models(
    project: Project, dataset: Dataset, folders: tuple[Path, Path], watch: Watch
) -> tuple[Comparison, Path]:
    """Two models side by side on the project's labelled scenes, and the JSON file that says it.

    Each folder is a run or holds maps named after the scenes. Raises `UnreadableFile` for a folder without any such map and
    `EmptyDataset` where the two have no labelled scene in common.
    """
    watch.step("compare")
    labelled = [scene for scene in dataset.scenes if scene.labels is not None]
    one, two = (_maps_in(folder, labelled) for folder in folders)
    trios = [(scene, one[scene.name], two[scene.name]) for scene in labelled if scene.name in one.keys() & two.keys()]
    if not trios:
        raise EmptyDataset(
            f"{folders[0]} holds maps of {', '.join(sorted(one))} and {folders[1]} of {', '.join(sorted(two))}: map the same "
            "labelled scenes with both models"
        )
    alone = sorted(one.keys() ^ two.keys())
    if alone:
        watch.say(f"left out, since only one of the two maps them: {', '.join(alone)}")
    names = _names(folders)
    reach = correlation_px(project.run)
    result = compare_maps(trios, dataset, names=names, options=project.evaluate, correlation_px=reach)
    out = project.run.root / "comparison.json"
    write_json(out, result.to_json())
    return result, out


def _maps_in(folder: Path, scenes: Sequence[Scene]) -> dict[str, Path]:
    """The maps of scenes by name: those of a run, or of a folder of maps."""
    place = folder / "maps" if (folder / "maps").is_dir() else folder
    found = {scene.name: place / f"{scene.name}.tif" for scene in scenes}
    there = {name: path for name, path in found.items() if path.is_file()}
    if not there:
        wanted = ", ".join(f"{name}.tif" for name in list(found)[:3])
        raise UnreadableFile(
            f"{place} holds no map of a labelled scene ({wanted} say): run terraseg evaluate on that run, or pass a folder of "
            "maps named after the scenes"
        )
    return there


def _names(folders: tuple[Path, Path]) -> tuple[str, str]:
    """What to call two folders: their names, or as much of their paths as tells them apart."""
    one, two = (folder.resolve().parts for folder in folders)
    for count in range(1, max(len(one), len(two)) + 1):
        names = "/".join(one[-count:]), "/".join(two[-count:])
        if names[0] != names[1]:
            return names
    return "one", "two"
