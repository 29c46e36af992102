"""`terraseg models`: a line a network."""

import pytest

from terraseg.cli.main import run
from terraseg.engines import choose
from terraseg.nets.build import NETWORKS
from terraseg.nets.cost import network_cost


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
    assert found["fpn"] == ["resnet18", f"{cost.parameters / 1e6:.2f}", f"{cost.gflops_per_megapixel:.0f}"]
    assert found["unet"][0] == "-"


def test_another_encoder_changes_the_networks_that_take_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models", "--encoder", "mobilenetv2_050", "--bands", "5", "--classes", "7"]) == 0
    output = capsys.readouterr().out
    found = rows(output)
    cost = network_cost("linknet", bands=5, classes=7, options={"encoder": "mobilenetv2_050"})
    assert found["linknet"][:2] == ["mobilenetv2_050", f"{cost.parameters / 1e6:.2f}"]
    assert found["unet-resnet"] == ["mobilenetv2_050", "-", "-"]
    assert "unet-resnet has no encoder 'mobilenetv2_050'" in output
    assert "5 bands, 7 classes" in output


@pytest.mark.parametrize(
    ("flags", "words"),
    [(["--encoder", "resnet3"], "did you mean 'resnet34'"), (["--bands", "0"], "--bands"), (["--classes", "x"], "int")],
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
