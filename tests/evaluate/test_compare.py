"""Two maps of the same scenes against the same labels; blocks, worst places and confidences on the way."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from terraseg.core.classes import LandClass, Legend
from terraseg.core.coding import Coding
from terraseg.core.dataset import Dataset, Imagery, LabelRule, Scene
from terraseg.core.grid import Grid
from terraseg.core.window import Window, cut
from terraseg.errors import EmptyDataset
from terraseg.evaluate.cells import Cells, block_side, coarser, count_cells, side_within, worst_tiles
from terraseg.evaluate.compare import Comparison, compare_maps
from terraseg.evaluate.evaluate import evaluate_scenes
from terraseg.evaluate.ground import Ground
from terraseg.evaluate.options import EvaluateOptions
from terraseg.evaluate.reliability import Reliability
from terraseg.pixels.confusion import confusion
from terraseg.store.classmap import write_class_map
from terraseg.store.imagery import write_raster
from tests.makers import make_grid

GRID = make_grid(80, 100)
LEGEND = Legend((LandClass(0, "land", "#AA8844"), LandClass(1, "roof", "#FF0000")))
RULE = LabelRule("ids", (("0",), ("1",)), ("9",))
ALL = EvaluateOptions(part="all", interval_side=10)
Pixels = NDArray[np.uint8]


def noisy(truth: Pixels, share: float, seed: int) -> Pixels:
    random = np.random.default_rng(seed)
    return np.where(random.random(truth.shape) < share, 1 - truth, truth).astype(np.uint8)


@pytest.fixture
def truth() -> Pixels:
    return np.kron(np.random.default_rng(0).integers(0, 2, (8, 10)), np.ones((10, 10))).astype(np.uint8)


@pytest.fixture
def scene(tmp_path: Path, truth: Pixels) -> Scene:
    path = tmp_path / "labels.tif"
    write_raster(path, truth[None], GRID, ["label"])
    return Scene("a", Imagery(("unused.tif",), ("red",)), str(path), "a", GRID)


def compared(scene: Scene, folder: Path, one: Pixels, two: Pixels) -> Comparison:
    paths = folder / "one.tif", folder / "two.tif"
    for path, pixels in zip(paths, (one, two), strict=True):
        write_class_map(path, pixels, GRID, LEGEND)
    dataset = Dataset((scene,), LEGEND, RULE, ("red",), "uint8")
    return compare_maps([(scene, *paths)], dataset, names=("old", "new"), options=ALL)


def test_a_better_map_is_told_from_a_worse_one_either_way_round(scene: Scene, tmp_path: Path, truth: Pixels) -> None:
    good, bad = noisy(truth, 0.05, 1), noisy(truth, 0.15, 2)
    forth, back = compared(scene, tmp_path, bad, good), compared(scene, tmp_path, good, bad)
    assert forth.blocks == 80
    assert forth.rows[0].one == pytest.approx((bad == truth).mean())
    assert forth.sentence.startswith("new is")
    assert back.sentence == forth.sentence.replace("new", "OLD").replace("old", "new").replace("OLD", "old")
    assert "more than noise" in forth.sentence
    assert forth.to_json()["rows"][1]["more_than_noise"] is True


def test_maps_of_equal_skill_are_called_so(scene: Scene, tmp_path: Path, truth: Pixels) -> None:
    found = compared(scene, tmp_path, noisy(truth, 0.1, 1), noisy(truth, 0.1, 2))
    assert not found.rows[1].is_real
    assert "no more than noise" in found.sentence


def test_only_ground_that_both_predict_counts(scene: Scene, tmp_path: Path, truth: Pixels) -> None:
    one, two = noisy(truth, 0.1, 1), noisy(truth, 0.1, 2)
    one[:40], two[:, :50] = 255, 255
    found = compared(scene, tmp_path, one, two)
    assert found.blocks == 20
    assert found.rows[0].one == pytest.approx((one == truth)[40:, 50:].mean())
    two[:] = 255
    with pytest.raises(EmptyDataset, match="no labelled pixel that both old and new predict"):
        compared(scene, tmp_path, one, two)


@pytest.mark.parametrize("block", [7, 33, 1000])
def test_blocks_lie_on_one_lattice_however_they_are_read(truth: Pixels, block: int) -> None:
    mapped = noisy(truth, 0.3, 3)
    mapped[5:9, 60:] = 255
    windows = (Window(3, 4, 50, 41), Window(3, 50, 70, 44))
    ground = Ground(GRID, windows, lambda w: truth[w.slices], lambda w: mapped[w.slices])
    cells, missing = count_cells(ground, Coding(2), side=16, block=block)
    scored = np.zeros(truth.shape, dtype=np.bool_)
    for window in windows:
        scored[window.slices] = True
    assert missing == (scored & (mapped == 255)).sum()
    for window, counts in zip(cells.windows, cells.counts, strict=True):
        rows, cols = window.slices
        inside = scored[rows, cols]
        want = confusion(truth[rows, cols][inside], mapped[rows, cols][inside], 2)
        np.testing.assert_array_equal(counts, want)
    assert cells.counts.sum() == (scored & (mapped != 255)).sum()


def test_blocks_of_vast_scenes_grow() -> None:
    vast = Grid(None, (1.0, 0.0, 0.0, 0.0, 1.0, 0.0), 200_000, 200_000)
    side = side_within(vast, 50, Coding(10))
    assert side % 50 == 0
    assert (200_000 / side) ** 2 * 100 <= 2**23
    assert side_within(GRID, 50, Coding(10)) == 50
    assert (block_side(None, 10.0), block_side(None, 100.0)) == (32, 200)


def test_the_worst_places_come_first(truth: Pixels) -> None:
    counts = np.array([[[90, 10], [0, 0]], [[50, 50], [0, 0]], [[100, 0], [0, 0]], [[0, 3], [0, 0]]])
    windows = tuple(Window(0, 10 * n, 10, 10) for n in range(4))
    tiles = worst_tiles([("a", Cells(windows, counts))], 5, side=10)
    assert [(tile.window.col, tile.accuracy) for tile in tiles] == [(10, 0.5), (0, 0.9)]
    few = worst_tiles([("a", Cells(windows[3:], counts[3:]))], 5, side=10)
    assert [tile.pixels for tile in few] == [3]


def test_the_confidence_beside_a_map_is_held_against_the_labels(scene: Scene, tmp_path: Path, truth: Pixels) -> None:
    """Sure of 0.9 and right in 80 of 100 pixels, as it comes: an error of 0.1 and no more."""
    mapped, path = noisy(truth, 0.2, 4), tmp_path / "map.tif"
    confidence = np.full(truth.shape, round(0.9 * 254), dtype=np.uint8)
    write_class_map(path, mapped, GRID, LEGEND, confidence=confidence)
    dataset = Dataset((scene,), LEGEND, RULE, ("red",), "uint8")
    found = evaluate_scenes([(scene, path)], dataset, options=ALL).reliability
    assert found is not None
    right = (mapped == truth).mean()
    assert found.ece == pytest.approx(abs(round(0.9 * 254) / 254 - right))
    ((sure, share, pixels),) = found.points
    assert (sure, share) == pytest.approx((229 / 254, right))
    assert pixels == truth.size
    assert Reliability.from_json(found.to_json()) == found
    assert (found + Reliability()).ece == found.ece
    assert Reliability().ece is None


def test_small_blocks_are_joined_into_tiles_that_show_something() -> None:
    side, grid = 36, Window(0, 0, 300, 500)
    windows = tuple(cut(grid, side, side))
    counts = np.arange(len(windows) * 4, dtype=np.int64).reshape(-1, 2, 2)
    tiles, wide = coarser(Cells(windows, counts), side=side)
    assert wide == 144
    assert set(tiles.windows) == set(cut(grid, wide, wide))
    for window, each in zip(tiles.windows, tiles.counts, strict=True):
        inside = [n for n, w in enumerate(windows) if window.intersection(w) == w]
        assert (each == counts[inside].sum(axis=0)).all()
    same, kept = coarser(Cells(windows, counts), side=256)
    assert kept == 256
    assert same.windows == windows
