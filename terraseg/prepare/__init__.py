"""From folders of imagery and labels to a data set with its split and its fingerprint."""
