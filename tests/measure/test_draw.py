"""Points on the ground of each class: where they fall, and what labels at them count."""

from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest
from numpy.typing import NDArray

from terraseg.core.classes import LandClass, Legend
from terraseg.core.classreader import ClassArray
from terraseg.core.grid import Grid
from terraseg.core.survey import UNLABELLED, UNSURE, SurveyPoints
from terraseg.errors import BadOption, EmptyDataset, NoOverlap
from terraseg.measure.design import SampleDesign, SampleOptions, Stratum
from terraseg.measure.draw import count_blocks, count_points, draw_points

LEGEND = Legend((LandClass(2, "land", "#000000"), LandClass(7, "water", "#0000FF"), LandClass(9, "pond", "#00FFFF")))
UTM = "EPSG:32645"


def map_of(ids: NDArray[np.uint8], crs: str | None = UTM) -> ClassArray:
    transform = (2.0, 0, 330_000, 0, -2.0, 3_066_000) if crs else (1.0, 0, 0, 0, 1.0, 0)
    return ClassArray(Grid(crs, transform, *ids.shape), LEGEND, ids)


def patchy(height: int = 90, width: int = 70) -> NDArray[np.uint8]:
    ids = np.full((height, width), 2, np.uint8)
    ids[20:50, 10:60] = 7
    ids[:4] = 255
    ids[60, 5:9] = 9
    return ids


def design_of(points: dict[int, int], seed: int = 0) -> SampleDesign:
    names = {c.id: c.name for c in LEGEND.classes}
    strata = tuple(Stratum(i, names[i], 0.5, 0.7, n, 0.1) for i, n in points.items())
    return SampleDesign(strata, 0.05, SampleOptions(seed=seed))


def pixels_of(raster: ClassArray, points: SurveyPoints) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    rows, cols = raster.grid.to_pixel(points.x, points.y)
    assert np.allclose(rows % 1, 0.5)
    assert np.allclose(cols % 1, 0.5)
    return rows.astype(np.int64), cols.astype(np.int64)


def test_each_class_gets_its_points_on_its_own_ground_and_no_pixel_two() -> None:
    raster = map_of(patchy())
    points = draw_points(raster, design_of({2: 120, 7: 80, 9: 4}))
    row, col = pixels_of(raster, points)
    assert (raster.ids[row, col] == points.stratum).all()
    assert np.unique(points.stratum, return_counts=True)[1].tolist() == [120, 80, 4]
    assert len(set(zip(row.tolist(), col.tolist(), strict=True))) == 204
    assert (points.truth == UNLABELLED).all()


def test_the_seed_alone_decides_and_the_strips_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    raster, design = map_of(patchy()), design_of({2: 50, 7: 50, 9: 3}, seed=5)
    whole = draw_points(raster, design)
    # `terraseg.measure` is the function as well as the room, so the module is taken by its name.
    monkeypatch.setattr(import_module(draw_points.__module__), "STRIP_PIXELS", 70 * 7)
    strips = draw_points(raster, design)
    other = draw_points(raster, replace(design, options=SampleOptions(seed=6)))
    assert np.array_equal(whole.x, strips.x)
    assert np.array_equal(whole.y, strips.y)
    assert not np.array_equal(whole.x, other.x)


def test_the_order_mixes_the_classes() -> None:
    points = draw_points(map_of(patchy()), design_of({2: 100, 7: 100}))
    assert 30 < (points.stratum[:100] == 2).sum() < 70


def test_in_degrees_a_square_metre_has_the_same_chance_everywhere() -> None:
    """From the equator to 80 degrees north pixels shrink to a sixth: draws follow the ground, not the pixels."""
    ids = np.full((80, 40), 2, np.uint8)
    raster = ClassArray(Grid("EPSG:4326", (1.0, 0, 0, 0, -1.0, 80.0), 80, 40), LEGEND, ids)
    latitude = np.concatenate([draw_points(raster, design_of({2: 300}, seed)).y for seed in range(20)])
    share = (latitude > 45).mean()
    ground = (np.sin(np.radians(80)) - np.sin(np.radians(45))) / np.sin(np.radians(80))
    assert share == pytest.approx(ground, abs=0.02)


def test_labels_are_counted_by_what_the_map_says_there() -> None:
    raster = map_of(patchy())
    points = draw_points(raster, design_of({2: 40, 7: 30}))
    truth = np.where(points.stratum == 7, 2, points.stratum)
    truth[:5] = UNLABELLED
    truth[5:7] = UNSURE
    counts, notes = count_points(raster, replace(points, truth=truth))
    known = points.stratum[7:]
    assert counts.tolist() == [[(known == 2).sum(), 0, 0], [(known == 7).sum(), 0, 0], [0, 0, 0]]
    assert notes == (
        "5 of 70 points are not labelled yet and are left out",
        "2 of 70 points could not be told and are left out",
    )


def test_points_of_another_map_are_refused() -> None:
    raster = map_of(patchy())
    points = draw_points(raster, design_of({2: 40, 7: 30}))
    labelled = replace(points, truth=points.stratum)
    swapped = map_of(np.where(raster.ids == 7, 2, raster.ids).astype(np.uint8))
    with pytest.raises(BadOption, match="30 of 70 points lie on another class"):
        count_points(swapped, labelled)
    # A sample that was not drawn by class is held against any map.
    anywhere = replace(labelled, stratum=np.full(70, UNSURE, np.int16))
    assert count_points(swapped, anywhere)[0].sum() == 70
    with pytest.raises(NoOverlap):
        count_points(raster, replace(labelled, x=labelled.x + 1e5))
    with pytest.raises(EmptyDataset):
        count_points(raster, points)


def test_points_beside_the_map_are_left_out_and_said() -> None:
    raster = map_of(patchy())
    points = draw_points(raster, design_of({2: 10}))
    moved = replace(points, x=np.append(points.x[1:], points.x[0] + 1e4), y=np.append(points.y[1:], points.y[0]))
    _, notes = count_points(raster, replace(moved, truth=points.stratum))
    assert notes == ("1 of 10 points lie beside the map or on nodata and are left out",)


def test_blocks_add_up_to_the_confusion_of_the_whole() -> None:
    rng = np.random.default_rng(1)
    mapped, truth = (rng.choice(np.array([2, 7, 9, 255], np.uint8), (50, 70)) for _ in range(2))
    blocks = count_blocks(map_of(mapped), map_of(truth), LEGEND, side=16)
    expected = [[((mapped == i) & (truth == k)).sum() for k in LEGEND.ids] for i in LEGEND.ids]
    assert blocks.sum(axis=0).tolist() == expected
    assert len(blocks) == 20
    assert count_blocks(map_of(np.full((5, 5), 255, np.uint8)), map_of(truth[:5, :5]), LEGEND).shape == (0, 3, 3)
