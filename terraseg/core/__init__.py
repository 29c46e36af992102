"""Frozen values that the rooms exchange, all to and from plain JSON."""
