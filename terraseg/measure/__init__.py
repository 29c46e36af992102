"""From a class raster and polygons to statistics."""
