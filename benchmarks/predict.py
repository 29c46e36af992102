"""What prediction costs: engines and precisions, pure and end to end, agreement, memory, start-up, and other tools' loops.

    python benchmarks/predict.py (--model FOLDER | --random-weights) [--size 6000] [--rounds 3] [--threads 1,all]
        [--only engines,agreement,rest,peers] [--clock wall|cpu] [--folder FOLDER]

Makes an RGB uint8 scene of --size pixels square, deflate-compressed in tiles, from a generated town, and predicts it with a
U-Net on a ResNet-34 of six classes: the bundle of --model, best trained on such towns, or seeded random weights, which are
as fast but whose agreement says nothing. Every figure comes from a process of its own, in turns, a round each; figures are
medians. Rates are in megapixels a second of wall time, so leave the machine alone meanwhile; on one that others use take
--clock cpu with --threads 1, where a rate is one of CPU time. A short run, under a minute on an idle machine:
--random-weights --size 1024 --rounds 1 --threads 1 --only engines,rest.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]
CHILD_SCRIPT, PEERS_SCRIPT = (Path(__file__).with_name(f"predict_{name}.py") for name in ("child", "peers"))
PARTS = ("engines", "agreement", "rest", "peers")
ENGINES = (("openvino", "exact"), ("openvino", "fast"), ("openvino", "int8"), ("onnx", "exact"), ("onnx", "int8"))
EAGER, REST = ("torch", "eager"), ("rest", "free")
OURS = (("openvino", "fast"), ("openvino", "int8"))
"""What other tools' loops are held against."""
TOWN, SEED = 1024, 1
BANDS = ("red", "green", "blue")
RIM = 16
AIMS = {"run": 0.97, "raster": 0.88, "start": 1.5, "peak": 600.0, "rest": 1.0, "rim": 0.98}
FASTER = {"fast": 2.8, "int8": 5.0}
AGREES = {"exact": 0.997, "fast": 0.995, "int8": 0.99}
CHEAPER = {
    "torchgeo": (4.3, 8.0),
    "rastervision": (4.3, 8.0),
    "deepness": (2.8, 5.0),
    "geoai": (6.0, 11.0),
    "plain": (2.2, 4.0),
}
"""How many times less CPU time than a peer, in BF16 and in INT8."""


def main() -> None:
    """Prints the figures part by part."""
    options = _arguments()
    parts = options.only.split(",")
    kept = tempfile.TemporaryDirectory() if options.folder is None else nullcontext(str(options.folder))
    with kept as folder:
        home = Path(folder)
        home.mkdir(parents=True, exist_ok=True)
        make_scene(home / "scene.tif", options.size)
        make_scene(home / "small.tif", min(options.size, options.whole))
        make_model(home, options)
        for threads in thread_counts(options.threads):
            kinds = (*available(), EAGER, REST) if "engines" in parts else OURS if "peers" in parts else ()
            found = measured(home, options, threads, kinds)
            if "engines" in parts:
                print_engines(found, options, threads)
            if "peers" in parts:
                print_peers(home, found, threads)
        if "agreement" in parts:
            print_agreement(home)
        if "rest" in parts:
            print_rest(home, options)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="a model's folder; it is copied, not changed")
    parser.add_argument("--random-weights", action="store_true", help="a ResNet-34 U-Net of seeded random weights")
    parser.add_argument("--size", type=int, default=6000, help="side of the scene in pixels")
    parser.add_argument("--whole", type=int, default=2048, help="side of the scene for the pass over the whole image")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", default="1,all", help="numbers of threads, with commas")
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--only", default=",".join(PARTS), help="parts, with commas")
    parser.add_argument("--folder", type=Path, help="keeps scene and models there for the next run")
    options = parser.parse_args()
    if not (options.model or options.random_weights):
        parser.error("pass --model with a model's folder, or --random-weights")
    return options


def thread_counts(text: str) -> list[int]:
    """The numbers of threads that a list such as "1,all" means here, each once."""
    from terraseg.core.machine import cores_available

    return list(dict.fromkeys(cores_available() if word == "all" else int(word) for word in text.split(",")))


def make_scene(path: Path, size: int) -> None:
    """A town, mirrored again and again to the wanted size, as a tiled and compressed GeoTIFF."""
    from terraseg.core.grid import Grid
    from terraseg.store.imagery import write_raster
    from terraseg.town import make_town

    if path.exists():
        return
    town = make_town(SEED, min(TOWN, size))
    further = size - town.grid.height
    pixels = np.pad(town.pixels, ((0, 0), (0, further), (0, further)), mode="symmetric")
    write_raster(path, pixels, Grid(town.grid.crs, town.grid.transform, size, size), BANDS)


