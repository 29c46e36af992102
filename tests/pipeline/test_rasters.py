"""Many rasters as one job: what names stand for, and that one bad raster stops no other."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from shapely import box

from terraseg.cli.main import run
from terraseg.core.imagery import ImageryFacts
from terraseg.core.watch import Silent
from terraseg.errors import BadOption, BandMismatch, EmptyDataset, NoOverlap, RastersFailed, UnreadableFile
from terraseg.pipeline import rasters
from terraseg.pipeline.inputs import RasterInput, imagery_of, list_rasters
from terraseg.pipeline.products import Model
from terraseg.pipeline.rasters import Predicted, predict_files
from terraseg.predict.options import InputOptions
from terraseg.store import stac
from terraseg.store.classmap import read_class_map
from terraseg.store.stac import StacAsset, StacItem
from tests.makers import PointScorer, make_grid, make_pixels, make_raster, make_spec
from tests.predict.test_area import write_area
from tests.store.test_stac import asset, band, item

RGB = ("red", "green", "blue")
LOOK = ImageryFacts(((1.0, 7.0, 30.0, 60.0, 90.0, 114.0, 118.0),) * 3)


class Heard(Silent):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


@pytest.fixture
def predict(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Predicted]:
    """Predicts files with a model that looks at single pixels."""
    spec = make_spec(imagery=LOOK)
    monkeypatch.setattr(rasters, "open_model", lambda *_: Model(PointScorer(spec), "abc", {}, "predicting"))
    monkeypatch.setattr(rasters, "read_spec", lambda _: spec)

    def call(given: list[Path | str], out: Path | None, watch: Any = None, **settings: Any) -> Predicted:
        return predict_files(
            [str(g) for g in given], [Path("model")], out, {"threads": 1, **settings}, watch=watch or Heard()
        )

    return call


def ids(path: Path) -> np.ndarray:
    with read_class_map(path) as reader:
        return reader.read(reader.grid.window)


def test_folders_patterns_and_files_are_listed_once_each(tmp_path: Path) -> None:
    for name in ("a", "b", "sub/c"):
        make_raster(tmp_path / f"{name}.tif")
    make_raster(tmp_path / "masks" / "a.tif", bands=("label",), pixels=make_pixels(make_grid(), 1))
    listing = list_rasters([str(tmp_path), str(tmp_path / "a.tif"), str(tmp_path / "?.tif")], RGB)
    assert sorted(r.name for r in listing.rasters) == ["a", "b", "sub_c"]
    assert any("1 files in" in note and "labels" in note for note in listing.notes)
    with pytest.raises(EmptyDataset, match=r"no file is named by .*\*\.jp2"):
        list_rasters([str(tmp_path / "*.jp2")], RGB)


def test_names_do_not_depend_on_the_folder_that_the_command_is_given_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there, here = tmp_path / "there", tmp_path / "here"
    here.mkdir()
    for name in ("a", "sub/c"):
        make_raster(there / f"{name}.tif")
    monkeypatch.chdir(here)
    listing = list_rasters([str(there), str(there / "?.tif")], RGB)
    assert sorted(r.name for r in listing.rasters) == ["a", "sub_c"]


def test_one_file_a_band_is_one_raster(tmp_path: Path) -> None:
    for name in RGB:
        make_raster(tmp_path / f"s_{name}_1.tif", bands=(name,))
    spec = make_spec()
    for given in (str(tmp_path / "s_{band}_1.tif"), str(tmp_path)):
        (raster,) = list_rasters([given], RGB).rasters
        imagery, _ = imagery_of(raster, spec, InputOptions())
        assert [Path(p).name for p in imagery.paths] == [f"s_{name}_1.tif" for name in RGB]


def test_addresses_are_taken_as_they_are() -> None:
    given = ["https://example.org/a.tif?key=b*c", "s3://bucket/dir/b.tif", "/vsicurl/https://example.org/c.tif"]
    listing = list_rasters(given, RGB)
    assert [r.template for r in listing.rasters] == [given[0], "/vsis3/bucket/dir/b.tif", given[2]]
    assert [r.name for r in listing.rasters] == ["a", "b", "c"]


def test_named_bands_are_reordered_and_extra_ones_dropped_and_said(
    tmp_path: Path, predict: Callable[..., Predicted]
) -> None:
    grid = make_grid()
    pixels = make_pixels(grid, 4)
    other = make_raster(tmp_path / "other.tif", grid, bands=("nir", "blue", "green", "red"), pixels=pixels)
    own = make_raster(tmp_path / "own.tif", grid, bands=RGB, pixels=pixels[[3, 2, 1]])
    heard = Heard()
    predict([other, own], tmp_path / "out", heard)
    assert np.array_equal(ids(tmp_path / "out/other_map.tif"), ids(tmp_path / "out/own_map.tif"))
    assert any("put into the model's order" in line for line in heard.lines)
    assert any("nir is left out" in line for line in heard.lines)


def test_bands_can_be_named_by_the_user(tmp_path: Path, predict: Callable[..., Predicted]) -> None:
    grid = make_grid()
    path = make_raster(tmp_path / "a.tif", grid, bands=("", "", ""))
    predict([path], tmp_path / "m.tif", bands=["blue", "green", "red"])
    swapped = make_raster(tmp_path / "b.tif", grid, pixels=make_pixels(grid)[::-1])
    predict([swapped], tmp_path / "n.tif")
    assert np.array_equal(ids(tmp_path / "m.tif"), ids(tmp_path / "n.tif"))
    with pytest.raises(BadOption, match=r"names 2 bands \(red, blue\) and .* has 3"):
        predict([path], tmp_path / "m.tif", bands=["red", "blue"])


def test_a_failing_raster_is_reported_at_the_end_and_stops_no_other(
    tmp_path: Path, predict: Callable[..., Predicted]
) -> None:
    good = [make_raster(tmp_path / f"{name}.tif") for name in ("a", "d")]
    (tmp_path / "b.tif").write_bytes(good[0].read_bytes()[:200])
    make_raster(tmp_path / "c.tif", bands=("red", "green"))
    (tmp_path / "e.json").write_text("{}")
    given = [tmp_path / name for name in ("a.tif", "b.tif", "c.tif", "d.tif", "e.json", "f.tif")]
    done = predict(given, tmp_path / "out")
    assert [p.name for p in done.files if p.suffix == ".tif"] == ["a_map.tif", "d_map.tif"]
    assert done.count == 6
    with pytest.raises(RastersFailed) as caught:
        done.check()
    text = str(caught.value)
    assert text.startswith("4 of 6 rasters could not be predicted")
    for part in ("b.tif cannot be read", "blue is missing: add blue", "e.json is no STAC item", "f.tif does not exist"):
        assert part in text
    assert (ids(tmp_path / "out/d_map.tif") != 255).all()


def test_a_single_raster_fails_with_its_own_error(tmp_path: Path, predict: Callable[..., Predicted]) -> None:
    with pytest.raises(UnreadableFile, match=r"nowhere\.tif does not exist"):
        predict([tmp_path / "nowhere.tif"], tmp_path / "m.tif")


def test_the_command_prints_the_maps_and_leaves_with_2_when_one_failed(
    tmp_path: Path, predict: Callable[..., Predicted], capsys: pytest.CaptureFixture[str]
) -> None:
    good = make_raster(tmp_path / "a.tif")
    bad = make_raster(tmp_path / "b.tif", bands=("red",))
    assert run(["predict", str(good), "--model", "m", "--out", str(tmp_path / "one.tif")]) == 0
    assert run(["predict", str(good), str(bad), "--model", "m", "--out", str(tmp_path / "out")]) == 2
    out, err = capsys.readouterr()
    assert str(tmp_path / "out" / "a_map.tif") in out
    assert "1 of 2 rasters could not be predicted. b: " in err
    assert "Traceback" not in err


def test_flags_of_the_command_reach_the_raster(
    tmp_path: Path, predict: Callable[..., Predicted], capsys: pytest.CaptureFixture[str]
) -> None:
    grid = make_grid(gsd=0.1)
    path = make_raster(tmp_path / "a.tif", grid, pixels=make_pixels(grid))
    left, bottom, _, _ = grid.bounds
    area = write_area(tmp_path / "area.gpkg", [box(left, bottom, left + 2, bottom + 2)], grid.crs)
    words = ["predict", str(path), "--model", "m", "--out", str(tmp_path / "m.tif"), "--aoi", str(area)]
    assert run([*words, "--resample", "off", "--fit", "warn", "--set", "input.nodata=119"]) == 0
    said = capsys.readouterr().err
    assert "resample the raster to about 0.5 m" in said
    found = ids(tmp_path / "m.tif")
    assert 0 < (found != 255).sum() <= 400
    assert run([*words, "--resample", "maybe"]) == 2
    assert "resample" in capsys.readouterr().err


def test_rasters_outside_the_area_are_passed_over(tmp_path: Path, predict: Callable[..., Predicted]) -> None:
    here = make_raster(tmp_path / "here.tif")
    moved = make_grid()
    a, b, c, d, e, f = moved.transform
    there = make_raster(tmp_path / "there.tif", type(moved)(moved.crs, (a, b, c + 5000, d, e, f), 64, 96))
    area = write_area(tmp_path / "area.gpkg", [box(*make_grid().bounds)], moved.crs)
    heard = Heard()
    done = predict([here, there], tmp_path / "out", heard, aoi=str(area))
    done.check()
    assert [p.name for p in done.files if p.suffix == ".tif"] == ["here_map.tif"]
    assert any("there is passed over" in line for line in heard.lines)
    further = make_raster(tmp_path / "further.tif", type(moved)(moved.crs, (a, b, c - 5000, d, e, f), 64, 96))
    with pytest.raises(NoOverlap, match="none of the 2 rasters lies in the area"):
        predict([there, further], tmp_path / "out", aoi=str(area))


def test_dropping_maps_takes_what_was_predicted_and_nothing_else(
    tmp_path: Path, predict: Callable[..., Predicted]
) -> None:
    scene, other = tmp_path / "scene.tif", tmp_path / "other.tif"
    for path in (scene, other):
        make_raster(path, make_grid(40, 50))
    made = tmp_path / "map.tif"
    predict([str(scene)], out=made)
    left = tmp_path / ".map.part"
    left.mkdir()
    (left / "1-of-2.blocks").write_bytes(b"")
    listing = list_rasters([str(scene)], ("red", "green", "blue"))
    for out in (scene, other, made):
        rasters.drop_maps(listing, out)
    assert scene.exists()
    assert other.exists(), "no map of ours stands there"
    assert not made.exists()
    assert not left.exists()


def test_maps_of_an_earlier_run_are_no_imagery(tmp_path: Path, predict: Callable[..., Predicted]) -> None:
    make_raster(tmp_path / "a.tif")
    predict([tmp_path / "a.tif"], tmp_path / "b_map.tif")
    heard = Heard()
    done = predict([tmp_path / "*.tif"], tmp_path / "out", heard)
    assert done.count == 1
    assert any("1 of the files" in line and "maps that terraseg made" in line for line in heard.lines)


def test_a_stac_item_gives_the_map_of_its_assets(tmp_path: Path, predict: Callable[..., Predicted]) -> None:
    grid = make_grid()
    pixels = make_pixels(grid)
    for name, plane in zip(("B04", "B03", "B02"), pixels, strict=True):
        make_raster(tmp_path / f"{name}.tif", grid, bands=("",), pixels=plane[None])
    assets = {
        key: asset(f"{key}.tif", band(key, name))
        for key, name in zip(("B02", "B03", "B04"), ("blue", "green", "red"), strict=True)
    }
    (tmp_path / "item.json").write_text(json.dumps(item(assets, "S2/one")))
    whole = make_raster(tmp_path / "rgb" / "whole.tif", grid, pixels=pixels)
    predict([tmp_path / "item.json", whole], tmp_path / "out")
    assert np.array_equal(ids(tmp_path / "out/S2_one_map.tif"), ids(tmp_path / "out/whole_map.tif"))


def test_a_local_item_reaches_out_only_where_that_is_allowed() -> None:
    away = StacAsset("all", "https://example.org/a.tif", (("red",), ("green",), ("blue",)), None, frozenset())
    local = RasterInput("a", item=StacItem("a", "/data/item.json", (away,)))
    with pytest.raises(BadOption, match=r"leads to https://example.org/a.tif, on another machine.*input.remote=true"):
        imagery_of(local, make_spec(), InputOptions())
    assert imagery_of(local, make_spec(), InputOptions(remote=True))[0].paths == (away.href,)
    same = RasterInput("a", item=StacItem("a", "https://example.org/item.json", (away,)))
    assert imagery_of(same, make_spec(), InputOptions())[0].channels == (1, 2, 3)


@pytest.mark.parametrize(
    ("bands", "dtype", "scale", "error", "words"),
    [
        (("red", "green"), "uint8", 1, BandMismatch, "blue is missing: add blue"),
        (("nir", "green", "blue"), "uint8", 1, BandMismatch, "'nir' where the model reads 'red'"),
        (RGB, "uint16", 257, BandMismatch, "16 bit values where the model reads 8 bit"),
        (RGB, "float32", 1 / 255, BandMismatch, "these are fractions; multiply them"),
    ],
)
def test_faults_are_refused_with_their_cure(
    tmp_path: Path,
    predict: Callable[..., Predicted],
    bands: tuple[str, ...],
    dtype: str,
    scale: float,
    error: type[Exception],
    words: str,
) -> None:
    grid = make_grid(128, 128)
    pixels = (make_pixels(grid, len(bands)).astype(np.float64) * scale).astype(dtype)
    path = make_raster(tmp_path / "a.tif", grid, bands=bands, dtype=dtype, pixels=pixels)
    with pytest.raises(error, match=words):
        predict([path], tmp_path / "m.tif")
    assert not (tmp_path / "m.tif").exists()


@pytest.mark.parametrize("href", ["/data/own.tif", "file:///data/own.tif", "../../../data/own.tif"])
def test_an_item_of_another_machine_leads_to_no_file_of_this_one(href: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assets = {"all": {"href": href, "type": "image/tiff", "bands": [{"name": name} for name in RGB]}}
    monkeypatch.setattr(stac, "_fetched", lambda _: json.dumps(item(assets, "a")))
    for source in ("https://example.org/c/item.json", "/vsicurl/https://example.org/c/item.json"):
        raster = RasterInput("a", item=stac.read_items(source)[0])
        if href.startswith("file"):
            with pytest.raises(BadOption, match="which is no address of a file"):
                imagery_of(raster, make_spec(), InputOptions(remote=True))
        else:
            assert imagery_of(raster, make_spec(), InputOptions())[0].paths == ("https://example.org/data/own.tif",)


@pytest.mark.parametrize("href", ["WMTS:https://example.org/w", "vrt:///vsicurl/https://example.org/a.tif"])
def test_an_item_leads_to_files_alone(href: str) -> None:
    away = StacAsset("all", href, (("red",), ("green",), ("blue",)), None, frozenset())
    local = RasterInput("a", item=StacItem("a", "/data/item.json", (away,)))
    with pytest.raises(BadOption, match="which is no address of a file"):
        imagery_of(local, make_spec(), InputOptions(remote=True))
