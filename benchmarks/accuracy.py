"""How well ground that was never seen is mapped after a given time of training: terraseg, a random forest, fastai's policy.

    python benchmarks/accuracy.py [--set dubai|oam] [--budget 8m] [--seeds 0 1 2] [--weights none|imagenet|both]
        [--only terraseg,forest,ensemble,fastai] [--out benchmarks/results] [--data FOLDER]

`dubai` trains on tiles 4 to 6 and is scored on tiles 1 to 3; `oam` leaves one site out in turn. Nothing is set by hand but
the data, the test scenes, the time and the seed; with ImageNet weights also their file and the encoder they belong to.
terraseg trains by its command line, and `fastai_policy.py` has the same time; an ensemble, which needs both its parts, has
that time for the network. All are scored at the imagery's own resolution, with one confusion matrix over the test pixels.
The whole of `dubai` takes about three hours; each finished run is a JSON file under --out and is not repeated, so a stopped
benchmark goes on. Take a new --out for a new version. On a shared machine look at the CPU seconds of the training: a run
that got fewer saw fewer patches.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any

from terraseg.core.watch import SILENT
from terraseg.errors import TerrasegError
from terraseg.evaluate.evaluate import evaluate_scenes
from terraseg.evaluate.scores import Scores
from terraseg.pipeline.products import Job, open_model, predict_scene
from terraseg.pipeline.project import read_project
from terraseg.plan.options import seconds
from terraseg.prepare.dataset import read_dataset
from terraseg.store.rundir import read_json, write_json, write_text

ROOT = Path(__file__).parents[1]
POLICIES = ("fastai-bf16", "fastai-fp32")
WEIGHTS_FILE, WEIGHTS_ENCODER = "mobilenetv2_100_imagenet.safetensors", "mobilenetv2_100"
WEIGHTS = {"none": "random weights", "imagenet": "ImageNet weights"}


@dataclass(frozen=True)
class Model:
    """What `terraseg train` needs to be told for a model, and the folder of a run where it lies."""

    flags: tuple[str, ...]
    folder: str


MODELS = {
    "terraseg": Model((), "model"),
    "forest": Model(("--model", "forest"), "forest"),
    "ensemble": Model(("--ensemble",), "ensemble"),
}
ENTRIES = (*MODELS, *POLICIES)


@dataclass(frozen=True)
class LabelledSet:
    """A data set: its folder, the patterns of the test scenes of each fold, its usual seeds, and the points to reach.

    `lead` is over forest and fastai's policy each, from random weights; `gain` what ImageNet weights add; `levels` the
    score itself by weights. The score is mean IoU, or where each fold is a site the mean over the sites of `class_name`'s IoU.
    """

    folder: str
    folds: Mapping[str, tuple[str, ...]]
    seeds: tuple[int, ...]
    lead: float
    gain: float | None = None
    levels: Mapping[str, float] = field(default_factory=dict)
    class_name: str | None = None


SETS = {
    "dubai": LabelledSet(
        "dubai",
        {"tiles-1-3": ("*/Tile 1/*", "*/Tile 2/*", "*/Tile 3/*")},
        seeds=(0, 1, 2),
        lead=3,
        levels={"none": 49, "imagenet": 55},
    ),
    "oam": LabelledSet(
        "oam-buildings",
        {site: (f"*{site}*",) for site in ("zanzibar", "kathmandu", "catanduanes")},
        seeds=(0,),
        lead=5,
        gain=5,
        class_name="building",
    ),
}
ENSEMBLE_GAIN = 1


@dataclass(frozen=True)
class Trial:
    """One training with its scores: what is trained, from which weights, what is held out, with which seed and time."""

    entry: str
    weights: str
    fold: str
    seed: int
    budget: str

    @property
    def name(self) -> str:
        """Fit for files."""
        return f"{self.entry}-{self.weights}-{self.fold}-s{self.seed}-{self.budget}"


@dataclass(frozen=True)
class Bench:
    """Where things lie, and which set is measured."""

    chosen: LabelledSet
    home: Path
    weights: Path

    @property
    def config(self) -> Path:
        """The project file."""
        return self.home / "terraseg.toml"

    def result(self, trial: Trial) -> Path:
        """Where a finished trial is kept."""
        return self.home / "scores" / f"{trial.name}.json"


Measures = dict[str, float]
"""Figures in percent and seconds by name."""


def main() -> int:
    """Runs what is not done yet and prints the tables; 1 when a run failed."""
    options = _arguments()
    bench = open_bench(options)
    if bench is None:
        return 0
    trials = list(dict.fromkeys(trials_of(bench, options)))
    failed = [trial for trial in trials if not finished(bench, trial)]
    for weights in WEIGHTS:
        print_table(bench, trials, weights)
    print_differences(bench, trials)
    return 1 if failed else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", choices=tuple(SETS), default="dubai")
    parser.add_argument("--budget", default="8m", help="time of each training")
    parser.add_argument("--seeds", type=int, nargs="+", help="default: 0 1 2 for dubai, 0 for oam")
    parser.add_argument("--weights", choices=(*WEIGHTS, "both"), default="both")
    parser.add_argument("--only", default=",".join(ENTRIES), help="beginnings of the entries' names, with commas")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results/accuracy")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared/data", help="holds the sets and weights/")
    return parser.parse_args()


def open_bench(options: argparse.Namespace) -> Bench | None:
    """The set with its project file, which `terraseg check` writes; None, and a sentence, without the data."""
    chosen = SETS[options.set]
    folder = options.data / chosen.folder
    if not folder.is_dir():
        print(f"{folder} is not there, so nothing is measured: pass --data with the folder that holds {chosen.folder}/")
        return None
    home = options.out.resolve() / options.set
    home.mkdir(parents=True, exist_ok=True)
    bench = Bench(chosen, home, options.data.resolve() / "weights" / WEIGHTS_FILE)
    if not bench.config.exists():
        terraseg("check", str(folder.resolve()), "--config", str(bench.config)).check_returncode()
    return bench


def trials_of(bench: Bench, options: argparse.Namespace) -> Iterator[Trial]:
    """The trials in an order that gives each entry one result before any gets its second."""
    asked = tuple(options.only.split(","))
    entries = [entry for entry in ENTRIES if entry.startswith(asked)]
    kinds = [kind for kind in WEIGHTS if options.weights in (kind, "both")]
    if "imagenet" in kinds and not bench.weights.exists():
        print(f"{bench.weights} is not there: only random weights are measured")
        kinds.remove("imagenet")
    for seed, fold, kind, entry in product(options.seeds or bench.chosen.seeds, bench.chosen.folds, kinds, entries):
        yield Trial(entry, "none" if entry == "forest" else kind, fold, seed, options.budget)


def finished(bench: Bench, trial: Trial) -> bool:
    """True when the trial has its scores, now or from before; otherwise a sentence says why not."""
    target = bench.result(trial)
    if target.exists():
        return True
    cpu, began = children_cpu_s(), time.monotonic()
    run = run_terraseg if trial.entry in MODELS else run_fastai
    try:
        result = run(bench, trial)
    except TerrasegError as error:
        print(f"{trial.name}: trained but not scored, {error}", flush=True)
        return False
    if result is None:
        return False
    spent = {"seconds": time.monotonic() - began, "cpu_seconds": children_cpu_s() - cpu}
    write_json(target, {"trial": asdict(trial), **spent, **result})
    headline = measures_of(bench, [trial])
    print(f"{trial.name}: {score_name(bench)} {headline[score_name(bench)]:.1f}, {spent['seconds']:.0f} s", flush=True)
    return True


def children_cpu_s() -> float:
    """CPU seconds of all child processes that have ended."""
    times = os.times()
    return times.children_user + times.children_system


def run_terraseg(bench: Bench, trial: Trial) -> dict[str, Any] | None:
    """Trains by the command line and scores the test scenes; None, and a sentence, when the training fails.

    The three models share a run folder, where terraseg trains nothing twice: an ensemble averages the network and the
    forest that were measured by themselves.
    """
    name = replace(trial, entry="terraseg").name
    settings = [f"map.run=runs/{name}", f"data.test={patterns(bench, trial)}", f"train.seed={trial.seed}"]
    if trial.weights == "imagenet":
        settings += [f"train.encoder={WEIGHTS_ENCODER}", f"train.pretrained_path={json.dumps(str(bench.weights))}"]
    words = ["--config", str(bench.config), "--time-budget", trial.budget]
    words += [word for setting in settings for word in ("--set", setting)]
    how = MODELS[trial.entry]
    done = terraseg("train", *words, *how.flags)
    write_text(bench.home / "logs" / f"{trial.name}.txt", done.stdout + done.stderr)
    if done.returncode:
        print(f"{trial.name}: failed, {last_line(done.stderr)}", flush=True)
        return None
    run = bench.home / "runs" / name
    return {"detail": detail_of(run), "total": score_model(bench, trial, run / how.folder).to_json()}


def patterns(bench: Bench, trial: Trial) -> str:
    """The patterns of the test scenes as a TOML list."""
    return json.dumps(bench.chosen.folds[trial.fold])


def score_model(bench: Bench, trial: Trial, folder: Path) -> Scores:
    """The scores of a model's maps of the test scenes, which lie beside the model afterwards."""
    project = read_project(bench.config, [f"data.test={patterns(bench, trial)}"])
    dataset = read_dataset(project.data, project.root)
    job, pairs = Job(open_model([folder]), project.predict, project.inputs), []
    for scene in (scene for scene in dataset.scenes if scene.is_test):
        out = folder.parent / f"maps-{folder.name}" / f"{scene.name}.tif"
        predict_scene(scene.name, scene.imagery, out, job=job, watch=SILENT)
        pairs.append((scene, out))
    return evaluate_scenes(pairs, dataset).total


