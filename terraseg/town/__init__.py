"""A town to try things on: generated aerial imagery with exact truth."""

from terraseg.town.town import Town, make_town, town_features

__all__ = ["Town", "make_town", "town_features"]
