"""Kills, full disks, spoilt windows, Ctrl-C and shards: the same command goes on, and the files are the same to the byte."""

import hashlib
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from terraseg.core.window import Window
from terraseg.errors import BadOption, UnreadableFile, UnwritableFile
from terraseg.predict import sweep
from terraseg.predict.budget import plan_sweep
from terraseg.predict.options import PredictOptions
from terraseg.predict.sweep import MapJob, predict_raster
from terraseg.predict.work import Shard, shares
from terraseg.store import blockfile, mapwriter

BLOCK = 32
ALL = PredictOptions(confidence=True, uncertainty=True, probabilities=True, threads=1)


@pytest.fixture
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mapwriter, "BLOCK", BLOCK)
    monkeypatch.setattr(sweep, "BLOCK", BLOCK)


def digest(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir())}


class Stopped(Exception):
    """Stands for what breaks a run off."""


def predict(source: Any, scorer: Any, out: Path, *, stop: int | None = None, fitted: bool = False, **job: Any) -> Any:
    """With the spec's own tiles, or with those that fit the raster."""
    spec = scorer.spec

    def progress(done: int, total: int, pixels: int) -> None:
        assert 0 < done <= total
        if done == stop:
            raise Stopped

    options = ALL if fitted else replace(ALL, tile=spec.tile, overlap=spec.overlap)
    return predict_raster(source, scorer, out, options=options, job=MapJob(**job), progress=progress)


@given(st.integers(1, 130), st.integers(1, 130), st.integers(16, 70), st.data())
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.usefixtures("_small_blocks")
def test_breaks_panels_and_shards_do_not_change_a_byte(
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    make_source: Any,
    make_scorer: Any,
    make_spec: Any,
    height: int,
    width: int,
    tile: int,
    data: st.DataObject,
) -> None:
    """A model that answers by place in the tile, so that any other cut of the work would show."""
    folder = tmp_path_factory.mktemp("cuts")
    overlap = data.draw(st.integers(0, tile - 1))
    source, scorer = make_source(height, width), make_scorer(make_spec(tile, overlap), bias=0.8)
    source.valid[height // 3 : height // 2, width // 4 : width // 2] = False
    fitted = data.draw(st.booleans())
    predict(source, scorer, folder / "whole" / "map.tif", fitted=fitted)
    expected = digest(folder / "whole")

    def narrow(*args: Any, **kwargs: Any) -> Any:
        plan = plan_sweep(*args, **kwargs)
        return replace(plan, panel_columns=columns)

    columns = 99
    with monkeypatch.context() as patch:
        patch.setattr(sweep, "plan_sweep", narrow)
        for _ in range(data.draw(st.integers(0, 3))):
            columns, stop = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 20))
            with suppress(Stopped):
                predict(source, scorer, folder / "broken" / "map.tif", stop=stop, fitted=fitted)
        predict(source, scorer, folder / "broken" / "map.tif", fitted=fitted)
    assert digest(folder / "broken") == expected
    count = data.draw(st.integers(1, 4))
    for number in data.draw(st.permutations(range(1, count + 1))):
        shard = Shard(number, count)
        (window,) = shares([(height, width)], shard, BLOCK)
        if window is not None:
            part = (shard.name, window)
            summary = predict(source, scorer, folder / "shards" / "map.tif", part=part, fitted=fitted)
    assert summary.is_whole
    assert digest(folder / "shards") == expected


@pytest.mark.usefixtures("_small_blocks")
def test_going_on_scores_little_twice_and_says_what_was_found(
    tmp_path: Path, make_source: Any, make_scorer: Any, make_spec: Any
) -> None:
    source, scorer = make_source(300, 200), make_scorer(make_spec(32, 8))
    with pytest.raises(Stopped):
        predict(source, scorer, tmp_path / "map.tif", stop=60)
    assert [p.name for p in tmp_path.iterdir()] == [".map.part"]
    before = len(scorer.batches)
    summary = predict(source, scorer, tmp_path / "map.tif")
    whole = 13 * 8
    assert summary.tiles == len(scorer.batches) - before
    assert summary.tiles <= whole - 60 + 3 * 9
    assert summary.found + summary.tiles >= whole
    assert summary.seams.shared > 0, "what the first run counted is counted"


@pytest.mark.usefixtures("_small_blocks")
def test_other_options_and_fresh_start_over(tmp_path: Path, make_source: Any, make_scorer: Any, make_spec: Any) -> None:
    source = make_source(300, 200)
    out = tmp_path / "map.tif"
    with pytest.raises(Stopped):
        predict(source, make_scorer(make_spec(32, 8)), out, stop=60)
    changed: list[tuple[dict[str, Any], Any]] = [
        ({"inputs": "another file"}, make_spec(32, 8)),
        ({}, make_spec(40, 8)),
        ({"fresh": True}, make_spec()),
    ]
    for job, spec in changed:
        with pytest.raises(Stopped):
            # It stops at the third tile: only a run that begins at the beginning comes to that.
            predict(source, make_scorer(spec), out, stop=3, **job)
        with pytest.raises(Stopped):
            predict(source, make_scorer(spec), out, stop=60, **{**job, "fresh": False})
    with pytest.raises(Stopped):
        predict(source, make_scorer(make_spec(40, 8)), out, stop=60)
    summary = predict(source, make_scorer(make_spec(32, 8)), out)
    assert summary.found == 0
    assert any("started over" in note for note in summary.notes)


