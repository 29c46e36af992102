"""A raster and a model made ready for each other, up to the map: areas, types, bands, and what a refusal leaves behind."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from shapely import box

from terraseg.core.dataset import Imagery
from terraseg.core.imagery import ImageryFacts
from terraseg.errors import BandMismatch, NoOverlap
from terraseg.predict.options import InputOptions, PredictOptions
from terraseg.predict.ready import INPUT_TAG, made_ready
from terraseg.predict.sample import sample_raster, spread
from terraseg.predict.sweep import predict_raster
from terraseg.store.classmap import read_class_map
from terraseg.store.raster import open_raster
from tests.makers import PointScorer, make_grid, make_raster, make_spec
from tests.predict.test_area import write_area

RGB = ("red", "green", "blue")
LOOK = ImageryFacts(((1.0, 7.0, 30.0, 60.0, 90.0, 114.0, 118.0),) * 3)


def mapped(imagery: Imagery, scorer: PointScorer, out: Path, options: InputOptions) -> NDArray[np.uint8]:
    with made_ready(imagery, scorer, options) as ready:
        predict_raster(ready.source, ready.scorer, out, options=PredictOptions(threads=1))
    with read_class_map(out) as reader:
        return reader.read(reader.grid.window)


def test_outside_the_area_is_nodata_and_is_not_scored(tmp_path: Path) -> None:
    grid = make_grid(300, 300)
    path = make_raster(tmp_path / "a.tif", grid)
    left, bottom, _, _ = grid.bounds
    inside = box(left + 20, bottom + 100, left + 45, bottom + 125)
    area = write_area(tmp_path / "area.gpkg", [inside], grid.crs)
    scorer, whole = PointScorer(make_spec()), PointScorer(make_spec())
    imagery = Imagery((str(path),), RGB)
    found = mapped(imagery, scorer, tmp_path / "m.tif", InputOptions(aoi=str(area)))
    plain = mapped(imagery, whole, tmp_path / "w.tif", InputOptions())
    assert (found != 255).sum() == 50 * 50
    assert np.array_equal(found[found != 255], plain[found != 255])
    assert len(scorer.shapes) < len(whole.shapes) / 3


def test_the_model_sees_what_surrounds_the_area(tmp_path: Path) -> None:
    """Only the map ends at the area's border: the pixels beyond it are the model's context, not its mean."""
    grid = make_grid(64, 64)
    path = make_raster(tmp_path / "a.tif", grid)
    left, bottom, _, _ = grid.bounds
    area = write_area(tmp_path / "area.gpkg", [box(left, bottom, left + 4, bottom + 4)], grid.crs)
    scorer = PointScorer(make_spec())
    seen = []
    inner = scorer.score
    scorer.score = lambda batch: seen.append(batch.copy()) or inner(batch)  # type: ignore[method-assign,func-returns-value]
    imagery = Imagery((str(path),), RGB)
    mapped(imagery, scorer, tmp_path / "m.tif", InputOptions(aoi=str(area)))
    with open_raster(imagery) as reader:
        assert np.array_equal(seen[0][0], reader.read(grid.window).pixels)


def test_an_area_elsewhere_is_said(tmp_path: Path) -> None:
    path = make_raster(tmp_path / "a.tif")
    area = write_area(tmp_path / "area.gpkg", [box(0, 0, 1, 1)], "EPSG:4326")
    with (
        pytest.raises(NoOverlap, match=r"a\.tif lies outside the area .*area\.gpkg"),
        made_ready(Imagery((str(path),), RGB), PointScorer(make_spec()), InputOptions(aoi=str(area))),
    ):
        pass


def test_wide_whole_numbers_are_cast_and_never_wrap(tmp_path: Path) -> None:
    grid = make_grid(64, 64)
    pixels = np.random.default_rng(2).integers(-50, 120, (3, 64, 64)).astype(np.int16)
    path = make_raster(tmp_path / "a.tif", grid, pixels=pixels, dtype="int16")
    scorer = PointScorer(make_spec(dtype="uint16"))
    found = mapped(Imagery((str(path),), RGB), scorer, tmp_path / "m.tif", InputOptions())
    assert np.array_equal(found, np.maximum(pixels[0], 0) >= 60) or (found == (pixels[0] >= 60)).mean() > 0.98
    assert (found[pixels[0] < 0] == 0).all()


def test_a_refusal_comes_before_anything_is_scored_and_a_warning_lets_it_pass(tmp_path: Path) -> None:
    grid = make_grid(300, 300)
    pixels = np.random.default_rng(3).integers(1, 120, (3, 300, 300)).astype(np.float32) * 100
    path = make_raster(tmp_path / "a.tif", grid, pixels=pixels, dtype="float32")
    scorer = PointScorer(make_spec(dtype="float32", imagery=LOOK))
    imagery = Imagery((str(path),), RGB)
    with pytest.raises(BandMismatch, match="--fit warn"), made_ready(imagery, scorer):
        pass
    assert scorer.shapes == []
    with made_ready(imagery, scorer, InputOptions(fit="warn")) as ready:
        assert "the model was trained on 1 to 118" in ready.notes[0]
    with made_ready(imagery, scorer, InputOptions(fit="off")) as ready:
        assert ready.notes == ()


def test_what_was_done_to_a_raster_stands_in_its_map(tmp_path: Path) -> None:
    grid = make_grid(64, 64, gsd=0.25)
    path = make_raster(tmp_path / "a.tif", grid, bands=("blue", "green", "red"))
    area = write_area(tmp_path / "area.gpkg", [box(*grid.bounds)], grid.crs)
    imagery = Imagery((str(path),), RGB, 0.0, (3, 2, 1))
    with made_ready(imagery, PointScorer(make_spec()), InputOptions(aoi=str(area))) as ready:
        facts = json.loads(ready.tags[INPUT_TAG])
    assert facts["channels"] == [3, 2, 1]
    assert facts["nodata"] == 0
    assert facts["resampled"] == ["2", "2"]
    assert len(facts["area"]) == 16
    plain = Imagery((str(path),), RGB, None, (1, 2, 3))
    with made_ready(plain, PointScorer(make_spec()), InputOptions(resample="off")) as ready:
        assert ready.tags == {}


def test_an_old_bundle_is_held_against_types_alone(tmp_path: Path) -> None:
    path = make_raster(tmp_path / "a.tif", dtype="uint16")
    imagery = Imagery((str(path),), RGB)
    with (
        pytest.raises(BandMismatch, match=r"pixels are uint16 .* trained on uint8"),
        made_ready(imagery, PointScorer(make_spec())),
    ):
        pass
    with made_ready(imagery, PointScorer(make_spec(dtype="uint16"))) as ready:
        assert ready.notes == ()


def test_a_raster_of_nodata_is_not_judged(tmp_path: Path) -> None:
    grid = make_grid(300, 300)
    path = make_raster(tmp_path / "a.tif", grid, pixels=np.zeros((3, 300, 300), dtype=np.uint8), nodata=0)
    with made_ready(Imagery((str(path),), RGB), PointScorer(make_spec(imagery=LOOK))) as ready:
        assert ready.notes == ()


def test_a_strip_of_imagery_in_much_nodata_is_still_found(tmp_path: Path) -> None:
    """The windows become denser where they show next to nothing."""
    grid = make_grid(4000, 4000)
    pixels = np.zeros((3, 4000, 4000), dtype=np.uint8)
    pixels[:, 600:700] = 200
    path = make_raster(tmp_path / "a.tif", grid, pixels=pixels, nodata=0)
    with open_raster(Imagery((str(path),), RGB)) as reader:
        sample = sample_raster(reader, RGB)
    assert sample is not None
    assert sample.at(50) == (200.0,) * 3


@pytest.mark.parametrize("shape", [(1, 1), (100, 700), (256, 256), (5000, 300), (2048, 2048)])
def test_sampled_windows_lie_inside_apart_and_at_the_corners(shape: tuple[int, int]) -> None:
    grid = make_grid(*shape)
    for count in (4, 8):
        windows = list(spread(grid, count))
        covered = np.zeros(shape, dtype=np.uint8)
        for window in windows:
            assert grid.window.contains(window)
            covered[window.slices] += 1
        assert covered.max() == 1
        assert all(covered[corner] for corner in ((0, 0), (0, -1), (-1, 0), (-1, -1)))


def test_a_model_keeps_its_look_in_its_description() -> None:
    spec = make_spec(imagery=replace(LOOK, red_over_blue=(0.6, 0.9), gsd_range_m=(0.1, 0.5), aspect=0.8))
    assert type(spec).from_json(json.loads(json.dumps(spec.to_json()))) == spec
    old = {k: v for k, v in spec.to_json().items() if k != "imagery"}
    assert type(spec).from_json(old).imagery is None
