"""Training scenes as arrays on disk."""

import pickle
import shutil
import signal
import subprocess
import sys
from collections import namedtuple
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from terraseg.core.classes import LandClass, Legend
from terraseg.core.coding import Coding
from terraseg.core.dataset import Dataset, Imagery, LabelRule, Scene
from terraseg.core.scale import Working
from terraseg.core.window import Window
from terraseg.errors import UnknownClass
from terraseg.store import cache
from terraseg.store.blocks import fill_values, refuse_unknown
from terraseg.store.cache import (
    CELL,
    CachedScene,
    WindowedScene,
    cell_counts,
    fitting,
    training_scenes,
)
from terraseg.store.imagery import write_raster
from tests.makers import make_grid

LEGEND = Legend((LandClass(0, "a", "#000000"), LandClass(1, "b", "#FF0000")))
FILL = (7.4, 300.0)


def make_scene(folder: Path, name: str = "s", *, dtype: str = "uint8", height: int = 70, width: int = 90) -> Scene:
    """Two bands with nodata in a corner and, in floats, NaN in one band; labels with void."""
    random = np.random.default_rng(len(name))
    grid = make_grid(height, width)
    pixels = random.integers(1, 200, (2, height, width)).astype(dtype)
    pixels[:, :9, :11] = 0
    if dtype == "float32":
        pixels[1, 40, 40] = np.nan
    labels = random.choice([0, 1, 9], size=(1, height, width)).astype("uint8")
    image, truth = folder / f"{name}.tif", folder / f"{name}_labels.tif"
    write_raster(image, pixels, grid, ["red", "nir"], nodata=0)
    write_raster(truth, labels, grid, ["label"])
    imagery = Imagery((str(image),), ("red", "nir"))
    return Scene(name, imagery, str(truth), name, grid, (Window(0, 0, height, width),))


def make_dataset(*scenes: Scene, dtype: str = "uint8") -> Dataset:
    rule = LabelRule("ids", (("0",), ("1",)), ignore=("9",))
    return Dataset(scenes, LEGEND, rule, ("red", "nir"), dtype)


def expected(scene: Scene, dtype: str) -> tuple[NDArray[Any], NDArray[np.uint8]]:
    """What a scene should hold, from its files by rasterio alone."""
    import rasterio

    with rasterio.open(scene.imagery.paths[0]) as file:
        pixels = file.read()
    with rasterio.open(scene.labels or "") as file:
        labels = file.read(1)
    invalid = (pixels == 0).all(axis=0) | ~np.isfinite(pixels.astype(float)).all(axis=0)
    pixels[0][invalid], pixels[1][invalid] = (7, 255) if dtype == "uint8" else FILL
    return pixels, np.where((labels == 9) | invalid, 255, labels).astype(np.uint8)


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("cache_gb", [1.0, 0.0])
def test_cached_and_windowed_scenes_read_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: str, cache_gb: float
) -> None:
    monkeypatch.setattr(cache, "BLOCK", 2 * CELL)  # several blocks in both directions
    monkeypatch.setattr(cache, "BLOCK_BYTES", 1)
    scene = make_scene(tmp_path, dtype=dtype)
    pixels, labels = expected(scene, dtype)
    with training_scenes(make_dataset(scene, dtype=dtype), tmp_path / "c", cache_gb=cache_gb, fill=FILL) as (found,):
        assert isinstance(found, CachedScene if cache_gb else WindowedScene)
        for window in (scene.grid.window, Window(3, 5, 20, 30), Window(69, 89, 1, 1)):
            got = found.read(window)
            assert got[0].dtype == np.dtype(dtype)
            assert np.array_equal(got[0], pixels[:, *window.slices])
            assert np.array_equal(got[1], labels[window.slices])
        assert np.array_equal(found.counts, cell_counts(labels, Coding(2)))


