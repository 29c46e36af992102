"""Settings by plain name find their table, and what cannot be meant is refused."""

from dataclasses import fields, replace
from pathlib import Path

import pytest

import terraseg as ts
from terraseg.api.settings import completed, rate_settings, training_keys, with_settings
from terraseg.errors import BadOption, UnknownName, UnreadableFile
from terraseg.pipeline.project import Project, project_from
from terraseg.plan.options import TrainingOptions

PLAIN = project_from({"data": {"images": ["*.tif"]}, "train": {"time_budget": "8m"}}, Path())


def value_in(project: Project, name: str) -> object:
    return getattr(getattr(project, training_keys()[name]), name)


def test_every_training_setting_has_one_table() -> None:
    tables = [type(getattr(TrainingOptions(), f.name)) for f in fields(TrainingOptions)]
    names = [field.name for table in tables for field in fields(table)]
    assert sorted(names) == sorted(training_keys())


@pytest.mark.parametrize(
    ("name", "given", "kept"),
    [
        ("crop", 128, 128),
        ("loss", {"ce": 1, "dice": 1}, {"ce": 1.0, "dice": 1.0}),
        ("augment", ["d4"], ("d4",)),
        ("reduction", 2, 2),
        ("weight_decay", 0, 0.0),
        ("learning_rate", "find", "find"),
    ],
)
def test_a_setting_changes_its_own_table_alone(name: str, given: object, kept: object) -> None:
    changed = with_settings(PLAIN, {name: given})
    assert value_in(changed, name) == kept
    table = training_keys()[name]
    assert replace(changed, **{table: getattr(PLAIN, table)}) == PLAIN


def test_a_length_replaces_the_one_before() -> None:
    assert with_settings(PLAIN, {"steps": 5}).train.time_budget == ""
    assert with_settings(PLAIN, {"crop": 64}).train.time_budget == "8m"
    with pytest.raises(BadOption, match="choose one"):
        with_settings(PLAIN, {"steps": 5, "epochs": 2})


def test_names_of_other_libraries_are_understood() -> None:
    assert with_settings(PLAIN, {"backbone": "resnet18", "lr": 0.25}) == with_settings(
        PLAIN, {"encoder": "resnet18", "learning_rate": 0.25}
    )


def test_an_unknown_setting_names_the_nearest() -> None:
    with pytest.raises(BadOption, match="no training setting 'batchsize': did you mean 'batch'"):
        with_settings(PLAIN, {"batchsize": 8})


def test_a_value_that_cannot_be_used_is_refused() -> None:
    with pytest.raises(BadOption, match=r"\[sample\].*crop = 'large'"):
        with_settings(PLAIN, {"crop": "large"})


def test_a_slice_of_rates_is_one_for_the_backbone_and_one_for_the_rest() -> None:
    assert rate_settings(None) == {}
    assert rate_settings(2e-3) == {"learning_rate": 2e-3}
    assert rate_settings(slice(1e-3)) == {"learning_rate": 1e-3, "encoder_rate": 0.1}
    with pytest.raises(BadOption, match="cannot be read"):
        rate_settings(slice(1e-3, None))


def test_a_backbone_is_refused_by_a_network_that_takes_none() -> None:
    with pytest.raises(BadOption, match="simple-unet has no backbone"):
        completed({"network": "simple-unet", "encoder": "resnet18"})
    with pytest.raises(UnknownName, match="did you mean 'unet-light'"):
        completed({"network": "unet-lite"})


def test_an_earlier_model_says_its_network(unet: ts.UNet, tmp_path: Path) -> None:
    model = unet.save(tmp_path / "model")
    expected = {"pretrained_path": str(model), "network": "", "encoder": ""}
    assert completed({"pretrained_path": str(model)}) == expected
    assert completed({"pretrained_path": str(model), "network": "simple-unet"}) == expected
    assert completed({"pretrained_path": str(model), "network": "unet"})["network"] == "unet"
    weights = model / "weights.safetensors"
    assert completed({"pretrained_path": str(weights)}) == {"pretrained_path": str(weights)}
    with pytest.raises(UnreadableFile, match="nowhere does not exist"):
        completed({"pretrained_path": str(tmp_path / "nowhere")})
