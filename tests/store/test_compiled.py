"""Compiled graphs that are kept: found again, never believed when damaged, bounded in number, and done without."""

from pathlib import Path

import pytest

from terraseg.store.compiled import FOLDER, KEPT, keep_compiled, read_compiled


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(FOLDER, str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_what_was_kept_is_found_under_its_key_alone(folder: Path) -> None:
    assert read_compiled("a") is None
    assert keep_compiled("a", b"graph")
    assert (read_compiled("a"), read_compiled("b")) == (b"graph", None)
    assert folder.stat().st_mode & 0o077 == 0, "the user's own"
    assert [path.suffix for path in folder.iterdir()] == [".blob"]


@pytest.mark.parametrize("damaged", [b"", b"short", b"x" * 100])
def test_what_is_damaged_counts_for_nothing(folder: Path, damaged: bytes) -> None:
    keep_compiled("a", b"graph")
    (path,) = folder.iterdir()
    path.write_bytes(damaged)
    assert read_compiled("a") is None
    path.write_bytes(path.read_bytes()[:32] + b"graph")
    assert read_compiled("a") is None


def test_only_the_latest_are_kept(folder: Path) -> None:
    for number in range(KEPT + 3):
        keep_compiled(str(number), b"graph")
        keep_compiled("again", b"graph")
    assert len(list(folder.iterdir())) == KEPT
    assert read_compiled("again") == b"graph"


def test_without_a_place_to_write_nothing_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FOLDER, "no")
    assert not keep_compiled("a", b"graph")
    assert read_compiled("a") is None
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv(FOLDER, str(tmp_path / "file"))
    assert not keep_compiled("a", b"graph")
    assert read_compiled("a") is None
    for name in (FOLDER, "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert keep_compiled("a", b"graph")
    assert (tmp_path / ".cache" / "terraseg").is_dir()
