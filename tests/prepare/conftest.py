"""Data sets without files, for what only looks at scenes and counts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from terraseg.core.classes import LandClass, Legend
from terraseg.core.dataset import Dataset, Imagery, LabelRule, Scene
from terraseg.core.grid import Grid
from terraseg.core.split import Overlap
from terraseg.prepare.overlap import find_overlaps
from terraseg.prepare.survey import LATTICE, Survey
from tests.makers import UTM

LEGEND = Legend((LandClass(0, "a", "#000000"), LandClass(1, "b", "#FFFFFF")))


@dataclass(frozen=True)
class Plot:
    """A scene to be: its group, its upper left corner and size in pixels of half a metre, in a UTM zone or nowhere."""

    group: str
    row: int = 0
    col: int = 0
    height: int = 64
    width: int = 96
    placed: bool = True
    is_test: bool = False

    def scene(self, name: str) -> Scene:
        """The scene."""
        corner = (500_000.0 + self.col / 2, 4_000_000.0 - self.row / 2)
        transform = (0.5, 0.0, corner[0], 0.0, -0.5, corner[1]) if self.placed else (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
        grid = Grid(UTM if self.placed else None, transform, self.height, self.width)
        return Scene(name, Imagery((f"{name}.tif",), ("red",)), f"{name}.png", self.group, grid, is_test=self.is_test)


Lay = Callable[..., tuple[Dataset, Survey]]


def laid(
    plots: Sequence[Plot],
    *,
    counts: dict[str, NDArray[np.int64]] | None = None,
    range_px: float = 0.0,
    overlaps: tuple[Overlap, ...] | None = None,
    seed: int = 0,
) -> tuple[Dataset, Survey]:
    """Scenes s0, s1, ... with a survey: random counts unless given, overlaps found on the map unless given."""
    scenes = [plot.scene(f"s{n}") for n, plot in enumerate(plots)]
    generator = np.random.default_rng(seed)
    drawn = {s.name: generator.integers(1, 100, (LATTICE, LATTICE, 2)) for s in scenes} | (counts or {})
    dataset = Dataset(tuple(scenes), LEGEND, LabelRule("ids", (("0",), ("1",))), ("red",), "uint8")
    if overlaps is None:
        pictures = {s.name: (1, np.ones((s.grid.height, s.grid.width), dtype=np.float32)) for s in scenes}
        overlaps = find_overlaps([s for s in scenes if s.grid.crs is not None], pictures) or ()
    return dataset, Survey(drawn, overlaps=overlaps, range_px={s.name: range_px for s in scenes})


@pytest.fixture
def lay() -> Lay:
    """`laid`, for tests."""
    return laid