def detail_of(run: Path) -> dict[str, Any]:
    """How the network of a run was trained, from its bundle's provenance; nothing where there is none."""
    model = run / "model/model.json"
    provenance = read_json(model).get("provenance", {}) if model.exists() else {}
    kept = ("steps", "best_step", "crop", "batch", "learning_rate", "augment")
    return {key: provenance[key] for key in kept if key in provenance}


def run_fastai(bench: Bench, trial: Trial) -> dict[str, Any] | None:
    """Trains and scores fastai's policy in a process of its own; None, and a sentence, when that fails."""
    out = bench.home / "runs" / f"{trial.name}.json"
    command = [sys.executable, str(ROOT / "benchmarks/fastai_policy.py"), str(bench.config), "--out", str(out)]
    command += ["--test", *bench.chosen.folds[trial.fold], "--seed", str(trial.seed)]
    command += ["--budget", str(seconds(trial.budget)), "--precision", trial.entry.removeprefix("fastai-")]
    if trial.weights == "imagenet":
        command += ["--weights", str(bench.weights)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT)
    if done.returncode:
        print(f"{trial.name}: failed, {last_line(done.stderr)}", flush=True)
        return None
    result: dict[str, Any] = read_json(out)
    return result


def terraseg(*arguments: str) -> subprocess.CompletedProcess[str]:
    """A finished terraseg command."""
    command = [sys.executable, "-m", "terraseg", *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT)


