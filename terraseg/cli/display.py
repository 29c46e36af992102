"""What a step looks like on a screen: a bar on a terminal, plain lines with rate and time left elsewhere."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from terraseg.core.watch import Watch

QUIET_S = 10.0


@contextmanager
def watching() -> Iterator[Watch]:
    """A watcher fit for where the output goes; the bar is taken off the screen at the end."""
    if not sys.stderr.isatty():
        yield PlainWatch(sys.stderr)
        return
    columns = (
        TextColumn("[bold]{task.fields[step]}"),
        BarColumn(bar_width=28),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
    )
    console = Console(stderr=True, highlight=False)
    with Progress(*columns, console=console, transient=True) as bar:
        yield BarWatch(bar)


class BarWatch:
    """A live bar for the current step, with what is said above it."""

    def __init__(self, bar: Progress) -> None:
        self._bar = bar
        self._step = ""
        self._task: TaskID | None = None

    def step(self, title: str) -> None:
        """Takes the last step's bar away; the new one's appears with its first progress."""
        if self._task is not None:
            self._bar.remove_task(self._task)
        self._step, self._task = title, None

    def say(self, text: str) -> None:
        """A line above the bar."""
        self._bar.console.print(f"[bold cyan]{self._step:>9}[/] ", text, sep="", markup=True, soft_wrap=True)

    def progress(self, done: float, total: float, text: str = "") -> None:
        """Moves the bar."""
        if self._task is None:
            self._task = self._bar.add_task(text, total=total, step=self._step)
        self._bar.update(self._task, completed=done, total=total, description=text)


class PlainWatch:
    """Lines for a log file: what is said at once, progress every ten seconds with rate and time left."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._step, self._last = "", 0.0
        self._began = self._seen = time.monotonic()
        self._before, self._done, self._total = 0.0, 0.0, 0.0

    def step(self, title: str) -> None:
        """Starts the clock of a step."""
        self._step, self._last = title, time.monotonic()
        self._began = self._seen = time.monotonic()
        self._before, self._done, self._total = 0.0, 0.0, 0.0

    def say(self, text: str) -> None:
        """A line."""
        print(f"{self._step}: {text}", file=self._stream, flush=True)

    def progress(self, done: float, total: float, text: str = "") -> None:
        """A line when ten seconds have gone by since the last."""
        now = time.monotonic()
        if total != self._total or done < self._done:
            # Another piece of work, which may have been begun earlier: what was done by then takes no time now.
            self._began = self._seen if self._total else self._began
            self._before, self._total = (done if done > 1 else 0.0), total
        self._done, self._seen = done, now
        if now - self._last < QUIET_S or done <= self._before:
            return
        self._last = now
        spent, finished = now - self._began, done - self._before
        left = spent / finished * (total - done)
        rate = f", {finished / spent:.1f}/s" if total > 1 else ""
        print(
            f"{self._step}: {done / total:.0%}{rate}, {clock(left)} left{', ' + text if text else ''}",
            file=self._stream,
            flush=True,
        )


def clock(seconds: float) -> str:
    """A duration for reading.

    >>> clock(42), clock(200)
    ('42s', '3m20s')
    """
    whole = round(seconds)
    return f"{whole}s" if whole < 60 else f"{whole // 60}m{whole % 60:02d}s"


def print_files(files: list[str]) -> None:
    """The closing lines of a command: what it wrote, one file a line."""
    for file in files:
        print(file)
