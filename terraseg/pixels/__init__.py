"""Arrays in, arrays out: the pixel arithmetic of the pipeline, with no files and no torch."""
