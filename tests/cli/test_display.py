"""What a log file shows of a step's progress."""

import io
import time

import pytest

from terraseg.cli.display import PlainWatch


def test_work_that_was_begun_earlier_does_not_count_as_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    stream = io.StringIO()
    watch = PlainWatch(stream)
    watch.step("predict")
    watch.progress(900, 1000)
    clock[0] = 20.0
    watch.progress(920, 1000)
    assert "92%, 1.0/s, 1m20s left" in stream.getvalue()


def test_each_raster_of_a_step_has_its_own_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    stream = io.StringIO()
    watch = PlainWatch(stream)
    watch.step("predict")
    for start in (0.0, 20.0):
        for done in range(1, 11):
            clock[0] = start + done * 2
            watch.progress(done, 10)
    lines = stream.getvalue().splitlines()
    assert all("0.5/s" in line or "0.6/s" in line for line in lines), lines
    assert len(lines) >= 2