@pytest.mark.parametrize("cache_gb", [1.0, 0.0])
@pytest.mark.parametrize("factor", [2, 3])
def test_reduced_scenes_hold_means_and_commonest_classes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, factor: int, cache_gb: float
) -> None:
    monkeypatch.setattr(cache, "BLOCK", 2 * CELL)
    monkeypatch.setattr(cache, "BLOCK_BYTES", 1)
    scene = make_scene(tmp_path, height=71, width=97)
    pixels, labels = expected(scene, "uint8")
    with training_scenes(
        make_dataset(scene), tmp_path / "c", cache_gb=cache_gb, fill=FILL, working=lambda _: Working(reduction=factor)
    ) as (found,):
        grid = found.scene.grid
        assert (grid.height, grid.width) == (71 // factor, 97 // factor)
        assert np.allclose(grid.to_map(1, 1), scene.grid.to_map(factor, factor))
        assert found.scene.train == (Window(0, 0, grid.height, grid.width),)
        got, truth = found.read(Window(2, 3, 17, 20))
        for row in range(17):
            for col in range(20):
                place = np.s_[(row + 2) * factor : (row + 3) * factor, (col + 3) * factor : (col + 4) * factor]
                assert np.allclose(got[:, row, col], pixels[:, *place].mean(axis=(1, 2)), atol=0.5001)
                counts = np.bincount(labels[place].ravel(), minlength=256)
                wanted = 255 if 2 * counts[:2].sum() < factor**2 else counts[:2].argmax()
                assert truth[row, col] == wanted
        assert np.array_equal(found.counts, cell_counts(found.read(grid.window)[1], Coding(2)))


@given(st.integers(1, 50), st.integers(1, 50), st.integers(0, 3))
def test_cells_count_the_pixels_of_each_class(height: int, width: int, seed: int) -> None:
    labels = np.random.default_rng(seed).choice([0, 1, 2, 255], size=(height, width)).astype(np.uint8)
    counts = cell_counts(labels, Coding(3))
    for k in range(3):
        for row in range(counts.shape[1]):
            for col in range(counts.shape[2]):
                part = labels[row * CELL : (row + 1) * CELL, col * CELL : (col + 1) * CELL]
                assert counts[k, row, col] == np.sum(part == k)
    assert counts.sum() == np.sum(labels != 255)


def test_an_index_beyond_the_legend_is_refused() -> None:
    with pytest.raises(UnknownClass, match="class index 2, and the legend has 2 classes"):
        refuse_unknown(np.array([[0, 2, 255]], dtype=np.uint8), Coding(2), "here")


def test_a_copy_is_made_once_and_again_when_its_source_changes(tmp_path: Path) -> None:
    scene, folder, notes = make_scene(tmp_path), tmp_path / "c", list[str]()
    dataset = make_dataset(scene)
    for _ in range(2):
        with training_scenes(dataset, folder, cache_gb=1, fill=FILL, note=notes.append):
            pass
    assert notes == ["copying scene s into the cache"]
    first = [p.name for p in folder.iterdir()]
    write_raster(Path(scene.labels or ""), np.ones((1, 70, 90), dtype="uint8"), scene.grid, ["label"])
    with training_scenes(dataset, folder, cache_gb=1, fill=FILL, note=notes.append) as (found,):
        assert set(np.unique(found.read(scene.grid.window)[1]).tolist()) == {1, 255}
    assert len(notes) == 2
    assert [p.name for p in folder.iterdir()] != first
    assert len(list(folder.iterdir())) == 1


def test_the_bound_is_kept_scene_by_scene(tmp_path: Path) -> None:
    scenes = [make_scene(tmp_path, name) for name in ("one", "three", "fives")]
    size = 70 * 90 * 3
    with training_scenes(make_dataset(*scenes), tmp_path / "c", cache_gb=2.5 * size / 1e9, fill=FILL) as found:
        assert [type(s) for s in found] == [CachedScene, CachedScene, WindowedScene]
    assert sum(p.stat().st_size for p in (tmp_path / "c").rglob("pixels.npy")) < 2.5 * size


@given(st.lists(st.integers(0, 100), max_size=12), st.integers(0, 300))
def test_fitting_never_exceeds_the_limit(sizes: list[int], limit: int) -> None:
    taken = fitting(sizes, limit)
    assert sum(size for size, is_taken in zip(sizes, taken, strict=True) if is_taken) <= limit


def test_a_full_disk_means_reading_by_windows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10, 10, 0))
    scene = make_scene(tmp_path)
    for _ in range(2):
        with training_scenes(make_dataset(scene), tmp_path / "c", cache_gb=1, fill=FILL) as (found,):
            assert isinstance(found, WindowedScene)
            assert np.array_equal(found.read(scene.grid.window)[1], expected(scene, "uint8")[1])


