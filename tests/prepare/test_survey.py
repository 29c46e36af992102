"""Surveys and fingerprints of small made scenes, and of the real ones."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from terraseg.core.classes import LandClass, Legend
from terraseg.core.dataset import Dataset, Imagery, LabelRule, Scene
from terraseg.core.grid import Grid
from terraseg.core.window import Window
from terraseg.errors import EmptyDataset
from terraseg.prepare.fingerprint import class_warnings, measure_fingerprint, weighted_percentiles
from terraseg.prepare.split import split_dataset
from terraseg.prepare.survey import LATTICE, lattice_edges, sketch_factors, survey_dataset
from tests.makers import make_grid, make_raster

LEGEND = Legend((LandClass(0, "land", "#AA8844"), LandClass(1, "house", "#D02010"), LandClass(2, "pool", "#0000FF")))
RULE = LabelRule("ids", (("0",), ("1",), ("2",)), ("9",))


def write_scene(
    folder: Path,
    name: str,
    grid: Grid,
    labels: NDArray[np.uint8],
    *,
    pixels: NDArray[np.generic] | None = None,
    group: str = "",
) -> Scene:
    bands = ("red", "green")
    dtype = "uint8" if pixels is None else str(pixels.dtype)
    image = make_raster(folder / f"{name}.tif", grid, bands=bands, dtype=dtype, pixels=pixels)
    truth = make_raster(folder / f"{name}_labels.tif", grid, bands=("label",), pixels=labels[None])
    return Scene(name, Imagery((str(image),), bands), str(truth), group or name, grid)


def a_dataset(scenes: list[Scene], dtype: str = "uint8") -> Dataset:
    return Dataset(tuple(scenes), LEGEND, RULE, ("red", "green"), dtype)


def houses(height: int, width: int, side: int = 10, every: int = 25) -> NDArray[np.uint8]:
    labels = np.zeros((height, width), dtype=np.uint8)
    for row in range(5, height - side, every):
        for col in range(5, width - side, every):
            labels[row : row + side, col : col + side] = 1
    return labels


def test_counts_are_those_of_each_cell_however_large_the_scene(tmp_path: Path) -> None:
    grid = make_grid(1100, 70)
    labels = np.random.default_rng(0).choice(np.array([0, 1, 2, 9], dtype=np.uint8), (1100, 70))
    survey = survey_dataset(a_dataset([write_scene(tmp_path, "a", grid, labels)]))
    rows, cols = lattice_edges(1100, LATTICE), lattice_edges(70, LATTICE)
    for i, j in ((0, 0), (3, 7), (9, 9)):
        cell = labels[rows[i] : rows[i + 1], cols[j] : cols[j + 1]]
        assert survey.counts["a"][i, j].tolist() == [(cell == k).sum() for k in range(3)]
    assert survey.valid["a"] == 1100 * 70


def test_a_sketch_is_the_mean_of_blocks(tmp_path: Path) -> None:
    grid = make_grid(1030, 700, crs=None)
    pixels = np.random.default_rng(1).integers(1, 200, (2, 1030, 700)).astype("uint8")
    labels = houses(1030, 700)
    survey = survey_dataset(a_dataset([write_scene(tmp_path, "a", grid, labels, pixels=pixels)]))
    sketch = survey.sketches["a"]
    assert sketch.factor == 3
    for row, col in ((0, 0), (200, 100), (341, 2)):
        block = pixels[:, 3 * row : 3 * row + 3, 3 * col : 3 * col + 3]
        assert sketch.grey[row, col] == pytest.approx(block.mean(), abs=0.01)
        assert sketch.classes[row, col] == labels[3 * row + 1, 3 * col + 1]
    assert sketch.grey.shape == (344, 234)


def test_scenes_without_a_crs_are_made_small_alike() -> None:
    sizes = {"a": (400, 500), "b": (2000, 1500), "c": (900, 1000)}
    scenes = [Scene(n, Imagery(("x",), ("red",)), "y", n, make_grid(*s, crs=None)) for n, s in sizes.items()]
    assert len(set(sketch_factors(scenes).values())) == 1
    placed = [replace(s, grid=make_grid(*sizes[s.name])) for s in scenes]
    assert len(set(sketch_factors(placed).values())) > 1


def test_nan_and_infinite_pixels_have_no_say(tmp_path: Path) -> None:
    grid = make_grid(120, 200)
    pixels = np.random.default_rng(2).normal(10, 2, (2, 120, 200)).astype("float32")
    holes = np.zeros((120, 200), bool)
    holes[:, 40:70] = True
    spoilt = pixels.copy()
    spoilt[0, holes] = np.nan
    spoilt[1, :30, 60:70] = np.inf
    dataset = a_dataset([write_scene(tmp_path, "a", grid, houses(120, 200), pixels=spoilt)], "float32")
    survey = survey_dataset(dataset)
    split, _ = split_dataset(dataset, survey, ("none",))
    facts = measure_fingerprint(split, survey)
    assert facts.valid_pixels == (~holes).sum() == survey.counts["a"].sum()
    assert facts.nodata_share == pytest.approx(30 / 200)
    assert [b.mean for b in facts.bands] == pytest.approx(pixels[:, ~holes].mean(axis=1).tolist(), rel=1e-5)
    assert sum(facts.class_pixels) == (~holes).sum()
    assert np.isfinite(facts.autocorrelation_px)


def test_objects_are_measured_on_the_ground(tmp_path: Path) -> None:
    scenes = [
        write_scene(tmp_path, f"s{n}", make_grid(200, 300, gsd=g), houses(200, 300)) for n, g in enumerate((0.5, 1))
    ]
    dataset = a_dataset(scenes)
    split, _ = split_dataset(dataset, survey_dataset(dataset), ("none",))
    facts = measure_fingerprint(split, survey_dataset(dataset))
    house = facts.objects[1]
    assert facts.object_unit == "m"
    assert house.name == "house"
    assert house.count == 2 * 8 * 12
    # A quarter of the ground is in houses of half-metre pixels, the rest in those of whole metres.
    assert house.area == pytest.approx((25, 100, 100), rel=0.02)
    assert house.width == pytest.approx((5, 10, 10), rel=0.12)
    assert facts.objects[2].count == 0
    assert facts.gsd_range_m == pytest.approx((0.5, 1.0), rel=0.01)
    assert facts.class_scenes == (2, 2, 0)
    assert facts.objects[0].cut_share == 1


def test_without_a_crs_objects_are_in_pixels(tmp_path: Path) -> None:
    dataset = a_dataset([write_scene(tmp_path, "a", make_grid(200, 300, crs=None), houses(200, 300))])
    survey = survey_dataset(dataset)
    facts = measure_fingerprint(split_dataset(dataset, survey, ("none",))[0], survey)
    assert facts.object_unit == "px"
    assert facts.gsd_range_m is None
    assert facts.autocorrelation_m is None
    assert facts.objects[1].area == (100, 100, 100)


@pytest.mark.parametrize("side", [240, 1200])
def test_the_range_is_measured_in_pixels_whatever_the_sketch(tmp_path: Path, side: int) -> None:
    """Smoothed noise of width 4 has its range at 8 pixels; labels without structure add nothing."""
    generator = np.random.default_rng(5)
    noise = ndimage.gaussian_filter(generator.normal(size=(side, side)), 4, mode="wrap")
    pixels = np.stack([120 + 30 * noise / noise.std()] * 2).clip(1, 255).astype("uint8")
    labels = generator.integers(0, 2, (side, side)).astype("uint8")
    dataset = a_dataset([write_scene(tmp_path, "a", make_grid(side, side), labels, pixels=pixels)])
    survey = survey_dataset(dataset)
    assert survey.range_px["a"] == pytest.approx(8, rel=0.2)
    facts = measure_fingerprint(split_dataset(dataset, survey)[0], survey)
    assert facts.autocorrelation_m == pytest.approx(facts.autocorrelation_px * 0.5, rel=0.01)


def test_a_class_without_a_training_pixel_is_named(tmp_path: Path) -> None:
    plain, wet = houses(100, 150), houses(100, 150)
    wet[40:60] = 2
    grids = [Grid("EPSG:32637", (0.5, 0.0, 500_000.0 + 900 * n, 0.0, -0.5, 4e6), 100, 150) for n in range(2)]
    scenes = [write_scene(tmp_path, n, g, t) for n, g, t in zip(("a", "b"), grids, (plain, wet), strict=True)]
    dataset = a_dataset(scenes)
    survey = survey_dataset(dataset)
    judged = measure_fingerprint(split_dataset(dataset, survey, ("b",))[0], survey)
    (warning,) = class_warnings(judged)
    assert "labelled pool (only where the training is judged)" in warning
    assert judged.validation_class_pixels[2] == 20 * 150
    assert class_warnings(measure_fingerprint(split_dataset(dataset, survey, ("a",))[0], survey)) == ()
    dry = a_dataset(scenes[:1])
    dry_survey = survey_dataset(dry)
    (warning,) = class_warnings(measure_fingerprint(split_dataset(dry, dry_survey)[0], dry_survey))
    assert "nowhere" in warning


def test_class_pixels_of_parted_scenes_add_up(tmp_path: Path) -> None:
    dataset = a_dataset([write_scene(tmp_path, "a", make_grid(300, 200), houses(300, 200))])
    survey = replace(survey_dataset(dataset), range_px={"a": 0.0})
    split, _ = split_dataset(dataset, survey)
    facts = measure_fingerprint(split, survey)
    both = np.add(facts.class_pixels, facts.validation_class_pixels)
    assert both.tolist() == survey.counts["a"].sum(axis=(0, 1)).tolist()


def test_all_ground_in_test_scenes_leaves_nothing_to_train_on(tmp_path: Path) -> None:
    grid = make_grid(100, 150)
    scenes = [write_scene(tmp_path, n, grid, houses(100, 150)) for n in ("a", "b")]
    dataset = a_dataset([scenes[0], replace(scenes[1], is_test=True)])
    survey = survey_dataset(dataset)
    split, report = split_dataset(dataset, survey)
    assert survey.overlaps[0].window_one == Window(0, 0, 100, 150)
    assert any("nothing of it is left" in w for w in report.warnings)
    with pytest.raises(EmptyDataset, match="no labelled scene is left"):
        measure_fingerprint(split, survey)


def test_weighted_percentiles_follow_the_weight() -> None:
    values, weights = np.array([5.0, 1.0, 3.0]), np.array([8.0, 1.0, 1.0])
    assert weighted_percentiles(values, weights) == (1.0, 5.0, 5.0)
