"""From a data set and a plan to trained weights."""
