"""Shards of a job of several rasters, as the command runs them, and how far they are in words."""

import hashlib
import time
from collections.abc import Callable
from itertools import permutations
from pathlib import Path

import pytest

from terraseg.core.watch import Silent
from terraseg.errors import BadOption
from terraseg.pipeline import rasters
from terraseg.pipeline.advance import tile_progress
from terraseg.pipeline.products import Model
from terraseg.pipeline.rasters import Course, Predicted, predict_files
from terraseg.predict import sweep
from terraseg.store import mapwriter
from tests.makers import PointScorer, make_grid, make_pixels, make_raster, make_spec


class Heard(Silent):
    """Keeps what is said and how far it is."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)

    def progress(self, done: float, total: float, text: str = "") -> None:
        self.lines.append(f"{done:g}/{total:g} {text}")


@pytest.fixture
def predict(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Predicted]:
    """Predicts three small rasters in blocks of 32 pixels."""
    spec = make_spec()
    monkeypatch.setattr(rasters, "open_model", lambda *_: Model(PointScorer(spec), "abc", {}, "predicting"))
    monkeypatch.setattr(rasters, "read_spec", lambda _: spec)
    for module in (mapwriter, sweep, rasters):
        monkeypatch.setattr(module, "BLOCK", 32)
    for name, size in (("a", (150, 100)), ("b", (30, 40)), ("c", (70, 200))):
        make_raster(tmp_path / "scenes" / f"{name}.tif", make_grid(*size))

    def call(out: Path, shard: str | None = None, watch: Heard | None = None) -> Predicted:
        course = Course(shard=shard)
        given = [str(tmp_path / "scenes" / "*.tif")]
        return predict_files(given, [Path("m")], out, {"threads": 1}, watch=watch or Heard(), course=course)

    return call


def digest(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir())}


def test_shards_in_any_order_make_the_maps_of_one_machine(predict: Callable[..., Predicted], tmp_path: Path) -> None:
    predict(tmp_path / "one")
    expected = digest(tmp_path / "one")
    assert {"a_map.tif", "b_map.tif", "c_map.tif"} <= set(expected)
    for number, order in enumerate(permutations((1, 2, 3))):
        folder = tmp_path / f"order{number}"
        for shard in order:
            predict(folder, f"{shard}/3")
        assert digest(folder) == expected


def test_parts_brought_together_become_maps_without_scoring(
    predict: Callable[..., Predicted], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predict(tmp_path / "one")
    for shard in (1, 2):
        predict(tmp_path / f"machine{shard}", f"{shard}/2")
    here, there = tmp_path / "machine1", tmp_path / "machine2"
    for part in there.glob(".*.part"):
        (here / part.name).mkdir(exist_ok=True)
        for blocks in part.glob("*.blocks"):
            blocks.replace(here / part.name / blocks.name)
    for done in there.glob("*_map*"):
        done.replace(here / done.name)
    scored: list[int] = []
    monkeypatch.setattr(PointScorer, "score", lambda _, batch: scored.append(len(batch)))
    predict(here, "1/2")
    assert digest(here) == digest(tmp_path / "one")
    assert scored == []


def test_a_job_given_again_does_only_what_is_missing(predict: Callable[..., Predicted], tmp_path: Path) -> None:
    first = predict(tmp_path / "maps")
    before = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "maps").iterdir()}
    (tmp_path / "maps" / "b_map.tif").unlink()
    watch = Heard()
    second = predict(tmp_path / "maps", watch=watch)
    assert sum("is up to date" in line for line in watch.lines) == 2
    assert set(second.files) <= set(first.files)
    after = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "maps").iterdir()}
    assert {name for name in before if before[name] == after[name]} >= {"a_map.tif", "c_map.tif"}
    make_raster(tmp_path / "scenes" / "a.tif", make_grid(150, 100), pixels=make_pixels(make_grid(150, 100), seed=9))
    watch = Heard()
    predict(tmp_path / "maps", watch=watch)
    assert sum("is up to date" in line for line in watch.lines) == 2, "a changed raster is mapped anew"


def test_more_shards_than_there_is_work_say_so(predict: Callable[..., Predicted], tmp_path: Path) -> None:
    heard = [Heard() for _ in range(30)]
    for shard, watch in enumerate(heard, start=1):
        predict(tmp_path / "many", f"{shard}/30", watch)
    assert any("has nothing to do" in line for watch in heard for line in watch.lines)
    predict(tmp_path / "one")
    assert digest(tmp_path / "many") == digest(tmp_path / "one")


def test_a_shard_that_cannot_be_is_refused(predict: Callable[..., Predicted], tmp_path: Path) -> None:
    with pytest.raises(BadOption, match="i/n"):
        predict(tmp_path, "5")


def test_progress_is_told_in_ground_and_its_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, heard = [10.0], Heard()
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    progress = tile_progress("scene", make_grid(4000, 5000, gsd=0.5, crs=None), heard)
    progress(5, 20, 5_000_000)
    clock[0] += 10
    progress(10, 20, 10_000_000)
    assert heard.lines == [
        "5/20 tiles of scene, 5 of 20 Mpx",
        "10/20 tiles of scene, 10 of 20 Mpx, 0.5 Mpx/s",
    ]
    tile_progress("scene", make_grid(4000, 5000, gsd=0.5), heard)(1, 20, 4_000_000)
    assert "of 5.00" in heard.lines[-1]
    assert heard.lines[-1].endswith("km2")
