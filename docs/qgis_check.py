"""Opens a class map and its polygons in QGIS itself and looks at what a user would see.

    QT_QPA_PLATFORM=offscreen python3 docs/qgis_check.py IMAGE.tif MAP.tif MAP.gpkg OUT.jpg

Run it with a Python that has PyQGIS (Debian: python3-qgis); it needs nothing of terraseg. It loads the files as a user would,
without naming a style, checks that each class has its name and its colour in both, that map and polygons agree on the ground,
and draws a picture: map and polygons, both over the image, with QGIS's own legend.
"""

import json
import sys

from qgis.core import (
    Qgis,
    QgsApplication,
    QgsCoordinateTransform,
    QgsLayerTree,
    QgsLayerTreeModel,
    QgsLegendRenderer,
    QgsLegendSettings,
    QgsMapLayer,
    QgsMapRendererCustomPainterJob,
    QgsMapSettings,
    QgsProject,
    QgsRasterLayer,
    QgsRenderContext,
    QgsVectorLayer,
)
from qgis.PyQt.QtCore import QSize
from qgis.PyQt.QtGui import QColor, QImage, QPainter

PANEL, LEGEND, QUALITY = 560, 176, 82
DOTS_PER_MM = 2.6

Styles = dict[int, tuple[str, str]]
"""Name and "#rrggbb" of each class by its id."""


def main(image_path: str, map_path: str, polygons_path: str, out: str) -> None:
    """Checks the files and writes the picture."""
    image, raster = QgsRasterLayer(image_path, "image"), QgsRasterLayer(map_path, "map")
    polygons = QgsVectorLayer(polygons_path, "polygons", "ogr")
    for layer in (image, raster, polygons):
        assert layer.isValid(), f"QGIS cannot open {layer.source()}"
    expected = {c["id"]: (c["name"], c["color"].lower()) for c in tagged_legend(raster)}
    for what, found in (("map", raster_styles(raster)), ("polygons", polygon_styles(polygons))):
        assert found == expected, f"{what}: {found}, where the map's own legend says {expected}"
    count = check_places(raster, polygons)
    draw(image, raster, polygons).save(out, "JPEG", QUALITY)
    names = ", ".join(name for name, _ in expected.values())
    place = f"{count} polygons on pixels of their class, {raster.crs().authid()}"
    sys.stdout.write(
        f"QGIS {Qgis.QGIS_VERSION}: {len(expected)} classes ({names}) in their colours,\n{place}; see {out}\n"
    )


def tagged_legend(raster: QgsRasterLayer) -> list[dict[str, object]]:
    """The legend that terraseg keeps in the map's own tags."""
    for item in raster.dataProvider().htmlMetadata().split("TERRASEG_LEGEND=")[1:]:
        text = item.split("</li>")[0].replace("&quot;", '"')
        return list(json.JSONDecoder().raw_decode(text)[0])
    raise AssertionError(f"{raster.source()} has no legend: is it a map of terraseg's?")


def raster_styles(raster: QgsRasterLayer) -> Styles:
    """The palette that QGIS shows the map with."""
    assert raster.renderer().type() == "paletted", f"the map is drawn as {raster.renderer().type()}"
    return {int(c.value): (c.label, c.color.name()) for c in raster.renderer().classes()}


def polygon_styles(polygons: QgsVectorLayer) -> Styles:
    """The categories that QGIS shows the polygons with."""
    renderer = polygons.renderer()
    assert renderer.type() == "categorizedSymbol", f"the polygons are drawn as {renderer.type()}"
    assert renderer.classAttribute() == "class_id"
    return {int(c.value()): (c.label(), c.symbol().color().name()) for c in renderer.categories()}


def check_places(raster: QgsRasterLayer, polygons: QgsVectorLayer) -> int:
    """The number of polygons whose inmost point has their class in the map; those narrower than two pixels are left out."""
    right = wrong = 0
    to_map = QgsCoordinateTransform(polygons.crs(), raster.crs(), QgsProject.instance())
    pixel = raster.rasterUnitsPerPixelX()
    for feature in polygons.getFeatures():
        geometry = feature.geometry()
        geometry.transform(to_map)
        inmost, radius = geometry.poleOfInaccessibility(pixel / 4)
        if radius > pixel:
            value, known = raster.dataProvider().sample(inmost.asPoint(), 1)
            fits = known and int(value) == feature["class_id"]
            right, wrong = right + fits, wrong + (not fits)
    assert not wrong, f"{wrong} polygons lie on pixels of another class"
    return right


def draw(image: QgsRasterLayer, raster: QgsRasterLayer, polygons: QgsVectorLayer) -> QImage:
    """Map, polygons over the image, and the legend, side by side."""
    picture = QImage(QSize(2 * PANEL + LEGEND, PANEL), QImage.Format_RGB32)
    picture.fill(QColor("white"))
    painter = QPainter(picture)
    painter.drawImage(0, 0, panel([raster, image], raster))
    painter.drawImage(PANEL + 6, 0, panel([polygons, image], raster))
    painter.translate(2 * PANEL + 12, 0)
    draw_legend(painter, [raster, polygons])
    painter.end()
    return picture


def panel(layers: list[QgsMapLayer], around: QgsMapLayer) -> QImage:
    """Layers, the topmost first, on a square of the map's extent."""
    settings = QgsMapSettings()
    settings.setLayers(layers)
    settings.setOutputSize(QSize(PANEL, PANEL))
    settings.setDestinationCrs(around.crs())
    settings.setExtent(around.extent())
    drawn = QImage(QSize(PANEL, PANEL), QImage.Format_ARGB32_Premultiplied)
    drawn.fill(QColor("white"))
    painter = QPainter(drawn)
    job = QgsMapRendererCustomPainterJob(settings, painter)
    job.start()
    job.waitForFinished()
    painter.end()
    return drawn


def draw_legend(painter: QPainter, layers: list[QgsMapLayer]) -> None:
    """QGIS's legend of the layers, at the painter's place."""
    tree = QgsLayerTree()
    for layer in layers:
        tree.addLayer(layer)
    # The renderer keeps no hold on its model.
    model = QgsLayerTreeModel(tree)
    context = QgsRenderContext.fromQPainter(painter)
    painter.scale(DOTS_PER_MM, DOTS_PER_MM)
    QgsLegendRenderer(model, QgsLegendSettings()).drawLegend(context)


if __name__ == "__main__":
    # Text can be drawn by an application with a screen alone; "offscreen" is one.
    application = QgsApplication([], True)
    application.initQgis()
    main(*sys.argv[1:5])
    application.exitQgis()
