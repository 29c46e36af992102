"""Files that are whole or absent, wherever they are wanted; and a folder that one run holds at a time."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from terraseg.errors import StaleRun, UnwritableFile
from terraseg.store.rundir import RunFolder, replacing, write_text


@pytest.mark.parametrize("name", ["Müllhalde 🗺.txt", "x" * 251 + ".txt", "日本" * 41 + ".txt", "a b'c\"d;e.txt"])
def test_any_name_that_the_file_system_takes_is_written(tmp_path: Path, name: str) -> None:
    """A temporary name that is longer than the file's own would be too long for the system."""
    write_text(tmp_path / name, "whole")
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_name_that_is_too_long_is_refused_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UnwritableFile, match=r"cannot be written \(file name too long\)"):
        write_text(tmp_path / ("x" * 300), "whole")
    assert list(tmp_path.iterdir()) == []


def test_a_file_where_a_folder_is_wanted_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UnwritableFile, match="pass another place"):
        write_text(tmp_path / "file/inner.txt", "whole")
    with pytest.raises(UnwritableFile), RunFolder(tmp_path / "file").locked():
        pass
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.ENOSPC])
def test_a_read_only_or_full_place_leaves_the_old_file(tmp_path: Path, number: int) -> None:
    (tmp_path / "a.txt").write_text("old")

    def write_half() -> None:
        with replacing(tmp_path / "a.txt") as temporary:
            temporary.write_text("half")
            raise OSError(number, os.strerror(number))

    with pytest.raises(UnwritableFile, match=r"a\.txt cannot be written"):
        write_half()
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a.txt", "old")]


def test_other_errors_come_through_as_they_are(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="the cable"), replacing(tmp_path / "a.txt"):
        raise OSError(errno.EIO, "the cable")


def test_the_holder_of_a_folder_is_named_with_machine_and_time(tmp_path: Path) -> None:
    folder = tmp_path / "läufe/erster"
    code = (
        "import sys; from pathlib import Path; from terraseg.store.rundir import RunFolder\n"
        "with RunFolder(Path(sys.argv[1])).locked(): print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        wanted = rf"is in use by process {holder.pid} on \S+ since \d{{4}}-\d\d-\d\d \d\d:\d\d: wait for it"
        with pytest.raises(StaleRun, match=wanted), RunFolder(folder).locked():
            pass
        holder.kill()
    with RunFolder(folder).locked():
        (folder / "kept").touch()
    assert sorted(path.name for path in folder.iterdir()) == [".lock", "kept"]


def test_a_folder_behind_a_link_is_one_folder_and_the_link_stays(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "run").symlink_to(tmp_path / "disk")
    linked = RunFolder(tmp_path / "run")
    with linked.locked(), pytest.raises(StaleRun), RunFolder(tmp_path / "disk").locked():
        pass
    assert (tmp_path / "run").is_symlink()
    assert list((tmp_path / "disk").iterdir()) == []


def test_a_run_that_came_to_nothing_leaves_no_folder(tmp_path: Path) -> None:
    with RunFolder(tmp_path / "run").locked():
        pass
    assert list(tmp_path.iterdir()) == []
