"""Engines: each opens a model bundle and gives a Scorer."""
