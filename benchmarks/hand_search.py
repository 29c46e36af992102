"""Whether the plan's settings are as good as those that eight tries by hand find.

    python benchmarks/hand_search.py [--set dubai|oam] [--budget 3m] [--seed 0] [--out FOLDER] [--data FOLDER]

Trains with the plan alone and then with each of `TRIES` set on top of it, the same time each, and scores the test scenes of
the set's first fold as `accuracy.py` does. The tries are what someone would turn first: how finely the imagery is seen, how
much of it a patch shows, the network, the learning rate and the loss. Finished runs are kept under --out and not repeated.
"""

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

from accuracy import (  # type: ignore[import-not-found]  # the script beside this one
    ROOT,
    SETS,
    Bench,
    Trial,
    last_line,
    open_bench,
    patterns,
    score_model,
    score_name,
    terraseg,
)

from terraseg.store.rundir import read_json, write_json

TRIES: dict[str, tuple[str, ...]] = {
    "every pixel, 128 px": ("sample.reduction=1", "sample.crop=128"),
    "every pixel, 256 px": ("sample.reduction=1", "sample.crop=256"),
    "half, 128 px": ("sample.reduction=2", "sample.crop=128"),
    "half, 256 px": ("sample.reduction=2", "sample.crop=256"),
    "a quarter, 128 px": ("sample.reduction=4", "sample.crop=128"),
    "ResNet-34": ("train.network=unet-light", "train.encoder=resnet34"),
    "learning rate 3e-3": ("train.learning_rate=3e-3",),
    "cross entropy and Dice": ("train.loss={ce = 1, dice = 1}",),
}
"""What is set by hand, one run each."""
CLOSE = 2.0
"""Points that the plan may be behind the best of them."""


@dataclass(frozen=True)
class Finding:
    """The score of a run in percent, and what its plan said."""

    score: float
    reduction: int
    crop: int
    steps: int


def main() -> int:
    """Runs what is not done yet and prints the table; 1 when a run failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", choices=tuple(SETS), default="dubai")
    parser.add_argument("--budget", default="3m", help="time of each training")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results/hand_search")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared/data", help="holds the sets")
    options = parser.parse_args()
    bench = open_bench(options)
    if bench is None:
        return 0
    found = {}
    for number, (name, settings) in enumerate({"the plan alone": (), **TRIES}.items()):
        finding = finding_of(bench, options, f"try-{number}", settings)
        if finding is None:
            return 1
        found[name] = finding
        print(f"{name:24} {finding.score:6.1f}", flush=True)
    print_table(bench, options.budget, found)
    return 0


def finding_of(bench: Bench, options: argparse.Namespace, name: str, settings: tuple[str, ...]) -> Finding | None:
    """What a run with these settings comes to, now or from before; None, and a sentence, when it fails."""
    target = bench.home / "scores" / f"{name}-{options.budget}-s{options.seed}.json"
    if target.exists():
        return Finding(**read_json(target))
    trial = Trial("terraseg", "none", next(iter(bench.chosen.folds)), options.seed, options.budget)
    run = bench.home / "runs" / target.stem
    own = (f"map.run=runs/{target.stem}", f"data.test={patterns(bench, trial)}", f"train.seed={options.seed}")
    words = [word for setting in (*own, *settings) for word in ("--set", setting)]
    done = terraseg("train", "--config", str(bench.config), "--time-budget", options.budget, *words)
    if done.returncode:
        print(f"{name}: failed, {last_line(done.stderr)}", flush=True)
        return None
    scores, plan = score_model(bench, trial, run / "model"), read_json(run / "plan.json")
    value = scores.mean_iou
    if bench.chosen.class_name is not None:
        value = next(c.iou for c in scores.classes if c.name == bench.chosen.class_name)
    steps = read_json(run / "model/model.json")["provenance"]["steps"]
    finding = Finding(100 * (value or 0.0), plan["reduction"], plan["crop"], steps)
    write_json(target, finding.__dict__)
    return finding


def print_table(bench: Bench, budget: str, found: dict[str, Finding]) -> None:
    """A line a run, and how far the plan is behind the best."""
    print(f"\n{bench.home.name}, {budget} each\n{'':24} {score_name(bench):>12}  reduction  crop  steps")
    for name, f in found.items():
        print(f"{name:24} {f.score:12.1f}  {f.reduction:9}  {f.crop:4}  {f.steps:5}")
    planned, *others = found.values()
    behind = max(f.score for f in others) - planned.score
    print(f"\nthe plan is {behind:+.1f} points behind the best of {len(others)} tries (at most {CLOSE:g})")


if __name__ == "__main__":
    sys.exit(main())
