"""The `.aux.xml` beside a class map: class names where GDAL and QGIS look for them.

A GeoTIFF holds a colour table but has no place for category names or an attribute table, so GDAL keeps both in a file
named like the raster with `.aux.xml` added (GDAL's Persistent Auxiliary Metadata). The map is whole without it.
"""

import xml.etree.ElementTree as ET

from terraseg.core.classes import Legend

# GDAL's numbers for the type and the use of an attribute table's column (GDALRATFieldType, GDALRATFieldUsage).
INTEGER, TEXT = 0, 2
NAME, VALUE, RED, GREEN, BLUE = 2, 5, 6, 7, 8
COLUMNS = (
    ("Value", INTEGER, VALUE), ("Class", TEXT, NAME), ("Red", INTEGER, RED), ("Green", INTEGER, GREEN), ("Blue", INTEGER, BLUE),
)  # fmt: skip


def legend_sidecar(legend: Legend) -> str:
    """The XML with a legend's category names, listed by id with "" for ids between, and its attribute table."""
    dataset = ET.Element("PAMDataset")
    band = ET.SubElement(dataset, "PAMRasterBand", band="1")
    by_id = legend.by_id()
    names = ET.SubElement(band, "CategoryNames")
    for identifier in range(max(by_id, default=-1) + 1):
        ET.SubElement(names, "Category").text = by_id[identifier].name if identifier in by_id else ""
    table = ET.SubElement(band, "GDALRasterAttributeTable", tableType="thematic")
    for index, (name, kind, usage) in enumerate(COLUMNS):
        column = ET.SubElement(table, "FieldDefn", index=str(index))
        for tag, text in (("Name", name), ("Type", str(kind)), ("Usage", str(usage))):
            ET.SubElement(column, tag).text = text
    for index, identifier in enumerate(sorted(by_id)):
        row = ET.SubElement(table, "Row", index=str(index))
        for text in (str(identifier), by_id[identifier].name, *map(str, by_id[identifier].rgb)):
            ET.SubElement(row, "F").text = text
    ET.indent(dataset)
    return ET.tostring(dataset, encoding="unicode") + "\n"
