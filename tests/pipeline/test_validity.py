"""Pixels that hold nothing are honoured on every path, however the file says so: none is learnt from, scored or measured."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from terraseg.core.classes import VOID
from terraseg.core.classreader import ClassArray
from terraseg.core.dataset import Dataset, Imagery, LabelRule, Scene
from terraseg.evaluate.evaluate import evaluate_scenes
from terraseg.measure.stats import class_areas, measure
from terraseg.pixels.statistics import BandStatistics
from terraseg.predict.options import PredictOptions
from terraseg.predict.ready import made_ready
from terraseg.predict.sweep import predict_raster
from terraseg.prepare.fingerprint import band_facts
from terraseg.prepare.survey import count_classes
from terraseg.store.cache import training_scenes
from terraseg.store.classmap import read_class_map
from terraseg.store.imagery import write_raster
from tests.awkward import MASKINGS, RGB, hole, write_masked
from tests.makers import LAND_AND_ROOF, PointScorer, make_grid, make_pixels, make_spec

RULE = LabelRule("ids", (("0",), ("1",)))
GRID = make_grid(100, 140)
VALID = hole(GRID)
PIXELS = make_pixels(GRID)
TRUTH = (np.indices(VALID.shape).sum(axis=0) // 20 % 2).astype(np.uint8)
SPOILT = 255
"""What stands in masked pixels where the file keeps them: a value that any leak would show."""


@pytest.fixture(params=MASKINGS)
def how(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def dataset(tmp_path: Path, how: str) -> Dataset:
    """A scene with a collar and a hole of nothing, labelled all over."""
    image = write_masked(tmp_path / "a.tif", np.where(VALID, PIXELS, SPOILT).astype("uint8"), VALID, how, GRID)
    write_raster(tmp_path / "a_labels.tif", TRUTH[None], GRID, ["label"])
    scene = Scene("a", Imagery((str(image),), RGB), str(tmp_path / "a_labels.tif"), "a", GRID, (GRID.window,))
    return Dataset((scene,), LAND_AND_ROOF, RULE, RGB, "float32" if how == "nan" else "uint8")


def of_class(index: int, mask: NDArray[np.bool_] = VALID) -> int:
    return int((TRUTH[mask] == index).sum())


def test_statistics_are_of_valid_pixels(dataset: Dataset) -> None:
    expected = BandStatistics(3)
    expected.add(PIXELS[:, VALID])
    bands, imagery = band_facts(dataset, [(dataset.scenes[0], GRID.window)])
    assert [band.mean for band in bands] == pytest.approx(expected.mean.tolist())
    assert [band.std for band in bands] == pytest.approx(expected.std.tolist())
    assert max(imagery.at(99)) < SPOILT


def test_class_pixels_are_counted_where_there_is_imagery(dataset: Dataset) -> None:
    counts = count_classes(dataset)["a"].sum(axis=(0, 1))
    assert counts.tolist() == [of_class(0), of_class(1)]


def test_nothing_is_sampled_or_learnt_from_where_nothing_is(dataset: Dataset, tmp_path: Path) -> None:
    """Void labels are what sampling and loss leave out; the pixels themselves become the fill."""
    with training_scenes(dataset, tmp_path / "cache", cache_gb=1.0, fill=(7.0, 8.0, 9.0)) as (scene,):
        pixels, labels = scene.read(GRID.window)
        assert (labels == np.where(VALID, TRUTH, VOID)).all()
        assert (pixels[:, VALID] == PIXELS[:, VALID]).all()
        assert (pixels[:, ~VALID] == np.array([[7], [8], [9]])).all()
        assert scene.counts.sum(axis=(1, 2)).tolist() == [of_class(0), of_class(1)]


def predicted(dataset: Dataset, out: Path) -> Path:
    scorer = PointScorer(make_spec(dtype=dataset.dtype))
    with made_ready(dataset.scenes[0].imagery, scorer) as ready:
        predict_raster(ready.source, ready.scorer, out, options=PredictOptions(threads=1))
    return out


def test_a_map_holds_nothing_where_nothing_is(dataset: Dataset, tmp_path: Path) -> None:
    """And what stands in masked pixels does not reach their neighbours: those are mapped by themselves."""
    with read_class_map(predicted(dataset, tmp_path / "map.tif")) as raster:
        ids = raster.read(GRID.window)
    assert ((ids != VOID) == VALID).all()
    assert (ids[VALID] == (PIXELS[0] > 60)[VALID]).all()


def test_scores_and_areas_are_of_the_ground_that_was_seen(dataset: Dataset, tmp_path: Path) -> None:
    path = predicted(dataset, tmp_path / "map.tif")
    scores = evaluate_scenes([(dataset.scenes[0], path)], dataset).total
    mapped = (PIXELS[0] > 60).astype(int)
    expected = [[int((mapped[VALID & (t == TRUTH)] == p).sum()) for p in (0, 1)] for t in (0, 1)]
    assert np.asarray(scores.confusion).tolist() == expected
    with read_class_map(path) as raster:
        observed = measure(raster=raster).observed
    everything = class_areas(ClassArray(GRID, LAND_AND_ROOF, np.zeros(VALID.shape, np.uint8)))[0].area
    assert observed == pytest.approx(everything * VALID.mean(), rel=1e-4)
