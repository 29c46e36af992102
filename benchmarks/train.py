"""What training costs: the path of the data, the step, the threads, the GPU where there is one, and the clock it keeps.

    python benchmarks/train.py [--quick] [--only data,step,threads,gpu,budget] [--rounds 5] [--budget 60]

Works on a made town, so it needs no data. What is compared runs in turns, a round each; figures are medians over the
rounds, ratios medians of the rounds' ratios. On the processor the data path and the step count images per second of CPU
time on one thread, which other programs on the machine disturb little; threads and budget are in wall time and want a quiet
machine. Aims: at least 10,000 plain and 2,500 fully augmented samples of 128 px, under 3 % of the step's time; the step at
least 3.3 times eager FP32 at equal network; a GPU busy for 90 % of the time; a time budget kept within 5 %.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import segmentation_models_pytorch as smp
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from terraseg.api import Data, prepare_data
from terraseg.core.machine import cores_available
from terraseg.core.plan import Plan
from terraseg.core.watch import SILENT
from terraseg.nets.build import build_network
from terraseg.pipeline import steps
from terraseg.pipeline.demo import write_town
from terraseg.store.cache import TrainingScene, training_scenes
from terraseg.town import make_town
from terraseg.train.augment import AUGMENTATIONS
from terraseg.train.hardware import find_hardware
from terraseg.train.loop import make_batches, train_model
from terraseg.train.module import SegmentationModule, build_module, means
from terraseg.train.pace import fastest_threads
from terraseg.train.watch import TrainEvent

ROOT = Path(__file__).parents[1]
COMMAND = (sys.executable, "-m", "terraseg")
PARTS = ("data", "step", "threads", "gpu", "budget")
AIMS = {"plain": 10_000, "augmented": 2_500, "share": 0.03, "ratio": 3.3, "busy": 0.9, "budget": 0.05}
SAMPLE, SAMPLES = 128, 16
DATA_STEPS = 40
GPU_BATCH, GPU_WARM, GPU_STEPS = 16, 40, 100

Call = Callable[[], Any]


@dataclass(frozen=True)
class Bench:
    """The data, the plan that terraseg makes for it here, the open scenes, and how long to measure."""

    data: Data
    plan: Plan
    scenes: tuple[TrainingScene, ...]
    rounds: int
    batch: int
    sides: tuple[int, ...]

    @property
    def classes(self) -> int:
        """How many classes there are."""
        return len(self.data.dataset.legend)

    def module(self, plan: Plan) -> SegmentationModule:
        """A network ready to train by a plan."""
        return build_module(self.data.dataset, self.data.fingerprint, plan)


def main() -> None:
    """Prints the figures part by part."""
    options = _arguments()
    parts = options.only.split(",")
    with tempfile.TemporaryDirectory() as folder, opened(Path(folder), options) as bench:
        print(f"{find_hardware().device_name}; the plan has {bench.plan.network} {bench.plan.network_options}")
        if "data" in parts:
            print_data(bench)
        if "step" in parts:
            print_steps(bench)
        if "threads" in parts:
            print_threads(bench)
        if "gpu" in parts:
            print_gpu(bench)
        if "budget" in parts:
            print_budget(Path(folder), 20 if options.quick else options.budget)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--quick", action="store_true", help="a smoke test: one round, small batches, 20 s for the budget"
    )
    parser.add_argument("--only", default=",".join(PARTS), help="parts, with commas")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=8, help="images in a step at 256 px; four times as many at 128 px")
    parser.add_argument("--budget", type=int, default=60, help="seconds of the run that keeps a time budget")
    return parser.parse_args()


@contextmanager
def opened(folder: Path, options: argparse.Namespace) -> Iterator[Bench]:
    """A town in the folder, prepared, planned for this machine and mapped into memory."""
    image, labels = folder / "imagery/town.tif", folder / "labels/town.gpkg"
    write_town(make_town(2, 512 if options.quick else 1024), image, labels)
    data = prepare_data(images=image, labels=labels, run=folder / "run")
    plan = steps.plan(data.project, data.fingerprint, SILENT)
    torch.set_num_threads(1)
    with training_scenes(data.dataset, folder / "cache", cache_gb=4.0, fill=means(data.fingerprint)) as scenes:
        rounds, batch, sides = (1, 1, (128,)) if options.quick else (options.rounds, options.batch, (256, 128))
        yield Bench(data, plan, scenes, rounds, batch, sides)


def rounds_of(
    calls: Mapping[str, Call], rounds: int, *, clock: Callable[[], float] = time.process_time
) -> dict[str, list[float]]:
    """Seconds that each call took, by round; the calls take turns, after one unmeasured round."""
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(rounds + 1):
        for name, call in calls.items():
            began = clock()
            call()
            if number:
                taken[name].append(clock() - began)
    return taken


def ratio(slow: Sequence[float], fast: Sequence[float]) -> float:
    """How many times faster, by the median over the rounds."""
    return statistics.median(one / other for one, other in zip(slow, fast, strict=True))


def print_data(bench: Bench) -> None:
    """Samples a CPU second and core: cut only, and with every augmentation; their share of the step."""
    every = tuple(name for name in AUGMENTATIONS if name != "radiometric")
    kinds = {"plain": None, "normalised": (), "as planned": bench.plan.augment, "augmented": every}
    taken = rounds_of({kind: _data_call(bench, names) for kind, names in kinds.items()}, bench.rounds)
    print(f"\ndata path, {SAMPLE} px samples a CPU second and core, from a memory map in batches of {SAMPLES}")
    each = {kind: statistics.median(seconds) / (DATA_STEPS * SAMPLES) for kind, seconds in taken.items()}
    for kind, names in kinds.items():
        aim = f" (at least {AIMS[kind]:,})" if kind in AIMS else ""
        how = "cut only" if names is None else " + ".join(("cut, float, normalise", *names))
        print(f"  {kind:12} {1 / each[kind]:9,.0f}{aim}  {how}")
    plan = _seen(bench.plan, SAMPLE, SAMPLES)
    module, images, labels = bench.module(plan), *_batch(bench, SAMPLE, SAMPLES)
    step = rounds_of({"step": step_call(module.network, images, labels, TERRASEG)}, max(1, bench.rounds // 2))["step"]
    share = each["as planned"] / (each["as planned"] + statistics.median(step) / SAMPLES)
    print(f"  share of a step on one thread of the processor: {share:.1%} (under {AIMS['share']:.0%})")


def _seen(plan: Plan, side: int, count: int, augment: tuple[str, ...] | None = None) -> Plan:
    """The plan on the processor with other patches, of the imagery's own pixels."""
    chosen = plan.augment if augment is None else augment
    return replace(plan, crop=side, batch=count, reduction=1, accumulate=1, augment=chosen, device="cpu")


