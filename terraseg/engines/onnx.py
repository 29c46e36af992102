"""ONNX Runtime on the CPU: the engine of the plain install."""

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as onnx_errors

from terraseg.core.machine import cores_available
from terraseg.core.modelspec import ModelSpec
from terraseg.core.scorer import Precision
from terraseg.engines.batch import checked_batch, no_images
from terraseg.engines.graph import graph_path
from terraseg.engines.mapped import release_heap
from terraseg.errors import BrokenBundle
from terraseg.store.bundle import read_spec

ERRORS_ONLY = 3
ROOM = 0.85
"""How many times as large as other engines' its tiles may be for as much memory: it takes 450 bytes a pixel in 32 bit, with a
ResNet-34."""
PROVIDER = ("CPUExecutionProvider", {"arena_extend_strategy": "kSameAsRequested"})


class OnnxScorer:
    """A Scorer on an ONNX Runtime session; `score` may be called from several threads."""

    room = ROOM

    def __init__(self, spec: ModelSpec, device: str, session: onnxruntime.InferenceSession) -> None:
        self.spec = spec
        self.device = device
        self._session = session
        self._input, self._output = session.get_inputs()[0].name, session.get_outputs()[0]
        # Graphs that others made need not say how many classes they give.
        channels = self._output.shape[1]
        self._channels = channels if isinstance(channels, int) else len(spec.legend)
        self._last_shape: tuple[int, ...] | None = None

    def score(self, batch: NDArray[Any]) -> NDArray[np.float32]:
        """Probabilities (n, classes, height, width) of raw pixels (n, bands, height, width) in the model's dtype."""
        pixels = checked_batch(batch, self.spec)
        if len(pixels) == 0:
            return no_images(pixels, self.spec)
        options = onnxruntime.RunOptions()
        if self._last_shape != pixels.shape:
            # Blocks kept from other shapes would pile up; at one tile size the arena saves a third of the time.
            options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
        self._last_shape = pixels.shape
        # Into an array of ours: what is kept for the blender would stand in the arena's middle.
        scores = np.empty((len(pixels), self._channels, *pixels.shape[2:]), dtype=np.float32)
        binding = self._session.io_binding()
        binding.bind_cpu_input(self._input, pixels)
        binding.bind_output(self._output.name, "cpu", 0, np.float32, scores.shape, scores.ctypes.data)
        self._session.run_with_iobinding(binding, options)
        return scores


def open_onnx(bundle: Path, *, threads: int | None = None, precision: Precision = "exact") -> OnnxScorer:
    """A Scorer on the bundle's graph, on `threads` CPU threads (default: the cores this process may use).

    It counts in float32 unless "int8" is asked for: its kernels for processors know no 16 bit. Raises `BrokenBundle` for a
    folder that is no whole bundle or a graph that ONNX Runtime cannot open, `BadOption` for "int8" where the bundle has no
    graph in bytes.
    """
    spec, path = read_spec(bundle), graph_path(bundle, precision)
    count = threads if threads is not None else cores_available()
    try:
        session = onnxruntime.InferenceSession(path, _session_options(count), providers=[PROVIDER])
    except (
        onnx_errors.Fail,
        onnx_errors.InvalidProtobuf,
        onnx_errors.InvalidGraph,
        onnx_errors.InvalidArgument,
        onnx_errors.NotImplemented,
        onnx_errors.RuntimeException,
        # Names in a damaged graph need not be text, and stand in what ONNX Runtime says of it.
        UnicodeDecodeError,
    ) as error:
        raise BrokenBundle(f"{path} cannot be opened by ONNX Runtime ({error}): export the model again") from error
    # What the graph was read into and rearranged from: half as much again as a ResNet-34's weights.
    release_heap()
    counting = "INT8" if precision == "int8" else "FP32"
    threads_text = f"{count} thread{'s' if count > 1 else ''}"
    return OnnxScorer(spec, f"ONNX Runtime {onnxruntime.__version__} on the CPU, {threads_text}, {counting}", session)


def _session_options(threads: int) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = ERRORS_ONLY
    # Planned for a shape, all of it is one block, which does not fit between what earlier runs left.
    options.enable_mem_pattern = False
    # Idle threads that spin take the reader's and the writer's cores.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options
