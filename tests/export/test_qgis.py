"""The styles as XML, read by the rules of QGIS's own files, and by QGIS itself where there is one."""

import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from terraseg.core.classes import LandClass, Legend
from terraseg.core.polygons import PolygonTable
from terraseg.export.qgis import qml_for_map, qml_for_polygons, qml_for_raster, write_style
from terraseg.store.classmap import write_class_map
from terraseg.store.imagery import write_raster
from terraseg.store.vector import write_polygons
from terraseg.town.town import make_town

PROJECT = Path(__file__).parents[2]
QGIS_PYTHON = os.environ.get("QGIS_PYTHON", "/usr/bin/python3")
"""A Python that may have PyQGIS, which is no package of the registry."""

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


def test_one_style_beside_a_map_serves_raster_and_polygons() -> None:
    both = ElementTree.fromstring(qml_for_map(LEGEND))
    for alone, part in ((qml_for_raster(LEGEND), "pipe"), (qml_for_polygons(LEGEND), "renderer-v2")):
        (expected,) = ElementTree.fromstring(alone).iter(part)
        (found,) = both.iter(part)
        assert ElementTree.tostring(found).strip() == ElementTree.tostring(expected).strip()


def test_a_style_follows_its_map_until_somebody_saves_another(tmp_path: Path) -> None:
    style = write_style(tmp_path / "town.tif", qml_for_map(LEGEND))
    assert style == tmp_path / "town.qml"
    assert write_style(tmp_path / "town.tif", qml_for_raster(LEGEND)).read_text("utf-8") == qml_for_raster(LEGEND)
    saved = "<!DOCTYPE qgis>\n<qgis version='3.40'><pipe/></qgis>\n"
    style.write_text(saved, encoding="utf-8")
    write_style(tmp_path / "town.tif", qml_for_map(LEGEND))
    assert style.read_text(encoding="utf-8") == saved


def has_qgis() -> bool:
    if not Path(QGIS_PYTHON).exists():
        return False
    return subprocess.run([QGIS_PYTHON, "-c", "import qgis.core"], capture_output=True, timeout=60).returncode == 0


@pytest.mark.parametrize("ending", [".gpkg", ".geojson"])
def test_qgis_shows_classes_with_their_names_and_colours_in_their_places(tmp_path: Path, ending: str) -> None:
    if not has_qgis():
        pytest.skip(f"{QGIS_PYTHON} has no PyQGIS (Debian: python3-qgis): pass another one as QGIS_PYTHON")
    town = make_town(1, 256, gsd=0.6)
    # Ids with gaps, and names that XML has to escape.
    names = (*(f'{c.name} & "co" <{c.id}>' for c in town.legend.classes),)
    legend = Legend(tuple(LandClass(2 * c.id, n, c.color) for c, n in zip(town.legend.classes, names, strict=True)))
    geometry, classes = town.pieces
    ids = np.array(legend.ids, dtype=np.uint8)
    ones = np.ones(len(geometry))
    table = PolygonTable(geometry, ids[classes], ones, ones, ones, legend, town.grid.crs)
    write_class_map(tmp_path / "town.tif", ids[town.labels], town.grid, legend)
    write_raster(tmp_path / "image.tif", town.pixels, town.grid, town.band_names)
    write_style(tmp_path / "town.tif", qml_for_map(legend))
    write_polygons(table, tmp_path / f"town{ending}", style=qml_for_polygons(legend))
    files = [str(tmp_path / name) for name in ("image.tif", "town.tif", f"town{ending}", "out.jpg")]
    environment = os.environ | {"QT_QPA_PLATFORM": "offscreen", "XDG_RUNTIME_DIR": str(tmp_path)}
    command = [QGIS_PYTHON, str(PROJECT / "docs/qgis_check.py"), *files]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)
    sys.stdout.write(done.stdout + done.stderr)
    assert done.returncode == 0, done.stderr
    assert f"{len(legend)} classes" in done.stdout
    assert (tmp_path / "out.jpg").stat().st_size > 10_000
