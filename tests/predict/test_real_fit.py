"""The look at the pixels on real imagery: what fits is never refused nor remarked on, and each planted fault is found."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from terraseg.core.classes import LandClass, Legend
from terraseg.core.dataset import Dataset, Imagery, LabelRule, Scene
from terraseg.core.grid import Grid
from terraseg.core.modelspec import ModelSpec
from terraseg.core.window import Window
from terraseg.errors import BandMismatch
from terraseg.predict.fit import judge_raster, settle
from terraseg.predict.sample import RasterSample, sample_raster
from terraseg.predict.values import Finding
from terraseg.prepare.fingerprint import band_facts
from terraseg.store.header import read_facts
from terraseg.store.raster import open_raster

REAL = Path(__file__).parents[3] / "shared" / "data"
pytestmark = pytest.mark.skipif(not REAL.exists(), reason="the shared real imagery is not there")

RGB = ("red", "green", "blue")
SITES = {
    "zanzibar": ["zanzibar_1"],
    "kathmandu": ["kathmandu_0", "kathmandu_1"],
    "catanduanes": ["catanduanes_0", "catanduanes_1"],
}


def oam(names: Iterable[str]) -> list[Imagery]:
    return [Imagery((str(REAL / f"oam-buildings/scenes/{name}.tif"),), RGB) for name in names]


def dubai(tile: int) -> list[Imagery]:
    return [Imagery((str(path),), RGB) for path in sorted((REAL / f"dubai/Tile {tile}/images").glob("*.jpg"))]


def cloud_patch() -> Imagery:
    bands = ("red", "green", "blue", "nir")
    stem = "patch_192_10_by_12_LC08_L1TP_002053_20160520_20170324_01_T1.TIF"
    return Imagery(tuple(str(REAL / f"clouds/38-cloud/{band}_{stem}") for band in bands), bands)


def landsat5() -> Imagery:
    path = str(REAL / "clouds/landsat5/landsat5.tif")
    return Imagery((path,), read_facts(path).bands)


def model_of(scenes: Sequence[Imagery], windows: Sequence[Window] | None = None) -> ModelSpec:
    """A model trained on scenes, as far as its bundle tells."""
    legend = Legend((LandClass(0, "a", "#000000"),))
    listed = []
    for number, imagery in enumerate(scenes):
        with open_raster(imagery) as reader:
            grid, dtype = reader.grid, reader.dtype
        train = (grid.window,) if windows is None else (windows[number],)
        listed.append(Scene(str(number), imagery, "labels", str(number), grid, train))
    bands = scenes[0].bands
    dataset = Dataset(tuple(listed), legend, LabelRule("ids", (("0",),)), bands, dtype)
    facts, imagery_facts = band_facts(dataset, [(scene, scene.train[0]) for scene in listed])
    means, stds = tuple(f.mean for f in facts), tuple(max(f.std, 1e-6) for f in facts)
    return ModelSpec("unet", legend, bands, dtype, means, stds, None, 64, 16, 8, imagery=imagery_facts)


@cache
def site_model(site: str) -> ModelSpec:
    return model_of(oam(SITES[site]))


@cache
def tile_model(tile: int) -> ModelSpec:
    return model_of(dubai(tile))


@dataclass(frozen=True)
class Patch:
    pixels: NDArray[Any]
    valid: NDArray[np.bool_]


@dataclass(frozen=True)
class Held:
    """A scene in memory, so that faults can be planted in it."""

    bands: tuple[str, ...]
    pixels: NDArray[Any]
    valid: NDArray[np.bool_]
    nodata: tuple[float | None, ...]

    @property
    def grid(self) -> Grid:
        return Grid(None, (1, 0, 0, 0, 1, 0), *self.valid.shape)

    @property
    def dtype(self) -> str:
        return str(self.pixels.dtype)

    def read(self, window: Window) -> Patch:
        return Patch(self.pixels[:, *window.slices], self.valid[window.slices])


@cache
def held(imagery: Imagery) -> Held:
    with open_raster(imagery) as reader:
        patch = reader.read(reader.grid.window)
        return Held(imagery.bands, patch.pixels, patch.valid, reader.nodata)


def findings(spec: ModelSpec, scene: Held) -> tuple[Finding, ...]:
    return judge_raster(spec, sample_raster(scene, spec.bands), dtype=scene.dtype, nodata=scene.nodata)


@cache
def seen(imagery: Imagery) -> RasterSample | None:
    return sample_raster(held(imagery), imagery.bands)


def alarms(spec: ModelSpec, scenes: Iterable[Imagery]) -> dict[str, tuple[Finding, ...]]:
    """What is found against untouched scenes of bytes, by file."""
    found = {i.paths[0]: judge_raster(spec, seen(i), dtype=spec.dtype, nodata=(None,) * 3) for i in scenes}
    return {path: what for path, what in found.items() if what}


def refusal(spec: ModelSpec, scene: Held) -> str:
    with pytest.raises(BandMismatch) as caught:
        settle(findings(spec, scene), refuse=True)
    return str(caught.value)


@pytest.mark.parametrize("site", SITES)
def test_no_site_raises_an_alarm_at_a_model_of_another(site: str) -> None:
    others = [name for other, names in SITES.items() if other != site for name in names]
    assert alarms(site_model(site), oam(others)) == {}


@pytest.mark.parametrize("tile", range(1, 7))
def test_no_tile_raises_an_alarm_at_a_model_of_another(tile: int) -> None:
    pictures = [i for other in range(1, 7) if other != tile for i in dubai(other)]
    assert len(pictures) == 45
    assert alarms(tile_model(tile), pictures) == {}


@pytest.mark.parametrize("make", [cloud_patch, landsat5])
def test_one_half_of_a_scene_raises_no_alarm_at_a_model_of_the_other(make: Any) -> None:
    imagery = make()
    scene = held(imagery)
    height, width = scene.valid.shape
    for first in (0, width // 2):
        spec = model_of([imagery], [Window(0, width // 2 - first, height, width // 2)])
        part = (slice(None), slice(None), slice(first, first + width // 2))
        half = replace(scene, pixels=scene.pixels[part], valid=scene.valid[part[1:]])
        assert findings(spec, half) == ()


def test_swapped_red_and_blue_are_remarked_on_where_the_ground_is_warm() -> None:
    """By colour alone, so a remark and no refusal; where training imagery is of all colours nothing can be said."""
    found = [
        finding
        for site in ("kathmandu", "catanduanes")
        for imagery in oam(SITES["zanzibar"])
        for finding in findings(site_model(site), replace(held(imagery), pixels=held(imagery).pixels[::-1]))
    ]
    assert found
    assert not any(finding.refused for finding in found)
    assert all("red and blue may be swapped" in finding.text for finding in found)
    assert 'input.bands=["blue", "green", "red"]' in found[0].text


def test_sixteen_bits_for_eight_are_refused() -> None:
    scene = held(oam(["zanzibar_1"])[0])
    text = refusal(site_model("kathmandu"), replace(scene, pixels=scene.pixels.astype(np.uint16) * 257))
    assert "uint16" in text
    assert "16 bit values where the model reads 8 bit" in text
    assert "gdal_translate -ot Byte -scale" in text


def test_eight_bits_in_a_wider_type_are_refused_with_the_plain_cure() -> None:
    scene = held(oam(["zanzibar_1"])[0])
    text = refusal(site_model("kathmandu"), replace(scene, pixels=scene.pixels.astype(np.uint16)))
    assert "only the type is not" in text
    assert "gdal_translate -ot Byte" in text
    assert "-scale" not in text


def test_eight_bits_for_sixteen_are_refused_whatever_the_type() -> None:
    imagery = cloud_patch()
    spec, scene = model_of([imagery]), held(imagery)
    reduced = np.clip(scene.pixels // 256, 0, 255)
    for pixels in (reduced.astype(np.uint8), reduced):
        assert "8 bit values where the model reads 16 bit" in refusal(spec, replace(scene, pixels=pixels))


@pytest.mark.parametrize(("factor", "words"), [(1e4, "-scale 0 10000 0 1"), (255, "divide the values")])
def test_reflectance_on_another_scale_is_refused(factor: float, words: str) -> None:
    imagery = landsat5()
    spec, scene = model_of([imagery]), held(imagery)
    text = refusal(spec, replace(scene, pixels=scene.pixels * np.float32(factor)))
    assert words in text
    assert "--fit warn" in text


def test_reflectance_as_a_fraction_for_ten_thousandths_is_refused() -> None:
    imagery = landsat5()
    scene = held(imagery)
    fractions = model_of([imagery])
    assert fractions.imagery is not None
    quantiles = tuple(tuple(v * 1e4 for v in band) for band in fractions.imagery.quantiles)
    spec = replace(fractions, imagery=replace(fractions.imagery, quantiles=quantiles))
    assert "multiply it by 10,000" in refusal(spec, scene)
    text = refusal(replace(spec, dtype="uint16"), scene)
    assert "gdal_translate -ot UInt16 -scale 0 1 0 10000" in text


def test_whole_numbers_of_another_width_are_taken_as_they_are() -> None:
    imagery = landsat5()
    scene = held(imagery)
    spec = model_of([imagery])
    assert spec.imagery is not None
    quantiles = tuple(tuple(round(v * 1e4) for v in band) for band in spec.imagery.quantiles)
    spec = replace(spec, dtype="uint16", imagery=replace(spec.imagery, quantiles=quantiles))
    (note,) = findings(spec, replace(scene, pixels=np.rint(scene.pixels * 1e4).astype(np.int16)))
    assert "pixels are int16 and the model reads uint16: the values are taken as they are" in note.text


@pytest.mark.parametrize("declared", [None, 255.0])
def test_black_ground_without_imagery_is_refused_with_its_nodata_value(declared: float | None) -> None:
    """Nodata that was lost, or declared as another value than the one that was written."""
    scene = held(oam(["zanzibar_1"])[0])
    pixels = scene.pixels.copy()
    pixels[:, :600] = 0
    text = refusal(site_model("kathmandu"), replace(scene, pixels=pixels, nodata=(declared,) * 3))
    assert "--set input.nodata=0" in text
    assert "gdal_edit.py -a_nodata 0" in text
    assert ("nodata is declared as 255" in text) == (declared is not None)


def test_an_undeclared_fill_far_from_all_values_is_refused_wherever_it_lies() -> None:
    imagery = landsat5()
    spec, scene = model_of([imagery]), held(imagery)
    pixels = scene.pixels.copy()
    pixels[:, 100:140, 100:140] = -9999
    assert "--set input.nodata=-9999" in refusal(spec, replace(scene, pixels=pixels))
    pixels[:, 100:140, 100:140] = -3.4e38
    assert "--set input.nodata=-3.4e+38" in refusal(spec, replace(scene, pixels=pixels))


def test_a_nodata_value_amid_the_imagery_is_refused() -> None:
    scene = held(oam(["catanduanes_0"])[0])
    grey = replace(scene, pixels=np.repeat(scene.pixels[1:2], 3, axis=0))
    value = float(np.median(grey.pixels))
    holes = replace(grey, valid=scene.valid & (grey.pixels[0] != value), nodata=(value,) * 3)
    assert "gdal_edit.py -unsetnodata" in refusal(site_model("kathmandu"), holes)


def test_a_warning_lets_a_refused_raster_pass() -> None:
    imagery = landsat5()
    scene = held(imagery)
    found = findings(model_of([imagery]), replace(scene, pixels=scene.pixels * np.float32(1e4)))
    (note,) = settle(found, refuse=False)
    assert re.search("reflectance scaled by 10,000", note)
