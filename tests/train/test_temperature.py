"""The temperature that a trained network gets: honest on unseen pixels, and no pixel changes its class."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from terraseg.core.dataset import Dataset
from terraseg.core.fingerprint import Fingerprint
from terraseg.core.joint import joined
from terraseg.core.modelspec import ModelSpec
from terraseg.core.plan import Plan
from terraseg.errors import BrokenBundle
from terraseg.export.onnx import onnx_bytes
from terraseg.nets.scoring import Scoring
from terraseg.pixels.calibration import calibration_error
from terraseg.store.rundir import RunFolder
from terraseg.train.temperature import with_temperature
from terraseg.train.trained import TrainedModel
from tests.makers import make_spec
from tests.train.conftest import SceneMaker, dataset_of, facts_of

LOUD = 6.0


class Loud(nn.Module):
    """Logits of the first band alone, several times what the pixels bear out."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 2, 1)
        with torch.no_grad():
            self.layer.weight.zero_()
            self.layer.bias.zero_()  # type: ignore[union-attr]
            self.layer.weight[1, 0] = LOUD

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)  # type: ignore[no-any-return]


@pytest.fixture
def model(make: SceneMaker) -> tuple[TrainedModel, Dataset, Fingerprint]:
    """Labels drawn by chance from the logits that the network should have had."""
    random = np.random.default_rng(0)
    pixels = random.integers(40, 200, (3, 96, 192)).astype("uint8")
    honest = (pixels[0].astype(np.float64) - 120) / 40
    labels = random.random(honest.shape) < 1 / (1 + np.exp(-honest))
    easy = make.easy()
    scene = make.scene("chance", pixels, labels, train=easy.train, validation=[replace(easy.validation[0], width=128)])
    dataset = dataset_of(scene)
    facts = facts_of(dataset)
    spec = ModelSpec(
        "loud", dataset.legend, dataset.bands, "uint8", (120.0,) * 3, (40.0,) * 3, 0.5, 64, 8, 4, provenance={"seed": 3}
    )
    return TrainedModel(Loud().eval(), spec), dataset, facts


def ask(model: tuple[TrainedModel, Dataset, Fingerprint], plan: Plan, folder: Path) -> TrainedModel:
    return with_temperature(*model, plan, RunFolder(folder))


def test_a_loud_network_is_brought_down_to_what_it_knows(
    model: tuple[TrainedModel, Dataset, Fingerprint], plan: Plan, tmp_path: Path
) -> None:
    found = ask(model, plan, tmp_path / "run")
    assert found.spec.temperature == pytest.approx(LOUD, rel=0.1)
    report = found.spec.provenance["calibration"]
    assert report["held_out_error_after"] < report["held_out_error_before"] / 4
    assert found.spec.provenance["seed"] == 3
    assert ask(model, plan, tmp_path / "again").spec == found.spec


def test_the_exported_graph_is_calibrated_and_maps_the_same(
    model: tuple[TrainedModel, Dataset, Fingerprint], plan: Plan, tmp_path: Path
) -> None:
    found = ask(model, plan, tmp_path / "run")
    unseen = np.random.default_rng(1).integers(40, 200, (1, 3, 120, 120)).astype("uint8")
    honest = 1 / (1 + np.exp(-(unseen[0, 0].astype(np.float64) - 120) / 40))
    truth = np.random.default_rng(2).random(honest.shape) < honest
    graph = onnxruntime.InferenceSession(onnx_bytes(found.network, found.spec), providers=["CPUExecutionProvider"])
    with torch.no_grad():
        loud, calm = (Scoring(found.network, m.spec)(torch.from_numpy(unseen)).numpy() for m in (model[0], found))
    scores = graph.run(None, {"image": unseen})[0]
    np.testing.assert_allclose(scores, calm, atol=1e-5)
    np.testing.assert_array_equal(scores.argmax(axis=1), loud.argmax(axis=1))
    errors = [
        calibration_error(each[0].max(axis=0).ravel(), (each[0].argmax(axis=0) == truth).ravel())
        for each in (loud, scores)
    ]
    assert errors[1] < errors[0] / 4


def test_a_modest_network_is_left_as_it_is(
    model: tuple[TrainedModel, Dataset, Fingerprint], plan: Plan, tmp_path: Path
) -> None:
    trained, dataset, facts = model
    quiet = Loud()
    with torch.no_grad():
        quiet.layer.weight /= 2 * LOUD
    found = with_temperature(
        TrainedModel(quiet.eval(), trained.spec), dataset, facts, plan, RunFolder(tmp_path / "run")
    )
    assert found.spec.temperature == 1
    report = found.spec.provenance["calibration"]
    assert report["fitted"] == pytest.approx(0.5, rel=0.1)
    assert report["held_out_error_after"] == report["held_out_error_before"]


def test_without_validation_nothing_is_fitted(
    model: tuple[TrainedModel, Dataset, Fingerprint], plan: Plan, tmp_path: Path
) -> None:
    trained, dataset, facts = model
    bare = replace(dataset, scenes=tuple(replace(scene, validation=()) for scene in dataset.scenes))
    assert with_temperature(trained, bare, facts, plan, RunFolder(tmp_path / "run")) is trained


def test_overlapping_classes_are_fitted_each_by_itself(make: SceneMaker, plan: Plan, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    pixels = random.integers(40, 200, (3, 96, 192)).astype("uint8")
    honest = (pixels[0].astype(np.float64) - 120) / 40
    bits = [random.random(honest.shape) < share for share in (0.5, 1 / (1 + np.exp(-honest)))]
    easy = make.easy()
    scene = make.scene("both", pixels, bits[0] + 2 * bits[1], validation=[replace(easy.validation[0], width=128)])
    dataset = dataset_of(scene)
    rule = replace(dataset.rule, values=(("1", "3"), ("2", "3")), overlapping=True)
    dataset = replace(dataset, rule=rule)
    spec = ModelSpec(
        "loud", dataset.legend, dataset.bands, "uint8", (120.0,) * 3, (40.0,) * 3, 0.5, 64, 8, 4, overlapping=True
    )
    found = with_temperature(
        TrainedModel(Loud().eval(), spec), dataset, facts_of(dataset), plan, RunFolder(tmp_path / "r")
    )
    assert found.spec.temperature == pytest.approx(LOUD, rel=0.1)


def test_bundles_of_before_have_the_temperature_1_and_ensembles_keep_it() -> None:
    spec = make_spec(temperature=2.5)
    value = spec.to_json()
    assert ModelSpec.from_json(value) == spec
    del value["temperature"]
    assert ModelSpec.from_json(value).temperature == 1
    # The members of an ensemble cool their logits themselves.
    assert joined([Path("a"), Path("b")], [spec, spec]).temperature == 1
    with pytest.raises(BrokenBundle, match="the temperature 0"):
        make_spec(temperature=0)
