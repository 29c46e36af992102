"""The QGIS style of points to be labelled: coloured by what was found, with a list to pick the class from."""

from xml.etree import ElementTree

from terraseg.core.classes import LandClass, Legend

VERSION = "3.28.0"
OPEN = "#FFFFFF"
"""The colour of points that wait for their label."""
_DOCTYPE = "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n"


def qml_for_sample(legend: Legend, *, unsure: str) -> str:
    """The style of a point layer with the fields `number`, `truth`, `note` and `stratum`.

    `truth` is picked from a list of the class names and of `unsure`, the word for a point at which it cannot be told. The
    stratum is hidden in the form: whoever labels should not see what the map says.

    >>> 'type="ValueMap"' in qml_for_sample(Legend((LandClass(1, "road", "#0072B2"),)), unsure="?")
    True
    """
    root = ElementTree.Element("qgis", version=VERSION, styleCategories="Symbology|Labeling|Fields|Forms")
    _add_symbols(root, legend, unsure)
    fields = ElementTree.SubElement(root, "fieldConfiguration")
    _add_field(fields, "number", "TextEdit")
    _add_field(fields, "truth", "ValueMap", [*legend.names, unsure])
    _add_field(fields, "note", "TextEdit")
    _add_field(fields, "stratum", "Hidden")
    editable = ElementTree.SubElement(root, "editable")
    for name in ("number", "stratum"):
        ElementTree.SubElement(editable, "field", name=name, editable="0")
    ElementTree.SubElement(root, "previewExpression").text = '"number"'
    ElementTree.SubElement(root, "layerGeometryType").text = "0"
    ElementTree.indent(root)
    return _DOCTYPE + ElementTree.tostring(root, encoding="unicode") + "\n"


def _add_symbols(root: ElementTree.Element, legend: Legend, unsure: str) -> None:
    renderer = ElementTree.SubElement(
        root,
        "renderer-v2",
        type="categorizedSymbol",
        attr="truth",
        symbollevels="0",
        enableorderby="0",
        forceraster="0",
    )
    categories = ElementTree.SubElement(renderer, "categories")
    symbols = ElementTree.SubElement(renderer, "symbols")
    kinds = [(c.name, c.name, c) for c in legend.classes]
    kinds += [(unsure, unsure, LandClass(0, unsure, "#808080")), ("", "to label", LandClass(0, "to label", OPEN))]
    for number, (value, label, land) in enumerate(kinds):
        ElementTree.SubElement(
            categories, "category", value=value, label=label, symbol=str(number), render="true", type="string"
        )
        _add_marker(symbols, str(number), land)


def _add_marker(symbols: ElementTree.Element, name: str, land: LandClass) -> None:
    symbol = ElementTree.SubElement(
        symbols, "symbol", type="marker", name=name, alpha="1", clip_to_extent="1", force_rhr="0"
    )
    layer = ElementTree.SubElement(
        symbol, "layer", {"class": "SimpleMarker", "pass": "0", "enabled": "1", "locked": "0"}
    )
    rgb = ",".join(str(part) for part in land.rgb)
    properties = {
        "name": "cross2" if land.color == OPEN else "circle",
        "color": f"{rgb},255",
        "outline_color": "255,255,255,255" if land.color == OPEN else "0,0,0,255",
        "outline_width": "0.6" if land.color == OPEN else "0.3",
        "outline_width_unit": "MM",
        "size": "3",
        "size_unit": "MM",
    }
    options = ElementTree.SubElement(layer, "Option", type="Map")
    for key, value in properties.items():
        ElementTree.SubElement(options, "Option", type="QString", name=key, value=value)


def _add_field(fields: ElementTree.Element, name: str, widget: str, values: list[str] | None = None) -> None:
    field = ElementTree.SubElement(fields, "field", name=name, configurationFlags="None")
    edit = ElementTree.SubElement(field, "editWidget", type=widget)
    config = ElementTree.SubElement(edit, "config")
    if values is None:
        ElementTree.SubElement(config, "Option")
        return
    listed = ElementTree.SubElement(
        ElementTree.SubElement(config, "Option", type="Map"), "Option", type="List", name="map"
    )
    for value in values:
        entry = ElementTree.SubElement(listed, "Option", type="Map")
        ElementTree.SubElement(entry, "Option", type="QString", name=value, value=value)