def test_what_a_killed_copy_left_is_cleared_and_foreign_files_stay(tmp_path: Path) -> None:
    folder = tmp_path / "c"
    (folder / ".s-0123456789abcdef.part").mkdir(parents=True)
    (folder / "old-0123456789abcdef").mkdir()
    (folder / "notes.txt").write_text("mine")
    with training_scenes(make_dataset(make_scene(tmp_path)), folder, cache_gb=1, fill=FILL):
        pass
    names = sorted(p.name for p in folder.iterdir())
    assert len(names) == 2
    assert names[0] == "notes.txt"


KILLED = """
import os, pickle, signal, sys
from pathlib import Path
from terraseg.store import cache
cache.BLOCK, cache.BLOCK_BYTES = 2 * cache.CELL, 1
count, seen = cache.cell_counts, []
def die(*about):
    seen.append(about)
    if len(seen) == int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)
    return count(*about)
cache.cell_counts = die
dataset = pickle.loads(Path(sys.argv[1]).read_bytes())
with cache.training_scenes(dataset, Path(sys.argv[2]), cache_gb=1, fill=(7.4, 300.0)):
    pass
"""


@pytest.mark.parametrize("block", [1, 5])
def test_a_kill_in_the_middle_of_a_copy_leaves_nothing_that_is_taken_for_whole(tmp_path: Path, block: int) -> None:
    scene, folder, notes = make_scene(tmp_path), tmp_path / "c", list[str]()
    task = tmp_path / "task.pickle"
    task.write_bytes(pickle.dumps(make_dataset(scene)))
    command = [sys.executable, "-c", KILLED, str(task), str(folder), str(block)]
    assert subprocess.run(command, cwd=Path.cwd(), check=False).returncode == -signal.SIGKILL
    assert [p.name for p in folder.iterdir() if not p.name.endswith(".part")] == []
    with training_scenes(make_dataset(scene), folder, cache_gb=1, fill=FILL, note=notes.append) as (found,):
        pixels, labels = found.read(scene.grid.window)
        assert np.array_equal(pixels, expected(scene, "uint8")[0])
        assert np.array_equal(labels, expected(scene, "uint8")[1])
    assert notes == ["copying scene s into the cache"]
    assert len(list(folder.iterdir())) == 1


def test_a_copy_that_fails_leaves_nothing(tmp_path: Path) -> None:
    scene = make_scene(tmp_path)
    rule = LabelRule("ids", (("0",),), ignore=("9",))  # 1 is in the labels and in no class
    dataset = Dataset((scene,), LEGEND, rule, ("red", "nir"), "uint8")
    with pytest.raises(UnknownClass), training_scenes(dataset, tmp_path / "c", cache_gb=1, fill=FILL):
        pass
    assert not list((tmp_path / "c").iterdir())


def test_fills_are_rounded_and_kept_in_range() -> None:
    assert fill_values((-3.0, 70_000.0), "uint16").tolist() == [0, 65535]
    assert fill_values((0.25,), "float32").tolist() == [0.25]
