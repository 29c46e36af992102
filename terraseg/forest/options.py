"""The [forest] table of the project file."""

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge


@dataclass(frozen=True)
class ForestOptions:
    """How the forest is grown.

    pixels  training pixels that are drawn, classes nearer to each other in number than they are on the ground
    trees   trees in the forest: more are slower and a little better
    leaf    fewest training pixels that a leaf stands for: fewer draw finer borders between the classes and larger files
    """

    pixels: Annotated[int, Ge(100)] = 160_000
    trees: Annotated[int, Ge(1)] = 60
    leaf: Annotated[int, Ge(1)] = 20