def make_model(home: Path, options: argparse.Namespace) -> None:
    """The bundle to measure in `home/model`, with its graph in bytes, calibrated on the scene."""
    from terraseg.core.dataset import Imagery
    from terraseg.core.watch import SILENT
    from terraseg.engines.options import EngineOptions
    from terraseg.pipeline.calibrate import ready_int8
    from terraseg.predict.options import InputOptions
    from terraseg.store.bundle import copy_bundle

    folder = home / "model"
    if not folder.exists():
        if options.model is not None:
            copy_bundle(options.model, folder)
        else:
            random_bundle(folder, home / "small.tif")
    inputs = InputOptions(fit="off")
    engine = EngineOptions(best_int8(), precision="int8", force_int8=True)
    images = [Imagery((str(home / "scene.tif"),), BANDS)]
    print(ready_int8(folder, images, inputs=inputs, engine=engine, watch=SILENT).report.sentence)


def best_int8() -> str:
    """The engine that judges the model in bytes."""
    from importlib.util import find_spec

    return "openvino" if find_spec("openvino") else "onnx"


def random_bundle(folder: Path, scene: Path) -> None:
    """`unet-light` on a ResNet-34 with seeded weights, its batch statistics those of the scene."""
    import rasterio
    import torch

    from terraseg.core.modelspec import ModelSpec
    from terraseg.export.onnx import onnx_bytes
    from terraseg.nets.build import build_network, network_stride
    from terraseg.store.bundle import write_bundle
    from terraseg.town import make_town

    chosen = {"encoder": "resnet34"}
    torch.manual_seed(SEED)
    legend = make_town(SEED, 64).legend
    network = build_network("unet-light", bands=3, classes=len(legend), options=chosen)
    with rasterio.open(scene) as source:
        pixels = torch.from_numpy(source.read()[:, :512, :512]).float()
    mean, std = pixels.mean((1, 2)), pixels.std((1, 2))
    with torch.no_grad():
        for _ in range(3):
            network(((pixels - mean[:, None, None]) / std[:, None, None])[None].repeat(2, 1, 1, 1))
    spec = ModelSpec(
        network="unet-light",
        legend=legend,
        bands=BANDS,
        dtype="uint8",
        mean=tuple(mean.tolist()),
        std=tuple(std.tolist()),
        gsd_m=None,
        tile=512,
        overlap=64,
        stride=network_stride("unet-light", chosen),
        network_options=chosen,
    )
    weights = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    write_bundle(folder, spec, onnx=onnx_bytes(network, spec), weights=weights)


def in_child(home: Path, kind: str, **flags: Any) -> dict[str, Any]:
    """What a measurement in a process of its own found."""
    command = [sys.executable, str(CHILD_SCRIPT), kind, "--folder", str(home), "--started", str(time.time())]
    command += [text for name, value in flags.items() for text in (f"--{name}", str(value))]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    if done.returncode:
        raise SystemExit(f"{kind} {flags} failed: {done.stderr.strip().splitlines()[-1]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def measured(
    home: Path, options: argparse.Namespace, threads: int, kinds: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], dict[str, Any]]:
    """The figures of each engine and precision, medians over the rounds; they take turns."""
    rounds: dict[tuple[str, str], list[dict[str, Any]]] = {kind: [] for kind in kinds}
    for _ in range(options.rounds):
        for engine, precision in rounds:
            kind = engine if (engine, precision) == REST else "eager" if (engine, precision) == EAGER else "engine"
            found = in_child(home, kind, engine=engine, precision=precision, threads=threads)
            rounds[engine, precision].append(found)
    return {kind: _medians(each) for kind, each in rounds.items()}


def available() -> list[tuple[str, str]]:
    """The engines that are installed, with their precisions."""
    from importlib.util import find_spec

    return [kind for kind in ENGINES if kind[0] == "onnx" or find_spec(kind[0])]


def _medians(found: Sequence[Any]) -> Any:
    """The median of each number in results of one form."""
    first = found[0]
    if isinstance(first, dict):
        return {name: _medians([each[name] for each in found]) for name in first}
    return first if isinstance(first, str) else statistics.median(found)


