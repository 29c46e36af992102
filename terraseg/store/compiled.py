"""Compiled graphs kept from one run to the next, in the user's own cache: compiling a model in bytes takes half a second.

They are this user's alone: what an engine loads as machine's code must not come with a model from elsewhere.
"""

import hashlib
import os
from pathlib import Path

from terraseg.errors import UnwritableFile
from terraseg.store.rundir import replacing

FOLDER = "TERRASEG_CACHE"
"""The environment variable that names another folder, or "no" for none."""
KEPT = 8
"""Files held at once; the ones that were not asked for longest go. With a ResNet-34 one takes 23 MB."""
SUFFIX = ".blob"


def read_compiled(key: str) -> bytes | None:
    """What was kept under a key; None where nothing was, or where it is damaged."""
    folder = _folder()
    if folder is None:
        return None
    path = folder / f"{_digest(key.encode()).hex()}{SUFFIX}"
    try:
        whole = path.read_bytes()
        path.touch()
    except OSError:
        return None
    checksum, content = whole[:32], whole[32:]
    return content if checksum == _digest(content) else None


def keep_compiled(key: str, content: bytes) -> bool:
    """Keeps something under a key and drops the oldest; False where the cache cannot be written to: then it is done again."""
    folder = _folder()
    if folder is None:
        return False
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with replacing(folder / f"{_digest(key.encode()).hex()}{SUFFIX}") as temporary:
            temporary.write_bytes(_digest(content) + content)
        for path in sorted(folder.glob(f"*{SUFFIX}"), key=lambda path: path.stat().st_mtime)[:-KEPT]:
            path.unlink(missing_ok=True)
    except (OSError, UnwritableFile):
        return False
    return True


def _folder() -> Path | None:
    named = os.environ.get(FOLDER, "")
    if named == "no":
        return None
    if named:
        return Path(named)
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # noqa: PTH111  # Path raises without a home
    return None if home.startswith("~") else Path(home) / "terraseg"


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()
