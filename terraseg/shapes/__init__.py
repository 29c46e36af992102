"""Polygons in, polygons or numbers out: no rasters, no files."""
