"""Files that are whole or absent: atomic writing, JSON and the run folder with its lock."""

import csv
import errno
import fcntl
import json
import os
import socket
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from terraseg.core.text import parse_json
from terraseg.errors import StaleRun, UnreadableFile, UnwritableFile

LONGEST_STEM = 120
"""Bytes of a file's name that go into its temporary one."""
UNWRITABLE = frozenset(
    {
        errno.EACCES,
        errno.EPERM,
        errno.EROFS,
        errno.ENOSPC,
        errno.EDQUOT,
        errno.ENAMETOOLONG,
        errno.ENOTDIR,
        errno.EISDIR,
        errno.EEXIST,
    }
)
"""What the system says of a place where nothing can be written."""
LOCK = ".lock"


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, to be written in the block; it takes the place of `path` when the block succeeds.

    After an error, or a kill, `path` is as it was before. Raises `UnwritableFile` for a place where nothing can be written.
    """
    # A name may be as long as the file system allows: the temporary one must not be longer.
    stem = path.stem.encode()[:LONGEST_STEM].decode(errors="ignore")
    temporary = path.with_name(f".{stem}.{os.getpid()}.part{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        temporary.replace(path)
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        raise unwritable(path, error) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def unwritable(path: Path, error: OSError) -> UnwritableFile:
    """The error of a file or folder that cannot be written where it is wanted, with the system's own reason."""
    return UnwritableFile(
        f"{path} cannot be written ({system_reason(error)}): pass another place, or make this one writable"
    )


def system_reason(error: Exception) -> str:
    """What the system says of a failed write, whether it was translated already or not."""
    cause = error if isinstance(error, OSError) else error.__cause__
    return (getattr(cause, "strerror", None) or str(error)).lower()


def write_text(path: Path, text: str) -> None:
    """A text file in UTF-8, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """A JSON file, indented, whole or not at all; NaN is refused, since JSON has none."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """The value of a JSON file; `UnreadableFile` when it is missing or no JSON."""
    try:
        return parse_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UnreadableFile(f"{path} does not exist: run the step that writes it first") from error
    except (OSError, ValueError) as error:
        raise UnreadableFile(f"{path} is not readable JSON ({error}): delete it and run the step again") from error


def write_csv(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """A CSV file with a header from the first row's keys; None becomes an empty field."""
    table = list(rows)
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(table[0]) if table else [])
        writer.writeheader()
        writer.writerows(table)


def read_csv(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file as text; no rows when it does not exist."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@dataclass(frozen=True)
class RunFolder:
    """Where each thing of a run lies. `root` is `runs/NAME`."""

    root: Path

    @property
    def options(self) -> Path:
        """The resolved options of every table."""
        return self.root / "options.json"

    @property
    def dataset(self) -> Path:
        """Scenes, labels and split, as a `core.dataset.Dataset`."""
        return self.root / "dataset.json"

    @property
    def fingerprint(self) -> Path:
        """Facts of the data, as a `core.fingerprint.Fingerprint`."""
        return self.root / "fingerprint.json"

    @property
    def split(self) -> Path:
        """How training, validation and test were parted, as a `core.split.SplitReport`."""
        return self.root / "split.json"

    @property
    def folds(self) -> Path:
        """The runs of a cross-validation, a folder a fold, and their scores in `folds.json`."""
        return self.root / "folds"

    @property
    def hardware(self) -> Path:
        """The machine that the plan was made for, as a `core.plan.Hardware`."""
        return self.root / "hardware.json"

    @property
    def plan(self) -> Path:
        """The training plan with its reasons, as a `core.plan.Plan`."""
        return self.root / "plan.json"

    @property
    def progress(self) -> Path:
        """One row a validation: step, seconds, losses and scores."""
        return self.root / "progress.csv"

    @property
    def lr_find(self) -> Path:
        """The learning-rate range test, as a `core.lrcurve.LrCurve`."""
        return self.root / "lr_find.json"

    @property
    def checkpoints(self) -> Path:
        """Checkpoints of an unfinished or finished training."""
        return self.root / "checkpoints"

    @property
    def tensorboard(self) -> Path:
        """TensorBoard's event files."""
        return self.root / "tensorboard"

    @property
    def cache(self) -> Path:
        """Scenes uncompressed for training; can be deleted at any time."""
        return self.root / "cache"

    @property
    def model(self) -> Path:
        """The model bundle."""
        return self.root / "model"

    @property
    def forest(self) -> Path:
        """The bundle of the forest, the baseline that a network is held against."""
        return self.root / "forest"

    @property
    def ensemble(self) -> Path:
        """The bundle that averages forest and network."""
        return self.root / "ensemble"

    @property
    def baseline(self) -> Path:
        """Class maps and scores of the forest on the labelled scenes."""
        return self.root / "baseline"

    @property
    def maps(self) -> Path:
        """Class maps, polygons and statistics, a set for each mapped scene."""
        return self.root / "maps"

    @property
    def scores(self) -> Path:
        """Scores against the truth, as JSON."""
        return self.root / "scores.json"

    @property
    def figures(self) -> Path:
        """Pictures."""
        return self.root / "figures"

    @property
    def report(self) -> Path:
        """The report page."""
        return self.root / "report.html"

    @property
    def done(self) -> Path:
        """Which step was last finished with which inputs."""
        return self.root / "done.json"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Holds the folder for this process; `StaleRun` names the one that holds it already, its machine and since when.

        The lock goes with the process, so a killed run leaves none behind. Raises `UnwritableFile` for a folder that cannot
        be written to.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            file = (self.root / LOCK).open("a+", encoding="utf-8")
        except OSError as error:
            raise unwritable(self.root, error) from error
        with file:
            self._take(file)
            try:
                yield
            finally:
                if [path.name for path in self.root.iterdir()] == [LOCK]:
                    # Nothing came of it: the folder goes as well.
                    (self.root / LOCK).unlink()
                    self._remove_empty()

    def _take(self, file: TextIO) -> None:
        """Locks the open lock file and writes into it whose it is."""
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            holder = " ".join(file.read(LONGEST_STEM).split()) or "another process"
            raise StaleRun(
                f"{self.root} is in use by {holder}: wait for it, or give this run another folder with --set map.run=NAME"
            ) from error
        except OSError as error:
            raise unwritable(self.root, error) from error
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()} since {time.strftime('%Y-%m-%d %H:%M')}")
        file.flush()

    def _remove_empty(self) -> None:
        # A symbolic link stays: it is the user's, and so is what it leads to.
        if not self.root.is_symlink():
            self.root.rmdir()
