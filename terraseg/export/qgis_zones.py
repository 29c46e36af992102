"""The QGIS style of districts or cells: shaded by one figure, from light to dark."""

from collections.abc import Sequence
from itertools import pairwise
from xml.etree import ElementTree

VERSION = "3.28.0"
RAMP = ("#FFFFD4", "#FED98E", "#FE9929", "#D95F0E", "#993404")
"""Five steps that stay apart in print and for colour-blind eyes (ColorBrewer's YlOrBr, Harrower and Brewer 2003)."""
_DOCTYPE = "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n"


def qml_for_zones(field: str, breaks: Sequence[float], *, percent: bool = False) -> str:
    """The style of a polygon layer that is shaded by the numbers in `field`, between one of `breaks` and the next.

    There are at most six breaks, ascending; with `percent` the legend shows shares as per cent. Polygons without a number are
    drawn as outlines.

    >>> 'label="0 to 50 %"' in qml_for_zones("built_share", [0, 0.5, 1], percent=True)
    True
    """
    root = ElementTree.Element("qgis", version=VERSION, styleCategories="Symbology")
    renderer = ElementTree.SubElement(
        root, "renderer-v2", type="graduatedSymbol", attr=field, graduatedMethod="GraduatedColor", symbollevels="0"
    )
    ranges = ElementTree.SubElement(renderer, "ranges")
    symbols = ElementTree.SubElement(renderer, "symbols")
    steps = list(pairwise(breaks))
    for number, (low, high) in enumerate(steps):
        label = f"{100 * low:g} to {100 * high:g} %" if percent else f"{low:g} to {high:g}"
        ElementTree.SubElement(
            ranges,
            "range",
            lower=repr(float(low)),
            upper=repr(float(high)),
            label=label,
            symbol=str(number),
            render="true",
        )
        _add_fill(symbols, str(number), RAMP[round(number * (len(RAMP) - 1) / max(1, len(steps) - 1))])
    ElementTree.SubElement(root, "layerGeometryType").text = "2"
    ElementTree.indent(root)
    return _DOCTYPE + ElementTree.tostring(root, encoding="unicode") + "\n"


def _add_fill(symbols: ElementTree.Element, name: str, color: str) -> None:
    symbol = ElementTree.SubElement(
        symbols, "symbol", type="fill", name=name, alpha="0.8", clip_to_extent="1", force_rhr="0"
    )
    layer = ElementTree.SubElement(symbol, "layer", {"class": "SimpleFill", "pass": "0", "enabled": "1", "locked": "0"})
    rgb = ",".join(str(int(color[place : place + 2], 16)) for place in (1, 3, 5))
    properties = {
        "color": f"{rgb},255",
        "style": "solid",
        "outline_color": "80,80,80,255",
        "outline_style": "solid",
        "outline_width": "0.2",
        "outline_width_unit": "MM",
    }
    options = ElementTree.SubElement(layer, "Option", type="Map")
    for key, value in properties.items():
        ElementTree.SubElement(options, "Option", type="QString", name=key, value=value)
