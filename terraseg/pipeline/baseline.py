"""The forest beside the network: whether deep learning paid, and the two averaged."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from terraseg.core.dataset import Dataset, Scene
from terraseg.core.fingerprint import Fingerprint
from terraseg.core.plan import Plan
from terraseg.core.watch import Watch
from terraseg.errors import BadOption, UnknownName, nearest
from terraseg.pipeline.ledger import Ledger, file_states, key_for
from terraseg.pipeline.project import Project
from terraseg.pipeline.steps import input_key, plan, plan_on_machine, portable, predict_key, prepare, train
from terraseg.store.bundle import PARTS, bundle_hash, write_bundle
from terraseg.store.rundir import read_json, write_json

if TYPE_CHECKING:
    from terraseg.evaluate.evaluate import Evaluation

PLANNED = ("reduction", "gsd_m", "aspect", "tile", "overlap", "seed", "augment")
"""The settings of the plan that a forest goes by."""


MODELS = {"network": "a network by the plan", "forest": "decision trees on colour and texture, in about a minute"}
"""What `terraseg train` can train."""


@dataclass(frozen=True)
class Training:
    """What is to be trained: a model of `MODELS`, or both with `ensemble` and then their average."""

    model: str = "network"
    ensemble: bool = False
    folds: int | None = None

    def __post_init__(self) -> None:
        if self.model not in MODELS:
            raise UnknownName(f"there is no model {self.model!r}: {nearest(self.model, MODELS)}")
        if self.folds is not None and (self.ensemble or self.model != "network"):
            raise BadOption(
                f"--folds {self.folds} cross-validates networks: leave out --model and --ensemble, or --folds"
            )


def train_models(project: Project, wanted: Training, watch: Watch) -> list[Path]:
    """Trains what is wanted of a project and gives the files and folders that came of it."""
    if project.data.overlapping and (wanted.ensemble or wanted.model == "forest"):
        raise BadOption(
            "the classes overlap under [data], and the trees of a forest give every pixel one class: train the network alone, "
            "without --model forest and --ensemble"
        )
    dataset, facts = prepare(project, watch)
    files = []
    if wanted.model == "network" or wanted.ensemble:
        made = plan(project, facts, watch)
        files = [train(project, dataset, facts, made, watch), project.run.progress]
    else:
        made, _ = plan_on_machine(project, facts, watch)
    if wanted.model == "forest" or wanted.ensemble:
        files.append(train_forest(project, dataset, facts, made, watch))
    if wanted.ensemble:
        files.append(average(project, watch))
    return files


def is_wanted(project: Project, scenes: Sequence[Scene], watch: Watch) -> bool:
    """Whether a forest is to be trained beside the network: where there is truth to hold both against."""
    if not project.map.baseline or all(scene.labels is None for scene in scenes):
        return False
    if project.data.overlapping:
        watch.say("no forest is trained for comparison: its trees give every pixel one class, and the classes overlap")
        return False
    if find_spec("sklearn") is None:
        watch.say(
            "no forest is trained for comparison: scikit-learn is missing, pip install 'terraseg[train]' brings it"
        )
        return False
    return True


def train_forest(project: Project, dataset: Dataset, facts: Fingerprint, made: Plan, watch: Watch) -> Path:
    """The folder of the forest, the traditional classifier, at the plan's working resolution."""
    from terraseg.forest import train as forest

    run, ledger = project.run, Ledger(project.run)
    watch.step("forest")
    settings = made.to_json()
    planned = {name: settings[name] for name in PLANNED}
    key = key_for(portable(project, dataset), facts.to_json(), planned, asdict(project.forest))
    if ledger.is_fresh("forest", key):
        watch.say("the forest is up to date")
        return run.forest

    def progress(share: float, text: str) -> None:
        watch.progress(share, 1.0, text)

    grown = forest.train_forest(
        dataset, facts, made, run, options=project.forest, cache_gb=project.sample.cache_gb, progress=progress
    )
    if grown.absent:
        watch.say(f"no training pixel shows {', '.join(grown.absent)}: the forest never maps it")
    write_bundle(run.forest, grown.spec, onnx=grown.onnx, weights=grown.trees.arrays())
    ledger.finish("forest", key, [run.forest / part for part in PARTS])
    watch.say(f"wrote {run.forest}")
    return run.forest


def average(project: Project, watch: Watch) -> Path:
    """The folder of the ensemble that averages the run's forest and its network."""
    from terraseg.export.ensemble import ensemble_bundle

    run, ledger = project.run, Ledger(project.run)
    watch.step("ensemble")
    members = [run.forest, run.model]
    key = key_for([bundle_hash(folder) for folder in members])
    if ledger.is_fresh("ensemble", key):
        watch.say("the ensemble is up to date")
        return run.ensemble
    ensemble_bundle(members, run.ensemble)
    ledger.finish("ensemble", key, [run.ensemble / part for part in PARTS])
    watch.say(f"wrote {run.ensemble}")
    return run.ensemble


def score_forest(project: Project, dataset: Dataset, scenes: Sequence[Scene], watch: Watch) -> "Evaluation | None":
    """The forest's scores on the scenes that have labels; None where there is no forest, no label or no wish for it."""
    from terraseg.evaluate.evaluate import Evaluation, evaluate_scenes

    run, ledger = project.run, Ledger(project.run)
    labelled = [scene for scene in scenes if scene.labels is not None]
    if not (project.map.baseline and labelled and run.forest.is_dir()):
        return None
    watch.step("baseline")
    pairs = [(scene, _map(project, scene, ledger, watch)) for scene in labelled]
    kept = run.baseline / "scores.json"
    key = key_for(portable(project, dataset), asdict(project.evaluate), file_states([path for _, path in pairs]))
    if ledger.is_fresh("baseline", key):
        return Evaluation.from_json(read_json(kept))
    plain = replace(project.evaluate, shapes=False, resamples=0, worst=0)
    evaluation = evaluate_scenes(pairs, dataset, options=plain)
    write_json(kept, evaluation.to_json())
    ledger.finish("baseline", key, [kept])
    return evaluation


def _map(project: Project, scene: Scene, ledger: Ledger, watch: Watch) -> Path:
    """The forest's class map of a scene, made where it is missing or older than the forest."""
    from terraseg.pipeline.products import Job, open_model, predict_scene

    run = project.run
    out = run.baseline / f"{scene.name}.tif"
    options = replace(project.predict, confidence=False, uncertainty=False, probabilities=False)
    key = key_for(bundle_hash(run.forest), predict_key(options), input_key(project), file_states(scene.imagery.paths))
    if not ledger.is_fresh(f"baseline {scene.name}", key):
        job = Job(open_model([run.forest]), options, project.inputs)
        summary = predict_scene(scene.name, scene.imagery, out, job=job, watch=watch)
        ledger.finish(f"baseline {scene.name}", key, summary.files)
    return out