def last_line(text: str) -> str:
    """The last line that says something."""
    return next((line for line in reversed(text.splitlines()) if line.strip()), "without a word")


def score_name(bench: Bench) -> str:
    """What the figure that counts is called."""
    return "mean IoU" if bench.chosen.class_name is None else f"{bench.chosen.class_name} IoU"


def measures_of(bench: Bench, trials: Sequence[Trial]) -> Measures:
    """The figures of one entry, one seed and all its folds, in percent, with the seconds that they took on average."""
    found, results = {}, [read_json(bench.result(trial)) for trial in trials]
    if bench.chosen.class_name is None:
        total = results[0]["total"]
        found["mean IoU"] = 100 * total["mean_iou"]
        found["accuracy"] = 100 * total["accuracy"]
        found |= {c["name"]: 100 * (c["iou"] or 0.0) for c in total["classes"]}
    else:
        for trial, result in zip(trials, results, strict=True):
            ious = {c["name"]: c["iou"] or 0.0 for c in result["total"]["classes"]}
            found[trial.fold] = 100 * ious[bench.chosen.class_name]
        found = {score_name(bench): statistics.mean(found.values()), **found}
    for key, title in (("seconds", "s"), ("cpu_seconds", "CPU s")):
        found[title] = statistics.mean(result[key] for result in results)
    return found


