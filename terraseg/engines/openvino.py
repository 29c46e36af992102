"""OpenVINO on the CPU: the fastest engine on processors with matrix units."""

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import openvino
from numpy.typing import NDArray

from terraseg.core.machine import cores_available
from terraseg.core.modelspec import ModelSpec
from terraseg.engines.batch import checked_batch, no_images
from terraseg.errors import BrokenBundle
from terraseg.store.bundle import onnx_path, read_spec

Precision = Literal["fp32", "bf16"]


@dataclass(frozen=True)
class OpenVinoScorer:
    """A Scorer on a compiled OpenVINO model; `score` may be called from several threads, one of them at a time runs."""

    spec: ModelSpec
    device: str
    request: openvino.InferRequest
    lock: threading.Lock

    def score(self, batch: NDArray[Any]) -> NDArray[np.float32]:
        """Probabilities (n, classes, height, width) of raw pixels (n, bands, height, width) in the model's dtype."""
        pixels = checked_batch(batch, self.spec)
        if len(pixels) == 0:
            return no_images(pixels, self.spec)
        with self.lock:
            results = self.request.infer([pixels], share_inputs=True, share_outputs=False)
            return np.asarray(results[0], dtype=np.float32)


def open_openvino(bundle: Path, *, threads: int | None = None, precision: Precision = "fp32") -> OpenVinoScorer:
    """A Scorer on the bundle's `model.onnx`, exact in float32 unless "bf16" is asked for.

    Raises `BrokenBundle` for a folder that is no whole bundle or a graph that OpenVINO cannot compile.
    """
    spec, path = read_spec(bundle), onnx_path(bundle)
    count = threads if threads is not None else cores_available()
    settings = {
        "INFERENCE_PRECISION_HINT": "f32" if precision == "fp32" else "bf16",
        "INFERENCE_NUM_THREADS": count,
        "NUM_STREAMS": 1,
        # Each new tile size would leave its own compiled kernels behind.
        "CPU_RUNTIME_CACHE_CAPACITY": 0,
    }
    try:
        compiled = openvino.Core().compile_model(path, "CPU", settings)
    except RuntimeError as error:
        raise BrokenBundle(f"{path} cannot be opened by OpenVINO ({error}): use the engine 'onnx'") from error
    version = openvino.get_version().split("-")[0]
    device = f"OpenVINO {version} on the CPU, {count} thread{'s' if count > 1 else ''}, {precision}"
    return OpenVinoScorer(spec, device, compiled.create_infer_request(), threading.Lock())
