"""What docs/security.md promises: no pickle, no code out of data, no writing outside, no way out of the machine."""

import ast
import json
import pickle
import threading
from collections.abc import Iterator
from functools import cache
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pytest

from terraseg.core.dataset import Imagery
from terraseg.errors import BadOption, BrokenBundle, StaleRun, UnreadableFile
from terraseg.pipeline.project import read_project
from terraseg.pipeline.steps import forget_run
from terraseg.prepare.dataset import read_dataset
from terraseg.store.bundle import ONNX, SPEC, WEIGHTS, onnx_path, read_spec, read_weights, write_bundle
from terraseg.store.features import read_polygons
from terraseg.store.leads import LEAVE
from terraseg.store.raster import open_raster
from terraseg.store.rundir import RunFolder
from tests.makers import make_grid, make_labels, make_raster, make_spec

PACKAGE = Path(__file__).parents[1] / "terraseg"
UNPACKING = {"zipfile", "tarfile", "shelve", "marshal", "dill", "cloudpickle", "joblib", "yaml", "runpy", "code"}
RUNNING = {"eval", "exec", "compile", "__import__"}


@cache
def nodes() -> list[tuple[Path, ast.AST]]:
    """Every call and import of the package."""
    wanted = (ast.Call, ast.Import, ast.ImportFrom)
    files = sorted(PACKAGE.rglob("*.py"))
    found = [(path, ast.walk(ast.parse(path.read_text(encoding="utf-8")))) for path in files]
    return [(path, node) for path, walk in found for node in walk if isinstance(node, wanted)]


def calls() -> Iterator[tuple[Path, ast.Call, str]]:
    """Every call in the package, with what is called as text."""
    for path, node in nodes():
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
            yield path, node, ast.unparse(node.func)


def keyword(call: ast.Call, name: str) -> object:
    found = [k.value for k in call.keywords if k.arg == name]
    return found[0].value if found and isinstance(found[0], ast.Constant) else None


def test_the_source_unpacks_nothing_and_runs_nothing_out_of_data() -> None:
    """`import_module` takes the names of commands and of the package's own parts, and torch opens files with weights only."""
    wrong = []
    for path, call, name in calls():
        last = name.rpartition(".")[2]
        if name in RUNNING or last in {"unpack_archive", "extractall"} or (last == "literal_eval"):
            wrong.append((path.name, name))
        if name in {"pickle.load", "pickle.loads", "pickle.Unpickler"}:
            wrong.append((path.name, name))
        if name == "torch.load" and keyword(call, "weights_only") is not True:
            wrong.append((path.name, name))
        if last == "load" and keyword(call, "allow_pickle"):
            wrong.append((path.name, name))
        if last == "import_module" and path.name not in {"main.py", "__init__.py"}:
            wrong.append((path.name, name))
        if keyword(call, "shell") is True or name in {"os.system", "os.popen"}:
            wrong.append((path.name, name))
    assert wrong == []


def test_the_source_imports_no_library_that_unpacks() -> None:
    for path, node in nodes():
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        assert not {name.split(".")[0] for name in names} & UNPACKING, path


