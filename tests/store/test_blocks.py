"""Scenes of any pixel size brought to the size that training works on: held against a brute-force reading of the ground."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from terraseg.core.classes import LandClass, Legend
from terraseg.core.dataset import Dataset, Imagery, LabelRule, Scene
from terraseg.core.plan import Plan
from terraseg.core.scale import SAME, Scale, Working
from terraseg.core.window import Window
from terraseg.errors import GridMismatch
from terraseg.pixels.tiling import Axis, Lattice
from terraseg.predict.ready import made_ready
from terraseg.predict.tiles import read_tile
from terraseg.store import cache
from terraseg.store.cache import CELL, CachedScene, TrainingScene, WindowedScene, entry_name, training_scenes
from terraseg.store.imagery import write_raster
from tests.makers import PointScorer, make_grid, make_spec

LEGEND = Legend((LandClass(0, "a", "#000000"), LandClass(1, "b", "#FF0000"), LandClass(2, "c", "#00FF00")))
FILL = (9.0, 11.0)
FACTORS = [Fraction(3, 2), Fraction(7, 5), Fraction(17, 8), Fraction(5, 7), Fraction(1, 2), Fraction(8, 15)]


def make_scene(folder: Path, *, dtype: str = "uint8", seed: int = 0, height: int = 61, width: int = 47) -> Scene:
    """Two bands with nodata in a corner and in specks; labels of three classes with void."""
    random, grid = np.random.default_rng(seed), make_grid(height, width)
    pixels = random.integers(1, 200, (2, height, width)).astype(dtype)
    pixels[:, :9, :11] = 0
    pixels[:, random.random((height, width)) < 0.1] = 0
    labels = random.choice([0, 1, 2, 9], size=(1, height, width)).astype("uint8")
    labels = labels.repeat(3, axis=1).repeat(3, axis=2)[:, :height, :width]
    write_raster(folder / "i.tif", pixels, grid, ["red", "nir"], nodata=0)
    write_raster(folder / "l.tif", labels, grid, ["label"])
    return Scene(
        "s", Imagery((str(folder / "i.tif"),), ("red", "nir")), str(folder / "l.tif"), "s", grid, (grid.window,)
    )


def make_dataset(scene: Scene, dtype: str = "uint8") -> Dataset:
    return Dataset((scene,), LEGEND, LabelRule("ids", (("0",), ("1",), ("2",)), ("9",)), ("red", "nir"), dtype)


def own(scene: Scene) -> tuple[NDArray[Any], NDArray[np.uint8], NDArray[np.bool_]]:
    import rasterio

    with rasterio.open(scene.imagery.paths[0]) as file:
        pixels = file.read()
    with rasterio.open(scene.labels or "") as file:
        labels = file.read(1)
    valid = ~(pixels == 0).all(axis=0)
    return pixels, np.where(valid & (labels != 9), labels, 255).astype(np.uint8), valid


def oracle_labels(labels: NDArray[np.uint8], factor: Fraction, height: int, width: int) -> NDArray[np.uint8]:
    """The commonest class by covered area in exact arithmetic, or the label at the centre where pixels are enlarged."""
    out = np.full((height, width), 255, dtype=np.uint8)
    for row in range(height):
        for col in range(width):
            if factor < 1:
                out[row, col] = labels[int((row + Fraction(1, 2)) * factor), int((col + Fraction(1, 2)) * factor)]
                continue
            areas = dict.fromkeys(range(3), Fraction(0))
            for y in range(int(row * factor), -int(-(row + 1) * factor // 1)):
                for x in range(int(col * factor), -int(-(col + 1) * factor // 1)):
                    down = min(Fraction(y + 1), (row + 1) * factor) - max(Fraction(y), row * factor)
                    across = min(Fraction(x + 1), (col + 1) * factor) - max(Fraction(x), col * factor)
                    if labels[y, x] != 255:
                        areas[int(labels[y, x])] += down * across
            if 2 * sum(areas.values()) >= factor**2:
                out[row, col] = min(areas, key=lambda k: (-areas[k], k))
    return out


def opened(scene: Scene, folder: Path, working: Working, *, dtype: str = "uint8", cache_gb: float = 1.0) -> Any:
    return training_scenes(make_dataset(scene, dtype), folder, cache_gb=cache_gb, fill=FILL, working=lambda _: working)


@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize("reduction", [1, 2])
def test_labels_are_the_commonest_class_or_that_of_the_centre(tmp_path: Path, factor: Fraction, reduction: int) -> None:
    scene, working = make_scene(tmp_path), Working(Scale(factor, factor), reduction)
    if working.total.whole:
        pytest.skip("whole squares are another test's")
    _, labels, _ = own(scene)
    with opened(scene, tmp_path / "c", working) as (found,):
        grid = found.scene.grid
        _, truth = found.read(grid.window)
    total = factor * reduction
    assert (grid.height, grid.width) == (int(61 / total), int(47 / total))
    assert np.allclose(grid.to_map(1, 1), scene.grid.to_map(float(total), float(total)))
    assert np.array_equal(truth, oracle_labels(labels, total, grid.height, grid.width))


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("factor", FACTORS)
def test_pixels_are_made_of_valid_ones_alone(tmp_path: Path, factor: Fraction, dtype: str) -> None:
    """Ground of one brightness stays so right up to its nodata, and no value comes out that did not go in."""
    scene = make_scene(tmp_path, dtype=dtype)
    pixels, _, valid = own(scene)
    flat = np.where(valid, np.array([50, 120])[:, None, None], 0).astype(dtype)
    write_raster(Path(scene.imagery.paths[0]), flat, scene.grid, ["red", "nir"], nodata=0)
    with opened(scene, tmp_path / "c", Working(Scale(factor, factor)), dtype=dtype) as (found,):
        got, truth = found.read(found.scene.grid.window)
    assert got.dtype == np.dtype(dtype)
    assert np.allclose(got[:, truth != 255], np.array([[50], [120]]), atol=1e-4)
    assert got[0].min() > FILL[0] - 0.001
    assert pixels.max() > 120


@pytest.mark.parametrize("factor", FACTORS)
def test_without_nodata_pixels_are_the_mean_of_their_ground_or_lie_between_centres(
    tmp_path: Path, factor: Fraction
) -> None:
    scene = make_scene(tmp_path, dtype="float32")
    pixels = np.random.default_rng(1).uniform(1, 200, (2, 61, 47)).astype(np.float32)
    write_raster(Path(scene.imagery.paths[0]), pixels, scene.grid, ["red", "nir"])
    with opened(scene, tmp_path / "c", Working(Scale(factor, factor)), dtype="float32") as (found,):
        got, _ = found.read(found.scene.grid.window)
    for row, col in np.random.default_rng(2).integers(0, got.shape[1:], (40, 2)):
        if factor > 1:
            step = 40
            ys, xs = (((np.arange(step) + 0.5) / step + at) * float(factor) for at in (row, col))
            # A fine sample of the step function over the pixel's ground.
            wanted = pixels[:, ys.astype(int)][:, :, xs.astype(int)].mean(axis=(1, 2))
            assert np.allclose(got[:, row, col], wanted, atol=4)
        else:
            y, x = (np.clip((at + 0.5) * float(factor) - 0.5, 0, n - 1) for at, n in ((row, 61), (col, 47)))
            top, left = min(int(y), 59), min(int(x), 45)
            down, across = y - top, x - left
            corner = pixels[:, top : top + 2, left : left + 2]
            wanted = (corner * np.outer([1 - down, down], [1 - across, across])).sum(axis=(1, 2))
            assert np.allclose(got[:, row, col], wanted, atol=1e-3)


@pytest.mark.parametrize("factor", [Fraction(7, 5), Fraction(5, 7)])
@pytest.mark.parametrize("cache_gb", [1.0, 0.0])
def test_any_window_reads_as_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, factor: Fraction, cache_gb: float
) -> None:
    scene, working = make_scene(tmp_path, dtype="float32"), Working(Scale(factor, factor * Fraction(3, 2)), 2)
    with opened(scene, tmp_path / "whole", working, dtype="float32") as (found,):
        pixels, labels = (np.array(part) for part in found.read(found.scene.grid.window))
    monkeypatch.setattr(cache, "BLOCK", CELL)
    monkeypatch.setattr(cache, "BLOCK_BYTES", 1)
    with opened(scene, tmp_path / "c", working, dtype="float32", cache_gb=cache_gb) as (found,):
        again: TrainingScene = found
        assert isinstance(again, CachedScene if cache_gb else WindowedScene)
        for window in (again.scene.grid.window, Window(3, 2, 9, 7), Window(0, 5, 2, 3)):
            got = again.read(window)
            assert np.array_equal(got[0], pixels[:, *window.slices])
            assert np.array_equal(got[1], labels[window.slices])


@settings(max_examples=25, deadline=None)
@given(
    factor=st.sampled_from(FACTORS),
    reduction=st.integers(1, 3),
    seed=st.integers(0, 9),
    dtype=st.sampled_from(["uint8", "float32"]),
)
def test_training_sees_what_prediction_sees(
    tmp_path_factory: pytest.TempPathFactory, factor: Fraction, reduction: int, seed: int, dtype: str
) -> None:
    """The network's pixels of a foreign raster are the same ones on both ways, nodata included; away from the tile's edge."""
    folder = tmp_path_factory.mktemp("same")
    scene = make_scene(folder, dtype=dtype, seed=seed, height=120, width=120)
    gsd = (scene.grid.gsd_m or 1.0) * float(factor)
    working = Working(Scale(factor, factor), reduction)
    if working.total.whole is not None:
        return
    spec = replace(make_spec(("red", "nir"), dtype=dtype, tile=120, gsd_m=gsd), mean=FILL, reduction=reduction)
    scorer = PointScorer(spec)
    seen: list[NDArray[Any]] = []
    inner = scorer.score
    scorer.score = lambda batch: seen.append(batch) or inner(batch)  # type: ignore[method-assign,func-returns-value]
    with made_ready(scene.imagery, scorer) as ready:
        lattice = Lattice(Axis(120, 120, 8), Axis(120, 120, 8))
        tile = read_tile(ready.source, lattice, ready.scorer.spec, (0, 0))
        assert tile.pixels is not None
        ready.scorer.score(tile.pixels[None])
    model = seen[-1][0].astype(np.float64)
    rows, cols = model.shape[1] // reduction, model.shape[2] // reduction
    squares = model[:, : rows * reduction, : cols * reduction].reshape(2, rows, reduction, cols, reduction)
    with opened(scene, folder / "c", working, dtype=dtype) as (found,):
        trained, _ = found.read(found.scene.grid.window)
    common = np.s_[:, : min(rows, trained.shape[1]) - 2, : min(cols, trained.shape[2]) - 2]
    assert np.allclose(trained[common], squares.mean(axis=(2, 4))[common], atol=0.5001 if dtype == "uint8" else 1e-3)


def test_the_key_of_the_cache_changes_with_the_scale(tmp_path: Path) -> None:
    scene = make_scene(tmp_path)
    half, third = (Scale(Fraction(1, n), Fraction(1, n)) for n in (2, 3))
    ways = (Working(), Working(reduction=2), Working(half), Working(third), Working(half, 3), Working(Scale(half.rows)))
    names = [entry_name(scene, make_dataset(scene), FILL, whole=True, working=working) for working in ways]
    assert len(set(names)) == len(ways)
    assert names[1] == entry_name(scene, make_dataset(scene), FILL, whole=True, working=Working(half, 4))


def test_a_plan_brings_each_scene_to_its_ground_sample_distance() -> None:
    plan = Plan("n", {}, 64, 2, 1, None, 1e-3, 0.0, "fp32", "cpu", 1, (), 0, 0, 64, 8, 0, gsd_m=1.0, reduction=2)
    assert plan.working(make_grid(gsd=0.5)) == Working(SAME, 2)
    assert plan.working(make_grid(gsd=0.25)).total.whole == 4
    assert plan.working(make_grid(gsd=1.0)).total.whole == 1
    assert plan.working(make_grid(gsd=0.7)).total.mean == pytest.approx(10 / 7)
    assert plan.working(make_grid(crs=None)) == Working(SAME, 2)


def test_a_scene_smaller_than_one_working_pixel_is_refused_by_name(tmp_path: Path) -> None:
    scene = make_scene(tmp_path, height=12, width=12)
    with pytest.raises(GridMismatch, match="s has 12 x 12 pixels, and 20 x 20 of them make one"):
        opened(scene, tmp_path / "c", Working(reduction=20)).__enter__()
