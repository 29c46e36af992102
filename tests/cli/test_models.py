"""`terraseg models`: a line a network, or a line an encoder."""

import json

import pytest

from terraseg.cli.main import run
from terraseg.engines import choose
from terraseg.nets import catalogue
from terraseg.nets.build import NETWORKS
from terraseg.nets.cost import encoder_parameter_count, network_cost


def rows(output: str) -> dict[str, list[str]]:
    lines = [line.split() for line in output.splitlines()]
    return {words[0]: words[1:] for words in lines if words and words[0] in NETWORKS}


def test_every_network_is_listed_with_its_cost(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models"]) == 0
    output = capsys.readouterr().out
    assert "\x1b" not in output
    found = rows(output)
    assert list(found) == list(NETWORKS)
    cost = network_cost("fpn", bands=3, classes=2, options={})
    parameters, gflops = f"{cost.parameters / 1e6:.2f}", f"{round(cost.gflops_per_megapixel, 1):.0f}"
    assert found["fpn"][:5] == ["resnet18", parameters, gflops, "32", "timm/resnet18.a1_in1k"]
    assert found["unet"][0] == "-"


def test_another_encoder_changes_the_networks_that_take_it(capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--encoder", "test_vit", "--bands", "5", "--classes", "7"]
    assert run(["models", *flags]) == 0
    output = capsys.readouterr().out
    found = rows(output)
    cost = network_cost("linknet", bands=5, classes=7, options={"encoder": "test_vit"})
    assert found["linknet"][:2] == ["test_vit", f"{cost.parameters / 1e6:.2f}"]
    assert found["unet-resnet"][:4] == ["test_vit", "-", "-", "-"]
    assert "unet-resnet has no encoder 'test_vit'" in output
    assert "encoder 'test_vit' under network fpn has maps that are 16 times smaller" in output
    assert "5 bands, 7 classes" in output


def test_json_holds_what_the_table_shows(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models", "--match", "unet++", "--json"]) == 2
    assert "did you mean 'unet'" in capsys.readouterr().err
    assert run(["models", "--match", "NESTED", "--encoder", "test_resnet", "--json"]) == 0
    [row] = json.loads(capsys.readouterr().out)
    cost = network_cost("unetplusplus", bands=3, classes=2, options={"encoder": "test_resnet"})
    assert (row["name"], row["encoder"], row["parameters"]) == ("unetplusplus", "test_resnet", cost.parameters)
    assert row["gflops_per_megapixel"] == round(cost.gflops_per_megapixel, 1)
    assert (row["stride"], row["refused"]) == (32, "")


def test_encoders_are_listed_a_page_at_a_time(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogue, "PAGE", 2)
    assert run(["models", "--encoders", "test_"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:3]] == ["test_byobnet", "test_coatnet"]
    assert lines[1].split()[1] == f"{encoder_parameter_count('test_byobnet') / 1e6:.2f}"
    assert lines[-1].startswith("2 of 1")
    assert run(["models", "--encoders", "test_resnet", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["total"] == 1
    assert found["encoders"][0]["pretrained"] == "timm/test_resnet.r160_in1k"


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--encoder", "resnet3"], "did you mean 'resnet34'"),
        (["--encoder", "inception_v3"], "cannot be used on images of any size"),
        (["--encoders", "resnot"], "no encoder with 'resnot'"),
        (["--match", "zzz"], "no network has 'zzz'"),
        (["--bands", "0"], "--bands"),
        (["--classes", "x"], "int"),
    ],
)
def test_bad_flags_are_one_sentence(flags: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models", *flags]) == 2
    captured = capsys.readouterr()
    assert words in captured.err
    assert captured.out == ""


def test_a_plain_install_says_which_extra_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(choose, "find_spec", lambda _: None)
    assert run(["models"]) == 2
    assert "terraseg[train]" in capsys.readouterr().err
