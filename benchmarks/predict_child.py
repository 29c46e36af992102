"""One measurement of `predict.py`, in a process of its own: prints a line of JSON.

    python benchmarks/predict_child.py KIND --folder FOLDER [--engine openvino] [--precision exact] [--threads 1]

KIND is `engine` (a scene end to end, then its tiles without the rest), `eager` (torch as it comes), `rest` (the sweep with a
network that costs nothing) or `whole` (one pass over the small scene). The folder is one that `predict.py` has filled.
"""

import argparse
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

BANDS = ("red", "green", "blue")
KEPT = 12
"""Tiles on which the pure forward rate is measured."""
PATCH = 16
"""The side of what is alike in the map of the network that costs nothing."""


def main() -> None:
    """Prints what one measurement found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=sorted(KINDS))
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--engine", default="openvino")
    parser.add_argument("--precision", default="exact")
    parser.add_argument("--scene", default="scene.tif")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--started", type=float, default=time.time(), help="when the process was started")
    options = parser.parse_args()
    print(json.dumps(KINDS[options.kind](options)))


class Watched:
    """A scorer that notes when it was first asked and answered, and how much it was given."""

    def __init__(self, scorer: Any) -> None:
        self.scorer, self.spec, self.device = scorer, scorer.spec, scorer.device
        self.room: float = getattr(scorer, "room", 1.0)
        self.first_at = self.first_cpu = 0.0
        self.handed_at = self.handed_cpu = 0.0
        self.pixels = 0

    def score(self, batch: NDArray[Any]) -> Any:
        """The inner scorer's answer."""
        if not self.first_at:
            self.handed_at, self.handed_cpu = time.time(), time.process_time()
        scores = self.scorer.score(batch)
        if not self.first_at:
            self.first_at, self.first_cpu = time.time(), time.process_time()
        self.pixels += batch.shape[0] * batch.shape[2] * batch.shape[3]
        return scores


def predicted(scorer: Any, scene: Path, out: Path, threads: int) -> tuple[float, float, Any]:
    """Wall and CPU seconds of predicting a scene, and the summary."""
    from terraseg.core.dataset import Imagery
    from terraseg.predict.options import InputOptions, PredictOptions
    from terraseg.predict.ready import made_ready
    from terraseg.predict.sweep import MapJob, predict_raster

    wall, cpu = time.perf_counter(), time.process_time()
    with made_ready(Imagery((str(scene),), BANDS), scorer, InputOptions(fit="off", resample="off")) as ready:
        options, job = PredictOptions(threads=threads), MapJob(fresh=True)
        summary = predict_raster(ready.source, ready.scorer, out, options=options, job=job)
    return time.perf_counter() - wall, time.process_time() - cpu, summary


def engine(options: argparse.Namespace) -> dict[str, Any]:
    """One engine: start-up to the first tile, the scene end to end, then the same tiles without the rest."""
    from terraseg.engines.choose import open_scorer

    threads = options.threads
    scorer = open_scorer(options.folder / "model", engine=options.engine, threads=threads, precision=options.precision)
    watched = Watched(scorer)
    scene = options.folder / options.scene
    out = options.folder / f"{options.engine}_{options.precision}_{scene.stem}.tif"
    wall, cpu, summary = predicted(watched, scene, out, threads)
    process_cpu = time.process_time()
    batches = first_batches(scene, scorer)
    return {
        "start": {"wall": watched.first_at - options.started, "cpu": watched.first_cpu},
        "handed": {"wall": watched.handed_at - options.started, "cpu": watched.handed_cpu},
        "process_cpu_s": process_cpu,
        "seconds": {"wall": wall, "cpu": cpu},
        "pixels": summary.pixels,
        "run": watched.pixels,
        "tile": " x ".join(map(str, batches[0].shape[2:])),
        "peak_mb": summary.peak_memory_mb,
        "device": scorer.device,
        "forward": forward_rate(scorer.score, batches),
    }


