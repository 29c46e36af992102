"""Peak memory and rate of predicting a vast raster with a model of one layer.

    python benchmarks/predict_memory.py [--height 20000] [--width 20000] [--classes 6] [--layers classes|all]

Makes, in a temporary folder, a VRT of the wanted size over one small RGB GeoTIFF and a model of a single
convolution, so that reading, blending and writing are what counts. Predicts in a child process through ONNX Runtime and
prints that process's peak resident memory, the share that was there before the first tile, and the rate. The aim is a peak
of 400 MB at 60,000 x 60,000 px, and growth of less than 5 % from 20,000 x 20,000 px on.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

PATCH = 2048
BANDS = ("red", "green", "blue")
COARSE = 8
"""The side of the squares that the model sees as one: so it costs next to nothing."""
AIM_MB = 400


def main() -> None:
    """Prints one line of figures."""
    options = _arguments()
    if options.child is not None:
        print(json.dumps(_predict(options.child, options)))
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        make_raster(Path(folder), options.height, options.width)
        make_model(Path(folder), options)
        command = [sys.executable, __file__, "--child", folder, *sys.argv[1:]]
        found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    print(
        f"{options.height} x {options.width} px, {options.classes} classes, {options.layers}: "
        f"peak {found['peak_mb']:.0f} MB (before the sweep {found['start_mb']:.0f} MB; the aim is {AIM_MB} MB), "
        f"{found['rate']:.1f} Mpx/s, {found['cpu_s']:.0f} CPU s, {found['seconds']:.0f} s of which {found['finish_s']:.0f} s "
        f"for the finished files, {found['tiles']} tiles"
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Peak memory and rate of predicting a vast raster.")
    for name, default in (("height", 20_000), ("width", 20_000), ("classes", 6), ("tile", 512), ("overlap", 64)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--max-ram", help="the budget of the whole process, such as 400M")
    parser.add_argument("--threads", type=int, default=1, help="threads of the engine and of compression")
    parser.add_argument("--layers", choices=("classes", "all"), default="classes")
    parser.add_argument("--folder", type=Path, help="where the temporary folder is made")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def _predict(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """The prediction itself, in a process that does nothing else."""
    import time

    from terraseg.core.dataset import Imagery
    from terraseg.engines.onnx import open_onnx
    from terraseg.predict.memory import peak_memory_mb
    from terraseg.predict.options import PredictOptions
    from terraseg.predict.sweep import predict_raster
    from terraseg.store.raster import open_raster

    everything = options.layers == "all"
    chosen = PredictOptions(
        confidence=everything, probabilities=everything, max_ram=options.max_ram, threads=options.threads
    )
    scorer = open_onnx(folder / "model", threads=options.threads)
    start, swept = peak_memory_mb(), [0.0]

    def progress(*_: int) -> None:
        swept[0] = time.monotonic()

    with open_raster(Imagery((str(folder / "scene.vrt"),), BANDS)) as source:
        summary = predict_raster(source, scorer, folder / "map.tif", options=chosen, progress=progress)
    return {
        "peak_mb": summary.peak_memory_mb,
        "start_mb": start,
        "rate": summary.megapixels_per_s,
        "seconds": summary.seconds,
        "finish_s": time.monotonic() - swept[0],
        "cpu_s": time.process_time(),
        "tiles": summary.tiles,
    }


def make_raster(folder: Path, height: int, width: int) -> None:
    """`scene.vrt` of the wanted size: one patch of noisy ground, laid out again and again."""
    import numpy as np
    import rasterio

    rng = np.random.default_rng(0)
    ground = np.kron(rng.integers(40, 200, (3, PATCH // 64, PATCH // 64)), np.ones((1, 64, 64), dtype=np.int64))
    pixels = (ground + rng.integers(-16, 17, ground.shape)).astype(np.uint8)
    place = {"crs": "EPSG:32637", "transform": rasterio.Affine(0.5, 0, 500_000, 0, -0.5, 4_000_000)}
    shape = {"height": PATCH, "width": PATCH, "count": 3, "dtype": "uint8"}
    layout = {"tiled": True, "compress": "deflate", "photometric": "rgb"}
    with rasterio.open(folder / "patch.tif", "w", driver="GTiff", **shape, **layout, **place) as dataset:
        dataset.write(pixels)
    bands = "\n".join(_vrt_band(number, name, height, width) for number, name in enumerate(BANDS, start=1))
    (folder / "scene.vrt").write_text(
        f'<VRTDataset rasterXSize="{width}" rasterYSize="{height}"><SRS>EPSG:32637</SRS>'
        f"<GeoTransform>500000, 0.5, 0, 4000000, 0, -0.5</GeoTransform>\n{bands}\n</VRTDataset>\n"
    )


def _vrt_band(number: int, name: str, height: int, width: int) -> str:
    sources = []
    for row in range(0, height, PATCH):
        for col in range(0, width, PATCH):
            size = f'xSize="{min(PATCH, width - col)}" ySize="{min(PATCH, height - row)}"'
            sources.append(
                f'<SimpleSource><SourceFilename relativeToVRT="1">patch.tif</SourceFilename>'
                f"<SourceBand>{number}</SourceBand>"
                f'<SourceProperties RasterXSize="{PATCH}" RasterYSize="{PATCH}" DataType="Byte" BlockXSize="256" '
                f'BlockYSize="256"/><SrcRect xOff="0" yOff="0" {size}/><DstRect xOff="{col}" yOff="{row}" {size}/>'
                f"</SimpleSource>"
            )
    color = f"<ColorInterp>{name.capitalize()}</ColorInterp>"
    return f'<VRTRasterBand dataType="Byte" band="{number}">{color}{"".join(sources)}</VRTRasterBand>'


def make_model(folder: Path, options: argparse.Namespace) -> None:
    """The bundle `model/`: a convolution over squares of 8 px, softmax, and every square's answer for each of its pixels."""
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    from terraseg.core.classes import PALETTE, LandClass, Legend
    from terraseg.core.modelspec import ModelSpec
    from terraseg.store.bundle import write_bundle

    rng = np.random.default_rng(1)
    weights = (rng.standard_normal((options.classes, len(BANDS), COARSE, COARSE)) / 2000).astype(np.float32)
    scales = np.array([1, 1, COARSE, COARSE], dtype=np.float32)
    nearest = {"mode": "nearest", "nearest_mode": "floor", "coordinate_transformation_mode": "asymmetric"}
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["pixels"], ["floats"], to=TensorProto.FLOAT),
            helper.make_node("Conv", ["floats", "weights"], ["logits"], strides=[COARSE, COARSE]),
            helper.make_node("Softmax", ["logits"], ["coarse"], axis=1),
            helper.make_node("Resize", ["coarse", "", "scales"], ["probabilities"], **nearest),
        ],
        "one-layer",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["n", len(BANDS), "height", "width"])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", options.classes, "height", "width"])],
        [numpy_helper.from_array(weights, "weights"), numpy_helper.from_array(scales, "scales")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    legend = Legend(tuple(LandClass(n, f"class {n}", PALETTE[n % len(PALETTE)]) for n in range(options.classes)))
    spec = ModelSpec(
        network="one-layer",
        legend=legend,
        bands=BANDS,
        dtype="uint8",
        mean=(120.0,) * len(BANDS),
        std=(50.0,) * len(BANDS),
        gsd_m=0.5,
        tile=options.tile,
        overlap=options.overlap,
        stride=COARSE,
    )
    write_bundle(folder / "model", spec, onnx=model.SerializeToString(), weights={"weights": weights})


if __name__ == "__main__":
    main()