def _data_call(bench: Bench, augment: tuple[str, ...] | None) -> Call:
    plan = _seen(bench.plan, SAMPLE, SAMPLES, augment or ())
    module = bench.module(plan)
    batches = make_batches(bench.scenes, bench.data.dataset, module)

    def call() -> None:
        for step in range(DATA_STEPS):
            module.step = step
            raw, labels = batches.batch(step)
            if augment is not None:
                module.prepared(raw, labels)

    return call


def _batch(bench: Bench, side: int, count: int) -> tuple[Tensor, Tensor]:
    """Images and labels as a step of training gets them."""
    module = bench.module(_seen(bench.plan, side, count))
    images, labels = module.prepared(*make_batches(bench.scenes, bench.data.dataset, module).batch(0))
    return images, labels.long()


@dataclass(frozen=True)
class Way:
    """How a step is computed: layout of the arrays, precision, and whether the optimizer is one call."""

    title: str
    channels_last: bool
    bf16: bool
    fused: bool


EAGER = Way("eager FP32", channels_last=False, bf16=False, fused=False)
TERRASEG = Way("BF16 channels-last", channels_last=True, bf16=True, fused=True)
WAYS = (EAGER, Way("FP32 channels-last", channels_last=True, bf16=False, fused=True), TERRASEG)


