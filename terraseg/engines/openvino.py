"""OpenVINO on the CPU: the fastest engine on processors with matrix units."""

import json
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, Literal

import numpy as np
import openvino
from numpy.typing import NDArray

from terraseg.core.machine import cores_available, processor_features
from terraseg.core.modelspec import ModelSpec
from terraseg.core.scorer import Precision
from terraseg.engines.batch import checked_batch, no_images
from terraseg.engines.graph import graph_path
from terraseg.engines.mapped import forget_pages, lean_graph
from terraseg.engines.upsampling import join_upsampling
from terraseg.errors import BrokenBundle
from terraseg.store.bundle import file_hash, read_spec
from terraseg.store.compiled import keep_compiled, read_compiled

Hint = Literal["f32", "bf16"]
SHAPES_KEPT = 4
"""Compiled shapes held at once: those of a tile, turned, and at two further scales."""
ROOM = 1.4
"""How many times as large as other engines' its tiles may be for as much memory: it takes 230 bytes a pixel in 32 bit, with a
ResNet-34."""


@dataclass(frozen=True)
class OpenVinoScorer:
    """A Scorer on compiled OpenVINO models; `score` may be called from several threads, one of them at a time runs.

    Each shape of batch is compiled when it is first seen, in a quarter of a second: with sizes known the plugin joins more
    of the graph, which makes a model in bytes a fifth faster than one of free sizes. With a `key`, which names the graph, what
    was compiled is kept for the next run.
    """

    spec: ModelSpec
    device: str
    path: Path
    settings: dict[str, Any]
    graphs: list[openvino.Model]
    requests: OrderedDict[tuple[int, ...], openvino.InferRequest] = field(default_factory=OrderedDict)
    lock: threading.Lock = field(default_factory=threading.Lock)
    room: float = ROOM
    key: str = ""

    def score(self, batch: NDArray[Any]) -> NDArray[np.float32]:
        """Probabilities (n, classes, height, width) of raw pixels (n, bands, height, width) in the model's dtype."""
        pixels = checked_batch(batch, self.spec)
        if len(pixels) == 0:
            return no_images(pixels, self.spec)
        with self.lock:
            request = self._request(pixels.shape)
            # Of an array of ours nothing needs to be copied.
            scores = np.empty(request.get_compiled_model().outputs[0].shape, dtype=np.float32)
            request.set_output_tensor(openvino.Tensor(scores, shared_memory=True))
            request.infer([pixels], share_inputs=True, share_outputs=True)
            return scores

    def _request(self, shape: tuple[int, ...]) -> openvino.InferRequest:
        found = self.requests.pop(shape, None)
        if found is None:
            while len(self.requests) >= SHAPES_KEPT:
                self.requests.popitem(last=False)
            found = self._compiled(shape).create_infer_request()
            forget_pages(self.path)
        self.requests[shape] = found
        return found

    def _compiled(self, shape: tuple[int, ...]) -> openvino.CompiledModel:
        core, key = openvino.Core(), f"{self.key} {shape}"
        kept = read_compiled(key) if self.key else None
        if kept is not None:
            try:
                return core.import_model(BytesIO(kept), "CPU", self.settings)
            except RuntimeError:
                # Of another build of OpenVINO: it is made anew.
                pass
        # What opening has read serves the first shape, and goes: its weights take as much memory as the compiled ones.
        graph = self.graphs.pop() if self.graphs else read_graph(core, self.path)
        graph.reshape(list(shape))
        join_upsampling(graph)
        compiled = core.compile_model(graph, "CPU", self.settings)
        if self.key:
            content = BytesIO()
            compiled.export_model(content)
            keep_compiled(key, content.getvalue())
        return compiled


def open_openvino(bundle: Path, *, threads: int | None = None, precision: Precision = "exact") -> OpenVinoScorer:
    """A Scorer on the bundle's graph: "exact" in float32, "fast" in bfloat16 where the processor has it, or "int8".

    Raises `BrokenBundle` for a folder that is no whole bundle or a graph that OpenVINO cannot read, `BadOption` for "int8"
    where the bundle has no graph in bytes.
    """
    spec, path = read_spec(bundle), graph_path(bundle, precision)
    count = threads if threads is not None else cores_available()
    core = openvino.Core()
    hint: Hint = "bf16" if precision == "fast" and "BF16" in _capabilities(core) else "f32"
    settings = {
        "INFERENCE_PRECISION_HINT": hint,
        "INFERENCE_NUM_THREADS": count,
        "NUM_STREAMS": 1,
        # Pinned threads of two processes on one machine would meet on the same cores.
        "ENABLE_CPU_PINNING": False,
        # Kernels of shapes that have gone need not be kept.
        "CPU_RUNTIME_CACHE_CAPACITY": 0,
    }
    try:
        graph = read_graph(core, path)
    except RuntimeError as error:
        raise BrokenBundle(f"{path} cannot be opened by OpenVINO ({error}): use the engine 'onnx'") from error
    version = openvino.get_version().split("-")[0]
    counting = "INT8" if precision == "int8" else {"f32": "FP32", "bf16": "BF16"}[hint]
    device = f"OpenVINO {version} on the CPU, {count} thread{'s' if count > 1 else ''}, {counting}"
    # In 32 and 16 bit it would save a tenth of a second and take 80 MB more.
    key = _key(path, settings) if precision == "int8" else ""
    return OpenVinoScorer(spec, device, path, settings, [graph], key=key)


def _key(path: Path, settings: dict[str, Any]) -> str:
    """All that a compiled graph depends on but its shape."""
    facts = [file_hash(path), openvino.get_version(), settings, sorted(processor_features())]
    return json.dumps(facts, sort_keys=True)


def read_graph(core: openvino.Core, path: Path) -> openvino.Model:
    """The graph of a file, its weights mapped from it where the folder can be written to for a moment, else read."""
    try:
        with NamedTemporaryFile(dir=path.parent, prefix=f".{path.stem}.", suffix=".onnx") as lean:
            lean.write(lean_graph(path))
            lean.flush()
            return core.read_model(lean.name)
    except (OSError, ValueError, RuntimeError):
        # A folder that cannot be written to, another system's rules, or a file that OpenVINO shall judge as it is.
        return core.read_model(path)


def _capabilities(core: openvino.Core) -> list[str]:
    return list(core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"))
