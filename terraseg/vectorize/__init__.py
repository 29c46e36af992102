"""From a class raster to polygons with attributes."""
