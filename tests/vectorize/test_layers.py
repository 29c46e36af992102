"""Polygons of overlapping classes: each class as if it were alone, all in one table."""

from dataclasses import dataclass

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from rasterio.features import rasterize
from rasterio.transform import Affine

from terraseg.core.classes import LandClass, Legend
from terraseg.core.classreader import ByteArray
from terraseg.core.grid import Grid
from terraseg.core.window import Window
from terraseg.vectorize.layers import polygons_of_layers
from terraseg.vectorize.options import VectorizeOptions

LEGEND = Legend((LandClass(4, "road", "#FF0000"), LandClass(0, "tree", "#00FF00"), LandClass(9, "roof", "#0000FF")))
RAW = VectorizeOptions(min_area_m2=0, simplify_m=0)
Masks = NDArray[np.uint8]
masks = hnp.arrays(
    np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=10), elements=st.sampled_from([*range(8), 255])
)


@dataclass(frozen=True, eq=False)
class Layers:
    """A `LayerRaster` in memory, one pixel a metre and without a CRS."""

    labels: Masks
    legend: Legend = LEGEND

    @property
    def grid(self) -> Grid:
        return Grid(None, (1, 0, 0, 0, 1, 0), *self.labels.shape)

    def read(self, window: Window) -> Masks:
        return self.labels[window.slices]


@settings(deadline=None, max_examples=60)
@given(masks)
def test_the_polygons_of_each_class_cover_its_pixels_and_no_others(labels: Masks) -> None:
    table = polygons_of_layers(Layers(labels), options=RAW)
    for index, land in enumerate(LEGEND.classes):
        shapes = table.geometry[table.class_id == land.id]
        inside = (labels >> index & 1).astype(bool) & (labels != 255)
        burnt = rasterize(((s, 1) for s in shapes), labels.shape, transform=Affine.identity()) if len(shapes) else 0
        assert (burnt == inside).all()
        assert table.area[table.class_id == land.id].sum() == inside.sum()


def test_a_small_hole_is_filled_and_a_small_piece_dropped_whatever_other_classes_do() -> None:
    labels = np.zeros((20, 20), dtype=np.uint8)
    labels[2:12, 2:12] |= 1
    labels[5, 5] &= 254
    labels[16, 16] |= 1
    labels[:, 8:] |= 2
    table = polygons_of_layers(Layers(labels), options=VectorizeOptions(min_area_m2=4, simplify_m=0))
    road, tree = (table.geometry[table.class_id == i] for i in (4, 0))
    assert len(road) == 1
    assert shapely.equals(road[0], shapely.box(2, 2, 12, 12))
    assert len(tree) == 1
    assert road[0].intersection(tree[0]).area == 40


def test_only_the_classes_asked_for_come_out() -> None:
    labels = np.full((6, 6), 3, dtype=np.uint8)
    table = polygons_of_layers(Layers(labels), options=VectorizeOptions(classes=("tree",), min_area_m2=0))
    assert table.class_id.tolist() == [0]
    assert table.legend == LEGEND


def test_a_map_of_nothing_gives_a_table_of_nothing() -> None:
    for legend in (LEGEND, Legend((LandClass(0, "background", "#000000"),))):
        table = polygons_of_layers(Layers(np.zeros((4, 4), dtype=np.uint8), legend))
        assert len(table) == 0


def test_confidence_is_the_mean_over_a_polygons_pixels() -> None:
    labels = np.zeros((4, 8), dtype=np.uint8)
    labels[:, :4], labels[:, 2:] = 1, labels[:, 2:] | 2
    certain = np.zeros((4, 8), dtype=np.uint8)
    certain[:, :4] = 127
    raster = Layers(labels)
    table = polygons_of_layers(raster, confidence=ByteArray(raster.grid, certain), options=RAW)
    assert dict(zip(table.class_id.tolist(), table.confidence.tolist(), strict=True)) == pytest.approx(
        {4: 0.5, 0: 1 / 6}
    )
