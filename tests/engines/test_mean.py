"""Several models as one scorer."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from terraseg.core.classes import PALETTE, LandClass, Legend
from terraseg.core.modelspec import ModelSpec
from terraseg.core.scorer import Scorer
from terraseg.engines.choose import open_scorers
from terraseg.engines.mean import mean_scorer
from terraseg.engines.onnx import open_onnx
from terraseg.engines.options import EngineOptions
from terraseg.errors import BadOption, BandMismatch, UnknownClass

LEGEND = Legend(tuple(LandClass(k, f"class {k}", PALETTE[k]) for k in range(3)))
SPEC = ModelSpec("toy", LEGEND, ("a",), "uint8", (80.0,), (40.0,), 0.5, 64, 16, 8)


@dataclass
class Constant:
    """The same probabilities everywhere."""

    values: tuple[float, ...]
    spec: ModelSpec = SPEC
    device: str = "toy"
    torches: bool = False

    def score(self, batch: NDArray[Any]) -> Any:
        shape = (len(batch), 3, *batch.shape[2:])
        scores = np.broadcast_to(np.array(self.values, dtype=np.float32)[:, None, None], shape).copy()
        return torch.from_numpy(scores) if self.torches else scores


BATCH = np.zeros((2, 1, 5, 7), dtype=np.uint8)


def joined(*members: Scorer) -> Scorer:
    return mean_scorer([Path(f"m{number}") for number in range(len(members))], members)


def test_probabilities_are_the_plain_mean() -> None:
    scorer = joined(Constant((0.2, 0.3, 0.5)), Constant((0.6, 0.3, 0.1)), Constant((0.1, 0.9, 0.0)))
    found = scorer.score(BATCH)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[1, :, 4, 6], [0.3, 0.5, 0.2], atol=1e-6)
    assert scorer.device == "3 models on toy"


def test_one_model_is_itself() -> None:
    alone = Constant((1.0, 0.0, 0.0))
    assert joined(alone) is alone


def test_members_on_unlike_devices_meet_on_the_host() -> None:
    both = joined(Constant((0.2, 0.3, 0.5)), Constant((0.4, 0.3, 0.3), torches=True)).score(BATCH)
    assert isinstance(both, np.ndarray)
    np.testing.assert_allclose(both[0, :, 0, 0], [0.3, 0.3, 0.4], atol=1e-6)
    alike: Any = joined(*[Constant((0.2, 0.3, 0.5), torches=True)] * 2).score(BATCH)
    assert isinstance(alike, torch.Tensor)


def test_tile_overlap_and_stride_suit_every_member() -> None:
    other = replace(SPEC, tile=96, overlap=12, stride=12)
    spec = joined(Constant((1.0, 0.0, 0.0)), Constant((1.0, 0.0, 0.0), spec=other)).spec
    assert (spec.tile, spec.overlap, spec.stride) == (96, 16, 24)
    assert spec.members == ("toy", "toy")


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"legend": Legend(LEGEND.classes[::-1])}, UnknownClass, "m1 maps 2 class 2, 1 class 1, 0 class 0"),
        ({"bands": ("b",)}, BandMismatch, "m0 reads a as uint8, and m1 reads b as uint8"),
        ({"dtype": "uint16"}, BandMismatch, "m1 reads a as uint16"),
        ({"overlapping": True}, UnknownClass, "the classes of m1 overlap"),
    ],
)
def test_models_that_do_not_fit_together_are_refused(
    change: dict[str, Any], error: type[Exception], message: str
) -> None:
    other = Constant((1.0, 0.0, 0.0), spec=replace(SPEC, **change))
    with pytest.raises(error, match=message):
        joined(Constant((1.0, 0.0, 0.0)), other)


def test_bundles_are_opened_averaged_and_looked_at_in_views(bundle: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (1, 3, 32, 32)).astype(np.uint8)
    opened = open_scorers([bundle, bundle], EngineOptions("onnx", tta="flips"))
    single = open_onnx(bundle)
    flips = [(slice(None, None, a), slice(None, None, b)) for a in (1, -1) for b in (1, -1)]
    expected = np.mean([single.score(pixels[..., r, c])[..., r, c] for r, c in flips], axis=0)
    np.testing.assert_allclose(opened.scorer.score(pixels), expected, atol=1e-5)
    assert opened.scorer.device.startswith("2 models on ONNX Runtime")
    assert opened.scorer.device.endswith("4 views of each tile")
    assert (opened.engines, opened.reason) == ("onnx", "as asked for")
    with pytest.raises(BadOption, match="pass --model"):
        open_scorers([], EngineOptions())
