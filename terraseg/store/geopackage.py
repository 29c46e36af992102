"""What a GeoPackage holds beside its features: the layer style that QGIS applies by itself."""

import sqlite3
from contextlib import closing
from pathlib import Path

# The table as QGIS itself creates it ("Save style in the database"); it finds no style under other column names.
_CREATE = """
CREATE TABLE IF NOT EXISTS "layer_styles" (
  "id" INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
  "f_table_catalog" TEXT(256), "f_table_schema" TEXT(256), "f_table_name" TEXT(256), "f_geometry_column" TEXT(256),
  "styleName" TEXT(30), "styleQML" TEXT, "styleSLD" TEXT, "useAsDefault" BOOLEAN, "description" TEXT,
  "owner" TEXT(30), "ui" TEXT(30), "update_time" DATETIME DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ','now'))
)"""

_REGISTER = """
INSERT OR IGNORE INTO gpkg_contents (table_name, data_type, identifier, description)
VALUES ('layer_styles', 'attributes', 'layer_styles', 'Layer styles for QGIS')"""

_INSERT = """
INSERT INTO layer_styles (f_table_catalog, f_table_schema, f_table_name, f_geometry_column, styleName, styleQML,
                          styleSLD, useAsDefault, description, owner)
VALUES ('', '', ?, ?, ?, ?, '', 1, 'Classes in their colours', '')"""

SIDECARS = ("-wal", "-shm", "-journal")
"""What SQLite may leave beside a database file, by suffix."""


def add_default_style(path: Path, layer: str, qml: str) -> None:
    """Puts a QGIS style (QML text) into a GeoPackage as the default of a layer, in place of an earlier default.

    The table is registered as attributes in `gpkg_contents`, as the GeoPackage standard (OGC 12-128) asks of every table
    that clients should see.
    """
    with closing(sqlite3.connect(path)) as connection, connection:
        query = "SELECT column_name FROM gpkg_geometry_columns WHERE table_name = ?"
        (column,) = connection.execute(query, (layer,)).fetchone()
        connection.execute(_CREATE)
        connection.execute(_REGISTER)
        connection.execute("UPDATE layer_styles SET useAsDefault = 0 WHERE f_table_name = ?", (layer,))
        connection.execute(_INSERT, (layer, column, layer[:30], qml))


def remove_sidecars(path: Path) -> None:
    """Deletes SQLite's side files of a database that is about to be replaced, so that they are not applied to the new one."""
    for suffix in SIDECARS:
        path.with_name(path.name + suffix).unlink(missing_ok=True)
