"""A model and a raster to a class map: tiles on a fixed lattice, scored, blended and written in fixed memory."""
