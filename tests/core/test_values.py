import json
from dataclasses import dataclass, replace

import pytest

from terraseg.core.classes import LandClass, Legend
from terraseg.core.dataset import Dataset, Imagery, LabelRule, Scene
from terraseg.core.fingerprint import BandFacts, Fingerprint, ObjectFacts, SceneFacts
from terraseg.core.modelspec import ModelSpec
from terraseg.core.options import read_options
from terraseg.core.split import Overlap, SplitReport
from terraseg.core.window import Window
from terraseg.errors import BadOption, BrokenBundle, UnknownName
from tests.makers import make_grid

LEGEND = Legend((LandClass(0, "land", "#AA8844"), LandClass(3, "water", "#0000FF")))
SPEC = ModelSpec("unet", LEGEND, ("red", "nir"), "uint16", (100.0, 200.0), (10.0, 20.0), 10.0, 256, 32, 16)


def through_json(value: object) -> object:
    return json.loads(json.dumps(value))


def test_a_model_description_survives_json() -> None:
    assert ModelSpec.from_json(through_json(SPEC.to_json())) == SPEC  # type: ignore[arg-type]  # JSON is Any


def test_a_description_of_another_format_is_refused() -> None:
    with pytest.raises(BrokenBundle, match="format 2"):
        ModelSpec.from_json({**SPEC.to_json(), "format": 2})


def test_a_description_with_a_part_missing_is_refused() -> None:
    value = SPEC.to_json()
    del value["mean"]
    with pytest.raises(BrokenBundle, match="mean"):
        ModelSpec.from_json(value)


def test_a_data_set_survives_json() -> None:
    grid = make_grid()
    scene = Scene(
        "a", Imagery(("a.tif",), ("red",), 0.0), "a.gpkg", "site", grid, (Window(0, 0, 8, 8),), (Window(8, 0, 8, 8),)
    )
    dataset = Dataset((scene,), LEGEND, LabelRule("polygons", (("",), ("*",)), ("x",), "kind"), ("red",), "uint8")
    assert Dataset.from_json(through_json(dataset.to_json())) == dataset  # type: ignore[arg-type]  # JSON is Any


def test_a_fingerprint_survives_json() -> None:
    band, scene = BandFacts("red", 1, 2, 0, 1, 3), SceneFacts("a", 8, 8, None, 1.0, 0.5, (3, 1))
    facts = Fingerprint("uint8", (band,), (scene,), ("x", "y"), (3, 1), 64, 0, None)
    full = replace(
        facts,
        gsd_range_m=(0.5, 0.6),
        validation_class_pixels=(1, 0),
        class_scenes=(1, 1),
        autocorrelation_m=4.5,
        objects=(ObjectFacts("x", 2, (1.0, 2.0, 3.0), (1.0, 1.5, 2.0), 0.25),),
        overlaps=(Overlap("a", "b", Window(0, 0, 2, 3), Window(4, 5, 2, 3), 0.1, "map"),),
    )
    for value in (facts, full):
        assert Fingerprint.from_json(through_json(value.to_json())) == value  # type: ignore[arg-type]  # JSON is Any
    report = SplitReport("so", ("beware",), 7, (("a", "b"), ("c",)), 12)
    assert SplitReport.from_json(through_json(report.to_json())) == report  # type: ignore[arg-type]  # JSON is Any
    assert facts.class_shares == (0.75, 0.25)


def test_two_classes_cannot_share_an_id_or_a_name() -> None:
    with pytest.raises(BadOption, match="share the id 1"):
        Legend((LandClass(1, "a", "#000000"), LandClass(1, "b", "#000000")))
    with pytest.raises(BadOption, match="share the name a"):
        Legend((LandClass(1, "a", "#000000"), LandClass(2, "a", "#000000")))


@pytest.mark.parametrize(("identity", "color"), [(255, "#000000"), (-1, "#000000"), (1, "red"), (1, "#FFF")])
def test_a_class_outside_a_byte_or_without_a_colour_is_refused(identity: int, color: str) -> None:
    with pytest.raises(BadOption):
        LandClass(identity, "a", color)


def test_an_unknown_class_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match="did you mean 'water'"):
        LEGEND.index_of("watr")


@dataclass(frozen=True)
class Sizes:
    """Options of a test."""

    crop: int = 64
    names: tuple[str, ...] = ()


def test_options_are_filled_from_a_table() -> None:
    assert read_options(Sizes, {"names": ["a", "b"]}, "[sizes]") == Sizes(64, ("a", "b"))


def test_an_unknown_key_is_answered_with_the_nearest() -> None:
    with pytest.raises(BadOption, match=r"\[sizes\] has the key 'crp'.*did you mean 'crop'"):
        read_options(Sizes, {"crp": 1}, "[sizes]")


def test_a_value_of_the_wrong_type_is_named() -> None:
    with pytest.raises(BadOption, match="crop = 'large'"):
        read_options(Sizes, {"crop": "large"}, "[sizes]")