class Trap:
    """Unpickled, it writes a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (str(self.target), "w")


@pytest.mark.parametrize("name", ["weights.safetensors", "weights.pt", "weights.pth"])
def test_a_pickle_is_not_run_where_weights_are_expected(tmp_path: Path, name: str) -> None:
    pytest.importorskip("torch")
    from terraseg.nets.pretrained import read_safetensors

    (tmp_path / name).write_bytes(pickle.dumps(Trap(tmp_path / "sprung")))
    with pytest.raises(UnreadableFile, match="pickles are never opened"):
        read_safetensors(tmp_path / name)
    assert not (tmp_path / "sprung").exists()


def test_a_checkpoint_is_read_without_running_what_it_holds(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from terraseg.train.checkpoints import read_weights as read_checkpoint

    path = tmp_path / "best.pt"
    path.write_bytes(pickle.dumps(Trap(tmp_path / "sprung"), protocol=2))
    with pytest.raises(UnreadableFile):
        read_checkpoint(path)
    torch.save({"network": Trap(tmp_path / "sprung")}, path)
    with pytest.raises(UnreadableFile):
        read_checkpoint(path)
    assert not (tmp_path / "sprung").exists()


def written(folder: Path) -> Path:
    write_bundle(folder, make_spec(), onnx=b"graph", weights={"w": np.zeros(3, dtype=np.float32)})
    return folder


@pytest.mark.parametrize("part", [ONNX, WEIGHTS])
def test_a_part_that_was_changed_is_not_opened(tmp_path: Path, part: str) -> None:
    model = written(tmp_path / "model")
    (model / part).write_bytes(pickle.dumps(Trap(tmp_path / "sprung")))
    with pytest.raises(BrokenBundle, match="different models or damaged"):
        onnx_path(model) if part == ONNX else read_weights(model)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("place", ["../secret.bin", "{folder}/secret.bin", "/etc/hostname"])
def test_a_graph_takes_no_weights_from_outside_its_folder(tmp_path: Path, place: str) -> None:
    onnx = pytest.importorskip("onnx")
    from terraseg.engines.onnx import open_onnx

    (tmp_path / "secret.bin").write_bytes(np.full(4, 7, dtype=np.float32).tobytes())
    weights = onnx.TensorProto(name="w", data_type=onnx.TensorProto.FLOAT, dims=[1])
    weights.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (("location", place.format(folder=tmp_path)), ("offset", "0"), ("length", "4")):
        entry = weights.external_data.add()
        entry.key, entry.value = key, value
    ends = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in ("x", "y")]
    node = onnx.helper.make_node("Add", ["x", "w"], ["y"])
    graph = onnx.helper.make_graph([node], "g", ends[:1], ends[1:], [weights])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    write_bundle(
        tmp_path / "model", make_spec(), onnx=model.SerializeToString(), weights={"w": np.zeros(1, np.float32)}
    )
    with pytest.raises(BrokenBundle, match="cannot be opened by ONNX Runtime"):
        open_onnx(tmp_path / "model", threads=1)


def test_names_in_a_bundle_name_no_file(tmp_path: Path) -> None:
    """The parts have fixed names: what a description says of others is neither read nor written."""
    model = written(tmp_path / "a/model")
    described = json.loads((model / SPEC).read_text())
    described["sha256"] |= {"../../outside": "0" * 64, "/etc/passwd": "0" * 64}
    described["network_options"] = {"members": ["../../outside"]}
    (model / SPEC).write_text(json.dumps(described))
    before = sorted(tmp_path.rglob("*"))
    assert read_spec(model).network == "point"
    assert onnx_path(model) == model / ONNX
    assert sorted(tmp_path.rglob("*")) == before


def test_a_bundle_takes_the_place_of_bundles_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.docx").write_text("years")
    with pytest.raises(BrokenBundle, match=r"holds 'thesis\.docx', which is no part of a model"):
        written(tmp_path / "mine")
    assert (tmp_path / "mine/thesis.docx").read_text() == "years"


@pytest.mark.parametrize(
    "line",
    [
        "indices = {x = \"__import__('os').system('touch sprung')\"}",
        "indices = {x = \"open('sprung', 'w')\"}",
        'indices = {x = "red.__class__"}',
    ],
)
def test_a_project_file_runs_no_code(tmp_path: Path, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make_raster(tmp_path / "images/a.tif")
    make_labels(tmp_path / "labels/a.tif")
    classes = '[[data.classes]]\nname = "a"\nlabels = ["0"]\n[[data.classes]]\nname = "b"\nlabels = ["1"]\n'
    text = f'[data]\nimages = ["images/*.tif"]\nlabels = ["labels/*.tif"]\n{line}\n{classes}'
    (tmp_path / "terraseg.toml").write_text(text)
    with pytest.raises(BadOption, match="which is no arithmetic"):
        read_dataset(read_project(tmp_path / "terraseg.toml").data, tmp_path)
    assert not (tmp_path / "sprung").exists()


def test_a_fresh_start_empties_no_folder_that_is_no_run(tmp_path: Path) -> None:
    """A project file of others may name any folder."""
    home = tmp_path / "home"
    for name in ("maps", "model", "cache"):
        (home / name).mkdir(parents=True)
        (home / name / "thesis.docx").write_text("years")
    (tmp_path / "terraseg.toml").write_text(f'[data]\nimages = ["a.tif"]\n[map]\nrun = "{home}"\n')
    forget_run(read_project(tmp_path / "terraseg.toml"))
    assert len(list(home.rglob("thesis.docx"))) == 3


@pytest.fixture
def server() -> Iterator[tuple[str, list[str]]]:
    """A server on this machine, its address and what it was asked."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(404)
            self.end_headers()

        do_HEAD = do_GET  # noqa: N815  # the name that http.server asks for

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    listening = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=listening.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listening.server_port}", asked
    listening.shutdown()
    listening.server_close()
    thread.join()