def first_batches(scene: Path, scorer: Any) -> list[NDArray[Any]]:
    """The pixels of the first tiles of a scene, as the sweep gives them to the scorer one by one."""
    from terraseg.core.dataset import Imagery
    from terraseg.pixels.tiling import tile_order
    from terraseg.predict.budget import plan_lattice
    from terraseg.predict.options import InputOptions, PredictOptions
    from terraseg.predict.ready import made_ready
    from terraseg.predict.tiles import read_tile

    with made_ready(Imagery((str(scene),), BANDS), scorer, InputOptions(fit="off", resample="off")) as ready:
        lattice = plan_lattice(ready.source.grid, scorer.spec, PredictOptions(), room=getattr(scorer, "room", 1.0))
        places = list(tile_order(lattice.region))[:KEPT]
        tiles = [read_tile(ready.source, lattice, scorer.spec, place) for place in places]
    return [tile.pixels[None] for tile in tiles if tile.pixels is not None]


def forward_rate(score: Callable[[NDArray[Any]], Any], batches: Sequence[NDArray[Any]]) -> dict[str, float]:
    """Megapixels a second, of wall and of CPU time, of scoring batches and nothing else, after one that does not count."""
    score(batches[0])
    wall, cpu = time.perf_counter(), time.process_time()
    for batch in batches:
        score(batch)
    pixels: int = sum(b.shape[0] * b.shape[2] * b.shape[3] for b in batches)
    taken = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
    return {clock: pixels / 1e6 / seconds for clock, seconds in taken.items()}


def eager(options: argparse.Namespace) -> dict[str, Any]:
    """The same weights in eager torch as it comes, in 32 bit, on tiles of 512 px."""
    import rasterio
    import torch

    from terraseg.nets.build import rebuild_network
    from terraseg.nets.scoring import Scoring
    from terraseg.store.bundle import read_spec, read_weights

    torch.set_num_threads(options.threads)
    spec = read_spec(options.folder / "model")
    scoring = Scoring(rebuild_network(spec, read_weights(options.folder / "model")), spec).eval()
    with rasterio.open(options.folder / "scene.tif") as source:
        tiles = [source.read()[None, :, :512, :512]] * (KEPT // 2)

    def score(batch: NDArray[Any]) -> Any:
        with torch.inference_mode():
            return scoring(torch.from_numpy(batch))

    return {"forward": forward_rate(score, tiles)}


def rest(options: argparse.Namespace) -> dict[str, Any]:
    """The sweep with a network that costs nothing: it always says the same."""
    from terraseg.store.bundle import read_spec

    spec = read_spec(options.folder / "model")

    class Free:
        """Probabilities made once: like a map's, alike over some pixels, and never the same."""

        device = "free"
        made: dict[tuple[int, ...], NDArray[np.float32]] = {}  # noqa: RUF012  # one process, one instance

        def __init__(self) -> None:
            self.spec = spec

        def score(self, batch: NDArray[Any]) -> NDArray[np.float32]:
            """The same for every batch of a shape."""
            shape = (len(batch), len(spec.legend), *batch.shape[2:])
            if shape not in self.made:
                coarse = (*shape[:2], *(-(-side // PATCH) for side in shape[2:]))
                patches = np.random.default_rng(0).random(coarse, dtype=np.float32).repeat(PATCH, 2).repeat(PATCH, 3)
                scores = patches[:, :, : shape[2], : shape[3]]
                self.made[shape] = scores / scores.sum(axis=1, keepdims=True)
            return self.made[shape]

    wall, cpu, summary = predicted(Free(), options.folder / "scene.tif", options.folder / "rest.tif", 1)
    return {"seconds": wall, "cpu_s": cpu, "pixels": summary.pixels}


def whole(options: argparse.Namespace) -> dict[str, Any]:
    """The classes of one pass over the whole small scene in 32 bit, kept as an array."""
    import rasterio

    from terraseg.engines.onnx import open_onnx

    scorer = open_onnx(options.folder / "model")
    with rasterio.open(options.folder / "small.tif") as source:
        index = scorer.score(source.read()[None])[0].argmax(axis=0)
    np.save(options.folder / "whole.npy", np.array(scorer.spec.legend.ids, dtype=np.uint8)[index])
    return {}


KINDS: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "engine": engine,
    "eager": eager,
    "rest": rest,
    "whole": whole,
}


if __name__ == "__main__":
    main()
