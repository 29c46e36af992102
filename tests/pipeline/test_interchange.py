"""A model's folder as files for other programs, and the style beside each class map."""

from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import torch

from terraseg.cli.main import run
from terraseg.core.classes import PALETTE, LandClass, Legend
from terraseg.core.modelspec import ModelSpec
from terraseg.errors import BadOption, BrokenBundle, MissingExtra, UnknownName, UnwritableFile
from terraseg.export.onnx import onnx_bytes
from terraseg.nets.build import build_network
from terraseg.pipeline import interchange
from terraseg.pipeline.interchange import export_model
from terraseg.pipeline.rasters import predict_files
from terraseg.store.bundle import onnx_path, read_spec, read_weights, write_bundle
from tests.makers import make_raster

LEGEND = Legend(tuple(LandClass(k, f"class {k}", PALETTE[k]) for k in (1, 4)))
OPTIONS = {"depth": 2, "width": 4}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model of a run called "first"."""
    torch.manual_seed(0)
    spec = ModelSpec(
        "unet", LEGEND, ("red", "green", "blue"), "uint8", (60.0,) * 3, (30.0,) * 3, 0.5, 64, 16, 4, OPTIONS
    )
    network = build_network("unet", bands=3, classes=2, options=OPTIONS)
    weights = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    folder = tmp_path_factory.mktemp("runs") / "first" / "model"
    write_bundle(folder, spec, onnx=onnx_bytes(network, spec), weights=weights)
    return folder


def respecified(folder: Path, of: Path, **changes: Any) -> Path:
    spec = replace(read_spec(of), **changes)
    write_bundle(folder, spec, onnx=onnx_path(of).read_bytes(), weights=read_weights(of))
    return folder


def test_every_format_is_written_beside_the_model_under_the_run_s_name(model: Path) -> None:
    files = export_model(model, ["deepness", "stac", "arcgis"])
    export = model.parent / "export"
    expected = ["first.json", "first_arcgis/TerrasegClassifier.py", "first_arcgis/first.emd", "first_arcgis/first.onnx"]
    assert sorted(str(f.relative_to(export.resolve())) for f in files) == sorted([*expected, "first_deepness.onnx"])
    assert {f for f in export.rglob("*") if f.is_file()} == set(files), "and nothing else"
    assert read_spec(model).tile == 64, "the model's folder stays whole"


def test_the_command_prints_the_files_it_wrote(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert run(["export", str(model), "--stac", "--arcgis", "--out", str(out), "--name", "roofs"]) == 0
    printed = capsys.readouterr().out.split()
    assert printed[0] == str(out / "roofs.json")
    assert sorted(printed) == sorted(str(path) for path in out.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "nothing to export was named"),
        (["--stac", "--name", "../up"], "'../up' cannot name an export"),
        (["--stac", "--name", ""], "first.json"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(
    model: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    code = run(["export", str(model), *options])
    out, err = capsys.readouterr()
    assert message in (err if code else out)
    assert code == (0 if message.endswith(".json") else 2)
    assert len(err.splitlines()) == 1


def test_wrong_formats_folders_and_places_are_refused(model: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match=r"no format 'deepnes' .* did you mean 'deepness'"):
        export_model(model, ["stac", "deepnes"], tmp_path)
    with pytest.raises(BrokenBundle, match="no model folder"):
        export_model(tmp_path / "nowhere", ["stac"], tmp_path)
    with pytest.raises(BadOption, match="the model's own folder"):
        export_model(model, ["stac"], model)
    (tmp_path / "file").write_text("")
    with pytest.raises(UnwritableFile, match="file cannot be written to"):
        export_model(model, ["stac"], tmp_path / "file")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_plain_install_lacks_only_deepness(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interchange, "find_spec", lambda _: None)
    assert len(export_model(model, ["stac", "arcgis"], tmp_path)) == 4
    with pytest.raises(MissingExtra, match=r"terraseg\[int8\]"):
        export_model(model, ["deepness"], tmp_path)


def predicted(model: Path, folder: Path) -> list[str]:
    """Names of the files that mapping a raster gives."""
    make_raster(folder / "scene.tif")
    done = predict_files([str(folder / "scene.tif")], [model], folder / "maps" / "scene.tif", {"engine": "onnx"})
    assert {path.name for path in done.files} <= {path.name for path in (folder / "maps").iterdir()}
    return [path.name for path in done.files]


def test_each_class_map_has_its_style_beside_it(model: Path, tmp_path: Path) -> None:
    assert predicted(model, tmp_path) == ["scene.tif", "scene.qml"]
    style = ElementTree.parse(tmp_path / "maps" / "scene.qml")
    entries = [(e.get("value"), e.get("label"), e.get("color")) for e in style.iter("paletteEntry")]
    assert entries == [(str(c.id), c.name, c.color.lower()) for c in LEGEND.classes]


def test_a_map_of_overlapping_classes_has_no_palette(model: Path, tmp_path: Path) -> None:
    overlapping = respecified(tmp_path / "model", model, overlapping=True)
    assert predicted(overlapping, tmp_path) == ["scene.tif"]
