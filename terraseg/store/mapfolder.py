"""The hidden folder in which a map is made: who may work in it, whether the disk has room, and what stays of it."""

import fcntl
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from rasterio._err import CPLE_BaseError
from rasterio.errors import RasterioError

from terraseg.core.grid import Grid
from terraseg.errors import StaleRun, UnreadableFile, UnwritableFile
from terraseg.store.maplayers import CLASSES, RUN_TAG, Layer
from terraseg.store.opening import open_dataset

ALONE = "whole"
"""The name of the file of blocks that a run without shards writes."""


@dataclass(frozen=True)
class Keeping:
    """What lets a map be gone on with: the `key` of all that its pixels depend on, and the name of the part that is made.

    Parts of one map, by processes on one or many machines, share its folder; without a name the process makes all that is
    missing. `fresh` drops what was there: the part's own blocks, without a name everybody's.
    """

    key: str
    part: str | None = None
    fresh: bool = False


def scratch_folder(out: Path) -> Path:
    """Where a map lies while it is made."""
    return out.with_name(f".{out.stem}.part")


def blocks_path(out: Path, part: str | None) -> Path:
    """The file of blocks of a part of a map, or of a run that makes the whole."""
    return scratch_folder(out) / f"{part or ALONE}.blocks"


def is_made(paths: Sequence[Path], key: str) -> bool:
    """Whether all files of a map stand and were made from what `key` stands for."""
    return all(path.exists() for path in paths) and _made_from(paths[0]) == key


def _made_from(path: Path) -> str | None:
    """The key of what a map was made from; None for what is no map, or not one of ours."""
    try:
        with open_dataset(path) as dataset:
            key = dataset.tags().get(RUN_TAG)
    except UnreadableFile:
        # Something else stands there, and will be written over.
        return None
    return None if key is None else str(key)


def drop_map(out: Path) -> None:
    """Removes a map, and the blocks of one in the making; what was not made by a prediction stays.

    Raises `StaleRun` while another process is writing it, `UnwritableFile` where it cannot be removed.
    """
    if scratch_folder(out).exists():
        with held_folder(out, None):
            clear_folder(out, None, whole=True)
    if out.exists() and _made_from(out) is not None:
        with refused(out):
            out.unlink()


@contextmanager
def held_folder(out: Path, keeping: Keeping | None) -> Iterator[Path]:
    """The scratch folder, held by this process as a whole or for one part of the map; without `keeping` it is emptied."""
    folder = scratch_folder(out)
    part = None if keeping is None else keeping.part
    with ExitStack() as stack:
        with refused(out):
            folder.mkdir(parents=True, exist_ok=True)
            _hold(stack, folder / "lock", fcntl.LOCK_EX if part is None else fcntl.LOCK_SH, out)
            if part is not None:
                _hold(stack, folder / f"{part}.lock", fcntl.LOCK_EX, out)
            if keeping is None or keeping.fresh:
                for left in folder.glob("*.blocks" if part is None else f"{part}.blocks"):
                    left.unlink()
        yield folder


def _hold(stack: ExitStack, path: Path, how: int, out: Path) -> None:
    lock: IO[bytes] = stack.enter_context(path.open("wb"))
    try:
        fcntl.flock(lock, how | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise StaleRun(f"another process is writing {out}: wait for it, or pass another output") from error


@contextmanager
def merging(out: Path) -> Iterator[None]:
    """Waits for its turn to put the parts of a map together: of those that end at one time, one after the other looks."""
    with refused(out):
        lock = (scratch_folder(out) / "merge.lock").open("wb")
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def clear_folder(out: Path, keeping: Keeping | None, *, whole: bool) -> None:
    """Removes the scratch folder: of a map that is `whole`, or what is left of a run that finished no block."""
    folder, part = scratch_folder(out), None if keeping is None else keeping.part
    if whole or part is None:
        shutil.rmtree(folder, ignore_errors=True)
        return
    for name in (f"{part}.blocks", f"{part}.lock"):
        (folder / name).unlink(missing_ok=True)


def check_room(out: Path, grid: Grid, layers: tuple[Layer, ...]) -> None:
    """Raises `UnwritableFile` when the disk would be too full for the map, as far as can be told before it is made."""
    folder = scratch_folder(out)
    # Class maps shrink to a tenth or less, probabilities by half; blocks and finished files lie side by side at the end.
    pixel_bytes = sum(layer.pixel_bytes / (8 if layer.name == CLASSES else 2) for layer in layers)
    there = sum(path.stat().st_size for path in folder.glob("*.blocks"))
    needed = grid.height * grid.width * pixel_bytes * 2 - there
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise UnwritableFile(
            f"{out} needs about {needed / 1e9:.2f} GB beside it while it is made and the disk has "
            f"{free / 1e9:.2f} GB left: make room, or pass an output on another disk"
        )


@contextmanager
def refused(out: Path) -> Iterator[None]:
    """Library errors on writing, raised as `UnwritableFile` with one sentence."""
    try:
        yield
    except (RasterioError, CPLE_BaseError, OSError) as error:
        reason = str(error.__cause__ or error).splitlines()[0].removesuffix(".")
        raise UnwritableFile(
            f"{out} cannot be written ({reason}): check that the folder may be written to and the disk has room, or pass "
            f"another output"
        ) from error