def samples(bench: Bench, trials: Sequence[Trial], entry: str, weights: str) -> list[Measures]:
    """The figures of an entry by seed, of the seeds that have all folds; a forest is one for all weights."""
    kind = "none" if entry == "forest" else weights
    done = sorted({t for t in trials if (t.entry, t.weights) == (entry, kind) and bench.result(t).exists()}, key=_order)
    by_seed = {seed: [t for t in done if t.seed == seed] for seed in sorted({t.seed for t in done})}
    return [measures_of(bench, t) for t in by_seed.values() if len(t) == len(bench.chosen.folds)]


def _order(trial: Trial) -> tuple[int, str]:
    return trial.seed, trial.fold


def print_table(bench: Bench, trials: Sequence[Trial], weights: str) -> None:
    """One line an entry: means over the seeds, and of the first figure the spread from the lowest to the highest."""
    rows = {entry: found for entry in ENTRIES if (found := samples(bench, trials, entry, weights))}
    if not rows or (set(rows) == {"forest"} and weights != "none"):
        return
    columns = list(next(iter(rows.values()))[0])
    widths = [max(7, len(column)) for column in columns]
    print(f"\n{bench.home.name}, {WEIGHTS[weights]}, {trials[0].budget} of training; IoU in percent, seconds a run")
    titles = "  ".join(f"{column:>{width}}" for column, width in zip(columns, widths, strict=True))
    print(f"{'':12}  {titles}  spread of {columns[0]}")
    for entry, found in rows.items():
        means = [statistics.mean(measures[column] for measures in found) for column in columns]
        cells = "  ".join(f"{mean:>{width}.1f}" for mean, width in zip(means, widths, strict=True))
        print(f"{entry:12}  {cells}  {spread([measures[columns[0]] for measures in found])}")


def spread(values: Sequence[float]) -> str:
    """Standard deviation and range of a few values.

    >>> spread([49.0, 50.0, 51.0])
    '± 1.0 (49.0 to 51.0, 3 seeds)'
    """
    if len(values) < 2:
        return "one seed"
    return f"± {statistics.stdev(values):.1f} ({min(values):.1f} to {max(values):.1f}, {len(values)} seeds)"


def print_differences(bench: Bench, trials: Sequence[Trial]) -> None:
    """What the figures come to, each beside what is to be reached."""
    chosen, points = bench.chosen, {}
    for entry, weights in product(ENTRIES, WEIGHTS):
        found = samples(bench, trials, entry, weights)
        if found:
            points[entry, weights] = statistics.mean(measures[score_name(bench)] for measures in found)
    print()
    for weights, title in WEIGHTS.items():
        own = points.get(("terraseg", weights))
        if own is None:
            continue
        if weights in chosen.levels:
            print(f"{title}: terraseg {own:.1f} (at least {chosen.levels[weights]:g})")
        policies = {entry: points[entry, weights] for entry in POLICIES if (entry, weights) in points}
        rivals = {"forest": points.get(("forest", weights))}
        rivals |= {max(policies, key=lambda name: policies[name]): max(policies.values())} if policies else {}
        aim = f" (at least {chosen.lead:g})" if weights == "none" else ""
        for rival, theirs in rivals.items():
            if theirs is not None:
                print(f"{title}: terraseg over {rival} {own - theirs:+.1f} points{aim}")
        both = points.get(("ensemble", weights))
        if both is not None:
            print(f"{title}: ensemble over terraseg {both - own:+.1f} points (at least {ENSEMBLE_GAIN})")
    both_weights = [points.get(("terraseg", weights)) for weights in WEIGHTS]
    if both_weights[0] is not None and both_weights[1] is not None:
        aim = f" (at least {chosen.gain:g})" if chosen.gain is not None else ""
        print(f"terraseg: ImageNet over random weights {both_weights[1] - both_weights[0]:+.1f} points{aim}")


if __name__ == "__main__":
    sys.exit(main())
