"""The styles as XML, read by the rules of QGIS's own files."""

from xml.etree import ElementTree

from terraseg.core.classes import LandClass, Legend
from terraseg.export.qgis import qml_for_polygons, qml_for_raster

LEGEND = Legend((LandClass(0, "background", "#101112"), LandClass(7, 'Häuser & "Hütten" <neu>', "#D55E00")))


def test_each_class_is_a_category_with_its_symbol_in_its_colour() -> None:
    root = ElementTree.fromstring(qml_for_polygons(LEGEND))
    renderer = root.find("renderer-v2")
    assert renderer is not None
    assert (renderer.get("type"), renderer.get("attr")) == ("categorizedSymbol", "class_id")
    symbols = {s.get("name"): s for s in renderer.iter("symbol")}
    found = {}
    for category in renderer.iter("category"):
        colors = [o.get("value") for o in symbols[category.get("symbol")].iter("Option") if o.get("name") == "color"]
        found[category.get("value"), category.get("label")] = colors[0]
    assert found == {("0", "background"): "16,17,18,140", ("7", 'Häuser & "Hütten" <neu>'): "213,94,0,140"}


def test_the_raster_style_is_a_palette_of_ids() -> None:
    root = ElementTree.fromstring(qml_for_raster(LEGEND))
    renderer = root.find("pipe/rasterrenderer")
    assert renderer is not None
    assert (renderer.get("type"), renderer.get("band")) == ("paletted", "1")
    entries = [(e.get("value"), e.get("color"), e.get("label")) for e in renderer.iter("paletteEntry")]
    assert entries == [("0", "#101112", "background"), ("7", "#d55e00", 'Häuser & "Hütten" <neu>')]


def test_an_empty_legend_gives_a_style_without_classes() -> None:
    assert not list(ElementTree.fromstring(qml_for_polygons(Legend(()))).iter("category"))
    assert not list(ElementTree.fromstring(qml_for_raster(Legend(()))).iter("paletteEntry"))
