"""Exact maps: tiles with the halo that a model needs give what one pass over the whole raster gives."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from terraseg.core.modelspec import ModelSpec
from terraseg.core.scale import Scale
from terraseg.errors import BadOption
from terraseg.pixels.tiling import tile_order
from terraseg.predict import exact
from terraseg.predict.budget import plan_lattice
from terraseg.predict.exact import exact_halo
from terraseg.predict.options import PredictOptions
from terraseg.predict.resampling import rescaled
from terraseg.predict.sweep import predict_raster
from terraseg.predict.tiles import read_tile
from terraseg.store.classmap import read_class_map

RADIUS = 2 + 4 * 3
"""What the network below sees around a pixel: a convolution of 5, and one of 5 on fourths, which may lie anywhere in theirs."""


@dataclass
class SmallNetwork:
    """A network of numpy with zero padding, a stride of four and, if wanted, global pooling."""

    spec: ModelSpec
    pooled: bool = False
    device: str = "numpy"

    def score(self, batch: NDArray[Any]) -> NDArray[np.float32]:
        return np.stack([self._one(image) for image in batch])

    def _one(self, image: NDArray[Any]) -> NDArray[np.float32]:
        rng = np.random.default_rng(5)
        height, width = image.shape[1:]
        x = (image.astype(np.float32) - 128) / 128
        pads = ((0, 0), (0, -height % 4), (0, -width % 4))
        x = np.pad(x, pads, mode="symmetric")
        fine = [ndimage.convolve(band, rng.standard_normal((5, 5)), mode="constant") for band in x]
        coarse = x.reshape(len(x), x.shape[1] // 4, 4, x.shape[2] // 4, 4).mean(axis=(2, 4))
        coarse = np.stack([ndimage.convolve(band, rng.standard_normal((5, 5)), mode="constant") for band in coarse])
        logits = np.stack([fine[0], fine[1], np.zeros_like(fine[0])])
        logits[2] += 2 * np.kron(coarse[0] + coarse[1], np.ones((4, 4)))
        if self.pooled:
            logits[0] += 5 * x.mean()
        exponent = np.exp(logits - logits.max(axis=0))
        return np.asarray((exponent / exponent.sum(axis=0))[:, :height, :width], dtype=np.float32)


@pytest.fixture(autouse=True)
def _small_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exact, "SIDES", (64, 128, 256))


def test_the_halo_is_what_the_network_sees_and_a_stride(make_source: Any, make_spec: Any) -> None:
    halo = exact_halo(make_source(300, 300), SmallNetwork(make_spec()))
    assert RADIUS - 4 <= halo <= RADIUS + 8
    assert halo % 4 == 0


def test_a_network_that_sees_everything_is_refused(make_source: Any, make_spec: Any, tmp_path: Path) -> None:
    network = SmallNetwork(make_spec(), pooled=True)
    with pytest.raises(BadOption, match=r"exact = true cannot be kept.*global pooling"):
        predict_raster(make_source(300, 300), network, tmp_path / "map.tif", options=PredictOptions(exact=True))
    assert list(tmp_path.iterdir()) == []


@given(st.integers(1, 170), st.integers(1, 170), st.integers(0, 60))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_tiles_with_their_halo_equal_the_whole(
    make_source: Any, make_spec: Any, height: int, width: int, more: int
) -> None:
    source, network = make_source(height, width), SmallNetwork(make_spec())
    halo = 20
    lattice = plan_lattice(source.grid, network.spec, PredictOptions(tile=2 * halo + 4 + more, exact=True), halo)
    whole = network.score(source.pixels[None])[0]
    for place in tile_order(lattice.region):
        tile = read_tile(source, lattice, network.spec, place)
        assert tile.pixels is not None
        cell = lattice.cell(*place)
        scores = network.score(tile.pixels[None])[0][:, : tile.window.height, : tile.window.width]
        own = scores[:, *cell.shifted(-tile.window.row, -tile.window.col).slices]
        if min(height, width) >= lattice.rows.tile:
            assert np.abs(own - whole[:, *cell.slices]).max() < 1e-5


def test_an_exact_map_is_the_whole_passes_map_and_says_how_exact(
    tmp_path: Path, make_source: Any, make_spec: Any
) -> None:
    source, network = make_source(230, 310), SmallNetwork(make_spec())
    source.valid[60:90, 100:140] = False
    summary = predict_raster(source, network, tmp_path / "map.tif", options=PredictOptions(exact=True))
    filled = source.pixels.copy()
    for band, mean in zip(filled, network.spec.mean, strict=True):
        band[~source.valid] = round(mean)
    whole = network.score(filled[None])[0]
    ranked = np.sort(whole, axis=0)
    clear = (ranked[-1] - ranked[-2] > 2e-4) & source.valid
    with read_class_map(tmp_path / "map.tif") as reader:
        ids = reader.read(reader.grid.window)
    assert np.array_equal(ids[clear], np.array([2, 5, 9])[whole.argmax(axis=0)][clear])
    assert summary.seams.worst < 1e-4
    assert any(note.startswith("exact: tiles differ at their borders by") for note in summary.notes)


@pytest.mark.parametrize("size", [(230, 310), (231, 305)])
def test_an_exact_map_of_resampled_pixels_is_the_whole_passes_map(
    tmp_path: Path, make_source: Any, make_spec: Any, size: tuple[int, int]
) -> None:
    """Also where the raster's sides are no whole number of the model's pixels."""
    scale = Scale(Fraction(3, 2), Fraction(2))
    scorer = rescaled(SmallNetwork(make_spec()), scale, None)
    source = make_source(*size)
    summary = predict_raster(source, scorer, tmp_path / "map.tif", options=PredictOptions(exact=True))
    assert summary.tiles > 4
    whole = scorer.score(source.pixels[None])[0]
    ranked = np.sort(whole, axis=0)
    clear = ranked[-1] - ranked[-2] > 2e-4
    with read_class_map(tmp_path / "map.tif") as reader:
        ids = reader.read(reader.grid.window)
    assert np.array_equal(ids[clear], np.array([2, 5, 9])[whole.argmax(axis=0)][clear])
    assert summary.seams.worst < 1e-4


def test_a_blended_map_of_the_same_network_is_not_the_whole_passes(
    tmp_path: Path, make_source: Any, make_spec: Any
) -> None:
    """Without --exact the test above would fail: it proves something."""
    source, network = make_source(230, 310), SmallNetwork(make_spec())
    predict_raster(source, network, tmp_path / "map.tif")
    whole = network.score(source.pixels[None])[0]
    with read_class_map(tmp_path / "map.tif") as reader:
        ids = reader.read(reader.grid.window)
    assert (ids != np.array([2, 5, 9])[whole.argmax(axis=0)]).mean() > 1e-3