@pytest.mark.usefixtures("_small_blocks")
def test_a_spoilt_window_is_named_and_gone_on_from_once_it_is_mended(
    tmp_path: Path, make_source: Any, make_scorer: Any, make_spec: Any
) -> None:
    source, scorer = make_source(300, 200), make_scorer(make_spec(32, 8))
    predict(source, scorer, tmp_path / "whole" / "map.tif")
    read, spoilt = source.read, Window(150, 100, 1, 1)

    def broken(window: Window) -> Any:
        if window.contains(spoilt):
            raise UnreadableFile("scene.tif cannot be read (ZIPDecode error)")
        return read(window)

    source.read = broken
    out = tmp_path / "broken" / "map.tif"
    with pytest.raises(UnreadableFile, match=r"rows 136 to 168, columns 72 to 104.*are finished and kept.*goes on"):
        predict(source, scorer, out)
    source.read = read
    assert predict(source, scorer, out).found > 0
    assert digest(out.parent) == digest(tmp_path / "whole")


@pytest.mark.usefixtures("_small_blocks")
def test_a_full_disk_is_said_and_gone_on_from_once_there_is_room(
    tmp_path: Path, make_source: Any, make_scorer: Any, make_spec: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, scorer = make_source(300, 200), make_scorer(make_spec(32, 8))
    predict(source, scorer, tmp_path / "whole" / "map.tif")
    append, room = blockfile.BlockFile.append, [60]

    def full(self: Any, *args: Any, **kwargs: Any) -> Any:
        room[0] -= 1
        if room[0] < 0:
            raise OSError(28, "No space left on device")
        return append(self, *args, **kwargs)

    out = tmp_path / "full" / "map.tif"
    monkeypatch.setattr(blockfile.BlockFile, "append", full)
    with pytest.raises(UnwritableFile, match=r"No space left on device.*are finished and kept"):
        predict(source, scorer, out)
    room[0] = 10**9
    predict(source, scorer, out)
    assert digest(out.parent) == digest(tmp_path / "whole")


@pytest.mark.usefixtures("_small_blocks")
def test_a_shard_alone_says_what_is_missing_and_leaves_its_part(
    tmp_path: Path, make_source: Any, make_scorer: Any, make_spec: Any
) -> None:
    source, scorer = make_source(300, 200), make_scorer(make_spec(32, 8))
    (window,) = shares([(300, 200)], Shard(2, 3), BLOCK)
    summary = predict(source, scorer, tmp_path / "map.tif", part=("2-of-3", window))
    assert not summary.is_whole
    assert summary.files == (tmp_path / ".map.part" / "2-of-3.blocks",)
    assert not (tmp_path / "map.tif").exists()


def test_an_overlap_of_shards_is_impossible_to_ask_for() -> None:
    with pytest.raises(BadOption):
        Shard.parse("5/4")


CHILD = """
import sys, time
sys.path.insert(0, {tests!r})
from pathlib import Path
from conftest import FakeScorer, _source, _spec
from terraseg.predict import sweep
from terraseg.predict.budget import plan_sweep
from terraseg.predict.options import PredictOptions
from terraseg.store import mapwriter
mapwriter.BLOCK = sweep.BLOCK = 64
class Slow(FakeScorer):
    def score(self, batch):
        time.sleep(0.012)
        return super().score(batch)
source = _source(500, 400)
source.valid[200:320, 90:200] = False
print("begun", flush=True)
options = PredictOptions(confidence=True, probabilities="float16", uncertainty=True, threads=1)
sweep.predict_raster(source, Slow(_spec(48, 16), bias=0.8), Path({out!r}), options=options)
"""


def child(out: Path) -> list[str]:
    script = CHILD.format(tests=str(Path(__file__).parent), out=str(out))
    return [sys.executable, "-c", script]


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, str], float]:
    """The digests of a run that nobody disturbs, and the seconds that it took."""
    folder = tmp_path_factory.mktemp("whole")
    begun = time.monotonic()
    subprocess.run(child(folder / "map.tif"), check=True, capture_output=True, timeout=120)
    return digest(folder), time.monotonic() - begun


def test_a_process_killed_at_random_moments_ends_with_the_same_bytes(
    tmp_path: Path, whole_run: tuple[dict[str, str], float]
) -> None:
    broken, (expected, length) = tmp_path / "map.tif", whole_run
    chance, killed = random.Random(7), 0
    for _ in range(4):
        process = subprocess.Popen(child(broken), stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(chance.uniform(0.02, 0.3) * length)
        process.send_signal(signal.SIGKILL)
        process.stdout.close()
        killed += process.wait() == -signal.SIGKILL
    assert killed >= 2
    subprocess.run(child(broken), check=True, capture_output=True, timeout=120)
    assert digest(tmp_path) == expected
    assert len(expected) == 5


def test_ctrl_c_keeps_what_is_finished(tmp_path: Path, whole_run: tuple[dict[str, str], float]) -> None:
    broken = tmp_path / "map.tif"
    process = subprocess.Popen(child(broken), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    blocks = tmp_path / ".map.part" / "whole.blocks"
    while process.poll() is None and not (blocks.exists() and blocks.stat().st_size > 20_000):
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert b"KeyboardInterrupt" in error
    assert blocks.stat().st_size > 20_000
    subprocess.run(child(broken), check=True, capture_output=True, timeout=120)
    assert digest(tmp_path) == whole_run[0]


def test_hashes_tell_maps_apart(tmp_path: Path, make_source: Any, make_scorer: Any, make_spec: Any) -> None:
    """Equal digests above prove something: another model's map has others."""
    for name, bias in (("a", 0.8), ("b", 0.7)):
        predict(make_source(90, 90), make_scorer(make_spec(32, 8), bias=bias), tmp_path / name / "map.tif")
    a, b = digest(tmp_path / "a"), digest(tmp_path / "b")
    assert all(a[name] != b[name] for name in a if name.endswith(".tif"))
