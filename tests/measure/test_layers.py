"""Areas of overlapping classes: each pixel counts for every class that it is of."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from terraseg.core.classes import LandClass, Legend
from terraseg.core.grid import Grid
from terraseg.core.window import Window
from terraseg.measure.stats import class_areas, measure
from terraseg.shapes.pixelarea import PixelAreas

LEGEND = Legend((LandClass(4, "road", "#FF0000"), LandClass(0, "tree", "#00FF00")))
UTM = "EPSG:32645"


@dataclass(frozen=True, eq=False)
class Layers:
    labels: NDArray[np.uint8]
    crs: str | None = None
    legend: Legend = LEGEND

    @property
    def grid(self) -> Grid:
        return Grid(self.crs, (0.5, 0, 330_000, 0, -0.5, 3_066_000), *self.labels.shape)

    def read(self, window: Window) -> NDArray[np.uint8]:
        return self.labels[window.slices]


@given(hnp.arrays(np.uint8, (5, 7), elements=st.sampled_from([0, 1, 2, 3, 255])))
def test_pixels_and_shares_are_those_of_a_direct_count(labels: NDArray[np.uint8]) -> None:
    known = labels != 255
    for index, area in enumerate(class_areas(Layers(labels), block=3, overlapping=True)):
        inside = int((known & (labels >> index & 1 == 1)).sum())
        assert (area.class_id, area.pixels, area.area) == (LEGEND.ids[index], inside, inside)
        assert area.share == pytest.approx(inside / max(1, known.sum()))


def test_what_was_observed_counts_once_though_classes_overlap() -> None:
    labels = np.full((10, 10), 3, dtype=np.uint8)
    labels[0] = 255
    raster = Layers(labels, UTM)
    found = measure(raster=raster, overlapping=True)
    grid = raster.grid
    areas = PixelAreas(UTM, grid.transform, 10, 10)
    ground = float(areas.read(1, 0, 9, 10).sum()) * areas.unit_m2
    assert found.observed == pytest.approx(ground)
    assert [row.area for row in found.classes] == pytest.approx([ground, ground])
    assert [row.share for row in found.classes] == pytest.approx([1, 1])
