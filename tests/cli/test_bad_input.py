"""What a user sees of bad input: one sentence that says what, where and what to do, exit code 2, nothing half-written."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import rasterio
import shapely

from terraseg.cli.main import run
from tests.makers import make_grid, make_labels, make_raster

TABLE = """
[data]
images = ["images/*.tif"]
labels = ["labels/*.{ending}"]
bands = [{bands}]
{extra}
[[data.classes]]
name = "background"
labels = [{zero}]

[[data.classes]]
name = "thing"
labels = [{one}]

[train]
network = "simple-unet"
steps = 2

[sample]
crop = 32
batch = 2
"""
PREPARED = {".lock", "options.json", "dataset.json", "fingerprint.json", "split.json", "split.png"}
RGB = '"red", "green", "blue"'


def write_polygon(path: Path, shape: shapely.Geometry) -> None:
    path.parent.mkdir(exist_ok=True)
    feature = {"type": "Feature", "geometry": json.loads(shapely.to_geojson(shape)), "properties": {}}
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))


def table(*, polygons: bool = False, bands: str = RGB, extra: str = "") -> str:
    zero, one = ('""', '"*"') if polygons else ('"0"', '"1"')
    return TABLE.format(ending="geojson" if polygons else "tif", bands=bands, extra=extra, zero=zero, one=one)


def elsewhere(root: Path) -> str:
    make_raster(root / "images/a.tif")
    write_polygon(root / "labels/a.geojson", shapely.box(0, 0, 1, 1))
    return table(polygons=True)


def without_crs(root: Path) -> str:
    make_raster(root / "images/a.tif", make_grid(crs=None))
    write_polygon(root / "labels/a.geojson", shapely.box(0, 0, 1, 1))
    return table(polygons=True)


def unknown_class(root: Path) -> str:
    make_raster(root / "images/a.tif")
    make_labels(root / "labels/a.tif", values=(0, 1, 7))
    return table()


def mixed_bands(root: Path) -> str:
    make_raster(root / "images/a.tif")
    make_raster(root / "images/b.tif", bands=("x", "y"))
    make_labels(root / "labels/a.tif")
    return table()


def cut_short(root: Path) -> str:
    grid = make_grid(300, 300)
    path = make_raster(root / "images/a.tif", grid)
    path.write_bytes(path.read_bytes()[:100_000])
    make_labels(root / "labels/a.tif", grid)
    return table()


def nothing_labelled(root: Path) -> str:
    make_raster(root / "images/a.tif")
    make_labels(root / "labels/a.tif", values=(9, 9))
    return table(extra='ignore = ["9"]')


def all_for_testing(root: Path) -> str:
    make_raster(root / "images/a.tif")
    make_labels(root / "labels/a.tif")
    return table(extra='test = ["a"]')


def label_of_another_size(root: Path) -> str:
    make_raster(root / "images/a.tif", make_grid(64, 64, crs=None))
    make_labels(root / "labels/a.tif", make_grid(64, 60, crs=None))
    return table()


def no_network(root: Path) -> str:
    make_raster(root / "images/a.tif")
    make_labels(root / "labels/a.tif")
    return table().replace("simple-unet", "simpel-unet")


CASES: list[tuple[Callable[[Path], str], list[str]]] = [
    (elsewhere, ["labels/a.geojson covers none of its scenes (a)", "check both in a GIS"]),
    (without_crs, ["images/a.tif has no CRS", "gdal_edit"]),
    (unknown_class, ["labels/a.tif holds the value 7", "add it to a class's labels, or to ignore"]),
    (mixed_bands, ["images/b.tif has 2 bands (x, y) and the project 3", "leave the scene out"]),
    (cut_short, ["images/a.tif cannot be read", "export or download it again"]),
    (nothing_labelled, ["no pixel of the 1 labelled scene(s) has a class", "under ignore"]),
    (all_for_testing, ["no labelled scene is left to train on"]),
    (label_of_another_size, ["labels/a.tif is 64 x 60 px and its image 64 x 64 px", "export the labels"]),
    (no_network, ["there is no network 'simpel-unet'", "did you mean 'simple-unet'"]),
]


@pytest.mark.parametrize(("make", "words"), CASES, ids=[make.__name__ for make, _ in CASES])
def test_bad_data_are_one_sentence(
    make: Callable[[Path], str], words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "terraseg.toml"
    config.write_text(make(tmp_path))
    code = run(["map", "--config", str(config)])
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("terraseg: ")]
    assert code == 2
    assert len(lines) == 1
    for word in words:
        assert word in lines[0], lines[0]
    left = {p.name for p in tmp_path.rglob("*") if p.is_file() and "runs" in p.parts}
    assert left <= {*PREPARED, "plan.json", "hardware.json", "done.json"}
    if make is not no_network:
        assert not left


def test_check_writes_a_project_file_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_raster(tmp_path / "images/a.tif")
    make_labels(tmp_path / "masks/a.tif")
    config = tmp_path / "terraseg.toml"
    assert run(["check", str(tmp_path), "--config", str(config)]) == 0
    shown = capsys.readouterr().out
    assert "images/a.tif" in shown
    assert shown.splitlines()[-1] == str(config)
    before = config.read_text()
    assert run(["check", str(tmp_path), "--config", str(config)]) == 2
    assert "--fresh" in capsys.readouterr().err
    assert config.read_text() == before
    assert run(["check", "--config", str(config)]) == 0


def test_check_says_what_stops_training_and_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_raster(tmp_path / "images/a.tif")
    config = tmp_path / "terraseg.toml"
    assert run(["check", str(tmp_path), "--config", str(config)]) == 2
    assert "there is nothing to train on" in " ".join(capsys.readouterr().out.split())
    assert not config.exists()


def test_an_error_of_ours_says_how_to_report_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("terraseg.cli.main.app", broken)
    assert run(["map"]) == 1
    assert "internal error (RuntimeError: a bug); run again with --debug" in capsys.readouterr().err
    with pytest.raises(RuntimeError):
        run(["map", "--debug"])


def test_the_version_and_the_help_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out.startswith("terraseg 0.")
    assert run(["predict", "--help"]) == 0
    assert "--model" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["a = " + "[" * 5000, "[data]\nimages = " + "{a=" * 5000, "\ufeff", "[data"])
def test_a_project_file_that_is_none_is_one_sentence(
    tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "terraseg.toml").write_text(text, encoding="utf-8")
    assert run(["check", "--config", str(tmp_path / "terraseg.toml")]) == 2
    assert "terraseg.toml" in capsys.readouterr().err


@pytest.mark.parametrize("tag", ["[" * 5000, "nonsense", "[1]", '[{"id": 1}]', "7"])
def test_a_damaged_legend_in_a_label_file_is_one_sentence(
    tmp_path: Path, tag: str, capsys: pytest.CaptureFixture[str]
) -> None:
    make_raster(tmp_path / "images/a.tif")
    labels = make_labels(tmp_path / "masks/a.tif")
    with rasterio.open(labels, "r+") as dataset:
        dataset.update_tags(TERRASEG_LEGEND=tag)
    code = run(["check", str(tmp_path), "--config", str(tmp_path / "terraseg.toml")])
    said = capsys.readouterr()
    assert code == 2
    assert "masks/a.tif has a TERRASEG_LEGEND tag that is no legend" in said.err + said.out
