"""QGIS layer styles (QML) in which each class has its colour and its name."""

from pathlib import Path
from xml.etree import ElementTree

from terraseg.core.classes import LandClass, Legend
from terraseg.store.rundir import write_text

VERSION = "3.28.0"
"""The QGIS version the styles are written for; later ones read them too."""

FILL_ALPHA = 140
"""Opacity of polygon fills, 0 to 255, so that the image below stays readable."""

_DOCTYPE = "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n"


MARK = "<!-- written by terraseg -->"
"""The mark of a style that nobody has changed since: QGIS saves a style without it."""


def write_style(path: Path, qml: str) -> Path:
    """Writes the style of a map, or of polygons, beside it as NAME.qml, where QGIS looks for it; gives the style's path.

    A style that somebody else has saved there is left as it is.
    """
    out = path.with_suffix(".qml")
    if not out.exists() or MARK in out.read_text(encoding="utf-8", errors="replace"):
        write_text(out, qml)
    return out


def qml_for_map(legend: Legend) -> str:
    """The style of a class raster and of its polygons in one: QGIS asks for NAME.qml for NAME.tif and NAME.geojson alike."""
    root = _root()
    _add_raster_renderer(root, legend)
    _add_polygon_renderer(root, legend)
    return _text(root)


def qml_for_polygons(legend: Legend) -> str:
    """The style of a polygon layer: categories by the attribute `class_id`, half transparent, with full outlines.

    >>> 'label="road"' in qml_for_polygons(Legend((LandClass(1, "road", "#0072B2"),)))
    True
    """
    root = _root()
    _add_polygon_renderer(root, legend)
    return _text(root)


def qml_for_raster(legend: Legend) -> str:
    """The style of a class raster: its first band as a palette of named colours."""
    root = _root()
    _add_raster_renderer(root, legend)
    return _text(root)


def _root() -> ElementTree.Element:
    return ElementTree.Element("qgis", version=VERSION, styleCategories="Symbology")


def _add_polygon_renderer(root: ElementTree.Element, legend: Legend) -> None:
    renderer = ElementTree.SubElement(
        root,
        "renderer-v2",
        type="categorizedSymbol",
        attr="class_id",
        symbollevels="0",
        enableorderby="0",
        forceraster="0",
    )
    categories = ElementTree.SubElement(renderer, "categories")
    symbols = ElementTree.SubElement(renderer, "symbols")
    for number, land in enumerate(legend.classes):
        ElementTree.SubElement(
            categories, "category", value=str(land.id), label=land.name, symbol=str(number), render="true", type="long"
        )
        _add_fill_symbol(symbols, str(number), land)
    ElementTree.SubElement(root, "layerGeometryType").text = "2"


def _add_raster_renderer(root: ElementTree.Element, legend: Legend) -> None:
    pipe = ElementTree.SubElement(root, "pipe")
    renderer = ElementTree.SubElement(
        pipe, "rasterrenderer", type="paletted", band="1", opacity="1", alphaBand="-1", nodataColor=""
    )
    palette = ElementTree.SubElement(renderer, "colorPalette")
    for land in legend.classes:
        ElementTree.SubElement(
            palette, "paletteEntry", value=str(land.id), label=land.name, color=land.color.lower(), alpha="255"
        )
    ElementTree.SubElement(root, "blendMode").text = "0"


def _add_fill_symbol(symbols: ElementTree.Element, name: str, land: LandClass) -> None:
    symbol = ElementTree.SubElement(
        symbols, "symbol", type="fill", name=name, alpha="1", clip_to_extent="1", force_rhr="0"
    )
    layer = ElementTree.SubElement(symbol, "layer", {"class": "SimpleFill", "pass": "0", "enabled": "1", "locked": "0"})
    rgb = ",".join(str(part) for part in land.rgb)
    properties = {
        "color": f"{rgb},{FILL_ALPHA}",
        "style": "solid",
        "outline_color": f"{rgb},255",
        "outline_style": "solid",
        "outline_width": "0.26",
        "outline_width_unit": "MM",
        "joinstyle": "bevel",
        "offset": "0,0",
        "offset_unit": "MM",
    }
    options = ElementTree.SubElement(layer, "Option", type="Map")
    for key, value in properties.items():
        ElementTree.SubElement(options, "Option", type="QString", name=key, value=value)
    # Versions before 3.22 read these instead.
    for key, value in properties.items():
        ElementTree.SubElement(layer, "prop", k=key, v=value)


def _text(root: ElementTree.Element) -> str:
    ElementTree.indent(root)
    return f"{_DOCTYPE}{MARK}\n{ElementTree.tostring(root, encoding='unicode')}\n"
