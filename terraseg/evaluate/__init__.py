"""Scores of maps against the truth."""