def step_call(network: nn.Module, images: Tensor, labels: Tensor, way: Way) -> Call:
    """One training step of a network on a batch: forward, cross entropy, backward, AdamW."""
    layout = torch.channels_last if way.channels_last else torch.contiguous_format
    network, batch = network.train().to(memory_format=layout), images.contiguous(memory_format=layout)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4, weight_decay=0.01, fused=way.fused)

    def call() -> None:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=way.bf16):
            loss = F.cross_entropy(network(batch), labels, ignore_index=255)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        optimizer.step()

    return call


def print_steps(bench: Bench) -> None:
    """The step in three ways at equal network, and what users of other tools run beside what terraseg runs."""
    networks: dict[str, Callable[[], nn.Module]] = {
        f"{bench.plan.network}, as planned": lambda: planned_network(bench),
        "ResNet-18 under smp's U-Net": lambda: common_network(bench),
    }
    print(
        f"\ntraining step on one thread, images a CPU second (at least {AIMS['ratio']} times eager FP32 at equal network)"
    )
    for side in bench.sides:
        count = bench.batch * 4 if side == 128 else bench.batch
        images, labels = _batch(bench, side, count)
        calls = {
            f"{name}: {way.title}": step_call(build(), images, labels, way)
            for name, build in networks.items()
            for way in WAYS
        }
        taken = rounds_of(calls, bench.rounds)
        for name in networks:
            eager = taken[f"{name}: {EAGER.title}"]
            for way in WAYS:
                seconds = taken[f"{name}: {way.title}"]
                rate = count / statistics.median(seconds)
                print(f"  {side} px  {name:28} {way.title:20} {rate:7.2f}  {ratio(eager, seconds):5.2f} x")
        theirs, ours = (f"{name}: {way.title}" for name, way in zip(reversed(networks), (EAGER, TERRASEG), strict=True))
        print(f"  {side} px  terraseg's own step over {theirs}: {ratio(taken[theirs], taken[ours]):.2f} x")


def planned_network(bench: Bench) -> nn.Module:
    """The plan's network with random weights."""
    bands = len(bench.data.dataset.bands)
    return build_network(bench.plan.network, bands=bands, classes=bench.classes, options=bench.plan.network_options)


def common_network(bench: Bench) -> nn.Module:
    """ResNet-18 under segmentation-models-pytorch's default U-Net decoder, of 256-128-64-32-16 channels."""
    bands = len(bench.data.dataset.bands)
    network: nn.Module = smp.Unet("resnet18", encoder_weights=None, in_channels=bands, classes=bench.classes)
    return network


def print_threads(bench: Bench) -> None:
    """Images a second of wall time on one thread and on all, and which of the two terraseg takes."""
    most = cores_available()
    print("\nthreads, images a second of wall time in terraseg's step")
    if most == 1:
        print("  this process has one core, so there is nothing to choose")
        return
    side, count = 128, 4 * bench.batch
    images, labels = _batch(bench, side, count)
    step = step_call(planned_network(bench), images, labels, TERRASEG)

    def on(threads: int) -> Call:
        def call() -> None:
            torch.set_num_threads(threads)
            step()

        return call

    names = {f"{threads} thread{'s' if threads > 1 else ''}": threads for threads in (1, most)}
    taken = rounds_of({name: on(threads) for name, threads in names.items()}, bench.rounds, clock=time.perf_counter)
    for name, seconds in taken.items():
        print(f"  {name:10} {count / statistics.median(seconds):7.2f}")
    plan = _seen(bench.plan, side, count)
    module = bench.module(plan)
    picked = fastest_threads(module, make_batches(bench.scenes, bench.data.dataset, module), most)
    torch.set_num_threads(1)
    print(f"  terraseg takes {picked}")


