"""Several models averaged in one bundle."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray

from terraseg.core.classes import PALETTE, LandClass, Legend
from terraseg.core.modelspec import ModelSpec
from terraseg.engines.choose import fitting_engines, open_scorer
from terraseg.engines.onnx import open_onnx
from terraseg.errors import BadOption, BandMismatch, BrokenBundle, UnknownClass
from terraseg.export.ensemble import ensemble_bundle
from terraseg.export.onnx import onnx_bytes
from terraseg.forest.features import feature_count
from terraseg.forest.fit import as_trees, grow
from terraseg.forest.options import ForestOptions
from terraseg.forest.train import forest_onnx
from terraseg.nets.build import build_network
from terraseg.store.bundle import bundle_hash, onnx_path, read_spec, read_weights, write_bundle

OPTIONS = {"depth": 2, "width": 4}


def make_spec(network: str = "unet", **changes: Any) -> ModelSpec:
    legend = Legend(tuple(LandClass(k, f"class {k}", PALETTE[k]) for k in range(3)))
    bands = ("red", "green", "blue")
    spec = ModelSpec(network, legend, bands, "uint8", (90.0,) * 3, (50.0,) * 3, 0.5, 64, 16, 4, OPTIONS)
    return replace(spec, **changes)


def write_network(folder: Path, seed: int, **changes: Any) -> Path:
    torch.manual_seed(seed)
    spec = make_spec(**changes)
    network = build_network("unet", bands=len(spec.bands), classes=len(spec.legend), options=OPTIONS)
    weights = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    write_bundle(folder, spec, onnx=onnx_bytes(network, spec), weights=weights)
    return folder


def write_forest(folder: Path, **changes: Any) -> Path:
    random = np.random.default_rng(0)
    spec = make_spec("forest", stride=1, network_options={}, **changes)
    rows = random.normal(size=(600, feature_count(3))).astype(np.float32)
    labels = np.digitize(rows[:, 0], [-0.3, 0.3]).astype(np.uint8)
    forest = grow(rows, labels, np.ones(600), ForestOptions(trees=4), seed=0, threads=1)
    trees = as_trees(forest, 3)
    write_bundle(folder, spec, onnx=forest_onnx(trees, spec), weights=trees.arrays())
    return folder


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A forest at half resolution and two networks."""
    root = tmp_path_factory.mktemp("members")
    forest = write_forest(root / "forest", tile=96, overlap=24, reduction=2)
    return [forest, write_network(root / "one", 1), write_network(root / "two", 2, stride=6)]


def make_pixels(height: int = 37, width: int = 50) -> NDArray[np.uint8]:
    return np.random.default_rng(3).integers(0, 255, (2, 3, height, width)).astype("uint8")


def test_probabilities_are_the_members_mean(members: list[Path], tmp_path: Path) -> None:
    ensemble_bundle(members, tmp_path / "both")
    pixels = make_pixels()
    expected = np.mean([open_onnx(folder, threads=1).score(pixels) for folder in members], axis=0)
    found = open_onnx(tmp_path / "both", threads=1).score(pixels)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)


def test_weights_count_in_proportion(members: list[Path], tmp_path: Path) -> None:
    spec = ensemble_bundle(members[:2], tmp_path / "both", weights=(3, 1))
    pixels = make_pixels()
    one, two = (open_onnx(folder, threads=1).score(pixels) for folder in members[:2])
    found = open_onnx(tmp_path / "both", threads=1).score(pixels)
    np.testing.assert_allclose(found, 0.75 * one + 0.25 * two, atol=1e-5)
    assert [member["share"] for member in spec.provenance["members"]] == [0.75, 0.25]


def test_the_description_fits_all_members(members: list[Path], tmp_path: Path) -> None:
    spec = ensemble_bundle(members, tmp_path / "all")
    assert read_spec(tmp_path / "all") == spec
    assert (spec.network, spec.members) == ("ensemble", ("forest", "unet", "unet"))
    assert (spec.tile, spec.overlap, spec.stride, spec.reduction) == (96, 24, 12, 1)
    assert [m["hash"] for m in spec.provenance["members"]] == [bundle_hash(folder) for folder in members]
    np.testing.assert_allclose(read_weights(tmp_path / "all")["shares"], 1 / 3)
    onnx.checker.check_model(onnx.load(onnx_path(tmp_path / "all")), full_check=True)


