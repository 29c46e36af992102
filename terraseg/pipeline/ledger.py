"""What a run has finished, and from what: the memory that lets a step be skipped when nothing changed."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from terraseg.store.rundir import RunFolder, read_json, write_json


class Ledger:
    """The finished steps of a run folder, kept in `done.json`: for each the key of its inputs and its output files."""

    def __init__(self, run: RunFolder) -> None:
        self._path = run.done
        self._root = run.root
        self._entries: dict[str, dict[str, Any]] = read_json(run.done) if run.done.exists() else {}

    def is_fresh(self, step: str, key: str) -> bool:
        """True when the step was finished with these inputs and its outputs are still there, unchanged in size."""
        entry = self._entries.get(step)
        if entry is None or entry["key"] != key:
            return False
        return all((self._root / name).exists() for name in entry["outputs"])

    def finish(self, step: str, key: str, outputs: Iterable[Path]) -> None:
        """Records that a step is finished."""
        names = [str(path.relative_to(self._root)) for path in outputs]
        self._entries[step] = {"key": key, "outputs": names}
        write_json(self._path, self._entries)

    def begin(self, step: str, key: str) -> bool:
        """Records that a resumable step begins; True when what an earlier try left behind has the same inputs."""
        name = f"{step}: begun"
        same = self._entries.get(name, {}).get("key") == key
        if not same:
            self._entries[name] = {"key": key, "outputs": []}
            write_json(self._path, self._entries)
        return bool(same)

    def outputs_of(self, step: str) -> list[Path]:
        """The files that a step last wrote; none when it never was finished."""
        return [self._root / name for name in self._entries.get(step, {}).get("outputs", [])]

    def key_of(self, step: str) -> str:
        """The key under which a step was last finished; empty when it never was."""
        return str(self._entries.get(step, {}).get("key", ""))


def key_for(*parts: Any) -> str:
    """A short hash of plain JSON values: equal inputs give equal keys."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def file_states(paths: Iterable[str | Path]) -> list[list[Any]]:
    """Name, size and time of change of each file: what tells a changed input, at no reading.

    The folder is left out, so that a project that moves as a whole stays up to date.
    """
    states: list[list[Any]] = []
    for path in sorted({str(path) for path in paths}):
        name = Path(path).name
        try:
            stat = Path(path).stat()
            states.append([name, stat.st_size, stat.st_mtime_ns])
        except OSError:
            states.append([name, None, None])
    return states
