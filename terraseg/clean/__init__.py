"""From a class map as predicted to one without what is unsure, ragged or too small."""
