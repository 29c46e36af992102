"""The only room that opens data files: rasters, labels, vectors, run folders and model bundles."""
