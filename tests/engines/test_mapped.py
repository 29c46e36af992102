"""Graphs whose weights stay in their file: the same model, and memory given back."""

import ctypes
import mmap
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, numpy_helper

from terraseg.engines.mapped import LEAST, MAPS, forget_pages, lean_graph, release_heap
from terraseg.store.bundle import copy_bundle, onnx_path

MEGABYTE = 2**20


def resident_file_pages() -> int:
    """Bytes of files that this process has in memory."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("RssFile:")[1].split()[0]) * 1024


def test_a_lean_graph_with_its_file_is_the_graph(bundle: Path, tmp_path: Path) -> None:
    whole, content = onnx.load(onnx_path(bundle)), onnx_path(bundle).read_bytes()
    (tmp_path / "model.onnx").write_bytes(content)
    (tmp_path / "lean.onnx").write_bytes(lean_graph(onnx_path(bundle)))
    lean = onnx.load(tmp_path / "lean.onnx", load_external_data=False)
    large = [tensor.name for tensor in whole.graph.initializer if len(tensor.raw_data) >= LEAST]
    assert large
    assert [t.name for t in lean.graph.initializer if t.data_location == TensorProto.EXTERNAL] == large
    assert lean.ByteSize() < len(content) - sum(
        len(t.raw_data) for t in whole.graph.initializer if t.name in large
    ) + 200 * len(large)
    found = onnx.load(tmp_path / "lean.onnx")
    for before, after in zip(whole.graph.initializer, found.graph.initializer, strict=True):
        np.testing.assert_array_equal(numpy_helper.to_array(before), numpy_helper.to_array(after))
    assert found.graph.node == whole.graph.node
    assert found.metadata_props == whole.metadata_props


@given(data=st.data())
def test_a_file_that_is_cut_or_damaged_is_refused_or_read_to_its_end(bundle: Path, data: st.DataObject) -> None:
    content = bytearray(onnx_path(bundle).read_bytes())
    del content[data.draw(st.integers(1, len(content))) :]
    content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = bundle.with_name("damaged.onnx")
    path.write_bytes(content)
    try:
        lean = lean_graph(path)
    except ValueError:
        return
    # "J" is the key of a tensor's weights; no reference to some is as long as that.
    assert len(lean) <= len(content) + 200 * content.count(b"J")


@pytest.mark.skipif(not MAPS.exists(), reason="only Linux tells what is mapped")
def test_pages_that_are_forgotten_are_given_back_and_read_again(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    content = np.random.default_rng(0).bytes(16 * MEGABYTE)
    path.write_bytes(content)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        assert mapped[:] == content
        before = resident_file_pages()
        forget_pages(tmp_path / "other")
        assert resident_file_pages() >= before - MEGABYTE
        forget_pages(path)
        assert resident_file_pages() < before - 12 * MEGABYTE
        assert mapped[:] == content


@pytest.mark.skipif(not MAPS.exists(), reason="only Linux tells what is mapped")
def test_what_was_written_to_private_pages_is_never_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    path.write_bytes(bytes(MEGABYTE))
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY) as mapped:
        mapped[:4] = b"mine"
        forget_pages(path)
        assert mapped[:4] == b"mine"


def scored(folder: Path) -> Any:
    from terraseg.engines.openvino import open_openvino

    pixels = np.random.default_rng(1).integers(0, 255, (1, 3, 40, 72)).astype(np.uint8)
    scorer = open_openvino(folder, threads=1)
    return scorer.score(pixels), scorer.score(pixels[:, :, :32, :32]), scorer.score(pixels)


def test_openvino_gives_the_same_whether_weights_are_mapped_or_read(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    openvino = pytest.importorskip("terraseg.engines.openvino")
    folder = tmp_path / "model"
    copy_bundle(bundle, folder)
    mapped = scored(folder)
    if sys.platform == "linux":
        graph = openvino.read_graph(openvino.openvino.Core(), folder / "model.onnx")
        assert str((folder / "model.onnx").resolve()) in MAPS.read_text()
        del graph
    assert {path.name for path in folder.iterdir()} == {"model.onnx", "model.json", "weights.safetensors"}

    def refused(**_: Any) -> Any:
        raise PermissionError("the folder is read only")

    monkeypatch.setattr(openvino, "NamedTemporaryFile", refused)
    for one, other in zip(mapped, scored(folder), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="an allocator that cannot be told")
def test_freed_memory_below_what_is_in_use_is_given_back() -> None:
    heap, size, count = ctypes.CDLL(None), 64 * 1024, 1000
    heap.malloc.restype = ctypes.c_void_p
    places = [heap.malloc(ctypes.c_size_t(size)) for _ in range(count)]
    for place in places:
        ctypes.memset(place, 1, size)
    # The last one holds the heap's end where it is.
    for place in places[:-1]:
        heap.free(ctypes.c_void_p(place))
    before = resident_bytes()
    release_heap()
    assert before - resident_bytes() > count * size * 0.8
    heap.free(ctypes.c_void_p(places[-1]))
    release_heap()


def resident_bytes() -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) * 1024
