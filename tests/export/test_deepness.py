"""The Deepness file, opened and run by the plugin's rules, against the model itself."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from terraseg.core.classes import PALETTE, LandClass, Legend
from terraseg.engines.onnx import open_onnx
from terraseg.errors import BandMismatch, BrokenBundle
from terraseg.export.deepness import deepness_bytes, deepness_metadata, write_deepness
from terraseg.export.ensemble import ensemble_bundle
from terraseg.store.bundle import read_spec

MakeBundle = Callable[..., Path]


@dataclass(frozen=True)
class Plugin:
    """A model as Deepness holds it once it is loaded."""

    session: onnxruntime.InferenceSession
    metadata: dict[str, Any]
    class_names: list[list[str]]
    bands: int
    size: int

    def classes(self, tiles: NDArray[Any]) -> list[NDArray[np.int64]]:
        """The class of each pixel (n, height, width) of raw tiles (n, height, width, bands), for every output."""
        scaled = np.float32(tiles[..., : self.bands] * 1.0 / 255.0)
        mean, std = (np.array(self.metadata[f"standardization_{kind}"], dtype=np.float32) for kind in ("mean", "std"))
        inputs = ((scaled - mean) / std).transpose(0, 3, 1, 2)
        name = self.session.get_inputs()[0].name
        found = []
        for result in self.session.run(None, {name: inputs}):
            result[result < self.metadata["seg_thresh"]] = 0.0
            found.append(result.argmax(axis=1))
        return found


def load(content: bytes) -> Plugin:
    """The model as the plugin loads it, or an assertion that says which of its rules is broken."""
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    inputs, outputs = session.get_inputs(), session.get_outputs()
    assert len(inputs) == 1, "one input"
    assert inputs[0].type == "tensor(float)"
    batch, bands, height, width = inputs[0].shape
    assert isinstance(batch, str), "a free batch has a name"
    assert isinstance(bands, int)
    assert isinstance(width, int)
    assert height == width, "tiles are square"
    metadata = {key: json.loads(value) for key, value in session.get_modelmeta().custom_metadata_map.items()}
    assert str(metadata["model_type"]).capitalize() == "Segmentor"
    names = metadata["class_names"]
    names = [names] if isinstance(names, dict) else names
    for output, by_channel in zip(outputs, names, strict=True):
        assert len(output.shape) == 4
        assert output.shape[2:] == [height, width]
        assert sorted(map(int, by_channel)) == list(range(output.shape[1])), "channels are numbered from 0 on"
    assert len(metadata["standardization_mean"]) == len(metadata["standardization_std"]) == bands
    assert isinstance(metadata["tiles_overlap"], int)
    ordered = [[part[str(channel)] for channel in range(len(part))] for part in names]
    return Plugin(session, metadata, ordered, bands, width)


def noise(dtype: str, *shape: int) -> NDArray[Any]:
    """Smooth blobs and pixel noise over the whole range of a type."""
    generator = np.random.default_rng(5)
    coarse = generator.random((shape[0], shape[1] // 8, shape[2] // 8, shape[3])).repeat(8, 1).repeat(8, 2)
    values = 0.7 * coarse + 0.3 * generator.random(shape)
    limits = np.iinfo(dtype)
    return (limits.min + values * (float(limits.max) - limits.min)).astype(dtype)


def own_probabilities(folder: Path, tiles: NDArray[Any]) -> NDArray[np.float32]:
    return open_onnx(folder, threads=1).score(np.ascontiguousarray(tiles.transpose(0, 3, 1, 2)))


def test_the_plugin_reads_names_sizes_and_resolution(bundle: Path) -> None:
    plugin = load(deepness_bytes(bundle))
    assert plugin.class_names == [["bare soil", "Häuser", "road"]]
    assert (plugin.bands, plugin.size) == (3, 64)
    assert plugin.metadata["resolution"] == 25
    assert plugin.metadata["tiles_size"] == plugin.metadata["tile_size"] == 64
    assert plugin.metadata["tiles_overlap"] == 25
    np.testing.assert_allclose(plugin.metadata["standardization_mean"], np.array([90.25, 101.5, 77.0]) / 255)
    np.testing.assert_allclose(plugin.metadata["standardization_std"], np.array([50.5, 31.0, 64.0]) / 255)


def check_agreement(folder: Path) -> None:
    """Asserts that the plugin maps noise over the whole range of the pixels as the model does, to the last pixel."""
    plugin, tiles = load(deepness_bytes(folder)), noise(read_spec(folder).dtype, 3, 64, 64, 3)
    expected = own_probabilities(folder, tiles).argmax(axis=1)
    assert len(np.unique(expected)) > 1, "where one class wins all, little is proved"
    np.testing.assert_array_equal(plugin.classes(tiles)[0], expected)


def test_the_plugin_maps_the_model_s_own_classes(bundle: Path) -> None:
    check_agreement(bundle)


def test_the_scaling_of_16_bit_models_is_folded_in(deep_bundle: Path, tmp_path: Path, new_bundle: MakeBundle) -> None:
    check_agreement(deep_bundle)
    scaling = {"mean": (-900.0, 4_000.0, 0.25), "std": (9_000.0, 7_000.0, 8_000.0)}
    check_agreement(new_bundle(tmp_path / "signed", dtype="int16", **scaling))


def test_further_bands_of_a_layer_are_left_out_by_the_plugin(bundle: Path) -> None:
    plugin, tiles = load(deepness_bytes(bundle)), noise("uint8", 1, 64, 64, 4)
    (found,) = plugin.classes(tiles)
    np.testing.assert_array_equal(found, own_probabilities(bundle, tiles[..., :3]).argmax(axis=1))


def test_an_ensemble_s_members_keep_their_own_scaling(tmp_path: Path, bundle: Path, second_bundle: Path) -> None:
    ensemble_bundle([bundle, second_bundle], tmp_path / "both")
    check_agreement(tmp_path / "both")


def test_two_classes_from_one_logit_and_a_reduced_resolution(tmp_path: Path, new_bundle: MakeBundle) -> None:
    two = Legend(tuple(LandClass(k, f"class {k}", PALETTE[k]) for k in range(2)))
    folder = new_bundle(tmp_path / "model", legend=two, outputs=1, reduction=2, stride=8, gsd_m=None)
    check_agreement(folder)
    assert "resolution" not in load(deepness_bytes(folder)).metadata, "what is not known is left to the user"


def test_overlapping_classes_are_an_output_each(overlapping_bundle: Path) -> None:
    plugin, tiles = load(deepness_bytes(overlapping_bundle)), noise("uint8", 2, 64, 64, 3)
    assert plugin.class_names[1] == ["not Häuser", "Häuser"]
    expected = own_probabilities(overlapping_bundle, tiles) > 0.5
    assert 0 < expected.mean() < 1
    np.testing.assert_array_equal(np.stack(plugin.classes(tiles), axis=1), expected)


def test_the_overlap_is_at_least_the_model_s(bundle: Path) -> None:
    for tile, overlap in ((64, 1), (96, 32), (512, 511)):
        spec = replace(read_spec(bundle), tile=tile, overlap=overlap)
        percent = json.loads(deepness_metadata(spec)["tiles_overlap"])
        assert 0 < percent <= 100
        assert tile * percent / 100 >= overlap


def test_the_same_model_gives_the_same_file_and_stays_as_it_was(bundle: Path, tmp_path: Path) -> None:
    before = {path.name: path.read_bytes() for path in bundle.iterdir()}
    path = write_deepness(bundle, tmp_path / "new folder" / "town.onnx")
    assert path.read_bytes() == deepness_bytes(bundle)
    assert [p.name for p in path.parent.iterdir()] == ["town.onnx"]
    assert {p.name: p.read_bytes() for p in bundle.iterdir()} == before


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint32"])
def test_pixels_that_the_plugin_does_not_read_are_refused(
    tmp_path: Path, bundle: Path, respecified: MakeBundle, dtype: str
) -> None:
    folder = respecified(tmp_path / "model", bundle, dtype=dtype)
    with pytest.raises(BandMismatch, match=f"for {dtype} pixels, and Deepness reads uint8, uint16, int16 only"):
        write_deepness(folder, tmp_path / "out.onnx")
    assert not (tmp_path / "out.onnx").exists()


def test_a_folder_that_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BrokenBundle, match="no model folder"):
        deepness_bytes(tmp_path / "nowhere")