def print_gpu(bench: Bench) -> None:
    """The training loop on a GPU: ResNet-34 at 512 px in BF16."""
    if not torch.cuda.is_available():
        print("\nGPU: torch sees none here, so nothing is measured")
        return
    last = GPU_WARM + 2 * GPU_STEPS
    plan = replace(
        _seen(bench.plan, 512, GPU_BATCH),
        network_options={"encoder": "resnet34"},
        device="cuda",
        precision="bf16",
        steps=last + 10,
        time_budget_s=None,
        validate_every=last + 10,
    )
    meter = GpuMeter()
    run = replace(bench.data.project.run, root=bench.data.project.run.root / "gpu")
    torch.cuda.reset_peak_memory_stats()
    train_model(bench.data.dataset, bench.data.fingerprint, plan, run, progress=meter.hear)
    peak = torch.cuda.max_memory_allocated() / 2**30
    print(f"\nGPU {torch.cuda.get_device_name()}: {plan.network} on ResNet-34, {GPU_BATCH} images of 512 px, BF16")
    print(f"  {GPU_STEPS * GPU_BATCH / meter.seconds:.0f} images/s, peak {peak:.1f} GiB of its memory")
    print(f"  busy {meter.busy:.1%} of the time (at least {AIMS['busy']:.0%})")


class GpuMeter:
    """Hears the steps of a training: after the first ones some are timed, then as many are watched by torch's profiler."""

    def __init__(self) -> None:
        self.seconds = self.busy = self._began = 0.0
        self._profiler = torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA])

    def hear(self, event: TrainEvent) -> None:
        """A step has been taken."""
        if event.step not in (GPU_WARM, GPU_WARM + GPU_STEPS, GPU_WARM + 2 * GPU_STEPS):
            return
        torch.cuda.synchronize()
        seconds = time.perf_counter() - self._began
        if event.step == GPU_WARM + GPU_STEPS:
            self.seconds = seconds
            self._profiler.start()
        elif event.step > GPU_WARM:
            self._profiler.stop()
            events: list[Any] = self._profiler.events()  # type: ignore[no-untyped-call]  # torch leaves it untyped
            spans = ((e.time_range.start, e.time_range.end) for e in events if e.device_type.name == "CUDA")
            self.busy = covered(spans) * 1e-6 / seconds
        self._began = time.perf_counter()


def covered(spans: Iterable[tuple[float, float]]) -> float:
    """The length of the line that spans cover together.

    >>> covered([(4, 5), (0, 2), (1, 3)])
    4.0
    """
    total, reached = 0.0, float("-inf")
    for start, stop in sorted(spans):
        total += max(0.0, stop - max(start, reached))
        reached = max(reached, stop)
    return total


def print_budget(folder: Path, seconds: int) -> None:
    """How far off its time budget a training by the command line ends, from its first line to its last checkpoint."""
    config, run = str(folder / "terraseg.toml"), folder / "runs/budget"
    sources = [str(folder / "imagery"), "--labels", str(folder / "labels")]
    subprocess.run([*COMMAND, "check", *sources, "--config", config], check=True, capture_output=True, cwd=ROOT)
    began = time.time()
    lines, failed = heard(["train", "--config", config, "--set", "map.run=runs/budget", "--time-budget", f"{seconds}s"])
    print(f"\ntime budget of {seconds} s by the command line")
    started = next((at for at, line in lines if line.startswith("train: training")), None)
    if failed or started is None:
        print(f"  the training failed: {lines[-1][1] if lines else 'without a word'}")
        return
    written = [path.stat().st_mtime for path in (*(run / "checkpoints").iterdir(), run / "progress.csv")]
    taken = max(written) - started
    off = taken / seconds - 1
    print(f"  last validation and checkpoint after {taken:.1f} s, {off:+.1%} (within {AIMS['budget']:.0%})")
    print(f"  the whole command, from start to model.onnx, {time.time() - began:.1f} s")


def heard(arguments: Sequence[str]) -> tuple[list[tuple[float, str]], int]:
    """What a terraseg command says, line by line with the time of each, and its exit code."""
    # Without a limit on threads: the run is to find its own number.
    surrounding = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    how: dict[str, Any] = {"stderr": subprocess.PIPE, "stdout": subprocess.DEVNULL, "text": True}
    with subprocess.Popen([*COMMAND, *arguments], cwd=ROOT, env=surrounding, **how) as process:
        lines = [(time.time(), line.strip()) for line in process.stderr or () if line.strip()]
    return lines, process.returncode


if __name__ == "__main__":
    main()