def test_an_ensemble_can_be_a_member(members: list[Path], tmp_path: Path) -> None:
    ensemble_bundle(members[:2], tmp_path / "inner")
    spec = ensemble_bundle([tmp_path / "inner", members[2]], tmp_path / "outer", weights=(2, 1))
    assert spec.members == ("forest", "unet", "unet")
    pixels = make_pixels()
    expected = np.mean([open_onnx(folder, threads=1).score(pixels) for folder in members], axis=0)
    np.testing.assert_allclose(open_onnx(tmp_path / "outer", threads=1).score(pixels), expected, atol=1e-5)


def test_the_same_members_give_the_same_bytes(members: list[Path], tmp_path: Path) -> None:
    for name in ("a", "b"):
        ensemble_bundle(members, tmp_path / name)
    assert onnx_path(tmp_path / "a").read_bytes() == onnx_path(tmp_path / "b").read_bytes()


def test_engines_take_what_they_can_run(members: list[Path], tmp_path: Path) -> None:
    ensemble_bundle(members[:2], tmp_path / "mixed")
    ensemble_bundle(members[1:], tmp_path / "networks")
    pixels = make_pixels()
    for folder, fitting in ((members[0], ("onnx",)), (tmp_path / "mixed", ("onnx",))):
        assert fitting_engines(read_spec(folder)) == fitting
        assert open_scorer(folder, threads=1).device.startswith("ONNX Runtime")
        for engine in ("torch", "openvino"):
            with pytest.raises(BadOption, match=f"'{engine}' cannot run .* which holds decision trees: use onnx"):
                open_scorer(folder, engine=engine)
    networks = tmp_path / "networks"
    assert fitting_engines(read_spec(networks)) == ("onnx", "openvino")
    with pytest.raises(BadOption, match="several networks in one graph: use onnx or openvino"):
        open_scorer(networks, engine="torch")
    expected = open_onnx(networks, threads=1).score(pixels)
    np.testing.assert_allclose(open_scorer(networks, threads=1).score(pixels), expected, atol=1e-4)


OTHER_LEGEND = Legend(tuple(LandClass(k, f"kind {k}", PALETTE[k]) for k in range(3)))
Writer = Callable[[Path], Path]


@pytest.mark.parametrize(
    ("write", "error", "message"),
    [
        (lambda p: write_forest(p, legend=OTHER_LEGEND), UnknownClass, "0 class 0, 1 class 1, .* maps 0 kind 0"),
        (lambda p: write_forest(p, bands=("red", "green", "nir")), BandMismatch, "red, green, nir as uint8"),
        (lambda p: write_forest(p, dtype="uint16"), BandMismatch, "red, green, blue as uint16"),
        (lambda p: p, BrokenBundle, "no model folder"),
    ],
)
def test_members_that_do_not_fit_are_refused(
    members: list[Path], tmp_path: Path, write: Writer, error: type[Exception], message: str
) -> None:
    other = write(tmp_path / "other")
    with pytest.raises(error, match=message):
        ensemble_bundle([members[1], other], tmp_path / "both")
    assert not (tmp_path / "both").exists()


@pytest.mark.parametrize("weights", [(1,), (1, -1), (1, float("nan")), (0, 1)])
def test_weights_that_cannot_be_used_are_refused(members: list[Path], tmp_path: Path, weights: tuple[float]) -> None:
    with pytest.raises(BadOption, match="one number above zero for each"):
        ensemble_bundle(members[:2], tmp_path / "both", weights=weights)


def test_one_model_is_no_ensemble_and_none_is_overwritten(members: list[Path], tmp_path: Path) -> None:
    with pytest.raises(BadOption, match="an ensemble of 1 model"):
        ensemble_bundle(members[:1], tmp_path / "both")
    before = onnx_path(members[0]).read_bytes()
    with pytest.raises(BadOption, match="overwrite its member"):
        ensemble_bundle(members[:2], members[0])
    assert onnx_path(members[0]).read_bytes() == before


def test_a_member_in_other_operators_is_refused(members: list[Path], tmp_path: Path) -> None:
    model = onnx.load(onnx_path(members[1]))
    model.opset_import[0].version = 17
    write_bundle(tmp_path / "old", read_spec(members[1]), onnx=model.SerializeToString(), weights={})
    with pytest.raises(BrokenBundle, match="version 17, and ensembles are written in 18"):
        ensemble_bundle([tmp_path / "old", members[2]], tmp_path / "both")