def print_engines(found: dict[tuple[str, str], dict[str, Any]], options: argparse.Namespace, threads: int) -> None:
    """Rates, ratios, start-up and memory of every engine."""
    clock = options.clock
    eager = found[EAGER]["forward"][clock]
    print(
        f"\n{options.size} x {options.size} px, {threads} thread(s), {clock} time; eager FP32 torch {eager:.2f} Mpx/s"
    )
    print(
        f"  aims: end to end {AIMS['run']} of pure forward on the pixels run, {AIMS['raster']} on the raster's own; "
        f"start-up to the first tile {AIMS['start']} s of wall time, peak {AIMS['peak']:.0f} MB"
    )
    rest = found[REST]["cpu_s"] / threads if clock == "wall" else found[REST]["cpu_s"]
    print(
        "  on cores that the network fills, end to end cannot be more than the ceiling: the network's time over that and the "
        "time of reading, blending and writing"
    )
    for (engine, precision), f in found.items():
        if (engine, precision) in (EAGER, REST):
            continue
        forward, seconds = f["forward"][clock], f["seconds"][clock]
        own, run = (f[kind] / 1e6 / seconds / forward for kind in ("pixels", "run"))
        ceiling = 1 / (1 + rest * forward / (f["run"] / 1e6))
        aim = f" (aim {FASTER[precision]})" if engine == "openvino" and precision in FASTER else ""
        print(
            f"  {engine:8} {precision:5} tile {f['tile']}: forward {forward:5.2f} Mpx/s, "
            f"{forward / eager:4.2f} x eager{aim}; end to end {run:.3f} of it run (ceiling {ceiling:.3f}), "
            f"{own:.3f} own; first tile handed over after {_both(f['handed'])}, scored after {_both(f['start'])}; "
            f"peak {f['peak_mb']:.0f} MB, {f['seconds']['cpu']:.1f} CPU s"
        )


def _both(taken: dict[str, float]) -> str:
    return f"{taken['wall']:.2f} s ({taken['cpu']:.2f} CPU s)"


def print_peers(home: Path, found: dict[tuple[str, str], dict[str, Any]], threads: int) -> None:
    """CPU seconds of other tools' loops, and how many times less ours take, from the opened raster on and of whole processes.

    The first leaves out loading libraries and weights on both sides; the compilation of our graph, which waits for the size of
    the tiles, is in it (in bytes it is found as an earlier run kept it, but in the first round), that of ONNX Runtime's session
    in deepness is not. The second leaves out nothing but making the graph in bytes, which is done once.
    """
    print(
        f"\npeers, CPU seconds for the scene on {threads} thread(s), over the same weights; in brackets of whole processes"
    )
    ours = {precision: found.get((engine, precision)) for engine, precision in OURS}
    for name, aims in CHEAPER.items():
        flags = {"model": home / "model", "scene": home / "scene.tif", "out": home / f"{name}.tif", "threads": threads}
        words = [text for flag, value in flags.items() for text in (f"--{flag}", str(value))]
        done = subprocess.run([sys.executable, str(PEERS_SCRIPT), name, *words], capture_output=True, text=True)
        if done.returncode:
            print(f"  {name:12} failed: {done.stderr.strip().splitlines()[-1]}")
            continue
        peer = json.loads(done.stdout.splitlines()[-1])
        if "skipped" in peer:
            print(f"  {name:12} skipped: {peer['skipped']}")
            continue
        times = [
            f"{peer['cpu_s'] / mine['seconds']['cpu']:.1f} x ({peer['process_cpu_s'] / mine['process_cpu_s']:.1f} x) in "
            f"{precision} (aim {aim})"
            for (precision, mine), aim in zip(ours.items(), aims, strict=True)
            if mine is not None
        ]
        print(f"  {name:12} {peer['cpu_s']:7.1f} CPU s, peak {peer['peak_mb']:.0f} MB: {', '.join(times)}")


def print_agreement(home: Path) -> None:
    """How far the finished maps agree with one pass over the whole image, and at its rim."""
    import rasterio

    in_child(home, "whole")
    whole = np.load(home / "whole.npy")
    side = whole.shape[0]
    rim = np.ones(whole.shape, dtype=bool)
    rim[RIM:-RIM, RIM:-RIM] = False
    print(f"\nagreement with one FP32 pass over the whole image, {side} x {side} px; the outer {RIM} px")
    for engine, precision in available():
        in_child(home, "engine", engine=engine, precision=precision, threads=1, scene="small.tif")
        with rasterio.open(home / f"{engine}_{precision}_small.tif") as source:
            equal = source.read(1) == whole
        print(
            f"  {engine:8} {precision:5} {equal.mean():.4f} (aim {AGREES[precision]}); {equal[rim].mean():.4f} at the rim "
            f"(aim {AIMS['rim']})"
        )


def print_rest(home: Path, options: argparse.Namespace) -> None:
    """What reading, blending and writing take."""
    taken = [in_child(home, "rest", threads=1) for _ in range(options.rounds)]
    each = statistics.median(20e6 * f["cpu_s"] / f["pixels"] for f in taken)
    print(f"\neverything but the network: {each:.2f} CPU s for 20 megapixels (aim {AIMS['rest']})")


if __name__ == "__main__":
    main()
