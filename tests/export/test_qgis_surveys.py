"""The styles of points to label and of zones: what QGIS looks for in them."""

from xml.etree import ElementTree

from terraseg.core.classes import LandClass, Legend
from terraseg.export.qgis_sample import qml_for_sample
from terraseg.export.qgis_zones import RAMP, qml_for_zones

LEGEND = Legend((LandClass(2, "bare <soil>", "#C8A165"), LandClass(7, "water", "#3C7FC0")))


def test_the_truth_is_picked_from_the_classes_and_the_stratum_is_hidden() -> None:
    root = ElementTree.fromstring(qml_for_sample(LEGEND, unsure="cannot tell").split("\n", 1)[1])
    fields = {field.get("name"): field for field in root.iterfind("fieldConfiguration/field")}
    widgets = {name: field.find("editWidget") for name, field in fields.items()}
    assert {name: None if w is None else w.get("type") for name, w in widgets.items()} == {
        "number": "TextEdit",
        "truth": "ValueMap",
        "note": "TextEdit",
        "stratum": "Hidden",
    }
    listed = fields["truth"].iterfind(".//Option[@name='map']/Option/Option")
    assert [(o.get("name"), o.get("value")) for o in listed] == [
        (n, n) for n in ("bare <soil>", "water", "cannot tell")
    ]


def test_every_class_of_a_sample_has_its_colour_and_open_points_one_of_their_own() -> None:
    root = ElementTree.fromstring(qml_for_sample(LEGEND, unsure="?").split("\n", 1)[1])
    categories = root.findall("renderer-v2/categories/category")
    symbols = {s.get("name"): s for s in root.iterfind("renderer-v2/symbols/symbol")}
    colors = {}
    for category in categories:
        color = symbols[category.get("symbol")].find(".//Option[@name='color']")
        colors[category.get("value")] = "" if color is None else color.get("value")
    assert colors == {
        "bare <soil>": "200,161,101,255",
        "water": "60,127,192,255",
        "?": "128,128,128,255",
        "": "255,255,255,255",
    }


def test_zones_are_shaded_between_their_breaks() -> None:
    root = ElementTree.fromstring(
        qml_for_zones("built_share", [0, 0.1, 0.2, 0.3, 0.4, 0.5], percent=True).split("\n", 1)[1]
    )
    ranges = [(r.get("lower"), r.get("upper"), r.get("label")) for r in root.iterfind("renderer-v2/ranges/range")]
    assert ranges[0] == ("0.0", "0.1", "0 to 10 %")
    assert [r[0] for r in ranges[1:]] == [r[1] for r in ranges[:-1]]
    assert len(root.findall("renderer-v2/symbols/symbol")) == len(RAMP)
    renderer = root.find("renderer-v2")
    assert renderer is not None
    assert renderer.get("attr") == "built_share"