def vrt_to(source: str) -> str:
    return (
        '<VRTDataset rasterXSize="8" rasterYSize="8"><VRTRasterBand dataType="Byte" band="1"><SimpleSource>'
        f'<SourceFilename relativeToVRT="0">{source}</SourceFilename><SourceBand>1</SourceBand>'
        "</SimpleSource></VRTRasterBand></VRTDataset>"
    )


def read_all(path: Path) -> None:
    with open_raster(Imagery((str(path),), ("band_1",))) as reader:
        reader.read(reader.grid.window)


@pytest.mark.parametrize(
    "source", ["/vsicurl/{url}/a.tif", "{url}/a.tif", "/vsizip//vsicurl/{url}/a.zip/a.tif", "nested"]
)
def test_a_raster_leads_to_no_other_machine(source: str, server: tuple[str, list[str]], tmp_path: Path) -> None:
    url, asked = server
    inner = vrt_to(f"/vsicurl/{url}/inner.tif")
    (tmp_path / "inner.vrt").write_text(inner)
    named = str(tmp_path / "inner.vrt") if source == "nested" else source.format(url=url)
    (tmp_path / "a.vrt").write_text(vrt_to(named))
    with pytest.raises(UnreadableFile):
        read_all(tmp_path / "a.vrt")
    assert asked == []


def test_the_address_that_the_user_wrote_is_opened(server: tuple[str, list[str]]) -> None:
    url, asked = server
    with pytest.raises(UnreadableFile):
        open_raster(Imagery((f"/vsicurl/{url}/written.tif",), ("band_1",)))
    assert "/written.tif" in asked


def test_a_user_can_let_local_files_lead_out(
    server: tuple[str, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, asked = server
    monkeypatch.setenv(LEAVE, "yes")
    (tmp_path / "a.vrt").write_text(vrt_to(f"/vsicurl/{url}/let.tif"))
    with pytest.raises(UnreadableFile):
        read_all(tmp_path / "a.vrt")
    assert "/let.tif" in asked


def test_labels_lead_to_no_other_machine(server: tuple[str, list[str]], tmp_path: Path) -> None:
    """A GeoJSON may name its CRS by an address, an OGR VRT its source."""
    url, asked = server
    shape = {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 0]]]}
    features = [{"type": "Feature", "properties": {}, "geometry": shape}]
    crs = {"type": "link", "properties": {"href": f"{url}/crs", "type": "proj4"}}
    (tmp_path / "a.geojson").write_text(json.dumps({"type": "FeatureCollection", "crs": crs, "features": features}))
    assert len(read_polygons(tmp_path / "a.geojson").geometry) == 1
    layer = f'<OGRVRTLayer name="a"><SrcDataSource>/vsicurl/{url}/x.geojson</SrcDataSource></OGRVRTLayer>'
    (tmp_path / "a.vrt").write_text(f"<OGRVRTDataSource>{layer}</OGRVRTDataSource>")
    with pytest.raises(UnreadableFile):
        read_polygons(tmp_path / "a.vrt")
    assert asked == []


def test_the_python_of_a_vrt_is_not_run(tmp_path: Path) -> None:
    grid = make_grid(8, 8)
    make_raster(tmp_path / "a.tif", grid, bands=("band_1",))
    code = f"import numpy\ndef f(inputs, out, *_, **__):\n    open({str(tmp_path / 'sprung')!r}, 'w')\n    out[:] = 1\n"
    (tmp_path / "a.vrt").write_text(
        '<VRTDataset rasterXSize="8" rasterYSize="8"><VRTRasterBand dataType="Byte" band="1" subClass="VRTDerivedRasterBand">'
        "<PixelFunctionType>f</PixelFunctionType><PixelFunctionLanguage>Python</PixelFunctionLanguage>"
        f"<PixelFunctionCode><![CDATA[{code}]]></PixelFunctionCode>"
        f"<SimpleSource><SourceFilename>{tmp_path / 'a.tif'}</SourceFilename><SourceBand>1</SourceBand></SimpleSource>"
        "</VRTRasterBand></VRTDataset>"
    )
    with pytest.raises(UnreadableFile):
        read_all(tmp_path / "a.vrt")
    assert not (tmp_path / "sprung").exists()


def test_the_second_run_in_a_folder_is_told_who_holds_it(tmp_path: Path) -> None:
    first, second = RunFolder(tmp_path / "runs/ä b"), RunFolder(tmp_path / "runs/link")
    first.root.mkdir(parents=True)
    second.root.symlink_to(first.root)
    with first.locked():
        (first.root / "kept").touch()
        with pytest.raises(StaleRun, match=r"is in use by process \d+.* --set map\.run=NAME"), second.locked():
            pass
    with second.locked():
        assert (first.root / "kept").exists()
