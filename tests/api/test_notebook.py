"""A notebook sees a line that moves and pictures in between; anything else sees nothing."""

import base64
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from matplotlib.figure import Figure

from terraseg.api.notebook import LiveLine, publisher, show, watcher
from terraseg.api.picture import Picture
from terraseg.core.watch import SILENT


class Cell:
    """What a notebook's cell would show: by display id, the newest content and how often it came."""

    def __init__(self) -> None:
        self.outputs: list[dict[str, Any]] = []
        self.lines: dict[str, str] = {}

    def publish(
        self, data: dict[str, Any], metadata: dict[str, Any] | None = None, *, transient: dict[str, Any], update: bool
    ) -> None:
        assert metadata == {}
        name = transient.get("display_id", "")
        assert update == (name in self.lines), "a line is shown once and updated then"
        self.outputs.append(data)
        if name:
            self.lines[name] = data["text/html"]


@pytest.fixture
def cell(monkeypatch: pytest.MonkeyPatch) -> Cell:
    """A process that looks like a notebook's kernel."""
    found, module = Cell(), ModuleType("IPython")
    module.get_ipython = lambda: SimpleNamespace(kernel=object(), display_pub=found)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", module)
    return found


@pytest.mark.parametrize("shell", [None, SimpleNamespace(display_pub=Cell())])
def test_scripts_and_terminals_are_silent(shell: object, monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("IPython")
    module.get_ipython = lambda: shell  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", module)
    assert publisher() is None
    assert watcher(None) is SILENT
    monkeypatch.delitem(sys.modules, "IPython")
    assert watcher(None) is SILENT


def test_a_watcher_that_was_given_is_kept(cell: Cell) -> None:
    assert watcher(SILENT) is SILENT
    assert isinstance(watcher(None), LiveLine)


def test_each_step_has_one_line_that_moves(cell: Cell) -> None:
    watch = watcher(None)
    for title in ("prepare", "train"):
        watch.step(title)
        for done in range(1, 101):
            watch.progress(done, 100, f"loss <{done}>")
    assert len(cell.lines) == 2
    assert len(cell.outputs) < 10, "a fast step does not flood the notebook"
    last = list(cell.lines.values())[-1]
    assert "train" in last
    assert 'value="1.0000"' in last
    assert "loss &lt;100&gt;" in last


def test_what_is_said_stands_in_the_line(cell: Cell) -> None:
    watch = watcher(None)
    watch.step("plan")
    watch.say("crop = 32")
    watch.say("batch = 2")
    assert list(cell.lines.values()) == ["<div><b>plan</b> batch = 2</div>"]


def test_a_picture_is_shown_as_png(cell: Cell) -> None:
    show(Picture(Figure(figsize=(1, 1))))
    assert base64.b64decode(cell.outputs[0]["image/png"]).startswith(b"\x89PNG")


def test_a_picture_is_drawn_for_nobody_elsewhere() -> None:
    class Costly(Picture):
        def _repr_png_(self) -> bytes:
            raise AssertionError("drawn though nobody looks")

    show(Costly(Figure()))
