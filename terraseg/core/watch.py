"""How a long step tells whoever watches what it does; the command line draws it, a notebook may stay silent."""

from typing import Protocol


class Watch(Protocol):
    """A watcher of steps. Every step may call `say` and `progress` as often as it likes."""

    def step(self, title: str) -> None:
        """A new step begins."""
        ...

    def say(self, text: str) -> None:
        """A decision, a device or a file, in one sentence."""
        ...

    def progress(self, done: float, total: float, text: str = "") -> None:
        """`done` of `total` units of the current step; `text` holds its numbers."""
        ...


class Silent:
    """A watcher that shows nothing."""

    def step(self, title: str) -> None:
        """Nothing."""

    def say(self, text: str) -> None:
        """Nothing."""

    def progress(self, done: float, total: float, text: str = "") -> None:
        """Nothing."""


SILENT: Watch = Silent()
