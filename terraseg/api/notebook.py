"""What a notebook shows while a cell runs: one line that moves, and pictures in between. Elsewhere, nothing."""

import base64
import sys
import time
from html import escape
from itertools import count
from typing import Any, Protocol

from terraseg.api.picture import Picture
from terraseg.core.watch import SILENT, Watch

REFRESH_S = 0.25

_numbers = count(1)


class Publisher(Protocol):
    """The part of IPython's display publisher that is used here."""

    def publish(
        self, data: dict[str, Any], metadata: dict[str, Any] | None = None, *, transient: dict[str, Any], update: bool
    ) -> None:
        """Shows a value given in several formats, or changes the one shown under the same `display_id`."""
        ...


def publisher() -> Publisher | None:
    """The notebook that this process runs a cell of; None in a script, in a terminal and without IPython.

    IPython is looked for among the modules that are loaded: where it is not, nobody watches.
    """
    ipython = sys.modules.get("IPython")
    find = getattr(ipython, "get_ipython", None)
    shell = find() if find is not None else None
    if shell is None or getattr(shell, "kernel", None) is None:
        return None
    found: Publisher = shell.display_pub
    return found


def watcher(chosen: Watch | None) -> Watch:
    """The watcher that a call was given; by default a live line in a notebook, and none elsewhere."""
    if chosen is not None:
        return chosen
    found = publisher()
    return SILENT if found is None else LiveLine(found)


def show(picture: Picture) -> None:
    """Shows a picture below the running cell of a notebook; nothing happens elsewhere."""
    found = publisher()
    if found is None:
        return
    png = base64.b64encode(picture._repr_png_()).decode()
    found.publish({"image/png": png, "text/plain": repr(picture)}, {}, transient={}, update=False)


class LiveLine:
    """A watcher that keeps one line a step up to date: a bar, the time left, and what was said last."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher
        self.step("")

    def step(self, title: str) -> None:
        """A new step begins; its line appears with the first word or progress."""
        self._title, self._said, self._shown = title, "", False
        self._display_id = f"terraseg-{next(_numbers)}"
        self._began, self._last = time.monotonic(), 0.0

    def say(self, text: str) -> None:
        """Puts a sentence into the line, in the place of the last one."""
        self._said = text
        self._publish("", text)

    def progress(self, done: float, total: float, text: str = "") -> None:
        """Moves the bar, a few times a second at most, and at the end."""
        now = time.monotonic()
        if done < total and now - self._last < REFRESH_S:
            return
        self._last = now
        share = min(1.0, done / total) if total else 1.0
        left = (now - self._began) * (1 - share) / share if share else 0.0
        words = [f"{share:.0%}", *([f"{left:.0f} s left"] if 0 < share < 1 else []), text or self._said]
        bar = f'<progress value="{share:.4f}" max="1" style="width:16em"></progress> '
        self._publish(bar, " · ".join(word for word in words if word))

    def _publish(self, bar: str, text: str) -> None:
        html = f"<div>{bar}<b>{escape(self._title)}</b> {escape(text)}</div>"
        data = {"text/html": html, "text/plain": f"{self._title}: {text}"}
        self._publisher.publish(data, {}, transient={"display_id": self._display_id}, update=self._shown)
        self._shown = True
