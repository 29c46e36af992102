"""Arrays on disk for as long as they are needed: what does not fit into memory."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from terraseg.errors import UnwritableFile


@contextmanager
def scratch_array(shape: tuple[int, ...], dtype: DTypeLike) -> Iterator[NDArray[Any]]:
    """A zeroed array in a file of the system's temporary folder, gone when the block ends.

    Parts that are never written take no room on most disks. Raises `UnwritableFile` where there is no room at all.
    """
    with tempfile.TemporaryDirectory(prefix="terraseg-") as folder:
        path = Path(folder) / "scratch"
        try:
            array = np.memmap(path, dtype=dtype, mode="w+", shape=shape)
        except OSError as error:
            raise UnwritableFile(
                f"the temporary folder {folder} has no room for {np.prod(shape) * np.dtype(dtype).itemsize / 1e9:.2f} GB "
                f"({error.strerror}): make room, or set TMPDIR to a folder on another disk"
            ) from error
        try:
            yield array
        finally:
            del array
