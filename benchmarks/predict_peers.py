"""The prediction loops that others use, over the same weights: what each takes in CPU time for one raster.

    python benchmarks/predict_peers.py NAME --model FOLDER --scene scene.tif --out map.tif [--threads 1]

NAME is one of plain, deepness, torchgeo, rastervision, geoai. Prints one line of JSON: CPU and wall seconds from the opened
raster to the written map, without loading libraries and weights, CPU seconds of the whole process with both, and the peak
memory; or why the loop cannot run here. The
loops are our own and short; torchgeo's and geoai's run over these packages, the others do what the tools do, with numpy,
rasterio and torch. `predict.py` calls them.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.windows import Window

Scores = Callable[[NDArray[Any]], NDArray[Any]]
"""Probabilities (n, classes, side, side) of raw pixels (n, bands, side, side)."""


def main() -> None:
    """Prints the figures of one loop."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=sorted(PEERS))
    for name in ("model", "scene", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    needed, prepare = PEERS[options.name]
    missing = [name for name in needed if find_spec(name) is None]
    if missing:
        print(json.dumps({"skipped": f"{missing[0]} is not installed"}))
        return
    loop = prepare(options)
    wall, cpu = time.perf_counter(), time.process_time()
    loop()
    used, taken = time.process_time() - cpu, time.perf_counter() - wall
    print(json.dumps({"cpu_s": used, "process_cpu_s": time.process_time(), "seconds": taken, "peak_mb": _peak_mb()}))


def _peak_mb() -> float:
    from terraseg.predict.memory import peak_memory_mb

    return peak_memory_mb()


def plain_loop(options: argparse.Namespace) -> Callable[[], None]:
    """Tiles of 256 px side by side, black beyond the edge, through eager torch; the map is one array in memory."""
    score = _eager(options)

    def loop() -> None:
        with rasterio.open(options.scene) as source:
            found = np.zeros(source.shape, dtype=np.uint8)
            for row, col, pixels in _squares(source, 256, 256):
                part = found[row : row + 256, col : col + 256]
                part[:] = score(pixels[None])[0].argmax(0)[: part.shape[0], : part.shape[1]]
            _write(source, found, options.out)

    return loop


def deepness_loop(options: argparse.Namespace) -> Callable[[], None]:
    """Deepness' way: the ONNX file in ONNX Runtime, tiles of 512 px that overlap by 15 %, of which the middles are kept."""
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = options.threads
    session = onnxruntime.InferenceSession(options.model / "model.onnx", settings, providers=["CPUExecutionProvider"])
    side, overlap = 512, 2 * round(512 * 0.15 / 2)
    rim = overlap // 2

    def loop() -> None:
        with rasterio.open(options.scene) as source:
            found = np.zeros(source.shape, dtype=np.uint8)
            for row, col, pixels in _squares(source, side, side - overlap):
                labels = session.run(None, {"image": pixels[None]})[0][0].argmax(0)
                top, left = (0 if start == 0 else rim for start in (row, col))
                part = found[row + top : row + side, col + left : col + side]
                part[:] = labels[top:, left:][: part.shape[0], : part.shape[1]]
            _write(source, found, options.out)

    return loop


def rastervision_loop(options: argparse.Namespace) -> Callable[[], None]:
    """Raster Vision's sliding window: 512 px, 64 px overlap, scores of all classes summed over the whole raster, batches of 8."""
    score = _eager(options)

    def loop() -> None:
        with rasterio.open(options.scene) as source:
            sums, hits = None, np.zeros(source.shape, dtype=np.uint8)
            for batch in _batches(_squares(source, 512, 448), 8):
                for (row, col, _), scores in zip(batch, score(np.stack([p for *_, p in batch])), strict=True):
                    if sums is None:
                        sums = np.zeros((len(scores), *source.shape), dtype=np.float32)
                    part = sums[:, row : row + 512, col : col + 512]
                    part += scores[:, : part.shape[1], : part.shape[2]]
                    hits[row : row + 512, col : col + 512] += 1
            assert sums is not None
            _write(source, (sums / hits).argmax(0).astype(np.uint8), options.out)

    return loop


def torchgeo_loop(options: argparse.Namespace) -> Callable[[], None]:
    """TorchGeo's RasterDataset, GridGeoSampler (512 px, stride 448) and a DataLoader; what is scored is not put together."""
    from torch.utils.data import DataLoader
    from torchgeo.datasets import RasterDataset, stack_samples  # type: ignore[import-not-found]
    from torchgeo.samplers import GridGeoSampler  # type: ignore[import-not-found]

    score = _eager(options)

    def loop() -> None:
        dataset = RasterDataset(str(options.scene))
        sampler = GridGeoSampler(dataset, size=512, stride=448)
        for sample in DataLoader(dataset, sampler=sampler, batch_size=4, collate_fn=stack_samples):
            score(sample["image"].numpy()).argmax(1).astype(np.uint8)

    return loop


def geoai_loop(options: argparse.Namespace) -> Callable[[], None]:
    """The windowed inference of geoai with its own defaults: 512 px windows that overlap by half, batches of 4."""
    import torch
    from geoai.train import semantic_inference_on_geotiff  # type: ignore[import-not-found]

    from terraseg.store.bundle import read_spec

    network, classes = _network(options), len(read_spec(options.model).legend)

    def loop() -> None:
        semantic_inference_on_geotiff(
            network,
            str(options.scene),
            str(options.out),
            num_channels=3,
            num_classes=classes,
            device=torch.device("cpu"),
        )

    return loop


PEERS: dict[str, tuple[tuple[str, ...], Callable[[argparse.Namespace], Callable[[], None]]]] = {
    "plain": (("torch",), plain_loop),
    "deepness": ((), deepness_loop),
    "torchgeo": (("torch", "torchgeo"), torchgeo_loop),
    "rastervision": (("torch",), rastervision_loop),
    "geoai": (("torch", "geoai"), geoai_loop),
}
"""Each loop by name: the packages that it needs, and what makes it ready."""


def _network(options: argparse.Namespace) -> Any:
    import torch

    from terraseg.nets.build import rebuild_network
    from terraseg.store.bundle import read_spec, read_weights

    torch.set_num_threads(options.threads)
    return rebuild_network(read_spec(options.model), read_weights(options.model)).eval()


def _eager(options: argparse.Namespace) -> Scores:
    """The bundle's network in eager torch, 32 bit, as it comes."""
    import torch

    from terraseg.nets.scoring import Scoring
    from terraseg.store.bundle import read_spec

    scoring = Scoring(_network(options), read_spec(options.model)).eval()

    def score(batch: NDArray[Any]) -> NDArray[Any]:
        with torch.inference_mode():
            return np.asarray(scoring(torch.from_numpy(np.ascontiguousarray(batch))).numpy())

    return score


def _squares(source: Any, side: int, step: int) -> Iterator[tuple[int, int, NDArray[Any]]]:
    """Row, column and pixels of windows row by row, black beyond the raster's edge."""
    for row in range(0, max(1, source.height - side + step), step):
        for col in range(0, max(1, source.width - side + step), step):
            window = Window(col, row, side, side)
            yield (
                row,
                col,
                source.read(window=window, boundless=False)
                if _inside(source, window)
                else _filled(source, row, col, side),
            )


def _inside(source: Any, window: Window) -> bool:
    return bool(window.row_off + window.height <= source.height and window.col_off + window.width <= source.width)


def _filled(source: Any, row: int, col: int, side: int) -> NDArray[Any]:
    height, width = min(side, source.height - row), min(side, source.width - col)
    pixels = np.zeros((source.count, side, side), dtype=source.dtypes[0])
    pixels[:, :height, :width] = source.read(window=Window(col, row, width, height))
    return pixels


def _batches(
    tiles: Iterator[tuple[int, int, NDArray[Any]]], size: int
) -> Iterator[list[tuple[int, int, NDArray[Any]]]]:
    batch = []
    for tile in tiles:
        batch.append(tile)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _write(source: Any, labels: NDArray[np.uint8], out: Path) -> None:
    profile = {**source.profile, "count": 1, "dtype": "uint8", "photometric": None, "nodata": None}
    kept = {key: value for key, value in profile.items() if value is not None and key != "interleave"}
    with rasterio.open(out, "w", **kept) as target:
        target.write(labels, 1)


if __name__ == "__main__":
    main()
