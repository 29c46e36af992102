"""Faults put into real scenes, given to the command line: each is caught by `check` or at `predict`, with the way out; and
the same scenes untouched raise no alarm.
"""

import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray

from terraseg.store.classmap import read_class_map
from terraseg.store.header import read_facts
from tests.awkward import silent, write_tiff
from tests.makers import copy_files
from tests.predict.test_real_fit import REAL, RGB, cloud_patch, landsat5, model_of, oam
from tests.test_tricky import LEGEND, call, write_bright

pytestmark = pytest.mark.skipif(not REAL.exists(), reason="the shared real imagery is not there")
DRONE = REAL / "oam-buildings"
FOLDERS = {
    "drones": ["oam-buildings/scenes/*", "oam-buildings/labels/*"],
    "dubai": ["dubai/Tile [1-6]/*/image_part_00[1-3].*", "dubai/classes.json"],
    "landsat 5": ["clouds/landsat5/*"],
    "landsat 8": ["clouds/38-cloud/*.TIF"],
}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Models of drone pictures, of Landsat 8 in 16 bit and of reflectances as fractions: bright is what is above the mean."""
    root = tmp_path_factory.mktemp("models")
    drones = oam(["catanduanes_0", "catanduanes_1"])
    gsd = read_facts(drones[0].paths[0]).grid.gsd_m
    specs = {
        "drones": replace(model_of(drones), gsd_m=gsd),
        "landsat 8": model_of([cloud_patch()]),
        "landsat 5": model_of([landsat5()]),
    }
    plain = {name: replace(spec, legend=LEGEND, tile=256, overlap=32, stride=1) for name, spec in specs.items()}
    return {name: write_bright(root / name.replace(" ", ""), spec) for name, spec in plain.items()}


def pixels_of(path: Path, side: int = 1024) -> tuple[NDArray[Any], dict[str, Any]]:
    """The corner of a picture, alpha left out, and what its file says."""
    with silent(), rasterio.open(path) as source:
        window = rasterio.windows.Window(0, 0, min(side, source.width), min(side, source.height))
        bands = [n for n, color in enumerate(source.colorinterp, 1) if color.name != "alpha"]
        place = {"crs": source.crs, "transform": source.transform, "photometric": "minisblack"}
        return source.read(bands, window=window), place


def written(path: Path, pixels: NDArray[Any], place: dict[str, Any], names: Sequence[str] = (), **more: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_tiff(path, pixels, **place, **more)
    with silent(), rasterio.open(path, "r+") as dataset:
        for band, name in enumerate(names, 1):
            dataset.set_band_description(band, name)
    return path


def predicted(raster: Path, model: Path) -> tuple[int, str]:
    out = raster.parent / "map.tif"
    code, _, said = call("predict", raster, "--model", model, "--out", out, "--engine", "onnx", "--fresh")
    assert out.exists() == (code == 0)
    return code, said


def refused(raster: Path, model: Path) -> str:
    code, said = predicted(raster, model)
    assert code == 2, said
    return next(line for line in said.splitlines() if line.startswith("terraseg: "))


def checked(folder: Path, *flags: str) -> tuple[int, dict[str, list[str]]]:
    """What `check --json` says of the project in a folder."""
    code, out, err = call("check", "--config", folder / "terraseg.toml", "--json", *flags)
    assert out, err
    return code, json.loads(out)


@pytest.mark.parametrize("name", FOLDERS)
def test_untouched_scenes_raise_no_alarm_at_check(tmp_path: Path, name: str) -> None:
    folder = copy_files(REAL, tmp_path, *FOLDERS[name])
    code, out, err = call("check", folder, "--config", folder / "terraseg.toml")
    assert code == 0, out + err
    code, found = checked(folder)
    assert code == 0
    assert found["problems"] == []
    assert not [text for text in found["warnings"] if "nodata" in text or "border" in text or "labels" in text]


def test_untouched_scenes_raise_no_alarm_at_predict(tmp_path: Path, models: dict[str, Path]) -> None:
    scenes = [*(DRONE / "scenes").glob("[ck]*.tif")]
    assert len(scenes) == 4
    for scene in scenes:
        (tmp_path / scene.stem).mkdir()
        raster = shutil.copy(scene, tmp_path / scene.stem / "a.tif")
        code, said = predicted(Path(raster), models["drones"])
        assert code == 0, said
        # That one site's pixels are averaged to another's is no alarm.
        assert "trained" not in re.sub(r"the raster's pixels are [^:]*: it is resampled", "", " ".join(said.split()))


def test_bands_in_another_order_are_put_right_by_their_names(tmp_path: Path, models: dict[str, Path]) -> None:
    pixels, place = pixels_of(DRONE / "scenes/catanduanes_0.tif")
    predicted(written(tmp_path / "a/a.tif", pixels, place, RGB), models["drones"])
    code, said = predicted(written(tmp_path / "b/a.tif", pixels[::-1].copy(), place, RGB[::-1]), models["drones"])
    assert code == 0
    assert "reordered" in said or "order" in said
    with read_class_map(tmp_path / "a/map.tif") as one, read_class_map(tmp_path / "b/map.tif") as other:
        assert np.array_equal(one.read(one.grid.window), other.read(other.grid.window))


def test_red_and_blue_swapped_without_names_are_remarked_on_where_ground_is_warm(
    tmp_path: Path, models: dict[str, Path]
) -> None:
    """Colour alone is no proof, so that it is a remark with the setting that mends it; cool scenes say nothing."""
    pixels, place = pixels_of(DRONE / "scenes/zanzibar_1.tif")
    code, said = predicted(written(tmp_path / "a.tif", pixels[::-1].copy(), place), models["drones"])
    assert code == 0
    assert "red and blue" in said
    assert "input.bands" in said


@pytest.mark.parametrize("factor", [1, 257])
def test_16_bit_for_8_is_refused(tmp_path: Path, models: dict[str, Path], factor: int) -> None:
    pixels, place = pixels_of(DRONE / "scenes/catanduanes_0.tif")
    text = refused(
        written(tmp_path / "a.tif", pixels.astype(np.uint16) * np.uint16(factor), place, RGB), models["drones"]
    )
    assert "gdal_translate -ot Byte" in text


def test_8_bit_for_16_is_refused(tmp_path: Path, models: dict[str, Path]) -> None:
    pixels, place = cloud()
    text = refused(written(tmp_path / "a.tif", (pixels // 256).astype(np.uint8), place, NIR), models["landsat 8"])
    assert "8 bit" in text


def cloud() -> tuple[NDArray[Any], dict[str, Any]]:
    imagery = cloud_patch()
    parts = [pixels_of(Path(path)) for path in imagery.paths]
    return np.concatenate([pixels for pixels, _ in parts]), parts[0][1]


NIR = (*RGB, "nir")


@pytest.mark.parametrize(("factor", "words"), [(1e4, "divide"), (1e-4, "multiply")])
def test_reflectance_on_another_scale_is_refused_with_the_factor(
    tmp_path: Path, models: dict[str, Path], factor: float, words: str
) -> None:
    pixels, place = pixels_of(Path(landsat5().paths[0]))
    faulty = (pixels * factor).astype(np.float32)
    text = refused(written(tmp_path / "a.tif", faulty, place, landsat5().bands), models["landsat 5"])
    assert words in text
    assert "10,000" in text or "10000" in text


def test_double_ground_sample_distance_is_resampled_and_said(tmp_path: Path, models: dict[str, Path]) -> None:
    pixels, place = pixels_of(DRONE / "scenes/catanduanes_0.tif")
    half = pixels.reshape(3, 512, 2, 512, 2).mean(axis=(2, 4)).astype(np.uint8)
    t = place["transform"]
    wide = place | {"transform": t @ rasterio.Affine.scale(2)}
    code, said = predicted(written(tmp_path / "a.tif", half, wide, RGB), models["drones"])
    assert code == 0
    assert "2 times coarser than" in said
    assert "it is resampled as it is read" in said


def test_missing_infrared_is_refused(tmp_path: Path, models: dict[str, Path]) -> None:
    pixels, place = cloud()
    text = refused(written(tmp_path / "a.tif", pixels[:3], place, RGB), models["landsat 8"])
    assert "nir is missing: add nir, or use a model trained without" in text


def test_wrong_nodata_is_caught_at_both_places(tmp_path: Path, models: dict[str, Path]) -> None:
    """An ordinary brightness that is declared as nodata."""
    pixels, place = pixels_of(DRONE / "scenes/catanduanes_0.tif")
    folder = copy_files(REAL, tmp_path, "oam-buildings/labels/catanduanes*")
    raster = folder / "oam-buildings/scenes/catanduanes_0.tif"
    value = float(np.median(pixels))
    alike = np.repeat(pixels[1:2], 3, axis=0)
    written(raster, alike, place, RGB, nodata=value)
    text = refused(raster, models["drones"])
    assert "nodata" in text
    shutil.rmtree(raster.parent / "runs", ignore_errors=True)
    (raster.parent / "map.tif").unlink(missing_ok=True)
    code, out, err = call("check", folder, "--config", folder / "terraseg.toml")
    assert code == 2, out + err
    assert "is one of the values of the ground" in " ".join(out.split())


def project_of_drones(folder: Path, name: str = "catanduanes") -> Path:
    copy_files(REAL, folder, f"oam-buildings/scenes/{name}*", f"oam-buildings/labels/{name}*")
    assert call("check", folder, "--config", folder / "terraseg.toml")[0] == 0
    return next(folder.rglob("*.geojson"))


@pytest.mark.parametrize("name", ["catanduanes", "zanzibar"])
def test_labels_20_px_beside_what_they_show_are_a_problem_with_the_line_that_mends_them(
    tmp_path: Path, name: str
) -> None:
    project_of_drones(tmp_path, name)
    metres = 0.0735
    code, found = checked(tmp_path, "--set", f"data.shift=[{12 * metres}, {-16 * metres}]")
    assert code == 2
    (problem,) = found["problems"]
    assert "beside what they show" in problem
    assert "under [data]" in problem
    offer = found["settings"][0].partition("=")[2].strip()
    code, found = checked(tmp_path, "--set", f"data.shift={offer}")
    assert (code, found["problems"]) == (0, [])


@pytest.mark.parametrize("crs", ["32651", "3857"])
def test_labels_in_a_mislabelled_crs_are_a_problem_with_the_right_one(tmp_path: Path, crs: str) -> None:
    labels = project_of_drones(tmp_path)
    value = json.loads(labels.read_text())
    value["crs"] = {"type": "name", "properties": {"name": f"urn:ogc:def:crs:EPSG::{crs}"}}
    labels.write_text(json.dumps(value))
    code, found = checked(tmp_path)
    assert code == 2
    assert any("their coordinates look like EPSG:4326" in problem for problem in found["problems"])
