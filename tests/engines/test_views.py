"""Test-time augmentation against its definition, in numpy and on torch's arrays."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from terraseg.core.classes import PALETTE, LandClass, Legend
from terraseg.core.modelspec import ModelSpec
from terraseg.engines.options import Augmentation
from terraseg.engines.views import D4, FLIPS, VIEWS, ViewsScorer, views_cost, with_views
from terraseg.errors import BandMismatch
from terraseg.pixels.resample import resampled

LEGEND = Legend(tuple(LandClass(k, f"class {k}", PALETTE[k]) for k in range(2)))
BLUR: NDArray[np.float32] = (np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1]]) / 16).astype(np.float32)


def make_spec(dtype: str = "uint8") -> ModelSpec:
    return ModelSpec("toy", LEGEND, ("a", "b"), dtype, (80.0,) * 2, (40.0,) * 2, None, 64, 8, 8)


@dataclass
class Toy:
    """Two classes from a 3 x 3 filter of the first band and the second as it is; `tilt` makes left differ from right."""

    spec: ModelSpec = field(default_factory=make_spec)
    kernel: NDArray[np.float32] = field(default_factory=lambda: BLUR)
    tilt: float = 0.0
    torches: bool = False
    device: str = "toy"
    shapes: list[tuple[int, ...]] = field(default_factory=list)

    def score(self, batch: NDArray[Any]) -> Any:
        self.shapes.append(batch.shape)
        around = np.pad(batch[:, 0].astype(np.float32), ((0, 0), (1, 1), (1, 1)), mode="edge")
        height, width = batch.shape[2:]
        places = ((r, c) for r in range(3) for c in range(3))
        filtered = sum(self.kernel[r, c] * around[:, r : r + height, c : c + width] for r, c in places)
        first = (filtered + batch[:, 1]) / 510 + self.tilt * np.linspace(-1, 1, width, dtype=np.float32)
        scores = np.stack([first, 1 - first], axis=1).astype(np.float32)
        return torch.from_numpy(scores) if self.torches else scores


def make_batch(height: int = 24, width: int = 40, dtype: str = "uint8") -> NDArray[Any]:
    return np.random.default_rng(0).integers(0, 255, (2, 2, height, width)).astype(dtype)


def test_views_of_a_symmetric_scorer_change_nothing() -> None:
    batch = make_batch()
    plain = Toy().score(batch)
    for tta in ("flips", "d4"):
        np.testing.assert_allclose(with_views(Toy(), tta).score(batch), plain, atol=1e-6)


def test_d4_is_the_mean_of_eight_distinct_symmetries_written_out() -> None:
    kernel = np.random.default_rng(1).uniform(0, 0.2, (3, 3)).astype(np.float32)
    scorer, batch = Toy(kernel=kernel, tilt=0.3), make_batch(16, 16)
    expected = []
    for turns in range(4):
        turned = np.rot90(batch, turns, axes=(2, 3))
        expected.append(np.rot90(scorer.score(turned), -turns, axes=(2, 3)))
        mirrored = scorer.score(turned[..., ::-1])[..., ::-1]
        expected.append(np.rot90(mirrored, -turns, axes=(2, 3)))
    assert len({e.tobytes() for e in expected}) == 8, "eight views that differ"
    np.testing.assert_allclose(with_views(scorer, "d4").score(batch), np.mean(expected, axis=0), atol=1e-6)


@pytest.mark.parametrize("tta", ["flips", "d4"])
def test_what_a_scorer_says_does_not_depend_on_how_the_image_lies(tta: Augmentation) -> None:
    """Averaging over a group makes any scorer turn with its image."""
    kernel = np.random.default_rng(2).uniform(0, 0.2, (3, 3)).astype(np.float32)
    scorer = with_views(Toy(kernel=kernel, tilt=0.2), tta)
    batch = make_batch()
    for view in VIEWS[tta]:
        turned = np.rot90(batch, view.turns, (2, 3))
        turned = turned[..., ::-1] if view.mirrored else turned
        scores = scorer.score(np.ascontiguousarray(turned))
        back = np.rot90(scores[..., ::-1] if view.mirrored else scores, -view.turns, (2, 3))
        np.testing.assert_allclose(back, scorer.score(batch), atol=1e-6)


def test_scales_are_scored_at_sizes_the_model_likes_and_brought_back() -> None:
    scorer, batch = Toy(), make_batch(32, 64)
    found = with_views(scorer, "d4+scales").score(batch)
    assert set(scorer.shapes) == {
        (2, 2, *size) for size in ((32, 64), (64, 32), (24, 48), (48, 24), (40, 80), (80, 40))
    }
    assert len(scorer.shapes) == 24
    expected = [Toy().score(batch)]
    for height, width in ((24, 48), (40, 80)):
        pixels = np.rint(resampled(batch, height, width)).astype(np.uint8)
        expected.append(resampled(Toy().score(pixels), 32, 64))
    np.testing.assert_allclose(found, np.mean(expected, axis=0), atol=1e-5)


def test_sixteen_bit_and_float_pixels_keep_their_type() -> None:
    for dtype in ("uint16", "float32"):
        scorer = Toy(spec=make_spec(dtype))
        found = with_views(scorer, "d4+scales").score(make_batch(24, 24, dtype))
        assert found.dtype == np.float32
        with pytest.raises(BandMismatch, match="pixels for a model of"):
            with_views(scorer, "flips").score(make_batch(24, 24, "uint8"))


@pytest.mark.parametrize("tta", ["flips", "d4", "d4+scales"])
def test_arrays_of_torch_stay_torch_s(tta: Augmentation) -> None:
    """What a GPU scored is averaged on it."""
    batch = make_batch()
    found: Any = with_views(Toy(tilt=0.1, torches=True), tta).score(batch)
    assert isinstance(found, torch.Tensor)
    np.testing.assert_allclose(found.numpy(), with_views(Toy(tilt=0.1), tta).score(batch), atol=1e-6)


def test_views_are_what_they_are_called() -> None:
    assert len(set(D4)) == 8
    assert set(FLIPS) < set(D4)
    assert {tta: len(views) for tta, views in VIEWS.items()} == {"none": 1, "flips": 4, "d4": 8, "d4+scales": 24}
    assert views_cost("flips") == 4
    toy = Toy()
    assert with_views(toy, "none") is toy
    augmented = with_views(toy, "d4")
    assert isinstance(augmented, ViewsScorer)
    assert augmented.device == "toy, 8 views of each tile"
    assert augmented.spec == toy.spec
